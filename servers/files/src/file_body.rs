//! A body from a file that may not be in memory: it waits until a thread has read what comes next, also after each
//! pause of the client.
//!
//! It never makes a call that may block. A file on a local disk is sent from the page cache, a chunk at a time; what is
//! not there is read ahead first. A file on a slow medium is read into memory, a smaller chunk at a time.

use crate::disk::{ClientKey, DiskFile, Medium, Pool, Task};
use http_core::{Chunk, ChunkSource, FileSlice};
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
    time::{Duration, Instant},
};

/// The number of bytes of a local file that are sent at once: as many as an event loop sends before it serves other
/// clients.
const LOCAL_CHUNK: u64 = 1024 * 1024;

/// How far a thread reads ahead of what is sent, in bytes.
const READ_AHEAD: u64 = 4 * LOCAL_CHUNK;

/// How long what was found in the page cache counts as being there. The check costs a system call for each 64 KiB, and
/// a full socket has room again within a millisecond if the client reads.
const TRUST_CACHE: Duration = Duration::from_millis(100);

/// The number of bytes of a file on a slow medium that are read at once. They wait in memory for the client.
const SLOW_CHUNK: u64 = 128 * 1024;

/// A part of a body.
#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    /// These bytes of the file.
    File(Range<u64>),
}

/// A body of pieces of one file.
pub(super) struct FileBody {
    file: Arc<DiskFile>,
    client: ClientKey,
    /// What the engine has not taken yet.
    pieces: VecDeque<Piece>,
    /// The offset up to which a thread was asked to read ahead.
    read_ahead_to: u64,
    /// When the bytes that the engine took last were found in the page cache.
    cached_at: Option<Instant>,
    read: Arc<SharedRead>,
    /// `None` before the engine calls [`start`](ChunkSource::start).
    waker: Option<Waker>,
}

/// A read, which a body shares with the thread that makes it.
#[derive(Debug, Default)]
struct SharedRead(Mutex<ReadState>);

#[derive(Debug, Default)]
enum ReadState {
    /// No read was submitted.
    #[default]
    None,
    /// A thread reads, or will.
    Pending,
    /// The bytes of a slow file. Empty for a local file: its bytes are in the page cache now.
    Done(io::Result<Vec<u8>>),
}

impl FileBody {
    /// A body for a client with this address.
    pub(super) fn new(
        file: Arc<DiskFile>,
        pieces: impl Into<VecDeque<Piece>>,
        client: Option<SocketAddr>,
    ) -> FileBody {
        FileBody {
            file,
            client: client.into(),
            pieces: pieces.into(),
            read_ahead_to: 0,
            cached_at: None,
            read: Arc::default(),
            waker: None,
        }
    }

    /// Removes up to `len` bytes from the first piece, which must be in the file. Returns where they are.
    fn take(&mut self, len: u64) -> Range<u64> {
        let Some(Piece::File(range)) = self.pieces.front_mut() else { return 0..0 };
        let taken = range.start..range.end.min(range.start + len);
        range.start = taken.end;
        if range.is_empty() {
            self.pieces.pop_front();
        }
        taken
    }

    /// Makes a thread read these bytes: into memory if the medium is slow, otherwise into the page cache.
    fn read(&mut self, pool: &Arc<Pool>, range: Range<u64>) -> io::Result<Chunk> {
        self.read.set(ReadState::Pending);
        let waker = self.waker.clone().unwrap_or_else(|| Waker::noop().clone());
        pool.submit(self.client, Arc::new(self.task(range, Some(waker))))?;
        Ok(Chunk::Pending)
    }

    fn task(&self, range: Range<u64>, waker: Option<Waker>) -> ReadTask {
        ReadTask { file: Arc::clone(&self.file), range, read: Arc::downgrade(&self.read), waker }
    }

    /// Keeps the disk busy while `sent` is sent: makes a thread read what follows into the page cache, up to `end`,
    /// unless it is there.
    fn read_ahead(&mut self, pool: &Arc<Pool>, sent: &Range<u64>, end: u64) {
        let from = self.read_ahead_to.max(sent.end);
        if from >= end || from > sent.end + READ_AHEAD / 2 || self.file.is_cached(&(from..from + 1)) {
            return;
        }
        self.read_ahead_to = end.min(from + READ_AHEAD);
        // Fails if the pool is busy: `next_chunk` then submits a read that it waits for.
        let _ = pool.submit(self.client, Arc::new(self.task(from..self.read_ahead_to, None)));
    }
}

impl ChunkSource for FileBody {
    fn length(&self) -> Option<u64> {
        let len = |piece: &Piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::File(range) => range.end - range.start,
        };
        Some(self.pieces.iter().map(len).sum())
    }

    fn start(&mut self, waker: Waker) {
        self.waker = Some(waker);
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let range = match self.pieces.front() {
            None => return Ok(Chunk::End),
            Some(Piece::Text(text)) => {
                chunk.extend_from_slice(text.as_bytes());
                self.pieces.pop_front();
                return Ok(Chunk::Data);
            }
            Some(Piece::File(range)) => range.start..range.end,
        };
        let done = match self.read.take() {
            ReadState::Pending => return Ok(Chunk::Pending),
            ReadState::None => None,
            ReadState::Done(read) => Some(read?),
        };
        let next = range.start..range.end.min(range.start + LOCAL_CHUNK);
        match (self.file.medium.clone(), done) {
            (Medium::Slow(_), Some(bytes)) => {
                if bytes.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
                }
                self.take(bytes.len() as u64);
                *chunk = bytes;
                return Ok(Chunk::Data);
            }
            (Medium::Slow(pool), None) => {
                let end = range.end.min(range.start + SLOW_CHUNK);
                return self.read(&pool, range.start..end);
            }
            (Medium::Local(pool), None) if !self.file.is_cached(&next) => {
                return self.read(&pool, next);
            }
            (Medium::Local(pool), _) => {
                self.cached_at = Some(Instant::now());
                self.read_ahead(&pool, &next, range.end);
            }
            (Medium::Memory, _) => {}
        }
        let Range { start, end } = self.take(LOCAL_CHUNK);
        let file = Arc::clone(self.file.file());
        Ok(Chunk::File(FileSlice { file, offset: start, len: end - start }))
    }

    fn can_resume(&mut self, rest: &FileSlice) -> io::Result<bool> {
        let Medium::Local(pool) = self.file.medium.clone() else { return Ok(true) };
        match self.read.take() {
            ReadState::Pending => return Ok(false),
            ReadState::Done(read) => {
                read?;
            }
            ReadState::None if self.cached_at.is_some_and(|at| at.elapsed() < TRUST_CACHE) => {
                return Ok(true);
            }
            ReadState::None => {
                let range = rest.offset..rest.offset + rest.len;
                if !self.file.is_still_cached(&range) {
                    return self.read(&pool, range).map(|_| false);
                }
            }
        }
        self.cached_at = Some(Instant::now());
        Ok(true)
    }
}

/// Reads for a body.
struct ReadTask {
    file: Arc<DiskFile>,
    range: Range<u64>,
    /// Where the result goes. Dropped with the body.
    read: Weak<SharedRead>,
    /// Wakes the body; `None` if it does not wait for the result.
    waker: Option<Waker>,
}

impl Task for ReadTask {
    fn run(&self) {
        // If the body is dropped, the client has left.
        if self.read.strong_count() == 0 {
            return;
        }
        let Range { start, end } = self.range;
        if let Medium::Slow(_) = self.file.medium {
            return self.complete(self.file.read(start, (end - start) as usize));
        }
        self.complete(self.file.read_into_cache(&self.range).map(|()| Vec::new()));
    }

    fn expire(&self) {
        self.complete(Err(io::Error::new(io::ErrorKind::TimedOut, "the file system does not answer")));
    }
}

impl ReadTask {
    /// Passes on the first result: that of the call, or of its expiry.
    fn complete(&self, result: io::Result<Vec<u8>>) {
        let (Some(read), Some(waker)) = (self.read.upgrade(), &self.waker) else { return };
        let mut state = read.lock();
        if let ReadState::Pending = *state {
            *state = ReadState::Done(result);
            drop(state);
            waker.wake_by_ref();
        }
    }
}

impl SharedRead {
    /// Takes the result of a read. A pending read stays so: its thread may pass on its result at any time.
    fn take(&self) -> ReadState {
        let mut state = self.lock();
        match *state {
            ReadState::Pending => ReadState::Pending,
            _ => std::mem::take(&mut *state),
        }
    }

    fn set(&self, state: ReadState) {
        *self.lock() = state;
    }

    fn lock(&self) -> MutexGuard<'_, ReadState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{
        FileSystem, Mounts,
        testing::{TIMEOUT, Tasks, expire},
    };
    use rustix::fs::{Advice, fadvise};
    use std::{
        io::Write,
        os::unix::fs::FileExt,
        sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
        task::Wake,
        time::Duration,
    };

    /// A file on a file system of some kind.
    struct TestFile {
        mounts: Mounts,
        file: Arc<DiskFile>,
        content: Vec<u8>,
    }

    /// A body, and what it has produced.
    struct TestBody {
        body: FileBody,
        woken: Receiver<()>,
        bytes: Vec<u8>,
    }

    struct TestWaker(Sender<()>);

    impl Wake for TestWaker {
        fn wake(self: Arc<Self>) {
            // Fails if the test has ended.
            let _ = self.0.send(());
        }
    }

    impl TestFile {
        fn new(kind: FileSystem, len: usize) -> TestFile {
            let content: Vec<_> = (0..len).map(|index| (index % 251) as u8).collect();
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(&content).expect("its content");
            let mounts = Mounts::new("test".to_owned(), Some(kind), Duration::MAX);
            let medium = Medium::new(kind, &mounts.root);
            TestFile { mounts, file: Arc::new(DiskFile::new(Arc::new(file), medium)), content }
        }

        fn body(&self, pieces: Vec<Piece>) -> TestBody {
            let (sender, woken) = mpsc::channel();
            let mut body = FileBody::new(Arc::clone(&self.file), pieces, None);
            body.start(Arc::new(TestWaker(sender)).into());
            TestBody { body, woken, bytes: Vec::new() }
        }

        /// Removes the file from the page cache, if its file system can.
        fn evict(&self) {
            self.file.file().sync_all().expect("a disk");
            fadvise(self.file.file(), 0, None, Advice::DontNeed).expect("advice");
        }
    }

    impl TestBody {
        /// Returns the next chunk or error as text.
        fn next(&mut self) -> String {
            let mut chunk = Vec::new();
            match self.body.next_chunk(&mut chunk) {
                Ok(Chunk::Data) => {
                    self.bytes.extend_from_slice(&chunk);
                    format!("{} bytes", chunk.len())
                }
                Ok(Chunk::File(FileSlice { file, offset, len })) => {
                    let mut bytes = vec![0; len as usize];
                    file.read_exact_at(&mut bytes, offset).expect("its content");
                    self.bytes.extend(bytes);
                    format!("{len} in the file")
                }
                Ok(Chunk::End) => "end".to_owned(),
                Ok(_) => "pending".to_owned(),
                Err(error) => format!("{:?}", error.kind()),
            }
        }

        fn wait(&self) -> Result<(), RecvTimeoutError> {
            self.woken.recv_timeout(TIMEOUT)
        }

        /// Checks all chunks, but not where the body was pending in between.
        #[track_caller]
        fn check(&mut self, expected: &[&str]) {
            for expected in expected {
                let mut chunk = self.next();
                if chunk == "pending" {
                    assert_eq!(self.wait(), Ok(()));
                    chunk = self.next();
                }
                assert_eq!(chunk, *expected);
            }
        }
    }

    #[test]
    fn a_slow_file_is_read_a_little_at_a_time() {
        let file = TestFile::new(FileSystem::Slow, 300_000);
        let mut body = file.body(vec![Piece::File(0..300_000)]);
        assert_eq!(body.body.length(), Some(300_000));
        for expected in ["131072 bytes", "131072 bytes", "37856 bytes"] {
            assert_eq!(body.next(), "pending");
            assert_eq!(body.wait(), Ok(()));
            assert_eq!(body.next(), expected);
        }
        assert_eq!(body.next(), "end");
        assert!(body.bytes == file.content);
    }

    #[test]
    fn a_pending_read_stays_pending_when_its_result_is_asked_for() {
        let read = SharedRead::default();
        read.set(ReadState::Pending);
        assert!(matches!(read.take(), ReadState::Pending));
        assert!(matches!(*read.lock(), ReadState::Pending));
    }

    #[test]
    fn a_local_file_is_sent_from_the_page_cache() {
        let file = TestFile::new(FileSystem::Local, 2_500_000);
        for is_evicted in [false, true] {
            if is_evicted {
                file.evict();
            }
            let mut body = file.body(vec![Piece::File(0..2_500_000)]);
            assert_eq!(body.body.length(), Some(2_500_000));
            body.check(&["1048576 in the file", "1048576 in the file", "402848 in the file", "end"]);
            assert!(body.bytes == file.content, "{is_evicted}");
        }
    }

    /// Where the file system can remove a file from the page cache.
    #[test]
    fn what_the_page_cache_has_lost_in_a_pause_is_read_again() {
        let file = TestFile::new(FileSystem::Local, 1_000_000);
        let mut body = file.body(vec![Piece::File(0..1_000_000)]);
        body.check(&["1000000 in the file"]);
        let rest =
            FileSlice { file: Arc::clone(file.file.file()), offset: 100_000, len: 1_000_000 - 100_000 };
        let long_ago = Instant::now().checked_sub(TRUST_CACHE);
        body.body.cached_at = long_ago;
        assert!(body.body.can_resume(&rest).expect("a file"));
        file.evict();
        file.file.forget_cached();
        if file.file.is_cached(&(500_000..500_001)) {
            return;
        }
        body.body.cached_at = Instant::now().checked_add(TRUST_CACHE);
        assert!(body.body.can_resume(&rest).expect("a file"));
        body.body.cached_at = long_ago;
        assert!(!body.body.can_resume(&rest).expect("a file"));
        assert_eq!(body.wait(), Ok(()));
        assert!(body.body.can_resume(&rest).expect("a file"));
        assert!(file.file.is_cached(&(100_000..1_000_000)));
        body.check(&["end"]);
    }

    /// Where the file system can remove a file from the page cache, and the kernel does not read all of it ahead.
    #[test]
    fn a_part_in_the_page_cache_does_not_stand_for_others() {
        let file = TestFile::new(FileSystem::Local, 1_000_000);
        file.evict();
        for offset in [0, 999_999] {
            file.body(vec![Piece::File(offset..offset + 1)]).check(&["1 in the file", "end"]);
        }
        assert!(file.file.is_cached(&(0..65_536)));
        if file.file.is_cached(&(500_000..500_001)) {
            return;
        }
        let mut body = file.body(vec![Piece::File(0..1_000_000)]);
        assert_eq!(body.next(), "pending");
        assert_eq!(body.wait(), Ok(()));
        body.check(&["1000000 in the file", "end"]);
        assert!(body.bytes == file.content);
    }

    #[test]
    fn pieces_come_in_their_order() {
        for (kind, chunks) in [
            (FileSystem::Slow, ["5 bytes", "10 bytes", "6 bytes", "100000 bytes", "4 bytes", "end"]),
            (
                FileSystem::Local,
                ["5 bytes", "10 in the file", "6 bytes", "100000 in the file", "4 bytes", "end"],
            ),
        ] {
            let file = TestFile::new(kind, 200_000);
            let text = |text: &str| Piece::Text(text.to_owned());
            let (first, second) = (Piece::File(199_990..200_000), Piece::File(7..100_007));
            let mut body = file.body(vec![text("first"), first, text("second"), second, text("last")]);
            assert_eq!(body.body.length(), Some(100_025));
            body.check(&chunks);
            let parts = [b"first", &file.content[199_990..], b"second", &file.content[7..100_007], b"last"];
            assert!(body.bytes == parts.concat(), "{kind:?}");
        }
    }

    #[test]
    fn a_slow_file_that_has_become_shorter_ends_with_an_error() {
        let file = TestFile::new(FileSystem::Slow, 1_000);
        file.body(vec![Piece::File(0..2_000)]).check(&["1000 bytes", "UnexpectedEof"]);
    }

    #[test]
    fn a_read_that_takes_too_long_is_an_error() {
        let file = TestFile::new(FileSystem::Slow, 1_000);
        let tasks = Tasks::new();
        let _gates = tasks.occupy_all(&file.mounts.root);
        let mut body = file.body(vec![Piece::File(0..1_000)]);
        // The engine may ask again although the waker was not called.
        assert_eq!([body.next(), body.next()], ["pending", "pending"]);
        expire(&file.mounts.root);
        assert_eq!(body.wait(), Ok(()));
        body.check(&["TimedOut"]);
        // The threads hang.
        file.body(vec![Piece::File(0..1_000)]).check(&["ResourceBusy"]);
    }

    #[test]
    fn nothing_is_read_for_a_client_that_has_left() {
        let file = TestFile::new(FileSystem::Slow, 1_000);
        let tasks = Tasks::new();
        let gates = tasks.occupy_all(&file.mounts.root);
        let mut left = file.body(vec![Piece::File(0..1_000)]);
        assert_eq!(left.next(), "pending");
        let TestBody { body, woken, .. } = left;
        drop((body, gates));
        // The thread drops the waker without a call.
        assert_eq!(woken.recv_timeout(TIMEOUT), Err(RecvTimeoutError::Disconnected));
    }
}
