//! Prepares bodies that are produced while they are sent: a source gets a waker, a reader gets a thread, and failures
//! are logged.

use crate::{label::RequestLabel, pool::Task};
use http_core::{
    Body, BodySender, Chunk, ChunkSource, FileSlice, Headers, Rejection, catch_panic, drop_caught, io_cause,
};
use std::{
    io::{self, Read},
    task::Waker,
    time::{Duration, Instant},
};

/// The maximum number of bytes that are read from a [`Body::Reader`] before the client takes them.
const READ_AHEAD: usize = 64 * 1024;
/// The maximum number of bytes of one read.
const READ_BYTES: usize = 32 * 1024;

/// The wakers and threads that an engine provides for content and bodies which one connection passes on piece by piece.
#[doc(hidden)]
pub trait StreamSupport {
    /// Makes a waker for the source of a stream, or for the pipe to a job. When it is called, the engine asks the
    /// source for more bytes, or offers the pipe more content. It does nothing after the connection has ended.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    fn waker(&self) -> io::Result<Waker>;

    /// Runs a task, which may wait for the client, on a streaming thread.
    ///
    /// # Errors
    ///
    /// [`Rejection::Overloaded`] if all streaming threads are busy.
    fn spawn(&self, task: Task) -> Result<(), Rejection>;

    /// Returns whether the thread that drives the connection may wait for its client.
    fn may_wait(&self) -> bool {
        false
    }
}

/// For engines that never wait: the waker does nothing, and there are no threads.
impl StreamSupport for () {
    fn waker(&self) -> io::Result<Waker> {
        Ok(Waker::noop().clone())
    }

    fn spawn(&self, _: Task) -> Result<(), Rejection> {
        Err(Rejection::Overloaded)
    }
}

/// Prepares a body for sending: a source gets a waker, a reader a thread, and their failures are logged with `label`.
/// Returns other bodies unchanged.
///
/// # Errors
///
/// [`Rejection::Overloaded`] if the system has no descriptor for a waker, or all streaming threads are busy.
#[cold]
pub(crate) fn start_body(
    body: Body,
    label: RequestLabel,
    support: &dyn StreamSupport,
) -> Result<Body, Rejection> {
    let (source, length) = match body {
        Body::Stream(source) => {
            let length = catch_panic(|| source.length()).ok().flatten();
            (source, length)
        }
        Body::Reader(reader, length) => {
            let (sender, body) = Body::channel(READ_AHEAD);
            support.spawn(Box::new(move || copy(reader, sender)))?;
            let Body::Stream(source) = body else { return Ok(body) };
            (source, length)
        }
        body => return Ok(body),
    };
    match support.waker() {
        Ok(waker) => {
            Ok(Body::Stream(Box::new(MonitoredSource { source, length, waker: Some(waker), label })))
        }
        Err(error) => {
            log::error!(
                "cannot make a waker for the response to {label}: {}; responding 503",
                io_cause(&error)
            );
            drop_caught(source);
            Err(Rejection::Overloaded)
        }
    }
}

/// Copies from `reader` to `sender`, until the reader is at its end or fails, or the body is no longer wanted. A wait
/// for the client ends when the engine closes the connection.
fn copy(mut reader: Box<dyn Read + Send>, sender: BodySender) {
    let copied = catch_panic(|| {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) if sender.send(&buffer[..count], Duration::MAX).is_err() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    });
    match copied.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
        Ok(()) => sender.finish(),
        Err(error) => sender.fail(error),
    }
    drop_caught(reader);
}

/// A source that receives its waker before its first chunk, and whose failure is logged.
struct MonitoredSource {
    source: Box<dyn ChunkSource>,
    length: Option<u64>,
    /// `None` after the source has received it.
    waker: Option<Waker>,
    label: RequestLabel,
}

impl ChunkSource for MonitoredSource {
    fn length(&self) -> Option<u64> {
        self.length
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        if let Some(waker) = self.waker.take() {
            self.source.start(waker);
        }
        self.source.next_chunk(chunk)
    }

    fn can_resume(&mut self, rest: &FileSlice) -> io::Result<bool> {
        self.source.can_resume(rest)
    }

    fn resume_at(&self) -> Option<Instant> {
        self.source.resume_at()
    }

    fn trailers(&mut self) -> Headers {
        self.source.trailers()
    }

    fn failed(&mut self, error: &io::Error) {
        let label = &self.label;
        log::error!(
            "cannot produce the rest of the response to {label}: {}; closing the connection",
            io_cause(error)
        );
        self.source.failed(error);
    }
}
