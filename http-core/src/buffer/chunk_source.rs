//! What an application implements to produce a body while it is sent.

use super::segment::FileSlice;
use crate::types::headers::Headers;
use std::{io, task::Waker, time::Instant};

/// What follows the bytes that a call of [`ChunkSource::next_chunk`] has appended.
///
/// ```
/// use http_core::{Chunk, ChunkSource};
/// use std::io;
///
/// /// A body of the numbers down to 1.
/// struct Countdown(u8);
///
/// impl ChunkSource for Countdown {
///     fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
///         if self.0 == 0 {
///             return Ok(Chunk::End);
///         }
///         chunk.extend_from_slice(format!("{}\n", self.0).as_bytes());
///         self.0 -= 1;
///         Ok(Chunk::Data)
///     }
/// }
///
/// let mut chunk = Vec::new();
/// assert_eq!(Countdown(3).next_chunk(&mut chunk)?, Chunk::Data);
/// assert_eq!(chunk, b"3\n");
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chunk {
    /// More bytes may follow at once. The call must have appended at least one byte.
    Data,
    /// This part of a file, at least one byte, and then more bytes may follow at once. The engine sends the part as it
    /// sends a [`Body::File`](crate::Body::File), without copying it to user space, and asks for the next chunk when
    /// the part is sent. If the file has become shorter or cannot be read, the engine logs that, closes the connection
    /// and drops the source, without a call of [`failed`](ChunkSource::failed).
    ///
    /// ```
    /// use http_core::{Chunk, ChunkSource, FileSlice};
    /// use std::{
    ///     io,
    ///     sync::mpsc::{Receiver, Sender, TryRecvError},
    ///     task::Waker,
    /// };
    ///
    /// /// Sends the parts of a file that another thread has read ahead, so that the event loop does not wait for the
    /// /// disk.
    /// struct ReadAhead {
    ///     length: u64,
    ///     /// The thread calls the waker after each part, and at the end.
    ///     waker: Sender<Waker>,
    ///     parts: Receiver<FileSlice>,
    /// }
    ///
    /// impl ChunkSource for ReadAhead {
    ///     fn length(&self) -> Option<u64> {
    ///         Some(self.length)
    ///     }
    ///
    ///     fn start(&mut self, waker: Waker) {
    ///         // If the thread has failed, the body ends before its length, and the connection closes.
    ///         let _ = self.waker.send(waker);
    ///     }
    ///
    ///     fn next_chunk(&mut self, _: &mut Vec<u8>) -> io::Result<Chunk> {
    ///         Ok(match self.parts.try_recv() {
    ///             Ok(part) => Chunk::File(part),
    ///             Err(TryRecvError::Empty) => Chunk::Pending,
    ///             Err(TryRecvError::Disconnected) => Chunk::End,
    ///         })
    ///     }
    /// }
    /// ```
    File(FileSlice),
    /// The next bytes do not exist yet, or must not be sent yet. The source calls its [`Waker`] when they may, or says
    /// when that is ([`resume_at`](ChunkSource::resume_at)).
    Pending,
    /// Nothing: the body ends here.
    End,
}

/// Produces a body chunk by chunk, not faster than the client reads it. See [`Body::Stream`](crate::Body::Stream).
///
/// A source may wait for as long as it likes: no timeout applies while the client has taken everything. The engine
/// drops the source when the body ends, when the client has left (after a reset, a hang-up or a failed write), and when
/// the grace period of a shutdown is over.
///
/// [`Body::channel`](crate::Body::channel) makes a source for bytes that other threads send.
///
/// ```
/// use http_core::{Body, Chunk, ChunkSource, Headers, Response};
/// use std::io;
///
/// /// Sends the numbers from 1 to `last`, one in each line, and then their sum in a trailer.
/// struct Numbers {
///     next: u64,
///     last: u64,
/// }
///
/// impl ChunkSource for Numbers {
///     fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
///         chunk.extend_from_slice(format!("{}\n", self.next).as_bytes());
///         self.next += 1;
///         Ok(if self.next > self.last { Chunk::End } else { Chunk::Data })
///     }
///
///     fn trailers(&mut self) -> Headers {
///         let mut trailers = Headers::default();
///         // This fails only for an illegal name or value.
///         let _ = trailers.append("Sum", (self.last * (self.last + 1) / 2).to_string());
///         trailers
///     }
/// }
///
/// let response = Response::text(Body::Stream(Box::new(Numbers { next: 1, last: 100 }))).with_header("Trailer", "Sum");
/// ```
pub trait ChunkSource: Send {
    /// Returns the number of bytes of the whole body, if it is known. It is then sent as Content-Length, and the body
    /// without the chunked coding. The engine calls this before [`start`](ChunkSource::start). The default
    /// implementation returns `None`.
    ///
    /// If the source then produces more bytes or fewer, the engine logs that and closes the connection. It never sends
    /// more bytes than that.
    fn length(&self) -> Option<u64> {
        None
    }

    /// Receives the waker of the connection, once, before the first call of [`next_chunk`](ChunkSource::next_chunk). A
    /// source that returns [`Chunk::Pending`] must keep the waker, and call it from any thread when the next bytes or
    /// the end of the body exist. The default implementation drops the waker, for sources that are never pending.
    ///
    /// Calling the waker more often than needed, or after the connection has ended, does no harm.
    fn start(&mut self, waker: Waker) {
        drop(waker);
    }

    /// Appends the next bytes of the body to `chunk`, which is empty, and returns what follows them. The bytes appended
    /// are sent in each case, unless their number contradicts [`length`](ChunkSource::length).
    ///
    /// The function must not block, because the event loop calls it: [`Body::reader`](crate::Body::reader) is for
    /// sources that do. It may be called although the waker was not called: then it returns [`Chunk::Pending`] again.
    ///
    /// # Errors
    ///
    /// If the body cannot be produced. The engine then closes the connection before the end of the body, which tells
    /// the client that the body is incomplete (an HTTP/1.0 client only if the length is known).
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk>;

    /// Returns whether `rest`, which is left of a part of a file ([`Chunk::File`]), can be sent without waiting for a
    /// disk. An event loop asks before it continues with a part for which the socket had no room: the kernel may have
    /// dropped the part from the page cache meanwhile. A source that returns `false` calls its [`Waker`] when it is
    /// time to ask again. The default implementation returns `true`.
    ///
    /// # Errors
    ///
    /// As of [`next_chunk`](ChunkSource::next_chunk).
    fn can_resume(&mut self, rest: &FileSlice) -> io::Result<bool> {
        let _ = rest;
        Ok(true)
    }

    /// Returns when the engine must call [`next_chunk`](ChunkSource::next_chunk) again, after [`Chunk::Pending`],
    /// although the waker was not called. The engine asks after each [`Chunk::Pending`], and may be a few milliseconds
    /// late. The default implementation returns `None`: the source calls its waker.
    ///
    /// For sources that limit how fast a body is sent. No timeout applies to the client meanwhile.
    fn resume_at(&self) -> Option<Instant> {
        None
    }

    /// Returns headers to send after the body, in a trailer section (RFC 9112 §7.1.2). Called once, after
    /// [`Chunk::End`], if the body is sent in the chunked coding: in HTTP/1.1, and without a
    /// [length](ChunkSource::length). The default implementation returns none.
    ///
    /// A client may ignore trailers. Headers that frame, route, authenticate or control the message or describe its
    /// content are not allowed in them (RFC 9110 §6.5.1): the engine logs such a header and closes the connection.
    fn trailers(&mut self) -> Headers {
        Headers::default()
    }

    /// Receives the reason why the body cannot be completed: an error or a panic of this source, a wrong number of
    /// bytes, or an illegal trailer. The source is dropped next. For sources that wrap others, and log that; the
    /// default implementation does nothing.
    fn failed(&mut self, error: &io::Error) {
        let _ = error;
    }
}
