//! Opens files beneath a directory, never a file outside it.
//!
//! Two guards keep a path inside. A [`RelativePath`](http_core::path::RelativePath) contains no `..`. The kernel then
//! resolves every component beneath the directory (`openat2` with `RESOLVE_BENEATH`), so that neither a symbolic link nor
//! a concurrent rename leads outside.

use crate::version::FileId;
use rustix::{
    fs::{Access, AtFlags, Mode, OFlags, ResolveFlags, accessat, fstat, open, openat, openat2},
    io::Errno,
};
use std::{io, os::fd::OwnedFd, path::Path};

/// How often `openat2` is retried after EINTR, or after EAGAIN, which a concurrent rename can cause.
const MAX_RETRIES: u32 = 8;

/// An open directory, beneath which files are opened.
#[derive(Debug)]
pub(super) struct Directory {
    directory: OwnedFd,
    pub(super) id: FileId,
}

impl Directory {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    ///
    /// If there is no directory at `path`, if it is in a directory that may not be entered, or if the kernel has
    /// no `openat2` because it is older than Linux 5.6.
    pub(super) fn open(path: &Path) -> io::Result<Directory> {
        let directory = open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let directory = Directory { id: FileId::from_stat(&fstat(&directory)?), directory };
        // Other errors do not matter: files in a directory can be opened although it may not be listed.
        if directory.open_beneath(b".").err() == Some(Errno::NOSYS) {
            let message = "this kernel has no openat2 (it needs Linux 5.6 or later)";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        Ok(directory)
    }

    /// Returns whether rules such as those of Landlock forbid this process to read the directory, although its
    /// permission bits allow it.
    pub(super) fn is_forbidden(&self) -> bool {
        // access(2) ignores Landlock.
        let may_read = accessat(&self.directory, ".", Access::READ_OK, AtFlags::EACCESS).is_ok();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        may_read && openat(&self.directory, ".", flags, Mode::empty()).err() == Some(Errno::ACCESS)
    }

    /// Opens the file or directory at `path`, relative to this directory, for reading.
    ///
    /// # Errors
    ///
    /// All errors of openat2(2): for example, ENOENT if there is no such file, or EXDEV if a symbolic link leads out of
    /// this directory.
    pub(super) fn open_beneath(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        // NONBLOCK: opening a FIFO must not wait for a writer. NOCTTY: a terminal must not become the controlling
        // one.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        self.openat2(path, flags)
    }

    /// Opens `path`, relative to this directory, with these flags. Retries [`MAX_RETRIES`] times after EINTR or EAGAIN.
    fn openat2(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
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
