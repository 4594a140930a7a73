//! A stream in a send queue: takes the chunks that the source of an application produces, and codes them.
//!
//! It never sends more bytes than the head has announced, and no trailers that could change the meaning of the message.

use super::{
    chunk_source::{Chunk, ChunkSource},
    segment::FileSlice,
};
use crate::{
    codec::{chunked, framing::BodyLength},
    types::{
        headers::Headers,
        panic::{CatchDrop, catch_panic},
    },
};
use std::{io, time::Instant};

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
