//! Entity tags of files (RFC 9110 §8.8.3).

use crate::version::FileVersion;
use twox_hash::XxHash3_128;

/// How the entity tags of files are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntityTags {
    /// Strong tags: two versions of a file have different tags, even if a program sets the modification time back.
    ///
    /// The tag of a file of at most 64 KiB is a hash of its content, so that it is the same on all hosts: what
    /// `xxh128sum` prints. The tag of a longer file is a hash of its length, modification time, status change time,
    /// inode and device: it is different on each host, and changes with any change of the file, such as a rename. If
    /// the file has changed just before, its tag is weak: another change may follow that gives the file the same
    /// times. A second later the tag is strong.
    #[default]
    Strong,
    /// Weak tags of the length and the modification time in whole seconds. They are the same on all hosts that have
    /// copies of the files with the same times, so that clients of several hosts behind a balancer can use what they
    /// have cached. A weak tag never lets a client resume a download.
    Mtime,
}

impl EntityTags {
    /// Returns the tag, with its quotes, of a file whose content is in memory.
    pub(super) fn of_content(self, content: &[u8], version: &FileVersion) -> String {
        match self {
            EntityTags::Strong => format!("\"{:032x}\"", XxHash3_128::oneshot(content)),
            EntityTags::Mtime => of_mtime(version),
        }
    }

    /// Returns the tag, with its quotes, of a file whose content is not in memory. `settled`: whether each later change
    /// gives the file another version ([`FileVersion::is_settled`]).
    pub(super) fn of_version(self, version: &FileVersion, settled: bool) -> String {
        match self {
            EntityTags::Strong => {
                let weak = if settled { "" } else { "W/" };
                format!("{weak}\"{:032x}\"", XxHash3_128::oneshot(&version.to_bytes()))
            }
            EntityTags::Mtime => of_mtime(version),
        }
    }
}

/// Returns the weak tag of the length and the modification time.
fn of_mtime(version: &FileVersion) -> String {
    format!("W/\"{:x}-{:x}\"", version.len, version.modified_seconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        time::{Duration, SystemTime},
    };

    /// Makes a file with this content that was last modified in 1994. Returns its version.
    fn version_of(directory: &tempfile::TempDir, name: &str, content: &[u8]) -> FileVersion {
        let path = directory.path().join(name);
        fs::write(&path, content).expect("a file");
        let file = File::options().write(true).open(path).expect("a file");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::new(784_111_777, 5)).expect("a time");
        FileVersion::of(&file).expect("its version").1
    }

    #[test]
    fn a_strong_tag_changes_although_length_and_modification_time_do_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let (a, b) = (version_of(&directory, "a", b"abc"), version_of(&directory, "b", b"abd"));
        let tags = EntityTags::Strong;
        // As `printf abc | xxh128sum` prints it.
        assert_eq!(tags.of_content(b"abc", &a), "\"06b05ab6733a618578af5f94892f3950\"");
        assert_eq!(tags.of_content(b"abc", &b), tags.of_content(b"abc", &a));
        assert_ne!(tags.of_content(b"abd", &b), tags.of_content(b"abc", &a));
        assert_ne!(tags.of_version(&b, true), tags.of_version(&a, true));
        assert_eq!(tags.of_version(&a, false), format!("W/{}", tags.of_version(&a, true)));
    }

    #[test]
    fn a_tag_of_the_modification_time_is_weak_and_the_same_for_copies() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["a", "b"] {
            let (version, tags) = (version_of(&directory, name, b"abc"), EntityTags::Mtime);
            assert_eq!(tags.of_content(b"abc", &version), "W/\"3-2ebc98a1\"");
            assert_eq!(tags.of_version(&version, true), "W/\"3-2ebc98a1\"");
        }
    }
}
