//! The source of a response's body, as the engines see it: it starts with a waker, and its failure is logged.

use crate::late::RequestLabel;
use http_core::{Chunk, ChunkSource, catch_panic, io_cause};
use std::{io, task::Waker};

/// Makes the waker of a connection, for the source of a stream. The waker makes the engine ask the source again.
#[doc(hidden)]
pub trait MakeWaker {
    /// Makes a waker. It does nothing after the connection has ended.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    fn waker(&self) -> io::Result<Waker>;
}

/// For engines that never wait: the waker does nothing.
impl MakeWaker for () {
    fn waker(&self) -> io::Result<Waker> {
        Ok(Waker::noop().clone())
    }
}

/// A source that receives its waker before its first chunk, and whose failure is logged.
pub(crate) struct MonitoredSource {
    source: Box<dyn ChunkSource>,
    /// `None` after the source has received it.
    waker: Option<Waker>,
    label: RequestLabel,
}

impl MonitoredSource {
    /// Wraps the source of the response to the request that `label` names.
    pub(crate) fn new(source: Box<dyn ChunkSource>, waker: Waker, label: RequestLabel) -> MonitoredSource {
        MonitoredSource { source, waker: Some(waker), label }
    }
}

impl ChunkSource for MonitoredSource {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let waker = self.waker.take();
        let next = catch_panic(|| {
            if let Some(waker) = waker {
                self.source.start(waker);
            }
            match self.source.next_chunk(chunk) {
                Ok(Chunk::Data) if chunk.is_empty() => Err(io::Error::other("Chunk::Data without data")),
                next => next,
            }
        });
        let next = next.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
        next.inspect_err(|error| {
            let label = &self.label;
            log::error!(
                "cannot produce the rest of the response to {label}: {}; closing the connection",
                io_cause(error)
            );
        })
    }
}
