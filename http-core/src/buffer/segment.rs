//! What a send queue holds, piece by piece.

use std::{fs::File, io, ops::Range, sync::Arc};

/// Part of an open file.
#[derive(Clone, Debug)]
pub struct FileSlice {
    /// The file, shared with whoever keeps it open.
    pub file: Arc<File>,
    /// First byte to send.
    pub offset: u64,
    /// Number of bytes to send.
    pub len: u64,
}

/// Yields content of unknown length, piece by piece, as fast as the peer takes it.
pub trait ChunkSource: Send {
    /// Appends the next piece to `chunk`; leaving it empty ends the content. It must not block: an event loop
    /// waits for it.
    ///
    /// # Errors
    ///
    /// An error ends the connection without the mark of completeness, so that the peer sees the content is cut.
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()>;
}

/// How much of an answer's content has been sent when nothing more of it will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of content, coding included, that the transport has taken.
    pub bytes: u64,
    /// Whether that was all of it.
    pub complete: bool,
}

/// Hears how an answer ended.
pub(crate) type WhenSent = Box<dyn FnOnce(Sent) + Send>;

/// One thing to send.
pub(crate) enum Piece {
    /// A stretch of the queue's own text.
    Text(Range<usize>),
    Static(&'static [u8]),
    Owned(Vec<u8>, Range<usize>),
    Shared(Arc<[u8]>, Range<usize>),
    File(FileSlice),
    Stream {
        source: Box<dyn ChunkSource>,
        /// Whether each piece is coded as a chunk; else the end of the connection ends the content.
        chunked: bool,
    },
    /// Nothing: the end of content that began `from` bytes into all that the queue ever sends.
    End {
        from: u64,
        then: WhenSent,
    },
}

impl Piece {
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Piece::End { .. })
    }

    /// The bytes that it brings with it.
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Piece::Static(bytes) => Some(bytes),
            Piece::Owned(bytes, range) => bytes.get(range.clone()),
            Piece::Shared(bytes, range) => bytes.get(range.clone()),
            Piece::Text(_) | Piece::File(_) | Piece::Stream { .. } | Piece::End { .. } => None,
        }
    }

    pub(super) fn remaining(&self) -> u64 {
        match self {
            Piece::Text(range) | Piece::Owned(_, range) | Piece::Shared(_, range) => range.len() as u64,
            Piece::Static(bytes) => bytes.len() as u64,
            Piece::File(slice) => slice.len,
            Piece::Stream { .. } | Piece::End { .. } => 0,
        }
    }

    /// Skips `count` bytes, fewer than remain.
    pub(super) fn advance(&mut self, count: u64) {
        match self {
            Piece::Text(range) | Piece::Owned(_, range) | Piece::Shared(_, range) => {
                range.start += count as usize;
            }
            Piece::Static(bytes) => *bytes = &bytes[count as usize..],
            Piece::File(slice) => {
                slice.offset += count;
                slice.len -= count;
            }
            Piece::Stream { .. } | Piece::End { .. } => {}
        }
    }
}
