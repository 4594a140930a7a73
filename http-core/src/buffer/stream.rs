//! A body that is produced while it is sent: the source of an application, and its entry in a send queue.
//!
//! It never sends more bytes than the head has announced, and no trailers that could change the meaning of the message.

use super::segment::FileSlice;
use crate::{
    codec::{chunked, framing::BodyLength},
    types::{
        headers::Headers,
        panic::{CatchDrop, catch_panic},
    },
};
use std::{io, task::Waker, time::Instant};

/// Headers that no trailer may contain, besides those that [`Headers`] never contains: they frame or route the message,
/// authenticate it, control how it is processed, or describe its content (RFC 9110 §6.5.1).
const NOT_IN_TRAILERS: [&str; 25] = [
    "Age",
    "Authorization",
    "Cache-Control",
    "Content-Encoding",
    "Content-Range",
    "Content-Type",
    "Expect",
    "Expires",
    "Host",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Location",
    "Max-Forwards",
    "Pragma",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Range",
    "Retry-After",
    "Set-Cookie",
    "TE",
    "Vary",
    "WWW-Authenticate",
];

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

/// The rest of a stream in a send queue.
pub(crate) struct Stream {
    source: CatchDrop<Box<dyn ChunkSource>>,
    /// How the body is delimited. [`BodyLength::Exact`] is the number of bytes that the source has not produced yet.
    length: BodyLength,
    /// The last chunk, before it is coded. Kept so that its memory is used again.
    chunk: Vec<u8>,
    /// What the first call of the source has produced; `None` if it was pending, or after [`pull`](Stream::pull) has
    /// returned it.
    first: Option<io::Result<Pulled>>,
    /// The rest of a part of a file that the source produced, and the bytes after it.
    interrupted: Option<(FileSlice, &'static [u8])>,
}

/// What [`Stream::pull`] has taken from a source.
pub(super) enum Pulled {
    /// The next bytes to send.
    Bytes(Vec<u8>),
    /// The next bytes to send, perhaps none, then part of a file, then more bytes, perhaps none.
    File(Vec<u8>, FileSlice, &'static [u8]),
    /// Nothing: the next bytes do not exist yet.
    Pending,
    /// The last bytes to send, perhaps none.
    Last(Vec<u8>),
}

impl Stream {
    /// Begins a stream whose head has announced `length`, and takes the first bytes from the source.
    pub(super) fn new(source: Box<dyn ChunkSource>, length: BodyLength) -> Stream {
        let source = CatchDrop::new(source);
        let mut stream = Stream { source, length, chunk: Vec::new(), first: None, interrupted: None };
        stream.first = Some(stream.pull()).filter(|first| !matches!(first, Ok(Pulled::Pending)));
        stream
    }

    /// Returns whether the next [`pull`](Stream::pull) will not be pending.
    pub(super) fn is_ready(&self) -> bool {
        self.first.is_some()
    }

    /// Takes back the rest of a part of a file, and the bytes after it.
    pub(super) fn interrupt(&mut self, rest: FileSlice, after: &'static [u8]) {
        self.interrupted = Some((rest, after));
    }

    /// Takes the next bytes from the source, and codes them. Catches its panics.
    ///
    /// # Errors
    ///
    /// The source fails or panics, or produces what cannot be sent. It is not called any more.
    pub(super) fn pull(&mut self) -> io::Result<Pulled> {
        if let Some(first) = self.first.take() {
            return first;
        }
        let pulled = catch_panic(|| self.next()).unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
        if let (Err(error), Some(source)) = (&pulled, self.source.get_mut()) {
            let _ = catch_panic(|| source.failed(error));
        }
        pulled
    }

    /// Returns when the source asks to be called again. Catches its panic.
    pub(super) fn resume_at(&mut self) -> Option<Instant> {
        let source = self.source.get_mut()?;
        catch_panic(|| source.resume_at()).ok().flatten()
    }

    fn next(&mut self) -> io::Result<Pulled> {
        let Some(source) = self.source.get_mut() else { return Ok(Pulled::Last(Vec::new())) };
        if let Some((rest, after)) = self.interrupted.take() {
            if source.can_resume(&rest)? {
                return Ok(Pulled::File(Vec::new(), rest, after));
            }
            self.interrupted = Some((rest, after));
            return Ok(Pulled::Pending);
        }
        self.chunk.clear();
        let next = source.next_chunk(&mut self.chunk)?;
        let in_file = match &next {
            // Asking again at once could go on for ever.
            Chunk::Data if self.chunk.is_empty() => return Err(io::Error::other("Chunk::Data without data")),
            Chunk::File(FileSlice { len: 0, .. }) => {
                return Err(io::Error::other("Chunk::File without data"));
            }
            Chunk::File(slice) => slice.len,
            _ => 0,
        };
        if let BodyLength::Exact(left) = &mut self.length {
            let rest = left.checked_sub(self.chunk.len() as u64).and_then(|rest| rest.checked_sub(in_file));
            *left = rest.ok_or_else(|| io::Error::other("the body is longer than its stated length"))?;
            if next == Chunk::End && *left > 0 {
                let error = format!("the body ends {left} bytes before its stated length");
                return Err(io::Error::other(error));
            }
        }
        let mut bytes = Vec::new();
        if self.length != BodyLength::Chunked {
            bytes = std::mem::take(&mut self.chunk);
        } else if !self.chunk.is_empty() {
            bytes.reserve_exact(self.chunk.len() + 16);
            chunked::encode_chunk(&self.chunk, &mut bytes);
        }
        match next {
            Chunk::End => {
                if self.length == BodyLength::Chunked {
                    let trailers = source.trailers();
                    check_trailers(&trailers)?;
                    chunked::encode_end(trailers.as_bytes(), &mut bytes);
                }
                Ok(Pulled::Last(bytes))
            }
            Chunk::File(slice) if self.length == BodyLength::Chunked => {
                chunked::encode_size(slice.len, &mut bytes);
                Ok(Pulled::File(bytes, slice, chunked::CHUNK_END))
            }
            Chunk::File(slice) => Ok(Pulled::File(bytes, slice, &[])),
            _ if bytes.is_empty() => {
                // The wait may be long, and many streams may wait.
                self.chunk = Vec::new();
                Ok(Pulled::Pending)
            }
            _ => Ok(Pulled::Bytes(bytes)),
        }
    }
}

/// Checks that all of `trailers` may follow a body.
fn check_trailers(trailers: &Headers) -> io::Result<()> {
    match NOT_IN_TRAILERS.iter().find(|name| trailers.get(name).is_some()) {
        Some(name) => Err(io::Error::other(format!("the header {name} is not allowed in trailers"))),
        None => Ok(()),
    }
}
