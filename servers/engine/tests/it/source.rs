//! Sources of streams: one that the test feeds from its own thread, and those that a function makes.

use crate::client::TIMEOUT;
use http_engine::{Body, Chunk, ChunkSource, FileSlice, Response};
use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel},
    task::Waker,
    time::{Duration, Instant},
};

/// A source that calls `start` when it is started, and `next` for each chunk.
struct FnSource<S, N> {
    start: S,
    next: N,
}

impl<S: FnMut() + Send, N: FnMut(&mut Vec<u8>) -> io::Result<Chunk> + Send> ChunkSource for FnSource<S, N> {
    fn start(&mut self, _: Waker) {
        (self.start)();
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        (self.next)(chunk)
    }
}

/// Returns a stream whose source calls `next` for each chunk.
pub fn stream(next: impl FnMut(&mut Vec<u8>) -> io::Result<Chunk> + Send + 'static) -> Body {
    stream_with_start(|| (), next)
}

/// Returns a stream whose source calls `start` when it is started, and `next` for each chunk.
pub fn stream_with_start(
    start: impl FnMut() + Send + 'static,
    next: impl FnMut(&mut Vec<u8>) -> io::Result<Chunk> + Send + 'static,
) -> Body {
    Body::Stream(Box::new(FnSource { start, next }))
}

/// A source that never calls its waker: it names the time of its next chunk.
struct TimedSource<O> {
    left: u32,
    interval: Duration,
    next: Instant,
    _owned: O,
}

impl<O: Send> ChunkSource for TimedSource<O> {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let now = Instant::now();
        if self.left == 0 {
            return Ok(Chunk::End);
        }
        if now < self.next {
            return Ok(Chunk::Pending);
        }
        self.left -= 1;
        self.next = now + self.interval;
        chunk.extend_from_slice(b"tick ");
        Ok(Chunk::Data)
    }

    fn resume_at(&self) -> Option<Instant> {
        Some(self.next)
    }
}

/// Returns a stream that sends `tick ` after each interval. The source owns `owned`.
pub fn timed_stream(count: u32, interval: Duration, owned: impl Send + 'static) -> Body {
    let next = Instant::now() + interval;
    Body::Stream(Box::new(TimedSource { left: count, interval, next, _owned: owned }))
}

/// Sends what its [`Feed`] passes on.
struct FedSource {
    chunks: Receiver<(&'static str, Chunk)>,
    wakers: Sender<Waker>,
    _dropped: Sender<()>,
}

/// The test's end of a stream.
pub struct Feed {
    chunks: Option<Sender<(&'static str, Chunk)>>,
    wakers: Receiver<Waker>,
    waker: Option<Waker>,
    dropped: Receiver<()>,
}

/// Returns a response with a stream, and the end that feeds it. The stream ends when the feed does.
pub fn fed_stream() -> (Response, Feed) {
    let (sender, chunks) = channel();
    let (wakers, given) = channel();
    let (_dropped, dropped) = channel();
    let source = FedSource { chunks, wakers, _dropped };
    let feed = Feed { chunks: Some(sender), wakers: given, waker: None, dropped };
    (Response::text(Body::Stream(Box::new(source))), feed)
}

impl ChunkSource for FedSource {
    fn start(&mut self, waker: Waker) {
        self.wakers.send(waker).expect("the test still runs");
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        match self.chunks.try_recv() {
            Ok((text, next)) => {
                chunk.extend_from_slice(text.as_bytes());
                Ok(next)
            }
            Err(TryRecvError::Empty) => Ok(Chunk::Pending),
            Err(TryRecvError::Disconnected) => Ok(Chunk::End),
        }
    }
}

impl Feed {
    /// Sends a chunk.
    pub fn send(&mut self, chunk: &'static str) {
        self.pass_on(chunk, Chunk::Data);
    }

    /// Sends part of a file.
    pub fn send_file(&mut self, slice: FileSlice) {
        self.pass_on("", Chunk::File(slice));
    }

    fn pass_on(&mut self, text: &'static str, next: Chunk) {
        let chunks = self.chunks.as_ref().expect("the stream has not ended");
        chunks.send((text, next)).expect("the source still exists");
        self.wake();
    }

    /// Ends the stream.
    pub fn end(&mut self) {
        self.chunks = None;
        self.wake();
    }

    /// Calls the waker that the source has received. Panics if it receives none, or more than one.
    pub fn wake(&mut self) {
        let waker = self.waker.get_or_insert_with(|| self.wakers.recv_timeout(TIMEOUT).expect("a waker"));
        assert!(self.wakers.try_recv().is_err(), "a second waker");
        waker.wake_by_ref();
    }

    /// Returns whether the source is dropped.
    pub fn is_dropped(&self) -> bool {
        self.dropped.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits until the source is dropped.
    pub fn await_drop(&self) {
        let dropped = self.dropped.recv_timeout(TIMEOUT);
        assert_eq!(dropped, Err(RecvTimeoutError::Disconnected), "the source is not dropped");
    }

    /// Returns whether the source has received a waker.
    pub fn has_started(&self) -> bool {
        self.waker.is_some() || self.wakers.try_recv().is_ok()
    }
}
