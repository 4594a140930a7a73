//! The document root, whose files are served.

use crate::{beneath::Directory, open_files::OpenFiles, version::FileVersion};
use rustix::{fs::FileType, io::Errno};
use std::{fs::File, io, path::Path};

/// A directory whose files are served.
#[derive(Debug)]
pub struct Root {
    /// The open directory. It stays the same directory even if it is renamed or its path then leads to another one.
    directory: Directory,
    pub(super) open_files: OpenFiles,
}

impl Root {
    /// Opens the directory at `path` as a document root.
    ///
    /// # Errors
    ///
    /// If `path` does not exist, is not a directory or is in a directory that may not be entered, or if the kernel has
    /// no `openat2` because it is older than Linux 5.6.
    pub fn open(path: &Path) -> io::Result<Root> {
        Ok(Root { directory: Directory::open(path)?, open_files: OpenFiles::new(None) })
    }

    /// Sets the maximum number of files that are open at once, to be sent or because they were sent seconds ago. Small
    /// files do not count: they are read into memory. If all of these files are being sent, a request for another one
    /// gets 503.
    ///
    /// The default is a quarter of the descriptors that the process may have when the root is opened (`RLIMIT_NOFILE`).
    #[must_use]
    pub fn with_max_open_files(self, limit: usize) -> Root {
        Root { open_files: OpenFiles::new(Some(limit)), ..self }
    }

    /// Returns the maximum number of files that are open at once: how many descriptors an engine must leave for them.
    pub fn max_open_files(&self) -> usize {
        self.open_files.limit()
    }

    /// Opens the file at `path`, which is relative to the root, for reading. Returns whether it is a regular file, a
    /// directory or a special file. Only a regular file stays open.
    ///
    /// # Errors
    ///
    /// All errors of openat2(2) and fstat(2): for example, ENOENT if there is no such file, or EXDEV if a symbolic link
    /// leads out of the root.
    pub(super) fn open_entry(&self, path: &[u8]) -> Result<Entry, Errno> {
        let file = self.directory.open_beneath(path)?;
        let (file_type, version) = FileVersion::of(&file)?;
        Ok(match file_type {
            FileType::RegularFile => Entry::File(file.into(), version),
            FileType::Directory => Entry::Directory,
            _ => Entry::Special,
        })
    }
}

/// What a path names.
#[derive(Debug)]
pub(super) enum Entry {
    /// A regular file, open for reading, and its version when it was opened.
    File(File, FileVersion),
    /// A directory.
    Directory,
    /// A FIFO, a socket or a device.
    Special,
}
