//! The content of an answer. An enum, not a trait: an engine must recognise a file to call `sendfile`.

use crate::buffer::{
    segment::{ChunkSource, FileSlice, Piece},
    send_queue::SendQueue,
};
use std::{ops::Range, sync::Arc};

/// The content of an answer.
#[derive(Default)]
pub enum Body {
    /// None; its length is 0.
    #[default]
    Empty,
    /// Bytes that live as long as the program.
    Static(&'static [u8]),
    /// Bytes of this answer's own.
    Bytes(Vec<u8>),
    /// A stretch of bytes shared with a cache. A range beyond the bytes counts as empty.
    Shared(Arc<[u8]>, Range<usize>),
    /// Part of a file, sent without passing through memory.
    File(FileSlice),
    /// Several bodies of known length, one behind the other; a stream among them is left out.
    Parts(Vec<Body>),
    /// Content whose length nobody knows yet: chunked in HTTP/1.1, until close in HTTP/1.0.
    Stream(Box<dyn ChunkSource>),
}

impl Body {
    /// Bytes of content, if that is known.
    #[inline]
    pub fn len(&self) -> Option<u64> {
        match self {
            Body::Empty => Some(0),
            Body::Static(bytes) => Some(bytes.len() as u64),
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Shared(bytes, range) => Some(bytes.get(range.clone()).unwrap_or_default().len() as u64),
            Body::File(slice) => Some(slice.len),
            Body::Parts(parts) => Some(parts.iter().filter_map(Body::len).sum()),
            Body::Stream(_) => None,
        }
    }

    /// Whether it is known to be empty.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Queues the content. Only a body whose length is unknown looks at `chunked`.
    #[inline]
    pub(crate) fn queue(self, out: &mut SendQueue, chunked: bool) {
        match self {
            Body::Empty => {}
            Body::Static(bytes) => out.push(Piece::Static(bytes)),
            Body::Bytes(bytes) => {
                let all = 0..bytes.len();
                out.push(Piece::Owned(bytes, all));
            }
            // A range that is no part of the bytes would be a piece that never gets sent.
            Body::Shared(bytes, range) if bytes.get(range.clone()).is_some() => {
                out.push(Piece::Shared(bytes, range));
            }
            Body::Shared(..) => {}
            Body::File(slice) => out.push(Piece::File(slice)),
            Body::Parts(parts) => {
                parts
                    .into_iter()
                    .filter(|part| part.len().is_some())
                    .for_each(|part| part.queue(out, chunked));
            }
            Body::Stream(source) => out.push(Piece::Stream { source, chunked }),
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

impl From<FileSlice> for Body {
    fn from(slice: FileSlice) -> Body {
        Body::File(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::send_queue::Transmit;

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "what an application may get wrong")]
    fn a_shared_range_that_is_no_part_of_the_bytes_is_empty() {
        let bytes: Arc<[u8]> = b"0123456789".as_slice().into();
        let check = |range: Range<usize>, expected: &[u8]| {
            let body = Body::Shared(bytes.clone(), range);
            assert_eq!(body.len(), Some(expected.len() as u64));
            let mut out = SendQueue::default();
            body.queue(&mut out, false);
            let sent = match out.transmit() {
                Transmit::Bytes { slices, .. } => slices.concat(),
                _ => Vec::new(),
            };
            assert_eq!((sent.as_slice(), out.is_empty()), (expected, expected.is_empty()));
        };
        check(2..5, b"234");
        check(0..10, b"0123456789");
        for empty in [3..3, 10..10, 5..3, 9..11, 11..12, usize::MAX..0] {
            check(empty, b"");
        }
    }
}
