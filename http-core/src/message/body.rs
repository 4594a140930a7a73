//! The body of a response, in memory, in a file or produced chunk by chunk.
//!
//! It is an enum and not a trait, because an engine must recognise a file to call `sendfile`.

use crate::{
    buffer::{
        segment::{ChunkSource, FileSlice, Segment},
        send_queue::SendQueue,
    },
    types::{error::Misuse, panic::drop_caught},
};
use std::{borrow::Cow, ops::Range, sync::Arc};

/// The body of a response.
#[derive(Default)]
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
    /// Several bodies, one after the other. None of them may be a stream. Otherwise the engine sends a 500 in place of
    /// the response ([`Misuse::StreamInParts`]).
    Parts(Vec<Body>),
    /// A source of unknown length. In HTTP/1.1 it is sent in the chunked coding; in HTTP/1.0 the server closes the
    /// connection after it.
    Stream(Box<dyn ChunkSource>),
}

impl Body {
    /// Returns the length in bytes, without chunk framing; `None` for a stream. A sum of [`Body::Parts`] beyond 64 bits
    /// becomes `u64::MAX`.
    #[inline]
    pub fn len(&self) -> Option<u64> {
        match self {
            Body::Empty => Some(0),
            Body::Static(bytes) => Some(bytes.len() as u64),
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Shared(_, range) => Some(range.len() as u64),
            Body::File(slice) => Some(slice.len),
            Body::Parts(parts) => {
                parts.iter().try_fold(0u64, |sum, part| Some(sum.saturating_add(part.len()?)))
            }
            Body::Stream(_) => None,
        }
    }

    /// Returns whether the length is 0. A stream is never empty, because its length is unknown.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Checks whether the body can be sent.
    ///
    /// # Errors
    ///
    /// If the range of a [`Body::Shared`] lies outside its bytes, or a stream is among [`Body::Parts`].
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Misuse> {
        match self {
            Body::Shared(bytes, range) if bytes.get(range.clone()).is_none() => Err(Misuse::RangeOutOfBounds),
            Body::Parts(parts) => Body::check_parts(parts),
            _ => Ok(()),
        }
    }

    /// Checks the bodies in a [`Body::Parts`]. Fails if one is a stream, or the range of a [`Body::Shared`] lies
    /// outside its bytes, also in nested parts.
    fn check_parts(parts: &[Body]) -> Result<(), Misuse> {
        // Apart from `check`: the compiler does not inline a function that calls itself.
        parts.iter().try_for_each(|part| match part {
            Body::Stream(_) => Err(Misuse::StreamInParts),
            part => part.check(),
        })
    }

    /// Drops a valid body, and catches a panic of the destructor of a stream's source.
    #[inline]
    pub(crate) fn discard(self) {
        if let Body::Stream(source) = self {
            discard_source(source);
        }
    }

    /// Drops a body, valid or not, and catches a panic of the destructor of each stream's source.
    #[cold]
    pub(crate) fn discard_any(self) {
        match self {
            Body::Parts(parts) => parts.into_iter().for_each(Body::discard_any),
            body => body.discard(),
        }
    }

    /// Appends the body to the send queue. Call this only if [`check`](Body::check) has returned `Ok`. `chunked`:
    /// whether to send a stream in the chunked coding. Other bodies ignore it.
    #[inline]
    pub(crate) fn queue(self, out: &mut SendQueue, chunked: bool) {
        match self {
            Body::Empty => {}
            Body::Static(bytes) => out.push(Segment::Static(bytes)),
            Body::Bytes(bytes) => {
                let all = 0..bytes.len();
                out.push(Segment::Owned(bytes, all));
            }
            Body::Shared(bytes, range) => out.push(Segment::Shared(bytes, range)),
            Body::File(slice) => out.push(Segment::File(slice)),
            Body::Parts(parts) => parts.into_iter().for_each(|part| part.queue(out, chunked)),
            Body::Stream(source) => out.push_stream(source, chunked),
        }
    }
}

#[cold]
fn discard_source(source: Box<dyn ChunkSource>) {
    drop_caught(source);
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
    use crate::buffer::send_queue::Transmit;

    /// Returns a body with this range of ten shared bytes.
    fn shared(range: Range<usize>) -> Body {
        Body::Shared(b"0123456789".as_slice().into(), range)
    }

    #[test]
    fn a_shared_body_is_the_bytes_in_its_range() {
        for (range, expected) in [(2..5, "234"), (0..10, "0123456789"), (3..3, ""), (10..10, "")] {
            let body = shared(range);
            assert_eq!((body.check(), body.len()), (Ok(()), Some(expected.len() as u64)));
            let mut out = SendQueue::default();
            body.queue(&mut out, false);
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
