//! Content that a job reads as it comes: a bounded pipe between the engine and the job of a
//! [`Reply::Read`](super::reply::Reply::Read).
//!
//! It never reads a clock. A reader waits until the engine has sent more or has dropped its end, and every wait of the
//! engine for a client has a deadline.

use crate::types::{cancellation::CancellationToken, error::ParseError};
use std::{
    collections::VecDeque,
    fmt,
    io::{self, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

/// The maximum number of bytes in a pipe.
const CAPACITY: usize = 64 * 1024;

/// The content of a request, which the job of a [`Reply::Read`](crate::Reply::Read) reads as it comes.
///
/// [`read`](Read::read) waits for the client. It returns 0 only at the end of the complete content. The pipe behind it
/// holds 64 KiB: while it is full, the server receives nothing from this client, and TCP makes the client wait.
///
/// If the content remains incomplete, `read` fails after the bytes received before:
///
/// | kind | why |
/// |---|---|
/// | [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) | the client closed the connection |
/// | [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) | the connection broke, or the grace period of a shutdown is over |
/// | [`TimedOut`](io::ErrorKind::TimedOut) | the client sent too slowly, or the job read nothing for [`Timeouts::reply`](crate::Timeouts::reply) |
/// | [`InvalidData`](io::ErrorKind::InvalidData) | the content is malformed or exceeds its limit |
///
/// The client then gets the library's response, such as 408, or the connection is closed; the response of the job is
/// dropped.
///
/// In a test, make a reader from bytes:
///
/// ```
/// use http_core::ContentReader;
/// use std::io::Read;
///
/// let mut reader = ContentReader::from(b"content".to_vec());
/// assert_eq!(reader.content_length(), Some(7));
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// assert_eq!(text, "content");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ContentReader {
    pipe: Arc<Pipe>,
    content_length: Option<u64>,
    token: CancellationToken,
}

/// The engine's end of the pipe to a [`ContentReader`], for engines. Dropping it before
/// [`finish`](ContentSender::finish) makes the reader fail.
///
/// ```
/// use http_core::{CancellationToken, content_pipe};
/// use std::{io::Read, task::Waker};
///
/// let (sender, mut reader) = content_pipe(None, CancellationToken::default(), Waker::noop().clone());
/// assert_eq!(sender.send(b"content"), 7);
/// sender.finish();
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// assert_eq!(text, "content");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ContentSender {
    pipe: Arc<Pipe>,
}

/// Why a [`ContentReader`] has not got the whole content.
///
/// ```
/// use http_core::IncompleteContent;
/// use std::io;
///
/// let error = io::Error::from(IncompleteContent::Truncated);
/// assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
/// assert_eq!(error.to_string(), "the client closed the connection within the content");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IncompleteContent {
    /// The client closed the connection.
    Truncated,
    /// The connection broke, or the server closed it.
    Aborted,
    /// The client sent too slowly, or not at all.
    ClientTimeout,
    /// The job read nothing for the time of [`Timeouts::reply`](crate::Timeouts::reply).
    ReaderTimeout,
    /// The content is malformed or exceeds its limit.
    Invalid(ParseError),
}

/// What both ends share.
struct Pipe {
    state: Mutex<PipeState>,
    /// Wakes the reader when bytes or the end have come.
    changed: Condvar,
    /// Makes the engine send again.
    waker: Waker,
}

struct PipeState {
    bytes: VecDeque<u8>,
    /// `None` while more may come.
    end: Option<Result<(), IncompleteContent>>,
    /// Whether the sender had more bytes than there was room for.
    is_full: bool,
    /// Whether the reader was dropped.
    is_closed: bool,
}

/// Creates a pipe for content of `content_length` bytes, if that is known. `token` tells the job whether its response
/// is still wanted. The pipe calls `waker` when it was full and is half empty again.
pub fn content_pipe(
    content_length: Option<u64>,
    token: CancellationToken,
    waker: Waker,
) -> (ContentSender, ContentReader) {
    let reader = ContentReader::new(VecDeque::new(), None, waker, content_length, token);
    (ContentSender { pipe: Arc::clone(&reader.pipe) }, reader)
}

impl ContentSender {
    /// Puts bytes into the pipe, without waiting, and returns how many. If that is not all of `data`, there is no room:
    /// send the rest when the waker of the pipe is called. If the reader was dropped, takes nothing, and the waker is
    /// never called.
    pub fn send(&self, data: &[u8]) -> usize {
        let mut state = self.pipe.lock();
        if state.is_closed {
            return 0;
        }
        let count = data.len().min(CAPACITY - state.bytes.len());
        state.bytes.extend(&data[..count]);
        state.is_full = count < data.len();
        drop(state);
        self.pipe.changed.notify_one();
        count
    }

    /// Ends the content: it is complete.
    pub fn finish(self) {
        self.pipe.end(Ok(()));
    }

    /// Ends the pipe, because the rest of the content will not come.
    pub fn fail(self, reason: IncompleteContent) {
        self.pipe.end(Err(reason));
    }
}

impl Drop for ContentSender {
    /// Ends the pipe with [`IncompleteContent::Aborted`], unless it has ended.
    fn drop(&mut self) {
        self.pipe.end(Err(IncompleteContent::Aborted));
    }
}

impl ContentReader {
    fn new(
        bytes: VecDeque<u8>,
        end: Option<Result<(), IncompleteContent>>,
        waker: Waker,
        content_length: Option<u64>,
        token: CancellationToken,
    ) -> ContentReader {
        let state = Mutex::new(PipeState { bytes, end, is_full: false, is_closed: false });
        ContentReader {
            pipe: Arc::new(Pipe { state, changed: Condvar::new(), waker }),
            content_length,
            token,
        }
    }

    /// Creates a reader that returns `content` and then fails for this reason, for tests of jobs.
    ///
    /// ```
    /// use http_core::{ContentReader, IncompleteContent};
    /// use std::io::{ErrorKind, Read};
    ///
    /// let mut reader = ContentReader::incomplete(b"half".to_vec(), IncompleteContent::ClientTimeout);
    /// let error = reader.read_to_string(&mut String::new()).map_err(|error| error.kind());
    /// assert_eq!(error, Err(ErrorKind::TimedOut));
    /// ```
    pub fn incomplete(content: Vec<u8>, reason: IncompleteContent) -> ContentReader {
        ContentReader::ended(content, Err(reason), None, CancellationToken::default())
    }

    /// Creates a reader that returns `content` and then ends as `end` says.
    pub(crate) fn ended(
        content: Vec<u8>,
        end: Result<(), IncompleteContent>,
        content_length: Option<u64>,
        token: CancellationToken,
    ) -> ContentReader {
        ContentReader::new(content.into(), Some(end), Waker::noop().clone(), content_length, token)
    }

    /// Returns the length of the whole content, if it is known before the content is read: the client has announced it
    /// (Content-Length), or all content is in memory ([`Admit::Buffer`](crate::Admit::Buffer)). Otherwise returns
    /// `None`: the content comes in chunks.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Returns the signal that the response of the job is no longer wanted.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Replaces the signal, for engines that have all content at once.
    pub fn with_token(mut self, token: CancellationToken) -> ContentReader {
        self.token = token;
        self
    }
}

impl From<Vec<u8>> for ContentReader {
    /// Creates a reader of content that has arrived completely.
    fn from(content: Vec<u8>) -> ContentReader {
        let length = Some(content.len() as u64);
        ContentReader::ended(content, Ok(()), length, CancellationToken::default())
    }
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut state = self.pipe.lock();
        while state.bytes.is_empty() {
            match state.end {
                Some(Ok(())) => return Ok(0),
                Some(Err(reason)) => return Err(reason.into()),
                None => state = self.pipe.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        let count = state.bytes.read(buffer)?;
        // Waiting until half of the pipe is free saves wake-ups.
        let wakes = state.is_full && state.bytes.len() <= CAPACITY / 2;
        state.is_full &= !wakes;
        drop(state);
        if wakes {
            self.pipe.waker.wake_by_ref();
        }
        Ok(count)
    }
}

impl Drop for ContentReader {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        state.is_closed = true;
        state.bytes = VecDeque::new();
    }
}

impl Pipe {
    /// Locks the state. No code of an application runs under the lock.
    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the pipe, unless it has ended, and wakes the reader.
    fn end(&self, end: Result<(), IncompleteContent>) {
        self.lock().end.get_or_insert(end);
        self.changed.notify_one();
    }
}

impl From<IncompleteContent> for io::Error {
    fn from(reason: IncompleteContent) -> io::Error {
        let kind = match reason {
            IncompleteContent::Truncated => io::ErrorKind::UnexpectedEof,
            IncompleteContent::Aborted => io::ErrorKind::ConnectionAborted,
            IncompleteContent::ClientTimeout | IncompleteContent::ReaderTimeout => io::ErrorKind::TimedOut,
            IncompleteContent::Invalid(_) => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, reason)
    }
}

impl fmt::Display for IncompleteContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IncompleteContent::Truncated => {
                f.write_str("the client closed the connection within the content")
            }
            IncompleteContent::Aborted => f.write_str("the connection ended within the content"),
            IncompleteContent::ClientTimeout => f.write_str("the client sent the content too slowly"),
            IncompleteContent::ReaderTimeout => f.write_str("the content was read too slowly"),
            IncompleteContent::Invalid(error) => write!(f, "invalid content: {error}"),
        }
    }
}

impl std::error::Error for IncompleteContent {}

impl fmt::Debug for ContentReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentReader")
    }
}

impl fmt::Debug for ContentSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentSender")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
        thread,
    };

    /// Counts its calls.
    #[derive(Default)]
    struct CountingWaker(AtomicUsize);

    impl Wake for CountingWaker {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn pipe() -> (ContentSender, ContentReader, Arc<CountingWaker>) {
        let waker = Arc::new(CountingWaker::default());
        let (sender, reader) = content_pipe(None, CancellationToken::default(), Arc::clone(&waker).into());
        (sender, reader, waker)
    }

    #[test]
    fn holds_no_more_than_its_capacity_and_wakes_once_when_half_empty() {
        let (sender, mut reader, waker) = pipe();
        let content = vec![b'x'; CAPACITY + 1];
        assert_eq!((sender.send(&content), sender.send(b"y")), (CAPACITY, 0));
        let mut half = vec![0; CAPACITY / 2];
        for (count, woken) in [(1, 0), (CAPACITY / 2 - 1, 1), (CAPACITY / 4, 1)] {
            reader.read_exact(&mut half[..count]).expect("content");
            assert_eq!(waker.0.load(Ordering::SeqCst), woken, "after {count} more bytes");
        }
        // Nothing waits for room, so that nothing is woken.
        assert_eq!(sender.send(b"y"), 1);
        sender.finish();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("content");
        assert_eq!((rest.len(), rest.last()), (CAPACITY / 4 + 1, Some(&b'y')));
        assert_eq!(waker.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_reader_gets_what_was_sent_and_then_the_reason_of_the_end() {
        let check = |end: fn(ContentSender), expected: Option<io::ErrorKind>| {
            let (sender, mut reader, _) = pipe();
            let reading = thread::spawn(move || {
                let mut content = Vec::new();
                let result = reader.read_to_end(&mut content);
                let again = reader.read(&mut [0]).map_err(|error| error.kind());
                assert_eq!(again.err(), result.as_ref().err().map(io::Error::kind));
                (content, result.err().map(|error| error.kind()))
            });
            assert_eq!(sender.send(b"content"), 7);
            end(sender);
            assert_eq!(reading.join().expect("no panic"), (b"content".to_vec(), expected));
        };
        use IncompleteContent::*;
        check(ContentSender::finish, None);
        check(drop, Some(io::ErrorKind::ConnectionAborted));
        check(|sender| sender.fail(Truncated), Some(io::ErrorKind::UnexpectedEof));
        check(|sender| sender.fail(ClientTimeout), Some(io::ErrorKind::TimedOut));
        check(|sender| sender.fail(ReaderTimeout), Some(io::ErrorKind::TimedOut));
        check(|sender| sender.fail(Invalid(ParseError::Chunk)), Some(io::ErrorKind::InvalidData));
    }

    #[test]
    fn takes_nothing_after_the_reader_was_dropped() {
        let (sender, reader, waker) = pipe();
        drop(reader);
        assert_eq!((sender.send(b"content"), waker.0.load(Ordering::SeqCst)), (0, 0));
    }
}
