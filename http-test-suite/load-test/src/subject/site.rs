//! The document root that every server serves. Code writes it, so that the expected content of each response is known.

use std::fs;
use std::io;
use std::path::Path;

/// The target that most workloads request: a file of [`PAGE_LEN`] bytes. Servers without files send a response of that
/// length.
pub const PAGE: &str = "/page.html";

/// The length in bytes of the page, of each file in a directory, and of the responses of servers without files.
pub const PAGE_LEN: usize = 1024;

/// The directory of the files that the demo application serves below `/static/`.
pub const STATIC: &str = "static";

/// The target and the length in bytes of each file.
const FILES: &[(&str, usize)] = &[
    ("/index.html", PAGE_LEN),
    (PAGE, PAGE_LEN),
    ("/large.html", 954_824),
    ("/static/1.txt", 1024),
    ("/static/1024.txt", 1024 * 1024),
];

/// Writes the files into `root`, which it creates, and a directory with each of these numbers of files.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write(root: &Path, directories: &[usize]) -> io::Result<()> {
    fs::create_dir_all(root.join(STATIC))?;
    let write = |target: &str| fs::write(root.join(&target[1..]), content(target));
    FILES.iter().try_for_each(|(target, _)| write(target))?;
    for &files in directories {
        fs::create_dir_all(root.join(files.to_string()))?;
        (0..files).try_for_each(|number| write(&target_in(files, number)))?;
    }
    Ok(())
}

/// The target of a file in the directory with this number of files.
pub fn target_in(files: usize, number: usize) -> String {
    format!("/{files}/file-{number}.html")
}

/// The content of the file with this target: the target, so that all files differ, then the alphabet again and again.
pub fn content(target: &str) -> Vec<u8> {
    let len = FILES.iter().find(|(file, _)| *file == target).map_or(PAGE_LEN, |(_, len)| *len);
    let first = format!("<!-- {target} -->\n");
    first.bytes().chain((b'a'..=b'z').cycle()).take(len).collect()
}
