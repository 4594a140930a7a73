//! The files that the server serves during the soak: from empty to larger than any socket buffer, all with different
//! content.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use http_test_suite::fixtures::pattern;

/// The lengths of the documents in bytes, ascending, below and above the sizes of a server's buffer, a pipe and a
/// socket buffer.
const LENGTHS: [usize; 9] = [0, 1, 700, 4096, 16_385, 65_536, 150_000, 1_048_577, 8_388_608];

/// The length of the largest document that a client requests several times on one connection, in bytes.
const SMALL_BYTES: usize = 150_000;

/// The modification time, in seconds since 1970: long ago, so that validators made from it are strong.
const MODIFIED_SECONDS: u64 = 784_111_777;

/// A file that the server serves during the soak.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// The target of a request for the file: `/` and its name.
    pub(super) target: String,
    /// The content of the file.
    pub(super) bytes: Vec<u8>,
}

impl Document {
    /// Whether the document is small enough to be requested several times on one connection.
    pub(super) fn is_small(&self) -> bool {
        self.bytes.len() <= SMALL_BYTES
    }
}

/// Creates `dir`, and writes the documents into it, the longest last.
pub(super) fn write(dir: &Path) -> io::Result<Vec<Document>> {
    fs::create_dir_all(dir)?;
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED_SECONDS);
    let document = |(index, length): (usize, usize)| {
        let name = format!("{length}-bytes.bin");
        // Each begins at another offset of the pattern, so that a byte of another document is detected at any position.
        let bytes = pattern(17 * index..17 * index + length);
        fs::write(dir.join(&name), &bytes)?;
        File::options().write(true).open(dir.join(&name))?.set_modified(modified)?;
        Ok(Document { target: format!("/{name}"), bytes })
    };
    LENGTHS.into_iter().enumerate().map(document).collect()
}
