//! Which file an open file is, and in which state: what `fstat` reports.

use rustix::{
    fs::{FileType, Stat, fstat},
    io::Errno,
};
use std::{
    os::fd::AsFd,
    time::{Duration, SystemTime},
};

/// The last second that an HTTP date can express, 9999-12-31T23:59:59Z, in seconds since 1970.
const MAX_HTTP_DATE: u64 = 253_402_300_799;

/// The identity of a file or directory. While it is open or has a name, no other has the same (stat(3type)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Returns the identity of the file that `stat` is about.
    pub(super) fn from_stat(stat: &Stat) -> FileId {
        FileId { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// One state of one file. Two values are equal only if they belong to the same file and it has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    pub(super) id: FileId,
    /// The length in bytes.
    pub(super) len: u64,
    /// The modification time, in seconds and nanoseconds since 1970.
    modified: (i64, u64),
    /// The status change time, in seconds and nanoseconds since 1970. It changes with every write and rename, even if a
    /// program then sets the modification time back.
    changed: (i64, u64),
}

impl FileVersion {
    /// Returns the type and the present version of an open file.
    pub(super) fn of(file: impl AsFd) -> Result<(FileType, FileVersion), Errno> {
        let stat = fstat(file)?;
        let version = FileVersion {
            id: FileId::from_stat(&stat),
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        };
        Ok((FileType::from_raw_mode(stat.st_mode), version))
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
    use std::fs::{self, File};

    #[test]
    fn a_rename_keeps_the_content_and_a_write_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, other) = (directory.path().join("file"), directory.path().join("other"));
        fs::write(&path, "before").and_then(|()| fs::write(&other, "after")).expect("two files");
        let file = File::open(&path).expect("a file");
        let before = FileVersion::of(&file).expect("its version").1;
        fs::rename(&other, &path).expect("a rename");
        let replaced = FileVersion::of(&file).expect("its version").1;
        assert!(replaced != before && replaced.has_content_of(&before), "{before:?}, {replaced:?}");
        let file = File::options().write(true).open(&path).expect("a file");
        let before = FileVersion::of(&file).expect("its version").1;
        file.set_len(3).expect("another length");
        assert!(!FileVersion::of(&file).expect("its version").1.has_content_of(&before));
    }
}
