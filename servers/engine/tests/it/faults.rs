//! The application's faults: replies, sources and destructors that fail or panic.
//!
//! The payload of every panic panics too when it is dropped. Panics leave no message on standard error: they are part of the
//! tests.

use crate::client::TIMEOUT;
use http_engine::{Body, CancellationToken, Chunk, ChunkSource, FileSlice, Reply, Response, Status};
use std::{
    fs::File,
    io, mem,
    panic::resume_unwind,
    sync::{Arc, mpsc::Sender},
    task::Waker,
    thread,
    time::{Duration, Instant},
};

/// What happens to a job or a source of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Started,
    Cancelled,
    Dropped,
}

/// Panics when it is dropped, and sends [`Event::Dropped`] before. Each job and source of the application owns one.
pub struct Bomb(pub Sender<Event>);

impl Bomb {
    /// Reports an event. The test may have ended.
    pub fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }

    /// Computes until the token is cancelled.
    pub fn run(&self, token: &CancellationToken) {
        self.send(Event::Started);
        let start = Instant::now();
        while !token.is_cancelled() {
            assert!(start.elapsed() < TIMEOUT, "the token is never cancelled");
            thread::yield_now();
        }
        self.send(Event::Cancelled);
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.send(Event::Dropped);
        // A second panic would end the test process.
        if !thread::panicking() {
            fail();
        }
    }
}

/// Panics with a payload that panics when it is dropped.
pub fn fail() -> ! {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            resume_unwind(Box::new("the payload of a panic was dropped"));
        }
    }
    resume_unwind(Box::new(Payload))
}

/// A source whose destructor panics.
struct FaultySource {
    start: fn(),
    /// What it does after its first chunk.
    then: fn() -> io::Result<Chunk>,
    has_sent: bool,
    _bomb: Bomb,
}

impl ChunkSource for FaultySource {
    fn start(&mut self, _: Waker) {
        (self.start)();
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        if mem::replace(&mut self.has_sent, true) {
            return (self.then)();
        }
        chunk.extend_from_slice(b"some");
        Ok(Chunk::Data)
    }
}

/// Returns a stream whose source calls `then` after its first chunk, and panics when it is dropped.
pub fn faulty(events: &Sender<Event>, then: fn() -> io::Result<Chunk>) -> Body {
    Body::Stream(Box::new(FaultySource { start: || (), then, has_sent: false, _bomb: Bomb(events.clone()) }))
}

/// Returns a reply that panics in the way that the path names, now or later. Returns `None` for other paths.
pub fn panicking_reply(path: &str, events: &Sender<Event>) -> Option<Reply> {
    let stream = |then| Some(Response::text(faulty(events, then)).into());
    let ends = || Ok(Chunk::End);
    match path {
        "/panics" | "/rejected" => fail(),
        "/panics-after" => Some(Reply::after(Duration::ZERO, || fail())),
        "/panics-offload" => Some(Reply::offload(|| fail())),
        "/panics-deferred" => Some(Reply::Deferred(Box::new(|_| fail()))),
        "/bomb-sent" => Some(Response::text("sent").on_sent(|_| fail()).into()),
        "/bomb" => stream(ends),
        "/bomb-fails" => stream(|| Err(io::ErrorKind::Other.into())),
        "/bomb-panics" => stream(|| fail()),
        "/bomb-never-starts" => {
            let source =
                FaultySource { start: || fail(), then: ends, has_sent: false, _bomb: Bomb(events.clone()) };
            Some(Response::text(Body::Stream(Box::new(source))).into())
        }
        "/bomb-parts" => {
            Some(Response::text(Body::Parts(vec![faulty(events, ends), faulty(events, ends)])).into())
        }
        _ => None,
    }
}

/// A source that ends with an error or with a misuse.
enum BrokenSource {
    Fails,
    SendsNothing,
}

impl ChunkSource for BrokenSource {
    fn next_chunk(&mut self, _: &mut Vec<u8>) -> io::Result<Chunk> {
        match self {
            BrokenSource::Fails => Err(io::Error::other("the database is gone")),
            BrokenSource::SendsNothing => Ok(Chunk::Data),
        }
    }
}

/// Returns a reply that fails in the way that the path names. Returns `None` for other paths.
pub fn failing_reply(path: &str) -> Option<Reply> {
    let stream = |source| Response::text(Body::Stream(Box::new(source)));
    let text = Response::text("hello");
    Some(match path {
        "/fails" => stream(BrokenSource::Fails).into(),
        "/fails-late" => Reply::offload(move || stream(BrokenSource::Fails)),
        "/fails-to-send" => stream(BrokenSource::SendsNothing).into(),
        "/fails-short" => file(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).into(),
        "/fails-unreadable" => file("/dev/null").into(),
        "/fails-header" => text.with_header("X-Forged", "a\r\nSet-Cookie: b").into(),
        "/fails-length" => text.with_content_length(7).into(),
        "/fails-status" => text.with_status(Status::new(102)).into(),
        _ => return None,
    })
}

/// Returns a response whose body is a part of a file, far behind its end.
fn file(path: &str) -> Response {
    let file = Arc::new(File::open(path).expect("a file"));
    Response::bytes(Body::File(FileSlice { file, offset: 1 << 40, len: 10 }))
}
