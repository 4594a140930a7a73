//! The document root: opens files beneath one directory, never a file outside it.
//!
//! Two guards keep a path inside. A [`RelativePath`](http_core::path::RelativePath) contains no `..`. The kernel then
//! resolves every component beneath the root (`openat2` with `RESOLVE_BENEATH`), so that neither a symbolic link nor a
//! concurrent rename leads outside.

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat2},
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, SystemTime},
};

/// How often `openat2` is retried after EINTR, or after EAGAIN, which a concurrent rename can cause.
const MAX_RETRIES: u32 = 8;

/// The last second that an HTTP date can express, 9999-12-31T23:59:59Z, in seconds since 1970.
const MAX_HTTP_DATE: u64 = 253_402_300_799;

/// A directory whose files are served.
#[derive(Debug)]
pub struct Root {
    /// The open directory. It stays the same directory even if it is renamed or its path then leads to another one.
    directory: OwnedFd,
}

impl Root {
    /// Opens the directory at `path` as a document root.
    ///
    /// # Errors
    ///
    /// If `path` does not exist, is not a directory or is in a directory that may not be entered, or if the kernel has
    /// no `openat2` because it is older than Linux 5.6.
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let root = Root { directory: open(path, flags, Mode::empty())? };
        // Other errors do not matter: files in a directory can be opened although it may not be listed.
        if root.open_beneath(b".").err() == Some(Errno::NOSYS) {
            let message = "this kernel has no openat2 (it needs Linux 5.6 or later)";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        Ok(root)
    }

    /// Opens the file at `path`, which is relative to the root, for reading. Returns whether it is a regular file, a
    /// directory or a special file. Only a regular file stays open.
    ///
    /// # Errors
    ///
    /// All errors of openat2(2) and fstat(2): for example, ENOENT if there is no such file, or EXDEV if a symbolic link
    /// leads out of the root.
    pub(super) fn open_entry(&self, path: &[u8]) -> Result<Entry, Errno> {
        let file = self.open_beneath(path)?;
        let stat = fstat(&file)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Entry::File(file.into(), FileVersion::from_stat(&stat)),
            FileType::Directory => Entry::Directory,
            _ => Entry::Special,
        })
    }

    /// Opens `path`, relative to the root, for reading. Retries [`MAX_RETRIES`] times after EINTR or EAGAIN.
    fn open_beneath(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        // NONBLOCK: opening a FIFO must not wait for a writer. NOCTTY: a terminal must not become the controlling
        // one.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut retries = 0;
        loop {
            match openat2(&self.directory, path, flags, Mode::empty(), beneath) {
                Err(Errno::AGAIN | Errno::INTR) if retries < MAX_RETRIES => retries += 1,
                result => return result,
            }
        }
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

/// One state of one file. Two values are equal only if they belong to the same file and it has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    device: u64,
    inode: u64,
    /// The length in bytes.
    pub(super) len: u64,
    /// The modification time, in seconds and nanoseconds since 1970.
    modified: (i64, u64),
    /// The status change time, in seconds and nanoseconds since 1970. It changes with every write and rename, even if a
    /// program then sets the modification time back.
    changed: (i64, u64),
}

impl FileVersion {
    /// Returns the version that an open file has now.
    pub(super) fn of(file: &File) -> io::Result<FileVersion> {
        Ok(FileVersion::from_stat(&fstat(file)?))
    }

    /// Returns the version that `fstat` reported.
    fn from_stat(stat: &Stat) -> FileVersion {
        FileVersion {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Returns whether a file has the same content in this version as in `other`: the length and the modification time
    /// are equal. Both must be versions of the same file.
    pub(super) fn has_content_of(&self, other: &FileVersion) -> bool {
        (self.len, self.modified) == (other.len, other.modified)
    }

    /// Returns the time of the last modification in whole seconds, or `None` if HTTP cannot express it: before 1970 or
    /// after 9999.
    pub(super) fn last_modified(&self) -> Option<SystemTime> {
        let seconds = u64::try_from(self.modified.0).ok().filter(|seconds| *seconds <= MAX_HTTP_DATE)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// Returns a strong entity tag with its quotes (RFC 9110 §8.8.3), made of the length and the modification time.
    pub(super) fn entity_tag(&self) -> String {
        let (seconds, nanos) = self.modified;
        format!("\"{:x}-{:x}{nanos:08x}\"", self.len, seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_rename_keeps_the_content_and_a_write_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, other) = (directory.path().join("file"), directory.path().join("other"));
        fs::write(&path, "before").and_then(|()| fs::write(&other, "after")).expect("two files");
        let file = File::open(&path).expect("a file");
        let before = FileVersion::of(&file).expect("its version");
        fs::rename(&other, &path).expect("a rename");
        let replaced = FileVersion::of(&file).expect("its version");
        assert!(replaced != before && replaced.has_content_of(&before), "{before:?}, {replaced:?}");
        let file = File::options().write(true).open(&path).expect("a file");
        let before = FileVersion::of(&file).expect("its version");
        file.set_len(3).expect("another length");
        assert!(!FileVersion::of(&file).expect("its version").has_content_of(&before));
    }
}
