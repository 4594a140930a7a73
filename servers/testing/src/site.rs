//! The document root that the file tests ask for: every kind of name, file and link that matters.

use crate::shared::Shared;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{
    fs::{self, File},
    os::unix::{
        fs::{FileExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// When `page.html` was last modified: RFC 9110's own example, Sun, 06 Nov 1994 08:49:37 GMT.
pub const PAGE_MODIFIED: Duration = Duration::from_secs(784_111_777);

pub const PAGE: &str = "<p>A page, and not a long one.</p>\n";

/// Well beyond what is kept in memory, and beyond what sockets buffer.
pub const LARGE: usize = 6 * 1024 * 1024 + 13;

/// The length of `huge.bin`, whose last bytes are [`HUGE_END`]: nothing else of it is on the disk.
pub const HUGE: u64 = 5 * 1024 * 1024 * 1024;
pub const HUGE_END: &[u8] = b"behind four gigabytes";

/// Content by which files are told apart.
pub const FILES: &[(&str, &str)] = &[
    ("index.html", "<h1>Start</h1>\n"),
    ("page.html", PAGE),
    ("style.css", "p { color: red }\n"),
    ("app.js", "let a = 1;\n"),
    ("photo.jpg", "jpg"),
    ("photo.jpeg", "jpeg"),
    ("image.png", "png"),
    ("moving.gif", "gif"),
    ("film.swf", "swf"),
    ("drawing.svg", "<svg/>"),
    ("notes.txt", "notes\n"),
    ("blob.unheard-of", "blob"),
    ("noextension", "none"),
    ("empty.txt", ""),
    ("digits.txt", "0123456789abcdefghijklmnopqrstuvwxyz"),
    ("space in name.txt", "space"),
    ("näme ☃.txt", "utf-8"),
    ("100%.txt", "percent"),
    ("%41.txt", "escaped twice"),
    ("a?b#c.txt", "delimiters"),
    ("plus+and&;=.txt", "sub-delims"),
    ("text..txt", "dots"),
    ("...", "secret"),
    ("back\\slash.txt", "backslash"),
    ("dir/index.html", "<h1>Directory</h1>\n"),
    ("dir/inner/deep.txt", "deep"),
    ("dir with space/index.html", "spacious"),
    ("bare/file.txt", "in a bare directory"),
    ("evil.example/index.html", "harmless"),
    ("line\r\nbreak/index.html", "broken"),
    (".hidden", "secret"),
    (".git/config", "secret"),
    ("dir/.htaccess", "secret"),
    (".well-known/x", "known"),
    (".well-known/.secret", "secret"),
];

/// A document root in a directory of its own, gone when it is dropped.
pub struct Site {
    directory: TempDir,
    pub large: Vec<u8>,
}

impl Site {
    /// The one that all tests look at. What a test changes in it must have a name of its own.
    pub fn shared() -> Arc<Site> {
        static SITE: Shared<Site> = Shared::new();
        SITE.take(Site::build)
    }

    fn build() -> Site {
        let site = Site { directory: TempDir::new().expect("a directory"), large: noise(LARGE) };
        for (name, content) in FILES {
            site.write(name, content.as_bytes());
        }
        site.write("large.bin", &site.large);
        site.build_special();
        site.build_links();
        site
    }

    fn build_special(&self) {
        let modified = SystemTime::UNIX_EPOCH + PAGE_MODIFIED;
        File::options()
            .write(true)
            .open(self.path("page.html"))
            .and_then(|page| page.set_modified(modified))
            .expect("a time of modification");
        let huge = File::create(self.path("huge.bin")).expect("a file");
        huge.set_len(HUGE).expect("a sparse file");
        huge.write_all_at(HUGE_END, HUGE - HUGE_END.len() as u64).expect("its end");
        mknodat(CWD, self.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        drop(UnixListener::bind(self.path("socket")).expect("a socket"));
        fs::create_dir_all(self.path("odd/index.html")).expect("a directory called index.html");
    }

    fn build_links(&self) {
        let root = self.root();
        for (link, target) in [
            ("link.html", Path::new("page.html")),
            ("dir/up.html", Path::new("../page.html")),
            ("linked", Path::new("dir")),
            ("dangling", Path::new("nowhere")),
            ("loop", Path::new("loop")),
            ("to-pipe", Path::new("pipe")),
            ("out-absolute", Path::new("/etc/passwd")),
            ("out-relative", Path::new("../../../../../../etc/passwd")),
            ("dir/out", Path::new("../..")),
            ("out-and-in", &root.join("page.html")),
        ] {
            symlink(target, self.path(link)).expect("a link");
        }
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a root")).expect("a directory");
        fs::write(path, content).expect("a file");
    }
}

/// Bytes without a pattern (Marsaglia's xorshift64), the same each time.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = vec![0; count];
    for word in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
    }
    bytes
}
