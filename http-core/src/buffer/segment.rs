//! The entries of a send queue, and the parts of files that an engine sends without copying them.

use super::stream::Stream;
use crate::types::panic::CatchDrop;
use std::{fs::File, ops::Range, sync::Arc};

/// Part of an open file.
///
/// ```
/// use http_core::{Body, FileSlice, Response};
/// use std::{fs::File, sync::Arc};
///
/// fn first_kilobyte() -> std::io::Result<Response> {
///     let file = Arc::new(File::open("large.iso")?);
///     let len = file.metadata()?.len().min(1024);
///     Ok(Response::bytes(Body::File(FileSlice { file, offset: 0, len })))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct FileSlice {
    /// The open file, which other responses may use at the same time.
    pub file: Arc<File>,
    /// The offset in the file of the first byte to send.
    pub offset: u64,
    /// The number of bytes to send.
    pub len: u64,
}

/// Parts are equal if they share the open file and are the same range of it.
impl PartialEq for FileSlice {
    fn eq(&self, other: &FileSlice) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && (self.offset, self.len) == (other.offset, other.len)
    }
}

impl Eq for FileSlice {}

/// How much of a response body was sent. [`Response::on_sent`](crate::Response::on_sent) reports it when the body is
/// sent, or when the connection closes before.
///
/// ```
/// use http_core::{Request, Response, Sent, testing::TestRequest};
/// use std::sync::mpsc;
///
/// let (sender, receiver) = mpsc::channel();
/// let handler = move |_: &Request<'_>| {
///     let sender = sender.clone();
///     Response::text("Hello").on_sent(move |sent| _ = sender.send(sent))
/// };
/// TestRequest::get("/").run(&handler);
/// assert_eq!(receiver.try_recv(), Ok(Sent { bytes: 5, complete: true }));
/// ```
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
    /// The rest of a stream. While this segment is at the front of the queue, the queue takes one chunk after another
    /// from it.
    Stream(Box<Stream>),
    /// A marker without bytes after the last segment of a body. When the marker reaches the front, or the queue is
    /// cleared, the queue calls `on_sent` with the number of body bytes sent. `from` is the value of
    /// [`SendQueue::total_queued`] before the body was queued. All bytes sent after the first `from` count as body
    /// bytes.
    ///
    /// [`SendQueue::total_queued`]: super::send_queue::SendQueue::total_queued
    End { from: u64, on_sent: OnSent },
}

impl Segment {
    /// Returns a segment of all these bytes.
    #[inline]
    pub(crate) fn owned(bytes: Vec<u8>) -> Segment {
        let all = 0..bytes.len();
        Segment::Owned(bytes, all)
    }

    /// Returns whether this is a [`Segment::End`].
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Segment::End { .. })
    }

    /// Returns whether this is a [`Segment::Stream`].
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Segment::Stream(_))
    }

    /// Returns whether the segment has bytes to send, or an error to report. A stream may have neither for a long time.
    pub(super) fn is_ready(&self) -> bool {
        if let Segment::Stream(stream) = self { stream.is_ready() } else { true }
    }

    /// Returns the unsent bytes of a static, owned or shared segment. Returns `None` for every other segment: its bytes
    /// are in the text buffer, in a file or not produced yet.
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Segment::Static(bytes) => Some(bytes),
            Segment::Owned(bytes, range) => bytes.get(range.clone()),
            Segment::Shared(bytes, range) => bytes.get(range.clone()),
            Segment::Text(_) | Segment::File(_) | Segment::Stream(_) | Segment::End { .. } => None,
        }
    }

    /// Returns the number of unsent bytes; 0 for a [`Segment::End`], and for a stream, whose length is unknown.
    pub(super) fn remaining(&self) -> u64 {
        match self {
            Segment::Text(range) | Segment::Owned(_, range) | Segment::Shared(_, range) => range.len() as u64,
            Segment::Static(bytes) => bytes.len() as u64,
            Segment::File(slice) => slice.len,
            Segment::Stream(_) | Segment::End { .. } => 0,
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
            Segment::Stream(_) | Segment::End { .. } => {}
        }
    }
}
