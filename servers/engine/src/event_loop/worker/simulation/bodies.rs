//! What the application of the simulation gives to the engine besides responses: bodies that are produced while they
//! are sent, and what takes content and upgraded connections.

use super::{
    TIMEOUTS,
    application::Work,
    plan::{Kind, Plan, body},
};
use crate::sys::simulated;
use http_core::{Chunk, ChunkSource, ContentReader, Reply, Response, Sink, Upgraded};
use std::{
    io::{self, Read, Write},
    sync::{Arc, Mutex, PoisonError, Weak},
    task::Waker,
    time::{Duration, Instant},
};

/// The body of a [`Kind::Source`] or [`Kind::Paced`].
pub(super) struct PlannedSource {
    work: Work,
    sent: usize,
    state: Arc<Mutex<SourceState>>,
    knows_len: bool,
    /// When a [`Kind::Paced`] has more.
    next_at: Option<Instant>,
}

/// The state that a [`PlannedSource`] shares with the application.
#[derive(Default)]
pub(super) struct SourceState {
    /// How many bytes of the body exist.
    pub(super) ready: usize,
    pub(super) waker: Option<Waker>,
}

impl PlannedSource {
    pub(super) fn new(work: Work) -> PlannedSource {
        let knows_len = work.lock().random.one_in(2);
        PlannedSource { work, sent: 0, state: Arc::default(), knows_len, next_at: None }
    }

    pub(super) fn state(&self) -> Weak<Mutex<SourceState>> {
        Arc::downgrade(&self.state)
    }
}

impl ChunkSource for PlannedSource {
    fn length(&self) -> Option<u64> {
        self.knows_len.then(|| self.work.len() as u64)
    }

    fn start(&mut self, waker: Waker) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waker = Some(waker);
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let (id, app) = (self.work.id, &mut *self.work.lock());
        let (len, is_paced) = (app.plans[id].len, app.plans[id].kind == Kind::Paced);
        if self.sent == len {
            return Ok(Chunk::End);
        }
        let ready = match is_paced {
            true if self.next_at.is_some_and(|at| at > app.now) => return Ok(Chunk::Pending),
            true => self.sent + app.random.up_to(len - self.sent),
            false => self.state.lock().unwrap_or_else(PoisonError::into_inner).ready,
        };
        chunk.extend_from_slice(&body(id, len)[self.sent..ready]);
        self.sent = ready;
        if self.sent == len {
            app.set_owes(id, false);
            return Ok(Chunk::End);
        }
        if is_paced {
            let at = app.now + Duration::from_millis(app.random.below(300) as u64);
            self.next_at = Some(at);
            app.plans[id].owes_until = Some(at);
        }
        Ok(Chunk::Pending)
    }

    fn resume_at(&self) -> Option<Instant> {
        self.next_at
    }
}

impl Drop for PlannedSource {
    fn drop(&mut self) {
        self.work.complete();
    }
}

/// The body of a [`Kind::Reader`]: at most 64 KiB, so that its thread never waits for the client.
pub(super) struct SlowReader {
    work: Work,
    read: usize,
}

impl SlowReader {
    pub(super) fn new(work: Work) -> SlowReader {
        SlowReader { work, read: 0 }
    }
}

impl Read for SlowReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        simulated::wait();
        let left = &body(self.work.id, self.work.len())[self.read..];
        if left.is_empty() {
            return Ok(0);
        }
        let count = self.work.lock().random.up_to(left.len().min(buffer.len()));
        buffer[..count].copy_from_slice(&left[..count]);
        self.read += count;
        Ok(count)
    }
}

impl Drop for SlowReader {
    fn drop(&mut self) {
        self.work.complete();
    }
}

/// Takes the content of a [`Kind::Sink`].
pub(super) struct ContentSink {
    work: Work,
    received: usize,
}

impl ContentSink {
    pub(super) fn new(work: Work) -> ContentSink {
        ContentSink { work, received: 0 }
    }
}

impl Sink for ContentSink {
    fn write(&mut self, data: &[u8]) -> Result<(), Response> {
        let (id, mut app) = (self.work.id, self.work.lock());
        if !app.plans[id].has_content_at(id, self.received, data) {
            app.violate(format!("request {id}: not its content at {}", self.received));
        }
        self.received += data.len();
        let responds_early = app.random.one_in(32);
        drop(app);
        if responds_early { Err(self.work.response()) } else { Ok(()) }
    }

    fn finish(self: Box<Self>) -> Reply {
        let (id, mut app) = (self.work.id, self.work.lock());
        let content = app.plans[id].content;
        if self.received != content {
            app.violate(format!("request {id}: {} of {content} bytes", self.received));
        }
        let is_late = app.random.one_in(2);
        app.set_owes(id, is_late);
        drop(app);
        if is_late { self.work.defer() } else { self.work.response().into() }
    }
}

/// Reads the content of a request. Ends the turn of the thread before each read, and while a read would wait.
pub(super) fn read_content(work: &Work, mut reader: ContentReader) {
    let (id, mut read) = (work.id, 0);
    loop {
        simulated::wait();
        let app = &mut *work.lock();
        if !reader.token().is_cancelled() && !is_readable(&app.plans[id], read) {
            continue;
        }
        let mut buffer = vec![0; app.random.up_to(100_000)];
        // An error means that the client has left, or was too slow.
        let Ok(count) = reader.read(&mut buffer) else { return };
        let is_end = count == 0 && read == app.plans[id].content;
        if !is_end && (count == 0 || !app.plans[id].has_content_at(id, read, &buffer[..count])) {
            app.violate(format!("request {id}: read {count} bytes that are not its content at {read}"));
        }
        read += count;
        // Sometimes responds before the end of the content.
        if count == 0 || app.random.one_in(32) {
            return;
        }
    }
}

/// Whether a read of the content does not wait, after `read` bytes of it. The simulation lets threads run only while
/// the event loops have nothing to do, so that the pipe holds what was received, unless responses must be sent first.
fn is_readable(plan: &Plan, read: usize) -> bool {
    simulated::with_peer(plan.connection, |peer| {
        let received = peer.total_received;
        peer.is_settled() && (plan.content_in(received) > read || received >= plan.span.end)
    })
}

/// Sends back what the client sends, until it is complete, the client closes or is too slow, or the server shuts down.
pub(super) fn echo(work: &Work, mut upgraded: Upgraded) {
    let (len, end) = (work.len(), work.lock().now + TIMEOUTS.idle);
    let (mut echoed, mut buffer) = (0, vec![0; 4096]);
    let mut unsent = 0..0;
    while echoed < len && !upgraded.token().is_cancelled() && work.lock().now < end {
        let reads = unsent.is_empty();
        let outcome = match reads {
            true => upgraded.read(&mut buffer),
            false => upgraded.write(&buffer[unsent.clone()]),
        };
        match outcome {
            Ok(0) => break,
            Ok(count) if reads => unsent = 0..count,
            Ok(count) => {
                unsent.start += count;
                echoed += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => simulated::wait(),
            Err(_) => break,
        }
    }
    work.complete();
}
