//! A body from a file that may not be in memory: it waits until a thread has read what comes next.
//!
//! It never makes a call that may block. A file on a local disk is sent from the page cache, a stretch at a time; what is
//! not there is read ahead first. A file on a slow medium is read into memory, a little at a time.

use crate::disk::{ClientKey, DiskFile, Medium, Pool, Task};
use http_core::{Chunk, ChunkSource, FileSlice};
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

/// The number of bytes of a local file that are sent at once: as many as an event loop sends before it serves other clients.
pub(super) const STRETCH: u64 = 1024 * 1024;

/// The number of bytes that one read of a file on a slow medium takes, which wait in memory for the client.
const SLOW_READ: u64 = 128 * 1024;

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
    /// What was not handed out.
    pieces: VecDeque<Piece>,
    read: Arc<Read>,
    /// `None` before the engine has passed it on.
    waker: Option<Waker>,
}

/// What a body shares with the thread that reads for it.
#[derive(Debug, Default)]
struct Read(Mutex<ReadState>);

#[derive(Debug, Default)]
enum ReadState {
    /// No read was submitted.
    #[default]
    None,
    /// A thread reads, or will.
    Pending,
    /// The bytes, or none if they are in the page cache.
    Done(io::Result<Vec<u8>>),
}

impl FileBody {
    /// A body for a client with this address.
    pub(super) fn new(
        file: Arc<DiskFile>,
        pieces: impl Into<VecDeque<Piece>>,
        client: Option<SocketAddr>,
    ) -> FileBody {
        FileBody { file, client: client.into(), pieces: pieces.into(), read: Arc::default(), waker: None }
    }

    /// Takes up to `len` bytes from the front of the pieces, of which the first is in the file.
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
    fn submit(&self, pool: &Arc<Pool>, range: Range<u64>) -> io::Result<Chunk> {
        self.read.set(ReadState::Pending);
        let waker = self.waker.clone().unwrap_or_else(|| Waker::noop().clone());
        let task = ReadTask { file: Arc::clone(&self.file), range, read: Arc::clone(&self.read), waker };
        match pool.submit(self.client, Arc::new(task)) {
            Ok(()) => Ok(Chunk::Pending),
            Err(busy) => Err(busy.into()),
        }
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
            ReadState::Pending => {
                self.read.set(ReadState::Pending);
                return Ok(Chunk::Pending);
            }
            ReadState::None => None,
            ReadState::Done(read) => Some(read?),
        };
        let stretch = range.start..range.end.min(range.start + STRETCH);
        match (&self.file.medium, done) {
            (Medium::Slow(_), Some(bytes)) => {
                if bytes.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
                }
                self.take(bytes.len() as u64);
                *chunk = bytes;
                Ok(Chunk::Data)
            }
            (Medium::Slow(pool), None) => {
                self.submit(pool, range.start..range.end.min(range.start + SLOW_READ))
            }
            (Medium::Local(pool), None) if !self.file.is_cached(&stretch) => self.submit(pool, stretch),
            _ => {
                let Range { start, end } = self.take(STRETCH);
                let file = Arc::clone(self.file.file());
                Ok(Chunk::File(FileSlice { file, offset: start, len: end - start }))
            }
        }
    }
}

/// Reads for a body.
struct ReadTask {
    file: Arc<DiskFile>,
    range: Range<u64>,
    read: Arc<Read>,
    waker: Waker,
}

impl Task for ReadTask {
    fn run(&self) {
        // The client has left.
        if Arc::strong_count(&self.read) == 1 {
            return;
        }
        let Range { start, end } = self.range;
        self.complete(match self.file.medium {
            Medium::Slow(_) => self.file.read(start, (end - start) as usize),
            _ => self.file.read_ahead(start..end).map(|()| Vec::new()),
        });
    }

    fn expire(&self) {
        self.complete(Err(io::Error::new(io::ErrorKind::TimedOut, "the file system does not answer")));
    }
}

impl ReadTask {
    /// Passes on the first result: that of the call, or of its expiry.
    fn complete(&self, result: io::Result<Vec<u8>>) {
        let mut state = self.read.lock();
        if let ReadState::Pending = *state {
            *state = ReadState::Done(result);
            drop(state);
            self.waker.wake_by_ref();
        }
    }
}

impl Read {
    fn take(&self) -> ReadState {
        std::mem::take(&mut *self.lock())
    }

    fn set(&self, state: ReadState) {
        *self.lock() = state;
    }

    fn lock(&self) -> MutexGuard<'_, ReadState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
