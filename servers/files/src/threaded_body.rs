//! A body that threads make while it is sent: a listing, compressed or not, or the compressed form of a file that is
//! too long to keep that form or that changes too often.
//!
//! It never makes a call that may block. Threads read or format, and compress, a piece at a time, and not more than one
//! piece ahead of what the client takes.

use crate::{
    compressor::GzipSlot,
    cpu_pool::CpuPool,
    disk::{ClientKey, Pool, Task},
    document::OpenDocument,
};
use flate2::{Compression, write::GzEncoder};
use http_core::{Chunk, ChunkSource, catch_panic};
use std::{
    io::{self, Write},
    mem,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    task::Waker,
};

/// The number of bytes of a file that are read and compressed at once: a thread takes about a millisecond for them.
const PIECE: usize = 128 * 1024;

/// How many compressed bytes are sent at once, but for the last ones. The encoder makes 10 bytes at its beginning, and
/// few bytes of a uniform piece; a packet and a wake-up of the event loop for each would cost more than the piece.
const MIN_SENT: usize = 16 * 1024;

/// The level of gzip, from 1 to 9. The result is not kept: each request costs this CPU time. 100 MB of JSON (median of
/// three interleaved rounds with either level, two shared cores, release build without LTO):
///
/// | level | 1 | 2 | 3 | 4 | 6 | nginx 1 | nginx 6 |
/// |---|---|---|---|---|---|---|---|
/// | CPU time in s | 0.89 | 1.14 | 1.28 | 1.55 | 2.19 | 1.24 | 3.02 |
/// | result in MB | 43.7 | 34.2 | 32.5 | 31.8 | 31.2 | 36.3 | 31.2 |
///
/// Level 2 saves 38 MB for each second more than level 1, but level 3 only 12 MB for each second more than level 2.
const LEVEL: u32 = 2;

/// The body. Dropping it ends the work.
pub(super) struct ThreadedBody(Arc<Stream>);

/// What the body shares with the threads that work for it.
struct Stream {
    /// The threads that must read the pieces; `None` if reading does not block.
    pool: Option<Arc<Pool>>,
    /// The threads that format or compress.
    threads: CpuPool,
    client: ClientKey,
    /// Not set before the engine calls [`start`](ChunkSource::start).
    waker: OnceLock<Waker>,
    /// Only threads lock it.
    pieces: Mutex<Pieces>,
    /// Only threads lock it.
    encoder: Mutex<Encoder>,
    made: Mutex<Made>,
}

/// What compresses the pieces; `None` if they are sent as they are.
type Encoder = Option<(GzEncoder<Vec<u8>>, GzipSlot)>;

/// The content, piece by piece. No piece is empty.
type Pieces = Box<dyn Iterator<Item = io::Result<Vec<u8>>> + Send>;

/// The pieces of a file.
struct FilePieces {
    original: OpenDocument,
    /// The offset of the next piece.
    offset: u64,
}

/// What the threads have made for the client.
enum Made {
    /// Nothing, and no thread has begun.
    Nothing,
    /// A thread makes the next bytes, or will.
    Pending,
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, the last ones.
    Last(Vec<u8>),
    /// The end.
    End,
    Failed(io::Error),
}

/// The next piece; `None` at the end.
type NextPiece = Option<Vec<u8>>;

impl ThreadedBody {
    /// The gzip form of `original`, for a client with this address.
    pub(super) fn of_document(
        original: OpenDocument,
        slot: GzipSlot,
        client: Option<SocketAddr>,
    ) -> ThreadedBody {
        let (pool, threads) = (original.pool().cloned(), slot.threads.clone());
        let pieces = Box::new(FilePieces { original, offset: 0 });
        ThreadedBody::new(pieces, pool, threads, Some(slot), client.into())
    }

    /// The body with `pieces`, which are made without a call that may block. It is compressed if there is a `slot`.
    pub(super) fn of_pieces(
        pieces: impl Iterator<Item = Vec<u8>> + Send + 'static,
        threads: CpuPool,
        slot: Option<GzipSlot>,
    ) -> ThreadedBody {
        ThreadedBody::new(Box::new(pieces.map(Ok)), None, threads, slot, None.into())
    }

    fn new(
        pieces: Pieces,
        pool: Option<Arc<Pool>>,
        threads: CpuPool,
        slot: Option<GzipSlot>,
        client: ClientKey,
    ) -> ThreadedBody {
        let encoder = slot.map(|slot| (GzEncoder::new(Vec::new(), Compression::new(LEVEL)), slot));
        ThreadedBody(Arc::new(Stream {
            pool,
            threads,
            client,
            waker: OnceLock::new(),
            pieces: Mutex::new(pieces),
            encoder: Mutex::new(encoder),
            made: Mutex::new(Made::Nothing),
        }))
    }
}

impl ChunkSource for ThreadedBody {
    fn start(&mut self, waker: Waker) {
        let _ = self.0.waker.set(waker);
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let stream = &self.0;
        let made = mem::replace(&mut *stream.made(), Made::Pending);
        match made {
            Made::Nothing => stream.begin()?,
            Made::Pending => {}
            Made::Bytes(bytes) => {
                *chunk = bytes;
                stream.begin()?;
                return Ok(Chunk::Data);
            }
            Made::Last(bytes) => {
                *chunk = bytes;
                *stream.made() = Made::End;
                return Ok(Chunk::Data);
            }
            Made::End => return Ok(Chunk::End),
            Made::Failed(error) => return Err(error),
        }
        Ok(Chunk::Pending)
    }
}

impl Stream {
    /// Makes threads read and compress the next piece.
    fn begin(self: &Arc<Stream>) -> io::Result<()> {
        match &self.pool {
            Some(pool) => Ok(pool.submit(self.client, Arc::new(PieceTask(Arc::downgrade(self))))?),
            None => self.compress_later(None),
        }
    }

    /// Makes a thread compress the next piece: `read`, if it was read already.
    fn compress_later(self: &Arc<Stream>, read: Option<NextPiece>) -> io::Result<()> {
        let stream = Arc::downgrade(self);
        self.threads.submit(move || {
            // If the body is dropped, the client has left.
            if let Some(stream) = stream.upgrade() {
                let made = catch_panic(|| stream.compress(read));
                stream.continue_with(made.unwrap_or_else(|panicked| Err(io::Error::other(panicked))));
            }
        })
    }

    /// Passes on what a thread has made. If that is nothing, begins with the next piece.
    fn continue_with(self: &Arc<Stream>, made: io::Result<Made>) {
        let made = match made {
            Ok(Made::Pending) => self.begin().map(|()| Made::Pending),
            made => made,
        };
        match made {
            Ok(Made::Pending) => {}
            Ok(made) => self.complete(made),
            Err(error) => self.complete(Made::Failed(error)),
        }
    }

    /// Compresses the next piece. Returns [`Made::Pending`] if the encoder needs more to make [`MIN_SENT`] bytes.
    fn compress(&self, read: Option<NextPiece>) -> io::Result<Made> {
        let piece = read.map_or_else(|| self.read(), Ok)?;
        let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((encoder, _)) = &mut *encoder else { return Ok(piece.map_or(Made::End, Made::Bytes)) };
        let Some(piece) = piece else {
            encoder.try_finish()?;
            return Ok(Made::Last(mem::take(encoder.get_mut())));
        };
        encoder.write_all(&piece)?;
        let is_enough = encoder.get_ref().len() >= MIN_SENT;
        Ok(if is_enough { Made::Bytes(mem::take(encoder.get_mut())) } else { Made::Pending })
    }

    /// Reads the next piece. May block.
    fn read(&self) -> io::Result<NextPiece> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner).next().transpose()
    }

    /// Passes on the first result: what the threads have made, or an error because that took too long.
    fn complete(&self, result: Made) {
        let mut made = self.made();
        if let Made::Pending = *made {
            *made = result;
            drop(made);
            self.waker.get().iter().for_each(|waker| waker.wake_by_ref());
        }
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Iterator for FilePieces {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        if self.offset == self.original.len {
            return None;
        }
        let piece = self.original.read_part(self.offset, PIECE);
        Some(piece.and_then(|piece| match piece.len() {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter")),
            len => {
                self.offset += len as u64;
                Ok(piece)
            }
        }))
    }
}

/// Reads the next piece in the queue of a mount.
struct PieceTask(Weak<Stream>);

impl Task for PieceTask {
    fn run(&self) {
        if let Some(stream) = self.0.upgrade()
            && let Err(error) = stream.read().and_then(|read| stream.compress_later(Some(read)))
        {
            stream.complete(Made::Failed(error));
        }
    }

    fn expire(&self) {
        if let Some(stream) = self.0.upgrade() {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the file system does not answer");
            stream.complete(Made::Failed(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compressor::Compressor,
        disk::{
            DiskFile, FileSystem, Medium, Mounts,
            testing::{TIMEOUT, Tasks, expire},
        },
        document::{Document, Settings},
        options::Options,
        version::FileVersion,
    };
    use flate2::read::GzDecoder;
    use std::{
        fs::File,
        io::Read,
        sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
        task::Wake,
        time::{Duration, SystemTime},
    };

    const KINDS: [FileSystem; 3] = [FileSystem::Memory, FileSystem::Local, FileSystem::Slow];

    /// A file of several pieces.
    struct LongFile {
        mounts: Mounts,
        file: Arc<File>,
        content: Vec<u8>,
        document: OpenDocument,
    }

    /// A body, and the calls of its waker.
    struct RunningBody {
        body: ThreadedBody,
        woken: Receiver<()>,
    }

    struct WakeSender(Sender<()>);

    impl Wake for WakeSender {
        fn wake(self: Arc<Self>) {
            // Fails if the test has ended.
            let _ = self.0.send(());
        }
    }

    impl LongFile {
        fn new(kind: FileSystem) -> LongFile {
            // The first piece is so uniform that the encoder makes nothing of it.
            let content =
                [vec![b' '; 2 * PIECE], (0..3 * PIECE).map(|index| (index * index) as u8).collect()].concat();
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(&content).expect("its content");
            let version = FileVersion::of(&file).expect("its version").1;
            let (file, mounts) = (Arc::new(file), Mounts::new("test".to_owned(), Some(kind), Duration::MAX));
            let options = Options::default();
            let settings =
                Settings { path: b"a.txt", options: &options, coding: None, date: SystemTime::now() };
            let opened = Arc::new(DiskFile::new(Arc::clone(&file), Medium::new(kind, &mounts.root)));
            LongFile { mounts, file, content, document: Document::in_file(opened, version, settings) }
        }

        fn body(&self) -> RunningBody {
            let (sender, woken) = mpsc::channel();
            let mut body = ThreadedBody::of_document(
                self.document.clone(),
                Compressor::default().slot().expect("a slot"),
                None,
            );
            body.start(Arc::new(WakeSender(sender)).into());
            RunningBody { body, woken }
        }
    }

    impl RunningBody {
        /// Reads to the end. Returns the content, or the kind of the error. Checks that no chunk but the last is short.
        fn read(&mut self) -> Result<Vec<u8>, io::ErrorKind> {
            let (mut bytes, mut chunk, mut lens) = (Vec::new(), Vec::new(), Vec::new());
            loop {
                match self.body.next_chunk(&mut chunk).map_err(|error| error.kind())? {
                    Chunk::Data => {
                        lens.push(chunk.len());
                        bytes.append(&mut chunk);
                    }
                    Chunk::End => break,
                    _ => assert_eq!(self.woken.recv_timeout(TIMEOUT), Ok(())),
                }
            }
            lens.pop();
            assert!(lens.iter().all(|len| *len >= MIN_SENT), "{lens:?}");
            let mut content = Vec::new();
            GzDecoder::new(&*bytes).read_to_end(&mut content).expect("gzip");
            Ok(content)
        }
    }

    #[test]
    fn all_of_a_file_is_compressed() {
        for kind in KINDS {
            let file = LongFile::new(kind);
            assert!(file.body().read().as_ref() == Ok(&file.content), "{kind:?}");
        }
    }

    #[test]
    fn a_file_that_has_become_shorter_ends_with_an_error() {
        for kind in KINDS {
            let file = LongFile::new(kind);
            file.file.set_len(3 * PIECE as u64).expect("a length");
            assert_eq!(file.body().read(), Err(io::ErrorKind::UnexpectedEof), "{kind:?}");
        }
    }

    #[test]
    fn a_read_that_takes_too_long_is_an_error() {
        let (file, tasks) = (LongFile::new(FileSystem::Slow), Tasks::new());
        let _gates = tasks.occupy_all(&file.mounts.root);
        let mut body = file.body();
        assert_eq!(body.body.next_chunk(&mut Vec::new()).expect("no error"), Chunk::Pending);
        expire(&file.mounts.root);
        assert_eq!(body.read(), Err(io::ErrorKind::TimedOut));
        // The threads hang.
        assert_eq!(file.body().read(), Err(io::ErrorKind::ResourceBusy));
    }

    #[test]
    fn nothing_is_made_before_the_first_chunk_is_wanted_or_after_the_client_has_left() {
        let (file, tasks) = (LongFile::new(FileSystem::Slow), Tasks::new());
        let gates = tasks.occupy_all(&file.mounts.root);
        let mut left = file.body();
        assert_eq!(Arc::weak_count(&left.body.0), 0);
        assert_eq!(left.body.next_chunk(&mut Vec::new()).expect("no error"), Chunk::Pending);
        assert_eq!(Arc::weak_count(&left.body.0), 1);
        let RunningBody { body, woken } = left;
        drop((body, gates));
        // The body and its waker are dropped without a call.
        assert_eq!(woken.recv_timeout(TIMEOUT), Err(RecvTimeoutError::Disconnected));
    }
}
