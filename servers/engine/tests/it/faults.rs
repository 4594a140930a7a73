//! The application's faults: replies, sources and destructors that fail or panic.
//!
//! The payload of every panic panics too when it is dropped. Panics leave no message on standard error: they are part
//! of the tests.

use crate::{
    client::TIMEOUT,
    source::{stream, stream_with_start},
};
use http_engine::{Body, CancellationToken, Chunk, FileSlice, Reply, Response, Status};
use std::{
    fs::File,
    io, mem,
    panic::resume_unwind,
    sync::{Arc, mpsc::Sender},
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

/// Returns a stream whose source calls `then` after its first chunk, and panics when it is dropped.
pub fn faulty(events: &Sender<Event>, then: fn() -> io::Result<Chunk>) -> Body {
    faulty_with_start(events, || (), then)
}

/// Returns such a stream whose source calls `start` when it is started.
fn faulty_with_start(events: &Sender<Event>, start: fn(), then: fn() -> io::Result<Chunk>) -> Body {
    let (bomb, mut has_sent) = (Bomb(events.clone()), false);
    stream_with_start(start, move |chunk| {
        let _owned = &bomb;
        if mem::replace(&mut has_sent, true) {
            return then();
        }
        chunk.extend_from_slice(b"some");
        Ok(Chunk::Data)
    })
}

/// Returns a reply that panics in the way that the path names, now or later. Returns `None` for other paths.
pub fn panicking_reply(path: &str, events: &Sender<Event>) -> Option<Reply> {
    let text = |body| Some(Response::text(body).into());
    let ends = || Ok(Chunk::End);
    match path {
        "/panics" | "/rejected" => fail(),
        "/panics-after" => Some(Reply::after(Duration::ZERO, || -> Response { fail() })),
        "/panics-offload" => Some(Reply::offload(|| -> Response { fail() })),
        "/panics-deferred" => Some(Reply::Deferred(Box::new(|_| fail()))),
        "/bomb-sent" => Some(Response::text("sent").on_sent(|_| fail()).into()),
        "/bomb" => text(faulty(events, ends)),
        "/bomb-fails" => text(faulty(events, || Err(io::ErrorKind::Other.into()))),
        "/bomb-panics" => text(faulty(events, || fail())),
        "/bomb-never-starts" => text(faulty_with_start(events, || fail(), ends)),
        "/bomb-parts" => text(Body::Parts(vec![faulty(events, ends), faulty(events, ends)])),
        _ => None,
    }
}

/// Returns a reply that fails in the way that the path names. Returns `None` for other paths.
pub fn failing_reply(path: &str) -> Option<Reply> {
    let broken = || Response::text(stream(|_| Err(io::Error::other("the database is gone"))));
    let text = Response::text("hello");
    Some(match path {
        "/fails" => broken().into(),
        "/fails-late" => Reply::offload(broken),
        "/fails-to-send" => Response::text(stream(|_| Ok(Chunk::Data))).into(),
        "/fails-sender" => {
            let (sender, body) = Body::channel(1);
            drop(sender);
            Response::text(body).into()
        }
        "/fails-reader" => Response::text(Body::reader(FailingReader, None)).into(),
        "/fails-reader-short" => Response::text(Body::reader(io::empty(), Some(2))).into(),
        "/fails-short" => Response::bytes(file(MANIFEST)).into(),
        "/fails-unreadable" => Response::bytes(file("/dev/null")).into(),
        "/fails-in-stream" => Response::bytes(stream(|_| Ok(Chunk::File(file(MANIFEST))))).into(),
        "/fails-to-send-file" => {
            let empty = |_: &mut Vec<u8>| Ok(Chunk::File(FileSlice { len: 0, ..file(MANIFEST) }));
            Response::bytes(stream(empty)).into()
        }
        "/fails-header" => text.with_header("X-Forged", "a\r\nSet-Cookie: b").into(),
        "/fails-length" => text.with_content_length(7).into(),
        "/fails-status" => text.with_status(Status::new(102)).into(),
        _ => return None,
    })
}

/// A reader that fails at once.
struct FailingReader;

impl io::Read for FailingReader {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

pub const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// Returns a part of a file, far behind its end.
fn file(path: &str) -> FileSlice {
    let file = Arc::new(File::open(path).expect("a file"));
    FileSlice { file, offset: 1 << 40, len: 10 }
}
