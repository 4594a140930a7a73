//! The entries of a send queue, and the types of bodies that are not bytes in memory: files and streams.

use crate::types::panic::CatchDrop;
use std::{fs::File, io, ops::Range, sync::Arc, task::Waker};

/// Part of an open file.
#[derive(Clone, Debug)]
pub struct FileSlice {
    /// The open file, which other responses may use at the same time.
    pub file: Arc<File>,
    /// The offset in the file of the first byte to send.
    pub offset: u64,
    /// The number of bytes to send.
    pub len: u64,
}

/// What follows the bytes that a call of [`ChunkSource::next_chunk`] has appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chunk {
    /// More bytes may follow at once. The call must have appended at least one byte.
    Data,
    /// The next bytes do not exist yet. The source calls its [`Waker`] when they do.
    Pending,
    /// Nothing: the body ends here.
    End,
}

/// Produces a body of unknown length, chunk by chunk, not faster than the client reads it. See
/// [`Body::Stream`](crate::Body::Stream).
///
/// A source may wait for as long as it likes: no timeout applies while the client has taken everything. The engine drops
/// the source when the body ends, when the client has left (after a reset, a hang-up or a failed write), and when the grace
/// period of a shutdown is over.
///
/// ```
/// use http_core::{Chunk, ChunkSource};
/// use std::{io, sync::mpsc::{Receiver, Sender, TryRecvError}, task::Waker};
///
/// /// Sends lines that another thread produces. That thread receives the waker first. It calls the waker after each
/// /// line, and once more after it has dropped its `Sender`, which ends the body.
/// struct Lines {
///     lines: Receiver<String>,
///     waker: Sender<Waker>,
/// }
///
/// impl ChunkSource for Lines {
///     fn start(&mut self, waker: Waker) {
///         // This fails if the other thread has ended. Then `lines` is disconnected, too.
///         let _ = self.waker.send(waker);
///     }
///
///     fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
///         match self.lines.try_recv() {
///             Ok(line) => chunk.extend_from_slice(line.as_bytes()),
///             Err(TryRecvError::Empty) => return Ok(Chunk::Pending),
///             Err(TryRecvError::Disconnected) => return Ok(Chunk::End),
///         }
///         Ok(Chunk::Data)
///     }
/// }
/// ```
pub trait ChunkSource: Send {
    /// Receives the waker of the connection, once, before the first call of [`next_chunk`](ChunkSource::next_chunk). A
    /// source that returns [`Chunk::Pending`] must keep the waker, and call it from any thread when the next bytes or the
    /// end of the body exist. The default implementation drops the waker, for sources that are never pending.
    ///
    /// Calling the waker more often than needed, or after the connection has ended, does no harm.
    fn start(&mut self, waker: Waker) {
        drop(waker);
    }

    /// Appends the next bytes of the body to `chunk`, which is empty, and returns what follows them. The bytes appended are
    /// sent in each case.
    ///
    /// The function must not block, because the event loop calls it. It may be called although the waker was not called:
    /// then it returns [`Chunk::Pending`] again.
    ///
    /// # Errors
    ///
    /// If the body cannot be produced. The engine then closes the connection without the final chunk, which tells an
    /// HTTP/1.1 client that the body is incomplete.
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk>;
}

/// How much of a response body was sent. [`Response::on_sent`](crate::Response::on_sent) reports it when the body is sent,
/// or when the connection closes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number of bytes of the body, with its chunk framing, that the transport has accepted.
    pub bytes: u64,
    /// Whether the transport has accepted the whole body.
    pub complete: bool,
}

/// The callback that [`Response::on_sent`](crate::Response::on_sent) sets. It is called once: when the body is sent, or
/// when the connection closes before that.
pub(crate) type OnSent = CatchDrop<Box<dyn FnOnce(Sent) + Send>>;

/// One entry of a send queue. A range shrinks from its start as its bytes are sent.
pub(crate) enum Segment {
    /// A range of the queue's text buffer.
    Text(Range<usize>),
    /// Constant bytes, without those already sent.
    Static(&'static [u8]),
    /// A range of bytes that only this segment uses.
    Owned(Vec<u8>, Range<usize>),
    /// A range of bytes that other responses may use too.
    Shared(Arc<[u8]>, Range<usize>),
    /// Part of a file, without the bytes already sent.
    File(FileSlice),
    /// The rest of a stream. While this segment is at the front of the queue, the queue asks `source` for one chunk
    /// after another.
    Stream {
        source: CatchDrop<Box<dyn ChunkSource>>,
        /// Whether to send each chunk in the chunked coding. If false, the end of the connection ends the body.
        chunked: bool,
    },
    /// A marker without bytes after the last segment of a body. When the marker reaches the front, or the queue is
    /// cleared, the queue calls `on_sent` with the number of body bytes sent. `from` is the value of
    /// [`SendQueue::total_queued`] before the body was queued. All bytes sent after the first `from` count as body
    /// bytes.
    ///
    /// [`SendQueue::total_queued`]: super::send_queue::SendQueue::total_queued
    End { from: u64, on_sent: OnSent },
}

impl Segment {
    /// Returns whether this is a [`Segment::End`].
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Segment::End { .. })
    }

    /// Returns whether this is a [`Segment::Stream`].
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Segment::Stream { .. })
    }

    /// Returns the unsent bytes of a static, owned or shared segment. Returns `None` for every other segment: its bytes are
    /// in the text buffer, in a file or not produced yet.
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Segment::Static(bytes) => Some(bytes),
            Segment::Owned(bytes, range) => bytes.get(range.clone()),
            Segment::Shared(bytes, range) => bytes.get(range.clone()),
            Segment::Text(_) | Segment::File(_) | Segment::Stream { .. } | Segment::End { .. } => None,
        }
    }

    /// Returns the number of unsent bytes; 0 for a [`Segment::End`], and for a stream, whose length is unknown.
    pub(super) fn remaining(&self) -> u64 {
        match self {
            Segment::Text(range) | Segment::Owned(_, range) | Segment::Shared(_, range) => range.len() as u64,
            Segment::Static(bytes) => bytes.len() as u64,
            Segment::File(slice) => slice.len,
            Segment::Stream { .. } | Segment::End { .. } => 0,
        }
    }

    /// Removes the first `count` unsent bytes, which the engine has sent. `count` must be less than
    /// [`remaining`](Segment::remaining): the queue removes a completely sent segment as a whole. Does nothing to a
    /// stream or a [`Segment::End`], which hold no bytes.
    pub(super) fn advance(&mut self, count: u64) {
        match self {
            Segment::Text(range) | Segment::Owned(_, range) | Segment::Shared(_, range) => {
                range.start += count as usize;
            }
            Segment::Static(bytes) => *bytes = &bytes[count as usize..],
            Segment::File(slice) => {
                slice.offset += count;
                slice.len -= count;
            }
            Segment::Stream { .. } | Segment::End { .. } => {}
        }
    }
}
