//! The document root that the cases expect. Code writes it, so that it does not depend on how the repository was
//! checked out.
//!
//! ```text
//! index.html  hello.txt  digits.txt  empty.txt  pattern.bin  smuggled.txt  .hidden  .well-known/security.txt
//! page.html  style.css  script.js  data.json  image.{svg, svgz, png}  no-extension      what a media type is read from
//! with space.txt  grüße.txt  100%.txt  plus+sign.txt  a&b=c.txt  semi;colon.txt         what needs encoding
//! @acme/{thing, pack/index.html}  a:b/index.html                        names that redirects can get wrong
//! twin-1.txt  twin-2.txt                     of the same length and age  future.txt  modified in the future
//! dir/{index.html, page.txt, sub/deep.txt}  no-index/file.txt                           with an index, and without
//! link.txt → hello.txt   link-out.txt → /etc/passwd   link-out-dir → /etc   link-nowhere.txt   socket
//! httptest/                                                                             the embedded fixture tree
//! ```

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The content of `/hello.txt`.
pub const HELLO: &str = "Hello, world!\n";

/// The content of `/digits.txt`: each digit is its own offset.
pub const DIGITS: &str = "0123456789";

/// The content of `/smuggled.txt`. A response with it proves that the server served a request that it should have
/// rejected or read as part of another.
pub const SMUGGLED: &str = "This is the answer to a smuggled request.\n";

/// The length of `/pattern.bin` in bytes: 1 MiB.
pub const PATTERN_LEN: usize = 1024 * 1024;

/// The modification time of every fixture but `/future.txt`, as in Last-Modified. Long ago, so that it is a strong
/// validator.
pub const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// [`MODIFIED`] in seconds since the start of 1970.
const MODIFIED_SECONDS: u64 = 784_111_777;

/// The modification time of `/future.txt`: the beginning of the year 2100.
const FUTURE_SECONDS: u64 = 4_102_444_800;

/// The bytes of `/pattern.bin` in this range: each is its offset modulo 251. As 251 is a prime, bytes read from a
/// slightly wrong offset differ.
pub fn pattern(range: Range<usize>) -> Vec<u8> {
    range.map(|offset| (offset % 251) as u8).collect()
}

/// The text files of the document root: path and content.
const TEXTS: &[(&str, &str)] = &[
    ("index.html", "<!DOCTYPE html>\n<title>Fixtures</title>\n<p>The root of the fixtures.\n"),
    ("hello.txt", HELLO),
    ("digits.txt", DIGITS),
    ("empty.txt", ""),
    ("smuggled.txt", SMUGGLED),
    (".hidden", "Servers must not serve this file.\n"),
    (".well-known/security.txt", "Contact: mailto:security@example.org\n"),
    ("page.html", "<!DOCTYPE html>\n<title>A page</title>\n"),
    ("style.css", "body { color: black }\n"),
    ("script.js", "export const answer = 42;\n"),
    ("data.json", "{\"answer\": 42}\n"),
    ("image.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\"/>\n"),
    ("no-extension", "Text, or is it?\n"),
    ("with space.txt", "A space in the name.\n"),
    ("grüße.txt", "Grüße in UTF-8.\n"),
    ("100%.txt", "A percent sign in the name.\n"),
    ("plus+sign.txt", "A plus sign in the name.\n"),
    ("a&b=c.txt", "Query characters in the name.\n"),
    ("semi;colon.txt", "A semicolon in the name.\n"),
    ("twin-1.txt", "One of two files of the same length.\n"),
    ("twin-2.txt", "Two of two files of the same length.\n"),
    ("@acme/thing", "A file below a scope.\n"),
    ("@acme/pack/index.html", "<!DOCTYPE html>\n<title>A directory below a scope</title>\n"),
    ("a:b/index.html", "<!DOCTYPE html>\n<title>A directory that looks like a scheme</title>\n"),
    ("dir/index.html", "<!DOCTYPE html>\n<title>A directory</title>\n"),
    ("dir/page.txt", "A page in a directory.\n"),
    ("dir/sub/deep.txt", "Deep.\n"),
    ("no-index/file.txt", "A file in a directory without an index.\n"),
];

/// The content of `/image.png`: one transparent pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
    \0\0\0\x0bIDATx\xdac`\0\x02\0\0\x05\0\x01\xe9\xfa\xdc\xd8\0\0\0\0IEND\xaeB`\x82";

/// The content of `/image.svgz`: an empty drawing, compressed by gzip.
const SVGZ: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff\xb3).KW\xa8\xc8\xcd\xc9+\xb6U\
    \xca())\xb0\xd2\xd7///\xd7+7\xd6\xcb/J\xd77200\xd0\x07\xaaPR(\xcfL)\xc9\xb0U2TR\xc8H\xcdL\xcf(\x011\
    \xf5\xed\xb8\0oQ\xb5\xb9?\0\0\0";

/// The symbolic links of the document root: path and target.
const LINKS: &[(&str, &str)] = &[
    ("link.txt", "hello.txt"),
    ("link-nowhere.txt", "there-is-no-such-file"),
    ("link-out.txt", "/etc/passwd"),
    ("link-out-dir", "/etc"),
];

/// Embeds files of `httptest/` as pairs of path and bytes.
macro_rules! httptest {
    ($($path:literal,)*) => {
        &[$(($path, include_bytes!(concat!("../httptest/", $path)).as_slice())),*]
    };
}

/// The files that another suite requests, github.com/s-stupnikov/http-test-suite: path below `/httptest/` and content.
const HTTPTEST: &[(&str, &[u8])] = httptest![
    "160313.jpg",
    "b16261023.swf",
    "dir1/dir12/dir123/deep.txt",
    "dir2/index.html",
    "dir2/page.html",
    "ef35c.jpeg",
    "jquery-1.9.1.js",
    "logo.v2.png",
    "pic_ask.gif",
    "space in name.txt",
    "splash.css",
    "text..txt",
    "wikipedia_russia.html",
    "wikipedia_russia_files/100px-Cathedral_Square.jpg",
    "wikipedia_russia_files/17px-North.png",
    "wikipedia_russia_files/32px-Flag_of_Russia.png",
    "wikipedia_russia_files/load.css",
];

/// The content of `/httptest/{path}`; `None` if there is no such file.
pub fn httptest(path: &str) -> Option<&'static [u8]> {
    HTTPTEST.iter().find(|(name, _)| *name == path).map(|(_, bytes)| *bytes)
}

/// Writes the fixtures into `dir`. Creates `dir` if it does not exist, and overwrites existing fixtures.
///
/// # Errors
///
/// If a file, link or socket cannot be written.
pub fn write(dir: impl AsRef<Path>) -> io::Result<()> {
    let dir = dir.as_ref();
    for (path, text) in TEXTS {
        write_file(&dir.join(path), text.as_bytes())?;
    }
    let future = dir.join("future.txt");
    write_file(&future, b"From the future.\n")?;
    set_modified(&future, FUTURE_SECONDS)?;
    for (path, bytes) in HTTPTEST {
        write_file(&dir.join("httptest").join(path), bytes)?;
    }
    write_file(&dir.join("image.png"), PNG)?;
    write_file(&dir.join("image.svgz"), SVGZ)?;
    write_file(&dir.join("pattern.bin"), &pattern(0..PATTERN_LEN))?;
    for (path, to) in LINKS {
        symlink(to, vacant(&dir.join(path))?)?;
    }
    // A special file: opening it fails, or blocks.
    UnixListener::bind(vacant(&dir.join("socket"))?)?;
    Ok(())
}

/// Writes a file, with the directories that it is in, and sets its modification time to [`MODIFIED`].
fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, bytes)?;
    set_modified(path, MODIFIED_SECONDS)
}

/// Sets the modification time of a file, in seconds since the start of 1970.
fn set_modified(path: &Path, seconds: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Removes the file, link or socket at `path`, if there is one, and returns `path`.
fn vacant(path: &Path) -> io::Result<&Path> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn files_in(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn embeds_the_tree_that_is_on_disk() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("httptest");
        let mut on_disk = files_in(&root);
        on_disk.sort();
        let mut embedded: Vec<_> = HTTPTEST.iter().map(|(path, _)| root.join(path)).collect();
        embedded.sort();
        assert_eq!(embedded, on_disk);
    }

    #[test]
    fn can_be_written_twice() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        write(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("link.txt")).unwrap(), HELLO);
        for (name, seconds, len) in [
            ("pattern.bin", MODIFIED_SECONDS, PATTERN_LEN),
            ("dir/sub/deep.txt", MODIFIED_SECONDS, 6),
            ("twin-1.txt", MODIFIED_SECONDS, 37),
            ("twin-2.txt", MODIFIED_SECONDS, 37),
            ("future.txt", FUTURE_SECONDS, 17),
            ("httptest/wikipedia_russia_files/load.css", MODIFIED_SECONDS, HTTPTEST[16].1.len()),
        ] {
            let metadata = fs::metadata(dir.path().join(name)).unwrap();
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!((metadata.modified().unwrap(), metadata.len()), (modified, len as u64), "{name}");
        }
    }
}
