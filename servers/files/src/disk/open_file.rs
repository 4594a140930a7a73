//! An open file, with what its medium asks for: a thread that closes it, or pages that are read ahead.

use super::{FileSystem, Pool, Task};
use rustix::{
    fs::{Advice, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
};
use std::{
    fs::File,
    io::{self, IoSliceMut},
    num::NonZeroU64,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// How far ahead of a stretch the kernel is asked to read, in bytes: so the disk reads while the stretch is sent.
const READ_AHEAD: u64 = 4 * 1024 * 1024;

/// The maximum number of bytes of one read of [`DiskFile::read_ahead`].
const SCRATCH_BYTES: usize = 128 * 1024;

/// What a file is on, and the threads for the calls to it that may block.
#[derive(Clone, Debug)]
pub(crate) enum Medium {
    /// Memory: no call blocks.
    Memory,
    /// A disk of this machine: what is in the page cache can be sent at once.
    Local(Arc<Pool>),
    /// A file system whose every call may block, also close(2).
    Slow(Arc<Pool>),
}

impl Medium {
    pub(super) fn new(kind: FileSystem, pool: &Arc<Pool>) -> Medium {
        match kind {
            FileSystem::Memory => Medium::Memory,
            FileSystem::Local => Medium::Local(Arc::clone(pool)),
            FileSystem::Slow => Medium::Slow(Arc::clone(pool)),
        }
    }
}

/// A file that was opened. When it is dropped, and its medium is slow, a thread of the mount closes it.
#[derive(Debug)]
pub(crate) struct DiskFile {
    /// `None` only after `drop` has taken it. Responses hold the file too, if its medium is not slow.
    file: Option<Arc<File>>,
    pub(crate) medium: Medium,
    /// How many bytes at the beginning were read ahead, for file systems that do not tell what is in the page cache.
    read_to: AtomicU64,
}

impl DiskFile {
    pub(crate) fn new(file: Arc<File>, medium: Medium) -> DiskFile {
        DiskFile { file: Some(file), medium, read_to: AtomicU64::new(0) }
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        self.file.as_ref().unwrap_or_else(|| unreachable!("only drop takes the file"))
    }

    /// Returns the threads for calls that may block; `None` if none may.
    pub(crate) fn pool(&self) -> Option<&Arc<Pool>> {
        match &self.medium {
            Medium::Memory => None,
            Medium::Local(pool) | Medium::Slow(pool) => Some(pool),
        }
    }

    /// Returns whether these bytes can be read without waiting for the disk: their first and last pages are in the page
    /// cache. The pages between them were read at the same time. Call this only for a local file.
    pub(crate) fn is_cached(&self, range: &Range<u64>) -> bool {
        let has_page = |offset| match preadv2(
            self.file(),
            &mut [IoSliceMut::new(&mut [0])],
            offset,
            ReadWriteFlags::NOWAIT,
        ) {
            // overlayfs does not tell.
            Err(Errno::OPNOTSUPP) => range.end <= self.read_to.load(Ordering::Relaxed),
            // Other errors are for the system call that sends.
            result => result != Err(Errno::AGAIN),
        };
        has_page(range.start) && has_page(range.end.saturating_sub(1))
    }

    /// Reads these bytes into the page cache, and asks the kernel to read those after them. May block.
    ///
    /// # Errors
    ///
    /// Those of pread(2).
    pub(crate) fn read_ahead(&self, range: Range<u64>) -> io::Result<()> {
        let len = NonZeroU64::new(READ_AHEAD.max(range.end - range.start));
        // Only advice: a file system that does not take it reads what follows.
        let _ = fadvise(self.file(), range.start, len, Advice::WillNeed);
        let mut scratch = vec![0; SCRATCH_BYTES];
        let mut offset = range.start;
        while offset < range.end {
            let len = SCRATCH_BYTES.min(usize::try_from(range.end - offset).unwrap_or(SCRATCH_BYTES));
            match self.read_once(&mut scratch[..len], offset)? {
                // The file has become shorter, which the system call that sends finds out.
                0 => return Ok(()),
                count => offset += count as u64,
            }
        }
        if range.start <= self.read_to.load(Ordering::Relaxed) {
            self.read_to.fetch_max(range.end, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Reads at most `len` bytes; none only at the end of the file. May block.
    ///
    /// # Errors
    ///
    /// Those of pread(2).
    pub(crate) fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let count = self.read_once(&mut bytes, offset)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn read_once(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file().read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        if let (Medium::Slow(pool), Some(file)) = (&self.medium, self.file.take()) {
            pool.submit_always(Arc::new(Close(Mutex::new(Some(file)))));
        }
    }
}

/// Closes a file.
struct Close(Mutex<Option<Arc<File>>>);

impl Task for Close {
    fn run(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Nobody waits for it.
    fn expire(&self) {}
}
