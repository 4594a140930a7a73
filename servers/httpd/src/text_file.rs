//! Reads the text files that options name: the configuration, the password file, the file of media types.

use rustix::fs::OFlags;
use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Returns the text of the regular file at `path`, which has at most `max_mib` MiB. Never waits for a writer.
///
/// # Errors
///
/// If the file cannot be read, is not a regular file, is too large, or is not UTF-8.
pub fn read(path: &Path, max_mib: u64) -> io::Result<String> {
    // NONBLOCK: opening a FIFO must not wait for a writer. NOCTTY: a terminal must not become the controlling one.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    // A device such as /dev/zero has no end.
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let max_bytes = max_mib << 20;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("larger than {max_mib} MiB")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn reads_regular_files_of_a_limited_size() {
        let directory = tempfile::tempdir().expect("a directory");
        let fifo = directory.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).expect("a FIFO");
        let check = |path: &Path, expected: Result<usize, &str>| {
            let read = read(path, 1).map(|text| text.len()).map_err(|error| error.to_string());
            assert_eq!(read, expected.map_err(str::to_owned), "{}", path.display());
        };
        check(&fifo, Err("not a regular file"));
        check(Path::new("/dev/zero"), Err("not a regular file"));
        check(directory.path(), Err("not a regular file"));
        for (content, expected) in [
            (vec![b'a'; 1 << 20], Ok(1 << 20)),
            (vec![b'a'; (1 << 20) + 1], Err("larger than 1 MiB")),
            (vec![0xFF], Err("not UTF-8")),
        ] {
            let path = directory.path().join("file");
            fs::write(&path, content).expect("a file");
            check(&path, expected);
        }
    }
}
