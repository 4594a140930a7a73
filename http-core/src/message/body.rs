//! The body of a response, in memory, in a file or produced chunk by chunk.
//!
//! It is an enum and not a trait, because an engine must recognise a file to call `sendfile`.

use crate::{
    buffer::{
        chunk_source::{Chunk, ChunkSource},
        segment::{FileSlice, Segment},
        send_queue::SendQueue,
    },
    codec::framing::BodyLength,
    message::channel::{BodySender, channel},
    types::{
        error::Misuse,
        panic::{catch_panic, drop_caught},
    },
};
use std::{
    borrow::Cow,
    io::{self, Read},
    ops::Range,
    sync::Arc,
};

/// The number of bytes that [`Body::Reader`] reads at once, if no engine has given it a thread.
const READ_BYTES: usize = 16 * 1024;

/// The body of a response.
///
/// Text and bytes become a body by `into`, which the methods of [`Response`](crate::Response) call:
///
/// ```
/// use http_core::{Body, Response};
///
/// let page = Response::html("<!doctype html><title>Hello</title>");
/// assert_eq!(page.body().len(), Some(35));
/// let image = Response::of_type("image/gif", vec![0x47, 0x49, 0x46]);
/// // Several parts, which are sent without being copied into one.
/// let list = Body::Parts(vec!["[".into(), "1, 2".to_owned().into(), "]".into()]);
/// assert_eq!(Response::json(list).body().len(), Some(6));
/// ```
#[derive(Default)]
#[non_exhaustive]
pub enum Body {
    /// No body; its length is 0.
    #[default]
    Empty,
    /// Bytes that are part of the program.
    Static(&'static [u8]),
    /// Bytes that belong to this response alone.
    Bytes(Vec<u8>),
    /// A range of bytes that other responses, or a cache, may share. The range must lie within the bytes. Otherwise the
    /// engine sends a 500 in place of the response ([`Misuse::RangeOutOfBounds`]).
    Shared(Arc<[u8]>, Range<usize>),
    /// Part of a file. An engine can send it without copying the bytes to user space.
    File(FileSlice),
    /// Several bodies, one after the other. None of them may be a stream or a reader. Otherwise the engine sends a 500
    /// in place of the response ([`Misuse::StreamInParts`]).
    Parts(Vec<Body>),
    /// A source that produces the body while it is sent. If its length is unknown, the body is sent in the chunked
    /// coding in HTTP/1.1; in HTTP/1.0 the server closes the connection after it.
    Stream(Box<dyn ChunkSource>),
    /// What this reader reads until its end, and the number of bytes, if it is known. It is sent like a
    /// [`Body::Stream`]. See [`Body::reader`].
    Reader(Box<dyn Read + Send>, Option<u64>),
}

impl Body {
    /// Creates a body that is sent while other threads produce it, and the sender for it. Use it for events, and for
    /// content that takes long to compute.
    ///
    /// The channel holds at most `capacity` bytes that the client has not received, or one message that is larger. It
    /// takes no memory for them before the first is sent. What is sent is passed to the client without delay.
    ///
    /// ```
    /// use http_core::{Body, BodySender, Request, Response};
    /// use std::sync::{Arc, Mutex};
    ///
    /// /// The clients that wait for events.
    /// type Listeners = Arc<Mutex<Vec<BodySender>>>;
    ///
    /// fn listen(listeners: &Listeners, _: &Request<'_>) -> Response {
    ///     let (sender, body) = Body::channel(16 * 1024);
    ///     listeners.lock().unwrap().push(sender);
    ///     Response::of_type("text/event-stream", body)
    /// }
    ///
    /// /// Sends an event to all clients. Disconnects those that have left, and those that are too slow.
    /// fn publish(listeners: &Listeners, event: &str) {
    ///     let event = format!("data: {event}\n\n");
    ///     listeners.lock().unwrap().retain(|listener| listener.try_send(event.as_str()).is_ok());
    /// }
    /// ```
    pub fn channel(capacity: usize) -> (BodySender, Body) {
        let (sender, source) = channel(capacity);
        (sender, Body::Stream(source))
    }

    /// Creates a body from what `reader` reads until its end, for sources that block: a pipe, a decompressor, a remote
    /// file. (For a local file, [`Body::File`] is faster.)
    ///
    /// The engine reads on a thread of its own, a few chunks ahead of the client. The number of these threads is
    /// limited: beyond it, the client gets 503 in place of the response. If the client leaves, the engine drops the
    /// reader when the current read returns. If a read fails or panics, the engine logs that and closes the connection,
    /// which tells the client that the body is incomplete.
    ///
    /// `length` is the number of bytes, if it is known. If the reader then produces more bytes or fewer, the engine
    /// logs that and closes the connection.
    ///
    /// ```
    /// use http_core::{Body, IntoResponse, Reply, Response, Status};
    /// use std::process::{Command, Stdio};
    ///
    /// let reply = Reply::offload(|| {
    ///     let tar = Command::new("tar").args(["-cz", "documents"]).stdout(Stdio::piped()).spawn();
    ///     match tar.map(|tar| tar.stdout) {
    ///         Ok(Some(output)) => Response::of_type("application/gzip", Body::reader(output, None)),
    ///         _ => Response::error(Status::INTERNAL_SERVER_ERROR),
    ///     }
    /// });
    /// ```
    pub fn reader(reader: impl Read + Send + 'static, length: Option<u64>) -> Body {
        Body::Reader(Box::new(reader), length)
    }

    /// Returns the length in bytes, without chunk framing; `None` for a stream or a reader of unknown length. A sum of
    /// [`Body::Parts`] beyond 64 bits becomes `u64::MAX`.
    #[inline]
    pub fn len(&self) -> Option<u64> {
        match self {
            Body::Empty => Some(0),
            Body::Static(bytes) => Some(bytes.len() as u64),
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Shared(_, range) => Some(range.len() as u64),
            Body::File(slice) => Some(slice.len),
            Body::Parts(_) | Body::Stream(_) | Body::Reader(..) => self.composed_len(),
        }
    }

    /// As [`len`](Body::len), for the bodies whose length is not a field.
    #[cold]
    fn composed_len(&self) -> Option<u64> {
        match self {
            Body::Parts(parts) => {
                parts.iter().try_fold(0u64, |sum, part| Some(sum.saturating_add(part.len()?)))
            }
            Body::Stream(source) => source_length(&**source),
            Body::Reader(_, length) => *length,
            body => body.len(),
        }
    }

    /// Returns whether the length is 0. A body of unknown length is not empty.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Checks whether the body can be sent.
    ///
    /// # Errors
    ///
    /// If the range of a [`Body::Shared`] lies outside its bytes, or a stream or a reader is among [`Body::Parts`].
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Misuse> {
        match self {
            Body::Shared(bytes, range) if bytes.get(range.clone()).is_none() => Err(Misuse::RangeOutOfBounds),
            Body::Parts(parts) => Body::check_parts(parts),
            _ => Ok(()),
        }
    }

    /// Checks the bodies in a [`Body::Parts`]. Fails if one is a stream or a reader, or the range of a [`Body::Shared`]
    /// lies outside its bytes, also in nested parts.
    fn check_parts(parts: &[Body]) -> Result<(), Misuse> {
        // Apart from `check`: the compiler does not inline a function that calls itself.
        parts.iter().try_for_each(|part| match part {
            Body::Stream(_) | Body::Reader(..) => Err(Misuse::StreamInParts),
            part => part.check(),
        })
    }

    /// Drops a valid body, and catches a panic of the destructor of a source or a reader.
    #[inline]
    pub(crate) fn discard(self) {
        if let Body::Stream(_) | Body::Reader(..) = self {
            discard_source(self);
        }
    }

    /// Drops a body, valid or not, and catches a panic of the destructor of each source and reader.
    #[cold]
    pub(crate) fn discard_any(self) {
        match self {
            Body::Parts(parts) => parts.into_iter().for_each(Body::discard_any),
            body => body.discard(),
        }
    }

    /// Appends the body to the send queue. Call this only if [`check`](Body::check) has returned `Ok`. `length` is
    /// how the head delimits the body.
    #[inline]
    pub(crate) fn queue(self, out: &mut SendQueue, length: BodyLength) {
        match self {
            Body::Empty => {}
            Body::Static(bytes) => out.push(Segment::Static(bytes)),
            Body::Bytes(bytes) => out.push(Segment::owned(bytes)),
            Body::Shared(bytes, range) => out.push(Segment::Shared(bytes, range)),
            Body::File(slice) => out.push(Segment::File(slice)),
            Body::Parts(parts) => parts.into_iter().for_each(|part| part.queue(out, length)),
            Body::Stream(source) => out.push_stream(source, length),
            Body::Reader(reader, _) => out.push_stream(Box::new(ReadSource(reader)), length),
        }
    }
}

#[cold]
fn discard_source(body: Body) {
    drop_caught(body);
}

/// Returns what `source` says of its length. If it panics, the length is unknown.
#[cold]
fn source_length(source: &dyn ChunkSource) -> Option<u64> {
    catch_panic(|| source.length()).ok().flatten()
}

/// Reads in place, which may block. An engine that must not block gives the reader of a [`Body::Reader`] a thread
/// instead.
struct ReadSource(Box<dyn Read + Send>);

impl ChunkSource for ReadSource {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        chunk.resize(READ_BYTES, 0);
        loop {
            match self.0.read(chunk) {
                Ok(count) => {
                    chunk.truncate(count);
                    return Ok(if count > 0 { Chunk::Data } else { Chunk::End });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.len() {
            Some(len) => write!(f, "Body({len} bytes)"),
            None => f.write_str("Body(stream)"),
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body::Bytes(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body::Bytes(text.into_bytes())
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Body {
        Body::Static(text.as_bytes())
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Body {
        Body::Static(bytes)
    }
}

/// For the constant that `include_bytes!` returns.
impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(bytes: &'static [u8; N]) -> Body {
        Body::Static(bytes)
    }
}

impl From<Box<[u8]>> for Body {
    fn from(bytes: Box<[u8]>) -> Body {
        Body::Bytes(bytes.into())
    }
}

impl From<Box<str>> for Body {
    fn from(text: Box<str>) -> Body {
        Body::from(String::from(text))
    }
}

impl From<Arc<[u8]>> for Body {
    fn from(bytes: Arc<[u8]>) -> Body {
        let all = 0..bytes.len();
        Body::Shared(bytes, all)
    }
}

impl From<Arc<str>> for Body {
    fn from(text: Arc<str>) -> Body {
        Body::from(Arc::<[u8]>::from(text))
    }
}

impl From<Cow<'static, [u8]>> for Body {
    fn from(bytes: Cow<'static, [u8]>) -> Body {
        match bytes {
            Cow::Borrowed(bytes) => Body::from(bytes),
            Cow::Owned(bytes) => Body::from(bytes),
        }
    }
}

impl From<Cow<'static, str>> for Body {
    fn from(text: Cow<'static, str>) -> Body {
        match text {
            Cow::Borrowed(text) => Body::from(text),
            Cow::Owned(text) => Body::from(text),
        }
    }
}

impl From<FileSlice> for Body {
    fn from(slice: FileSlice) -> Body {
        Body::File(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{buffer::send_queue::Transmit, types::panic::PanicOnDrop};

    /// Returns a body with this range of ten shared bytes.
    fn shared(range: Range<usize>) -> Body {
        Body::Shared(b"0123456789".as_slice().into(), range)
    }

    /// A source and a reader of this length. Dropping it panics.
    struct Panics {
        length: Option<u64>,
        _panics: PanicOnDrop,
    }

    impl ChunkSource for Panics {
        fn next_chunk(&mut self, _: &mut Vec<u8>) -> io::Result<Chunk> {
            Ok(Chunk::End)
        }

        fn length(&self) -> Option<u64> {
            self.length
        }
    }

    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
    }

    #[test]
    fn discarding_a_body_catches_a_panic() {
        let panics = || Box::new(Panics { length: None, _panics: PanicOnDrop(2) });
        Body::Stream(panics()).discard();
        Body::Reader(panics(), None).discard();
        Body::Parts(vec![Body::Stream(panics()), Body::Parts(vec![Body::Stream(panics())])]).discard_any();
    }

    #[test]
    fn a_body_knows_its_length() {
        let stream = |length| Body::Stream(Box::new(Panics { length, _panics: PanicOnDrop(0) }));
        for (body, len, shown) in [
            (Body::Empty, Some(0), "Body(0 bytes)"),
            (Body::Static(b"abc"), Some(3), "Body(3 bytes)"),
            (stream(Some(3)), Some(3), "Body(3 bytes)"),
            (stream(None), None, "Body(stream)"),
        ] {
            assert_eq!(
                (body.len(), body.is_empty(), format!("{body:?}")),
                (len, len == Some(0), shown.to_owned())
            );
        }
    }

    #[test]
    fn an_interrupted_read_is_repeated() {
        struct Reads(Vec<io::Result<&'static [u8]>>);
        impl Read for Reads {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let data = self.0.pop().unwrap_or(Ok(b""))?;
                buffer[..data.len()].copy_from_slice(data);
                Ok(data.len())
            }
        }
        let error = |kind: io::ErrorKind| Err(kind.into());
        let script = vec![error(io::ErrorKind::TimedOut), Ok(&b"abc"[..]), error(io::ErrorKind::Interrupted)];
        let mut source = ReadSource(Box::new(Reads(script)));
        let mut chunk = Vec::new();
        assert_eq!((source.next_chunk(&mut chunk).ok(), &chunk[..]), (Some(Chunk::Data), &b"abc"[..]));
        let result = source.next_chunk(&mut chunk).map_err(|error| error.kind());
        assert_eq!(result, Err(io::ErrorKind::TimedOut));
    }

    #[test]
    fn a_shared_body_is_the_bytes_in_its_range() {
        for (range, expected) in [(2..5, "234"), (0..10, "0123456789"), (3..3, ""), (10..10, "")] {
            let body = shared(range);
            assert_eq!((body.check(), body.len()), (Ok(()), Some(expected.len() as u64)));
            let mut out = SendQueue::default();
            body.queue(&mut out, BodyLength::Exact(expected.len() as u64));
            let sent = match out.transmit() {
                Transmit::Bytes { slices, .. } => slices.concat(),
                _ => Vec::new(),
            };
            assert_eq!((sent.as_slice(), out.is_empty()), (expected.as_bytes(), expected.is_empty()));
        }
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "what a handler may get wrong")]
    fn the_range_of_a_shared_body_lies_within_its_bytes() {
        for range in [5..3, 9..11, 11..12, usize::MAX..0] {
            assert_eq!(shared(range.clone()).check(), Err(Misuse::RangeOutOfBounds));
            let nested = Body::Parts(vec![Body::Parts(vec![Body::Empty, shared(range)])]);
            assert_eq!(nested.check(), Err(Misuse::RangeOutOfBounds));
        }
    }
}
