//! Which file an open file is, and in which state: what `fstat` reports.

use rustix::{
    fs::{FileType, Stat, Statx, fstat, makedev},
    io::Errno,
};
use std::{
    os::fd::AsFd,
    time::{Duration, SystemTime},
};

/// The last second that an HTTP date can express, 9999-12-31T23:59:59Z, in seconds since 1970.
const MAX_HTTP_DATE: u64 = 253_402_300_799;

/// How far apart two changes of a file must be to get different times. Kernels before Linux 6.13 take these times from
/// a clock that advances every 1 to 10 ms.
const TICK: Duration = Duration::from_millis(20);

/// The same for a file system whose times have no fractions of a second.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// The identity of a file or directory. While it is open or has a name, no other has the same (stat(3type)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    pub(super) device: u64,
    inode: u64,
}

impl FileId {
    /// Returns the identity of the file that `stat` is about.
    pub(super) fn from_stat(stat: &Stat) -> FileId {
        FileId { device: stat.st_dev, inode: stat.st_ino }
    }

    /// Returns the identity of the file that `status` is about.
    pub(super) fn from_statx(status: &Statx) -> FileId {
        let device = makedev(status.stx_dev_major, status.stx_dev_minor);
        FileId { device, inode: status.stx_ino }
    }
}

/// One state of one file. Two values are equal only if they belong to the same file and it has not changed between
/// them, provided that the earlier one [is settled](FileVersion::is_settled).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileVersion {
    pub(super) id: FileId,
    /// The length in bytes.
    pub(super) len: u64,
    /// The modification time, in seconds and nanoseconds since 1970. A program can set it to any value.
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

    /// Returns whether every later change gives the file another version. `now` is a time at which the file had this
    /// version. If the file changed just before, the next change can get the same time, so that the versions before
    /// and after it are equal.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanos) = self.changed;
        let tick = if nanos == 0 { COARSE_TICK } else { TICK };
        let Ok(seconds) = u64::try_from(seconds) else { return true };
        let settled_at = Duration::from_secs(seconds) + Duration::from_nanos(nanos) + tick;
        now.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|now| now >= settled_at)
    }

    /// Returns the time of the last modification in whole seconds, or `None` if HTTP cannot express it: before 1970 or
    /// after 9999.
    pub(super) fn last_modified(&self) -> Option<SystemTime> {
        let seconds = u64::try_from(self.modified.0).ok().filter(|seconds| *seconds <= MAX_HTTP_DATE)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// Returns the modification time in whole seconds since 1970.
    pub(super) fn modified_seconds(&self) -> i64 {
        self.modified.0
    }

    /// Returns whether the file was modified before another one. If its modification time has no fraction of a second,
    /// only whole seconds count: programs that copy the time to a compressed file drop the fraction.
    pub(super) fn is_older_than(&self, other: &FileVersion) -> bool {
        match self.modified {
            (seconds, 0) => seconds < other.modified.0,
            modified => modified < other.modified,
        }
    }

    /// Returns all that distinguishes this version from any other version of any file, as bytes.
    pub(super) fn to_bytes(self) -> [u8; 56] {
        let FileVersion { id: FileId { device, inode }, len, modified, changed } = self;
        let mut bytes = [0; 56];
        let words = [device, inode, len, modified.0 as u64, modified.1, changed.0 as u64, changed.1];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn a_version_changes_with_each_change_of_the_file() {
        let path = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
        let file = File::options().write(true).open(&path).expect("a file");
        let modified = file.metadata().and_then(|metadata| metadata.modified()).expect("a time");
        let version = || FileVersion::of(&file).expect("its version").1;
        let check = |name: &str, change: &dyn Fn()| {
            let before = version();
            // A change within the same tick may leave the version as it is.
            let changes = std::iter::repeat_with(|| {
                change();
                version()
            });
            let after = changes.take(1_000_000).find(|version| *version != before).expect(name);
            assert!(after.to_bytes() != before.to_bytes() && after.id == before.id, "{name}");
        };
        check("another length", &|| file.set_len(version().len + 1).expect("a length"));
        check("the modification time set back", &|| file.set_modified(modified).expect("a time"));
        fs::remove_file(&path).and_then(|()| fs::write(&path, "")).expect("another file");
        let other = File::open(&path).expect("a file");
        assert_ne!(FileVersion::of(&other).expect("its version").1.id, version().id);
    }

    #[test]
    fn a_time_without_a_fraction_is_compared_in_seconds() {
        let version =
            |modified| FileVersion { id: FileId { device: 1, inode: 2 }, len: 3, modified, changed: (0, 0) };
        for (modified, other, expected) in [
            ((5, 2), (5, 2), false),
            ((5, 2), (5, 3), true),
            ((5, 0), (5, 3), false),
            ((4, 0), (5, 0), true),
            ((6, 0), (5, 3), false),
        ] {
            let is_older = version(modified).is_older_than(&version(other));
            assert_eq!(is_older, expected, "{modified:?} {other:?}");
        }
    }

    #[test]
    fn a_version_is_settled_when_the_next_change_must_differ() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let id = FileId { device: 1, inode: 2 };
        let check = |changed: (i64, u64), now: u64, expected: bool| {
            let version = FileVersion { id, len: 3, modified: (0, 0), changed };
            assert_eq!(version.is_settled(at(now)), expected, "{changed:?} at {now}");
        };
        check((100, 5_000_000), 100_000, false);
        check((100, 5_000_000), 100_024, false);
        check((100, 5_000_000), 100_025, true);
        check((100, 0), 101_999, false);
        check((100, 0), 102_000, true);
        check((-1, 5), 0, true);
    }
}
