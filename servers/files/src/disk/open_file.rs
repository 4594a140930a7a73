//! An open file, with what its medium asks for: a thread that closes it, or pages that are read ahead.

use super::{FileSystem, Pool, Task};
use rustix::{
    fs::{OFlags, sendfile},
    io::{Errno, ReadWriteFlags, preadv2, retry_on_intr},
};
use std::{
    fs::File,
    io::{self, IoSliceMut},
    ops::Range,
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The size of the aligned blocks that are read from a disk at once: one page shows whether the others of its block are
/// in the page cache.
const BLOCK: u64 = 64 * 1024;

/// Where [`DiskFile::read_into_cache`] sends a file. The kernel reads it as for any client, so with its own readahead
/// and in large pages, but copies nothing. posix_fadvise(2) would read it in small pages, which takes twice the CPU
/// time.
static NULL: LazyLock<io::Result<File>> = LazyLock::new(|| open_device("/dev/null"));

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
    pub(crate) fn new(kind: FileSystem, pool: &Arc<Pool>) -> Medium {
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
    /// How many bytes at the beginning were found in the page cache, or read into it, since the last lookup.
    cached_to: AtomicU64,
    /// How many bytes at the beginning were read ahead, for file systems that do not tell what is in the page cache.
    read_to: AtomicU64,
}

impl DiskFile {
    pub(crate) fn new(file: Arc<File>, medium: Medium) -> DiskFile {
        DiskFile { file: Some(file), medium, cached_to: AtomicU64::new(0), read_to: AtomicU64::new(0) }
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

    /// Returns whether these bytes can be read without waiting for the disk. Asks the kernel only for what was not
    /// found since the last lookup. Call this only for a local file.
    pub(crate) fn is_cached(&self, range: &Range<u64>) -> bool {
        let cached_to = self.cached_to.load(Ordering::Relaxed);
        let is_cached = self.has_pages(range, cached_to);
        if is_cached {
            extend(&self.cached_to, range);
        }
        is_cached
    }

    /// As [`is_cached`](DiskFile::is_cached), but asks the kernel for all bytes, also for those that were found before.
    pub(crate) fn is_still_cached(&self, range: &Range<u64>) -> bool {
        let is_cached = self.has_pages(range, 0);
        if !is_cached {
            self.forget_cached();
        }
        is_cached
    }

    /// Returns whether the first and the last page of `range`, and after `cached_to` a page of each [`BLOCK`] between
    /// them, are in the page cache.
    fn has_pages(&self, range: &Range<u64>, cached_to: u64) -> bool {
        let has_page = |offset| {
            let mut byte = [0];
            let mut byte = [IoSliceMut::new(&mut byte)];
            match retry_on_intr(|| preadv2(self.file(), &mut byte, offset, ReadWriteFlags::NOWAIT)) {
                // overlayfs does not tell.
                Err(Errno::OPNOTSUPP) => range.end <= self.read_to.load(Ordering::Relaxed),
                // Other errors are for the system call that sends.
                result => result != Err(Errno::AGAIN),
            }
        };
        let (first, last) = (range.start, range.end.saturating_sub(1));
        let mut blocks = range.start.max(cached_to) / BLOCK + 1..range.end.div_ceil(BLOCK);
        has_page(first) && blocks.all(|block| has_page(block * BLOCK)) && has_page(last)
    }

    /// Forgets what was found in the page cache: the kernel may have dropped parts of it meanwhile.
    pub(crate) fn forget_cached(&self) {
        self.cached_to.store(0, Ordering::Relaxed);
    }

    /// Reads the blocks of these bytes into the page cache, and waits for the disk.
    ///
    /// # Errors
    ///
    /// Those of sendfile(2).
    pub(crate) fn read_into_cache(&self, range: &Range<u64>) -> io::Result<()> {
        // Whole blocks: a client that requests single bytes must not leave a block of which only some pages are in the
        // page cache.
        let (start, end) = (range.start / BLOCK * BLOCK, range.end.next_multiple_of(BLOCK));
        let mut next = start;
        while next < end {
            let (mut offset, count) = (next, (end - next) as usize);
            let count = match &*NULL {
                Ok(null) => retry_on_intr(|| sendfile(null, self.file(), Some(&mut offset), count))?,
                Err(_) => self.read(offset, count.min(BLOCK as usize))?.len(),
            };
            if count == 0 {
                break;
            }
            next += count as u64;
        }
        extend(&self.cached_to, &(start..end));
        extend(&self.read_to, &(start..end));
        Ok(())
    }

    /// Reads at most `len` bytes; none only at the end of the file. May block.
    ///
    /// # Errors
    ///
    /// Those of pread(2).
    pub(crate) fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let count = retry_on_intr(|| {
            preadv2(self.file(), &mut [IoSliceMut::new(&mut bytes)], offset, ReadWriteFlags::empty())
        })?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

/// Extends the part of a file from its beginning to `end` by `range`, unless there is a gap between them.
fn extend(end: &AtomicU64, range: &Range<u64>) {
    if range.start <= end.load(Ordering::Relaxed) {
        end.fetch_max(range.end, Ordering::Relaxed);
    }
}

/// Opens a character device for writing. Does not wait if the path names a pipe.
///
/// # Errors
///
/// If the path names anything else: in a chroot without `/dev/null`, a program whose output was redirected to it has
/// made a regular file, which would grow by all that is read ahead.
fn open_device(path: &str) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().write(true).custom_flags(flags).open(path)?;
    let is_device = file.metadata()?.file_type().is_char_device();
    if is_device { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
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

    /// Does nothing: no client waits for a close.
    fn expire(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    #[test]
    fn only_a_device_is_written_to() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
        File::create(path("file")).expect("a file");
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
        let check = |path: &str, expected: bool| assert_eq!(open_device(path).is_ok(), expected, "{path}");
        check("/dev/null", true);
        for name in ["file", "pipe", "missing", ""] {
            check(&path(name), false);
        }
    }
}
