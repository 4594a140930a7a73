//! The document root: opens what lies beneath it, and nothing else.
//!
//! The lexical guard is [`RelativePath`]; this is the kernel's. `openat2` resolves every component beneath the
//! root, so neither a symbolic link nor a rename in the middle of it leads outside.

use http_core::{Status, path::RelativePath};
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

/// How often a lookup is tried again that the kernel could not finish for a rename going on beside it.
const RETRIES: u32 = 8;

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Opened {
    /// A regular file.
    File(File, Identity),
    /// A directory that was named like a file, without the slash at its end.
    Directory,
    /// Nothing that is served: this status says why.
    Refused(Status),
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    pub(super) len: u64,
    modified: (i64, u64),
    /// Changes with every write and rename, also where someone sets the modification time back.
    changed: (i64, u64),
}

impl From<Stat> for Identity {
    fn from(stat: Stat) -> Identity {
        Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl Identity {
    /// The state that an open file is in now.
    pub(super) fn of(file: &File) -> io::Result<Identity> {
        Ok(fstat(file)?.into())
    }

    /// Whether nothing was written between the two states. A name given or taken away, as when another file is renamed
    /// over this one, is no such change.
    pub(super) fn has_content_of(&self, other: &Identity) -> bool {
        (self.len, self.modified) == (other.len, other.modified)
    }

    /// The time of the last modification, if the protocol can express it: from 1970 to 9999.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        let seconds = u64::try_from(self.modified.0).ok().filter(|seconds| *seconds <= 253_402_300_799)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// A strong entity tag, quotes included (RFC 9110 §8.8.3): other bytes come with another length or time.
    pub(super) fn entity_tag(&self) -> String {
        let (seconds, nanos) = self.modified;
        format!("\"{:x}-{:x}{nanos:08x}\"", self.len, seconds)
    }
}

/// A directory whose files are served.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
}

impl Root {
    /// Opens a document root.
    ///
    /// # Errors
    ///
    /// When it is missing, no directory, may not be entered, or the kernel is older than 5.6 and has no `openat2`.
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let directory = open(path, flags, Mode::empty())?;
        let root = Root { directory };
        match root.resolve(b".") {
            Err(Errno::NOSYS) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel has no openat2 (Linux 5.6 or later)",
            )),
            // A root that may be entered but not listed is as good as any.
            _ => Ok(root),
        }
    }

    /// Opens the file that `path` names; for a directory named as one, its `index.html`.
    pub(super) fn look_up(&self, path: &RelativePath<'_>) -> Opened {
        // Whether a hidden file exists is nobody's business either.
        if path.is_hidden() {
            return Opened::Refused(Status::NOT_FOUND);
        }
        let opened = if path.names_directory() {
            let index: &[&[u8]] = if path.as_bytes().is_empty() {
                &[b"index.html"]
            } else {
                &[path.as_bytes(), b"/index.html"]
            };
            self.resolve(&index.concat())
        } else {
            self.resolve(path.as_bytes())
        };
        opened
            .and_then(|file| identify(file, path.names_directory()))
            .unwrap_or_else(|error| Opened::Refused(status(error)))
    }

    fn resolve(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        // Non-blocking, or opening a FIFO would wait for its writer; no controlling terminal from a device.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut tries = 0;
        loop {
            match openat2(&self.directory, path, flags, Mode::empty(), beneath) {
                Err(Errno::AGAIN | Errno::INTR) if tries < RETRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }
}

fn identify(file: OwnedFd, is_index: bool) -> Result<Opened, Errno> {
    let stat = fstat(&file)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Opened::File(file.into(), Identity::from(stat)),
        FileType::Directory if !is_index => Opened::Directory,
        // Pipes, sockets and devices are no documents; nor is a directory called index.html.
        _ => Opened::Refused(Status::NOT_FOUND),
    })
}

/// What a failed lookup means to a client.
fn status(error: Errno) -> Status {
    match error {
        // ENXIO is a socket, or a device without a driver.
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::NODEV => Status::NOT_FOUND,
        // XDEV and LOOP: a link that leaves the root, or never ends.
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP => Status::FORBIDDEN,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Status::SERVICE_UNAVAILABLE,
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_loses_its_name_keeps_its_content_and_one_that_is_written_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, other) = (directory.path().join("file"), directory.path().join("other"));
        fs::write(&path, "before").and_then(|()| fs::write(&other, "after")).expect("two files");
        let file = File::open(&path).expect("a file");
        let before = Identity::of(&file).expect("its state");
        fs::rename(&other, &path).expect("renamed");
        let replaced = Identity::of(&file).expect("its state");
        assert!(replaced != before && replaced.has_content_of(&before), "{before:?}, {replaced:?}");
        let file = File::options().write(true).open(&path).expect("a file");
        let before = Identity::of(&file).expect("its state");
        file.set_len(3).expect("another length");
        assert!(!Identity::of(&file).expect("its state").has_content_of(&before));
    }
}
