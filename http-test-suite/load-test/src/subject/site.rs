//! The document root that every server serves. Code writes it, so that the expected content of each response is known.

use std::fs;
use std::io;
use std::path::Path;

/// The target that most workloads request: a file of [`PAGE_LEN`] bytes. Servers without files send a response of that
/// length.
pub const PAGE: &str = "/page.html";

/// The length in bytes of the page, of each file in a directory, and of the responses of servers without files.
pub const PAGE_LEN: usize = 1024;

/// The target of a text.
pub const TEXT: &str = "/text.txt";

/// The target of a text that is too long for a server to compress it once and keep the result.
pub const LONG_TEXT: &str = "/long.txt";

/// The directory of the files that the demo application serves below `/static/`.
pub const STATIC: &str = "static";

/// The target and the length in bytes of each file.
const FILES: &[(&str, usize)] = &[
    ("/index.html", PAGE_LEN),
    (PAGE, PAGE_LEN),
    ("/large.html", 954_824),
    (TEXT, 64 << 10),
    (LONG_TEXT, 5 << 20),
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
/// The texts have words instead, because what repeats itself takes less time to compress than a text.
pub fn content(target: &str) -> Vec<u8> {
    let len = FILES.iter().find(|(file, _)| *file == target).map_or(PAGE_LEN, |(_, len)| *len);
    if [TEXT, LONG_TEXT].contains(&target) {
        return words(len);
    }
    let first = format!("<!-- {target} -->\n");
    first.bytes().chain((b'a'..=b'z').cycle()).take(len).collect()
}

/// Words of two to nine letters, always the same: gzip makes them about a third as long.
fn words(len: usize) -> Vec<u8> {
    // Knuth's linear congruential generator, of which only the upper bits are used.
    let mut state: u64 = 1;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut word = || (0..2 + random(8)).map(|_| b'a' + random(26) as u8).chain([b' ']).collect::<Vec<u8>>();
    let vocabulary: Vec<Vec<u8>> = (0..1000).map(|_| word()).collect();
    let mut text = Vec::with_capacity(len + 10);
    while text.len() < len {
        // Such a number is more often small, so that some words are frequent, as in a language.
        text.extend(&vocabulary[(random(1000) * random(1000) / 1000) as usize]);
    }
    text.truncate(len);
    text
}
