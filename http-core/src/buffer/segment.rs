//! The entries of a send queue, and the sources from which it takes files and streams.

use std::{fs::File, io, ops::Range, sync::Arc};

/// Part of an open file.
#[derive(Clone, Debug)]
pub struct FileSlice {
    /// The file; its owner may keep it open for other responses.
    pub file: Arc<File>,
    /// Offset of the first byte to send.
    pub offset: u64,
    /// Number of bytes to send.
    pub len: u64,
}

/// Produces a body of unknown length, chunk by chunk, as fast as the client reads it.
pub trait ChunkSource: Send {
    /// Appends the next chunk to `chunk`, which is empty. Appending nothing ends the body. Must not block: the event
    /// loop waits for it.
    ///
    /// # Errors
    ///
    /// An error closes the connection without the final chunk, so that the client sees that the body is incomplete.
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()>;
}

/// How much of a response body was sent, once no more of it will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of the body, chunk framing included, that the transport has accepted.
    pub bytes: u64,
    /// Whether that was the whole body.
    pub complete: bool,
}

/// The callback for the end of a response body.
pub(crate) type OnSent = Box<dyn FnOnce(Sent) + Send>;

/// One entry of a send queue.
pub(crate) enum Segment {
    /// A range of the queue's own text buffer.
    Text(Range<usize>),
    Static(&'static [u8]),
    Owned(Vec<u8>, Range<usize>),
    Shared(Arc<[u8]>, Range<usize>),
    File(FileSlice),
    Stream {
        source: Box<dyn ChunkSource>,
        /// Whether to send each chunk in the chunked coding; else the end of the connection ends the body.
        chunked: bool,
    },
    /// The end of a body, without bytes. The body began when the queue had sent `from` bytes in total.
    End {
        from: u64,
        on_sent: OnSent,
    },
}

impl Segment {
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Segment::End { .. })
    }

    /// Returns the bytes that the segment itself holds.
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Segment::Static(bytes) => Some(bytes),
            Segment::Owned(bytes, range) => bytes.get(range.clone()),
            Segment::Shared(bytes, range) => bytes.get(range.clone()),
            Segment::Text(_) | Segment::File(_) | Segment::Stream { .. } | Segment::End { .. } => None,
        }
    }

    /// Returns the number of bytes not sent yet, as far as it is known: 0 for a stream.
    pub(super) fn remaining(&self) -> u64 {
        match self {
            Segment::Text(range) | Segment::Owned(_, range) | Segment::Shared(_, range) => range.len() as u64,
            Segment::Static(bytes) => bytes.len() as u64,
            Segment::File(slice) => slice.len,
            Segment::Stream { .. } | Segment::End { .. } => 0,
        }
    }

    /// Skips `count` sent bytes, which must be fewer than remain.
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
