//! The files that are served: from nothing to more than the kernel takes at once, and no two alike.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::fixtures::pattern;

/// Their lengths in bytes, ascending. Between them lie the buffers of a server, of a pipe and of a socket.
const LENGTHS: [usize; 9] = [0, 1, 700, 4096, 16_385, 65_536, 150_000, 1_048_577, 8_388_608];

/// No document that is longer is asked for several times on a connection.
const SMALL_BYTES: usize = 150_000;

/// In seconds since 1970: long ago, so that a validator made from it is strong.
const MODIFIED_SECONDS: u64 = 784_111_777;

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// As a request names it.
    pub(super) target: String,
    pub(super) bytes: Vec<u8>,
}

impl Document {
    pub(super) fn is_small(&self) -> bool {
        self.bytes.len() <= SMALL_BYTES
    }
}

/// Writes them into `dir`, which is made. The longest comes last.
pub(super) fn write(dir: &Path) -> io::Result<Vec<Document>> {
    fs::create_dir_all(dir)?;
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED_SECONDS);
    let document = |(index, length): (usize, usize)| {
        let name = format!("{length}-bytes.bin");
        // Each begins elsewhere in the pattern: an octet of another one's is found out wherever it stands.
        let bytes = pattern(17 * index..17 * index + length);
        fs::write(dir.join(&name), &bytes)?;
        File::options().write(true).open(dir.join(&name))?.set_modified(modified)?;
        Ok(Document { target: format!("/{name}"), bytes })
    };
    LENGTHS.into_iter().enumerate().map(document).collect()
}
