//! The send queue: the responses to send on one connection, in order, as text, shared bytes, parts of files and
//! streams.
//!
//! The engine asks the queue for the next bytes and reports how many it has sent. The queue never writes to a socket.

use super::{
    chunk_source::ChunkSource,
    segment::{FileSlice, OnSent, Segment, Sent},
    stream::{Pulled, Stream},
};
use crate::{
    codec::framing::BodyLength,
    types::{panic::catch_panic, progress::ProgressClock},
};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    time::Instant,
};

/// The maximum number of slices of one gathered write: a few heads with their bodies.
pub const MAX_SLICES: usize = 8;

/// The maximum size of a body that is copied behind its head into the text buffer, so that both are sent as one slice.
const MAX_COPIED_BYTES: usize = 4 * 1024;

/// If the text buffer has at least this number of bytes, [`SendQueue::write`] first tries to remove the text already
/// sent. [`SendQueue::clear`] frees the memory of the buffer beyond this size.
const TEXT_CAPACITY: usize = 64 * 1024;

/// What the engine sends next: the result of [`SendQueue::transmit`].
///
/// ```
/// use http_core::{SendQueue, Transmit};
/// use std::io::{self, Write};
///
/// /// Sends what is queued, as far as the socket takes it.
/// fn send(out: &mut SendQueue, socket: &mut impl Write) -> io::Result<()> {
///     loop {
///         let count = match out.transmit() {
///             Transmit::Bytes { slices, .. } => socket.write_vectored(&slices)?,
///             // Everything is sent, or what is left does not exist yet.
///             Transmit::Empty | Transmit::Pending => return Ok(()),
///             // The example sends no files; `http-engine` calls `sendfile`.
///             Transmit::File { .. } => return Err(io::ErrorKind::Unsupported.into()),
///             Transmit::Broken(error) => return Err(error),
///         };
///         out.sent(count);
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use = "the engine must send this"]
pub enum Transmit<'q> {
    /// The queue is empty.
    Empty,
    /// Send bytes in memory.
    Bytes {
        /// The bytes, at least one.
        slices: IoSlices<'q>,
        /// Whether the queue holds more after these bytes, so that the transport may delay them (`MSG_MORE`).
        more: bool,
    },
    /// Send part of a file.
    File {
        /// The part, at least one byte.
        slice: &'q FileSlice,
        /// Whether the queue holds more after this part, so that the transport may delay it (`MSG_MORE`).
        more: bool,
    },
    /// Everything is sent but the rest of a stream, whose source has no bytes yet. Call
    /// [`transmit`](SendQueue::transmit) again when the source has called the waker that the engine has given it
    /// ([`ChunkSource::start`](crate::ChunkSource::start)), or at the time that [`SendQueue::resume_at`] returns.
    Pending,
    /// A [`ChunkSource`](crate::ChunkSource) failed. The engine must close the connection.
    Broken(io::Error),
}

/// The slices of one gathered write: 1 to 8. Dereferences to `[IoSlice]`.
///
/// ```
/// use http_core::IoSlices;
/// use std::io::{self, Write};
///
/// fn send(slices: &IoSlices<'_>, socket: &mut impl Write) -> io::Result<usize> {
///     socket.write_vectored(slices)
/// }
/// ```
#[derive(Debug)]
pub struct IoSlices<'q> {
    /// The slices; only the first `count` are valid.
    slices: [IoSlice<'q>; MAX_SLICES],
    count: usize,
}

impl IoSlices<'_> {
    /// Copies the bytes of all slices into one vector. For transports without gathered writes, and for tests.
    pub fn concat(&self) -> Vec<u8> {
        self.iter().flat_map(|slice| slice.iter().copied()).collect()
    }
}

impl<'q> std::ops::Deref for IoSlices<'q> {
    type Target = [IoSlice<'q>];
    fn deref(&self) -> &[IoSlice<'q>] {
        &self.slices[..self.count]
    }
}

/// The responses to send on one connection.
///
/// ```
/// use http_core::{Clock, Connection, RecvBuf, Response, SendQueue, Transmit};
/// use std::{sync::Arc, time::{Instant, SystemTime}};
///
/// let clock = Clock::new("example", Instant::now(), SystemTime::now());
/// let (mut input, mut out) = (RecvBuf::default(), SendQueue::default());
/// let mut conn = Connection::new(Arc::default(), clock.now());
/// input.extend(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
/// conn.poll(&mut input, &mut out, clock.now());
/// conn.respond(Response::text("Hello"), &mut out, &clock)?;
///
/// let Transmit::Bytes { slices, .. } = out.transmit() else { return Err("nothing to send".into()) };
/// let bytes = slices.concat();
/// assert!(bytes.ends_with(b"Hello"));
/// out.sent(bytes.len());
/// assert!(out.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct SendQueue {
    /// The text buffer: heads and small bodies, to which [`Segment::Text`] refers.
    text: Vec<u8>,
    segments: VecDeque<Segment>,
    /// The number of streams in `segments`.
    streams: usize,
    /// Whether the transport has taken no more bytes since the last [`transmit`](SendQueue::transmit).
    is_blocked: bool,
    /// The number of bytes queued and not sent. A stream counts only with the chunks that it has produced.
    pending: u64,
    /// The number of bytes sent since the queue was created.
    sent: u64,
    /// Computes the deadline by which the client must have read more. The connection sets it, and keeps it here because
    /// an idle connection has no queue.
    pub(crate) flush_clock: Option<ProgressClock>,
}

impl SendQueue {
    /// Returns whether everything is sent.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Returns the number of bytes queued and not sent. A stream counts only with the chunks that it has produced.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// Returns whether the queue holds a stream that has not ended.
    #[inline]
    pub(crate) fn has_stream(&self) -> bool {
        self.streams > 0
    }

    /// Returns the number of bytes sent since the queue was created.
    pub(crate) fn total_sent(&self) -> u64 {
        self.sent
    }

    /// Returns the number of bytes sent since the queue was created, plus those queued and not sent. A stream counts
    /// only with the chunks that it has produced.
    pub(crate) fn total_queued(&self) -> u64 {
        self.sent + self.pending
    }

    /// Calls `append` with the text buffer, and queues the bytes that it appends there. `append` must not change or
    /// remove the bytes already in the buffer: they belong to other responses.
    #[inline]
    pub(crate) fn write(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        if self.text.len() >= TEXT_CAPACITY {
            self.compact();
        }
        let from = self.text.len();
        append(&mut self.text);
        let end = self.text.len();
        self.pending += (end - from) as u64;
        match self.segments.back_mut() {
            Some(Segment::Text(range)) if range.end == from => range.end = end,
            _ if end > from => self.segments.push_back(Segment::Text(from..end)),
            _ => {}
        }
    }

    /// Removes the sent part of the text buffer, if that part is more than half of the buffer. Without this, the buffer
    /// would grow with each response to a client that always leaves some bytes unread.
    #[cold]
    fn compact(&mut self) {
        let unsent = self.segments.iter().find_map(|segment| match segment {
            Segment::Text(range) => Some(range.start),
            _ => None,
        });
        let sent = unsent.unwrap_or(self.text.len());
        if sent <= self.text.len() / 2 {
            return;
        }
        self.text.drain(..sent);
        for segment in &mut self.segments {
            if let Segment::Text(range) = segment {
                *range = range.start - sent..range.end - sent;
            }
        }
    }

    /// Queues a segment. Copies the bytes of a static, owned or shared segment of at most 4 KiB into the text buffer
    /// instead. Does nothing if such a segment is empty.
    #[inline]
    pub(crate) fn push(&mut self, segment: Segment) {
        match segment.bytes() {
            Some(bytes) if bytes.len() <= MAX_COPIED_BYTES => {
                self.write(|text| text.extend_from_slice(bytes));
            }
            _ => {
                self.pending += segment.remaining();
                self.segments.push_back(segment);
            }
        }
    }

    /// Queues a stream. `length` is how the head delimits the body.
    #[cold]
    pub(crate) fn push_stream(&mut self, source: Box<dyn ChunkSource>, length: BodyLength) {
        self.streams += 1;
        self.segments.push_back(Segment::Stream(Box::new(Stream::new(source, length))));
    }

    /// Returns the bytes or the part of a file to send next; [`Transmit::Empty`] if everything is sent. Send some or
    /// all of the bytes, report their number with [`sent`](SendQueue::sent), and call `transmit` again.
    #[inline]
    pub fn transmit(&mut self) -> Transmit<'_> {
        if self.streams > 0 && (self.is_blocked || self.segments.front().is_some_and(Segment::is_stream)) {
            return self.transmit_stream();
        }
        match self.segments.front() {
            None => Transmit::Empty,
            Some(Segment::File(slice)) => {
                let more = self.segments.iter().skip(1).find(|segment| !segment.is_end());
                let more = more.is_some_and(Segment::is_ready);
                Transmit::File { slice, more }
            }
            Some(_) => self.gather(),
        }
    }

    /// Tells the queue that the transport takes no more bytes now. If part of a file is next, and a stream has produced
    /// it, the next [`transmit`](SendQueue::transmit) asks the stream whether the rest can still be sent without
    /// waiting for a disk ([`ChunkSource::can_resume`](crate::ChunkSource::can_resume)). An engine whose threads may
    /// wait for a disk need not call this.
    #[inline]
    pub fn blocked(&mut self) {
        self.is_blocked = self.streams > 0;
    }

    /// Returns the part of a file at the front to the stream that has produced it, if one has.
    fn interrupt_stream(&mut self) {
        // A part is followed by its stream, or by the end of its chunk and the stream. Between another file and a
        // stream is a head.
        let after = match (self.segments.get(1), self.segments.get(2)) {
            (Some(Segment::Stream(_)), _) => &[],
            (Some(Segment::Static(after)), Some(Segment::Stream(_))) => *after,
            _ => return,
        };
        let Some(Segment::File(rest)) = self.segments.front() else { return };
        let rest = rest.clone();
        self.pending = self.pending.saturating_sub(rest.len).saturating_sub(after.len() as u64);
        self.segments.drain(..if after.is_empty() { 1 } else { 2 });
        if let Some(Segment::Stream(stream)) = self.segments.front_mut() {
            stream.interrupt(rest, after);
        }
    }

    /// Returns when to call [`transmit`](SendQueue::transmit) again after [`Transmit::Pending`], although the source of
    /// the stream has not called its waker ([`ChunkSource::resume_at`](crate::ChunkSource::resume_at)). Returns `None`
    /// if only the waker counts.
    #[cold]
    pub fn resume_at(&mut self) -> Option<Instant> {
        match self.segments.front_mut() {
            Some(Segment::Stream(stream)) => stream.resume_at(),
            _ => None,
        }
    }

    /// As [`transmit`](SendQueue::transmit), if the front is a stream: queues the stream's next bytes before it.
    /// Removes the stream if it has ended or fails. If the transport was blocked, first asks the stream that has
    /// produced the front.
    #[cold]
    fn transmit_stream(&mut self) -> Transmit<'_> {
        if std::mem::take(&mut self.is_blocked) {
            self.interrupt_stream();
            return self.transmit();
        }
        let Some(Segment::Stream(stream)) = self.segments.front_mut() else { return Transmit::Empty };
        let pulled = stream.pull();
        if let Ok(Pulled::Pending) = pulled {
            // The wait may be long, and many streams may wait.
            if self.pending == 0 {
                self.text = Vec::new();
            }
            return Transmit::Pending;
        }
        if !matches!(pulled, Ok(Pulled::Bytes(_) | Pulled::File(..))) {
            self.segments.pop_front();
            self.streams -= 1;
        }
        match pulled {
            Err(error) => return Transmit::Broken(error),
            Ok(Pulled::Bytes(bytes) | Pulled::Last(bytes)) if !bytes.is_empty() => {
                self.push_front(Segment::owned(bytes));
            }
            Ok(Pulled::File(before, slice, after)) => {
                self.push_front(Segment::Static(after));
                self.push_front(Segment::File(slice));
                self.push_front(Segment::owned(before));
            }
            // The stream may leave an `End` at the front: remove it.
            Ok(_) => self.sent(0),
        }
        self.transmit()
    }

    /// Queues a segment before all others. Does nothing if it is empty.
    fn push_front(&mut self, segment: Segment) {
        let len = segment.remaining();
        if len > 0 {
            // The length of a part of a file is what the application says.
            self.pending = self.pending.saturating_add(len);
            self.segments.push_front(segment);
        }
    }

    /// Returns the bytes in memory at the front, up to the first file or stream. The front must be bytes in memory.
    #[inline]
    fn gather(&self) -> Transmit<'_> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        let mut segments = self.segments.iter().filter(|segment| !segment.is_end()).peekable();
        for slice in &mut slices {
            let Some(bytes) = segments.peek().and_then(|segment| self.bytes_of(segment)) else { break };
            *slice = IoSlice::new(bytes);
            count += 1;
            segments.next();
        }
        // The transport must not delay what comes before a stream that is pending.
        let more = segments.next().is_some_and(Segment::is_ready);
        Transmit::Bytes { slices: IoSlices { slices, count }, more }
    }

    /// Returns the unsent bytes of a segment; `None` if they are not in memory.
    fn bytes_of<'q>(&'q self, segment: &'q Segment) -> Option<&'q [u8]> {
        if let Segment::Text(range) = segment { self.text.get(range.clone()) } else { segment.bytes() }
    }

    /// Removes the first `count` bytes, which the engine has sent. Calls the callback of each body that is now
    /// completely sent. `count` must be at most the number of bytes that [`transmit`](SendQueue::transmit) returned.
    #[inline]
    pub fn sent(&mut self, count: usize) {
        let mut left = count as u64;
        self.pending = self.pending.saturating_sub(left);
        self.sent += left;
        while let Some(segment) = self.segments.front_mut() {
            let len = segment.remaining();
            if len > left || matches!(segment, Segment::Stream(_)) {
                segment.advance(left);
                return;
            }
            left -= len;
            if let Some(Segment::End { from, on_sent }) = self.segments.pop_front() {
                let bytes = (self.sent - left).saturating_sub(from);
                notify(on_sent, Sent { bytes, complete: true });
            }
        }
        debug_assert_eq!(left, 0, "sent more bytes than were queued");
        self.text.clear();
    }

    /// Removes everything. Calls the callback of each body that is not completely sent, with the number of bytes sent.
    #[inline]
    pub fn clear(&mut self) {
        for segment in self.segments.drain(..) {
            if let Segment::End { from, on_sent } = segment {
                notify(on_sent, Sent { bytes: self.sent.saturating_sub(from), complete: false });
            }
        }
        self.text.clear();
        self.text.shrink_to(TEXT_CAPACITY);
        self.pending = 0;
        self.streams = 0;
        self.is_blocked = false;
        self.flush_clock = None;
    }
}

/// Calls `on_sent` with `sent`, and catches its panic.
fn notify(on_sent: OnSent, sent: Sent) {
    if let Some(on_sent) = on_sent.into_inner() {
        let _ = catch_panic(|| on_sent(sent));
    }
}

impl Drop for SendQueue {
    fn drop(&mut self) {
        self.clear();
    }
}

impl std::fmt::Debug for SendQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SendQueue({} segments, {} bytes pending)", self.segments.len(), self.pending)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        buffer::{chunk_source::Chunk, stream::tests::push_stream},
        types::panic::{CatchDrop, PanicOnDrop},
    };
    use std::{
        fs::File,
        panic::resume_unwind,
        sync::{Arc, mpsc::channel},
    };

    /// Sends everything, `step` bytes at a time, and returns it. Each byte of a file is the last digit of its offset. A
    /// pending stream appears as `<pending>`, an error as its text.
    pub(in crate::buffer) fn drain(queue: &mut SendQueue, step: usize) -> String {
        let mut all = String::new();
        loop {
            let count = match queue.transmit() {
                Transmit::Empty => return all,
                Transmit::Broken(error) => return format!("{all}<{error}>"),
                Transmit::Pending => {
                    all += "<pending>";
                    continue;
                }
                Transmit::File { slice, .. } => {
                    let count = step.min(slice.len as usize);
                    all.extend((slice.offset..).take(count).map(|at| char::from(b'0' + (at % 10) as u8)));
                    count
                }
                Transmit::Bytes { slices, .. } => {
                    let bytes: Vec<u8> =
                        slices.iter().flat_map(|slice| slice.iter()).take(step).copied().collect();
                    all += str::from_utf8(&bytes).expect("text");
                    bytes.len()
                }
            };
            queue.sent(count);
        }
    }

    #[test]
    fn sends_segments_in_order_however_the_writes_are_split() {
        let expected = format!("head small {}{} tail", "s".repeat(9_000), "o".repeat(5_000));
        for step in [1, 7, 4_096, usize::MAX] {
            let mut queue = SendQueue::default();
            queue.write(|text| text.extend_from_slice(b"head "));
            queue.push(Segment::Static(b"small "));
            queue.push(Segment::Shared(vec![b's'; 10_000].into(), 10..9_010));
            queue.push(Segment::Owned(vec![b'o'; 5_000], 0..5_000));
            queue.write(|text| text.extend_from_slice(b" tail"));
            assert_eq!(queue.pending(), expected.len() as u64);
            assert_eq!(drain(&mut queue, step), expected, "by {step}");
            assert_eq!((queue.pending(), queue.total_sent()), (0, expected.len() as u64));
        }
    }

    #[test]
    fn the_text_buffer_does_not_grow_with_sent_text() {
        let mut queue = SendQueue::default();
        let (mut expected, mut sent) = (Vec::new(), Vec::new());
        for number in 0..5_000u32 {
            let line = format!("{number:0100}");
            expected.extend_from_slice(line.as_bytes());
            queue.write(|text| text.extend_from_slice(line.as_bytes()));
            if number % 50 == 0 {
                queue.push(Segment::Static(&[b'-'; MAX_COPIED_BYTES + 1]));
                expected.extend([b'-'; MAX_COPIED_BYTES + 1]);
            }
            // A few bytes always stay queued.
            while queue.pending() > 300 {
                let Transmit::Bytes { slices, .. } = queue.transmit() else { panic!("bytes") };
                let mut bytes = slices.concat();
                bytes.truncate((queue.pending() - 300) as usize);
                queue.sent(bytes.len());
                sent.extend(bytes);
            }
            assert!(queue.text.len() <= 2 * TEXT_CAPACITY, "{} bytes of text", queue.text.len());
        }
        sent.extend(drain(&mut queue, 7).into_bytes());
        assert!(sent == expected, "bytes are missing, repeated or out of order");
    }

    #[test]
    fn small_bodies_share_a_slice_with_their_head() {
        let mut queue = SendQueue::default();
        queue.write(|text| text.extend_from_slice(b"head"));
        queue.push(Segment::Static(b"body"));
        let Transmit::Bytes { slices, more } = queue.transmit() else { panic!("bytes") };
        assert_eq!((slices.len(), &slices[0][..], more), (1, &b"headbody"[..], false));
    }

    pub(in crate::buffer) fn file_slice(offset: u64, len: u64) -> FileSlice {
        FileSlice { file: Arc::new(File::open("/dev/null").expect("/dev/null")), offset, len }
    }

    #[test]
    fn parts_are_equal_if_they_are_the_same_range_of_one_open_file() {
        let part = file_slice(5, 10);
        assert_eq!(part, part.clone());
        assert_ne!(part, FileSlice { offset: 6, ..part.clone() });
        assert_ne!(part, FileSlice { len: 9, ..part.clone() });
        assert_ne!(part, file_slice(5, 10));
    }

    #[test]
    fn a_file_is_sent_alone_and_in_parts() {
        let mut queue = SendQueue::default();
        queue.write(|text| text.extend_from_slice(b"head"));
        queue.push(Segment::File(file_slice(5, 10)));
        queue.push(Segment::File(file_slice(0, 0)));
        queue.write(|text| text.extend_from_slice(b"next"));
        assert!(matches!(queue.transmit(), Transmit::Bytes { more: true, .. }));
        assert_eq!(drain(&mut queue, 6), "head5678901234next");
    }

    /// A source of ten bytes of a file, with these results of `can_resume`: `None` is an error.
    struct FilePart(bool, std::array::IntoIter<Option<bool>, 3>);

    impl ChunkSource for FilePart {
        fn next_chunk(&mut self, _: &mut Vec<u8>) -> io::Result<Chunk> {
            let is_first = !std::mem::replace(&mut self.0, true);
            Ok(if is_first { Chunk::File(file_slice(0, 10)) } else { Chunk::End })
        }

        fn can_resume(&mut self, _: &FileSlice) -> io::Result<bool> {
            self.1.next().expect("an expected call").ok_or_else(|| io::ErrorKind::TimedOut.into())
        }
    }

    #[test]
    fn a_stream_is_asked_before_a_part_of_a_file_is_resumed() {
        for (length, sent, expected) in
            [(BodyLength::Exact(10), 3, "3456789"), (BodyLength::Chunked, 6, "3456789\r\n0\r\n\r\n")]
        {
            let part = |answers: [Option<bool>; 3]| {
                let mut queue = SendQueue::default();
                queue.push_stream(Box::new(FilePart(false, answers.into_iter())), length);
                for step in [sent - 3, 3] {
                    if step > 0 {
                        assert!(!matches!(queue.transmit(), Transmit::Empty));
                        queue.sent(step);
                    }
                }
                let pending = queue.pending();
                queue.blocked();
                (queue, pending)
            };
            let (mut queue, pending) = part([Some(false), Some(false), Some(true)]);
            for _ in 0..2 {
                assert!(matches!(queue.transmit(), Transmit::Pending));
                assert_eq!(queue.pending(), 0);
            }
            assert!(
                matches!(queue.transmit(), Transmit::File { slice, .. } if (slice.offset, slice.len) == (3, 7))
            );
            assert_eq!(queue.pending(), pending);
            assert_eq!(drain(&mut queue, 4), expected);
            assert_eq!((queue.pending(), queue.total_sent()), (0, (sent + expected.len()) as u64));
            let (mut queue, _) = part([None, None, None]);
            assert!(
                matches!(queue.transmit(), Transmit::Broken(error) if error.kind() == io::ErrorKind::TimedOut)
            );
        }
    }

    #[test]
    fn a_part_of_a_file_is_resumed_at_once_by_default() {
        let mut queue = SendQueue::default();
        let _failures = push_stream(&mut queue, "/0+10 .", BodyLength::Exact(10));
        assert!(matches!(queue.transmit(), Transmit::File { .. }));
        queue.sent(3);
        queue.blocked();
        assert!(matches!(queue.transmit(), Transmit::File { slice, .. } if slice.len == 7));
    }

    #[test]
    fn the_next_chunk_follows_when_the_part_of_a_file_is_sent() {
        let mut queue = SendQueue::default();
        let _failures = push_stream(&mut queue, "one/5+10 !", BodyLength::Chunked);
        let Transmit::Bytes { slices, more: true } = queue.transmit() else { panic!("bytes") };
        assert_eq!(slices.concat(), b"3\r\none\r\na\r\n");
        queue.sent(11);
        assert_eq!(queue.pending(), 12);
        for len in (1..=10).rev() {
            let Transmit::File { slice, more: true } = queue.transmit() else { panic!("part of a file") };
            assert_eq!(*slice, FileSlice { file: slice.file.clone(), offset: 15 - len, len });
            queue.sent(1);
        }
        let Transmit::Bytes { slices, more: false } = queue.transmit() else { panic!("bytes") };
        assert_eq!(slices.concat(), b"\r\n");
        queue.sent(2);
        assert_eq!((queue.pending(), queue.total_sent()), (0, 23));
        assert!(matches!(queue.transmit(), Transmit::Broken(_)));
    }

    #[test]
    fn a_transport_delays_only_what_bytes_follow() {
        for (script, lens) in [
            ("? one ? .", [(4, false), (8, false)]),
            ("one ? .", [(4, true), (8, false)]),
            ("/5+2 ? .", [(4, true), (3, true)]),
        ] {
            let mut queue = SendQueue::default();
            queue.write(|text| text.extend_from_slice(b"head"));
            let _failures = push_stream(&mut queue, script, BodyLength::Chunked);
            for expected in lens {
                let Transmit::Bytes { slices, more } = queue.transmit() else { panic!("bytes") };
                let len = slices.concat().len();
                assert_eq!((len, more), expected, "{script}");
                queue.sent(len);
            }
            // The queue is dropped with the stream in it.
        }
    }

    /// A source that is pending until this time. Asking a source without a time panics.
    struct Timed(Option<Instant>);

    impl ChunkSource for Timed {
        fn next_chunk(&mut self, _: &mut Vec<u8>) -> io::Result<Chunk> {
            Ok(Chunk::Pending)
        }

        fn resume_at(&self) -> Option<Instant> {
            self.0.or_else(|| resume_unwind(Box::new(PanicOnDrop(2))))
        }
    }

    #[test]
    fn a_source_names_the_time_at_which_it_continues() {
        let at = Instant::now();
        for expected in [Some(at), None] {
            let mut queue = SendQueue::default();
            assert_eq!(queue.resume_at(), None);
            queue.write(|text| text.extend_from_slice(b"head"));
            queue.push_stream(Box::new(Timed(expected)), BodyLength::Chunked);
            assert_eq!(queue.resume_at(), None, "the head can be sent");
            queue.sent(4);
            assert!(matches!(queue.transmit(), Transmit::Pending));
            assert_eq!(queue.resume_at(), expected);
            assert_eq!(queue.text.capacity(), 0, "memory is held while the stream is pending");
            assert_eq!(format!("{queue:?}"), "SendQueue(1 segments, 0 bytes pending)");
        }
    }

    fn end(from: u64, callback: impl FnOnce(Sent) + Send + 'static) -> Segment {
        Segment::End { from, on_sent: CatchDrop::new(Box::new(callback)) }
    }

    /// Queues bodies of 7 and 3 bytes after heads of 5, sends `count` bytes, and compares what the callbacks receive:
    /// the number of bytes sent, and whether they are the whole body.
    fn check_callbacks(count: usize, expected: &[(u64, bool)]) {
        let (sender, receiver) = channel();
        let mut queue = SendQueue::default();
        for (head, body) in [("head ", "content"), ("tail ", "end")] {
            queue.write(|text| text.extend_from_slice(head.as_bytes()));
            let from = queue.total_queued();
            queue.push(Segment::Static(body.as_bytes()));
            let sender = sender.clone();
            queue.push(end(from, move |sent| sender.send(sent).expect("a receiver")));
        }
        let mut left = count;
        while left > 0 {
            let Transmit::Bytes { slices, .. } = queue.transmit() else { panic!("bytes") };
            let count = slices.concat().len().min(left);
            queue.sent(count);
            left -= count;
        }
        assert_eq!(queue.is_empty(), count == 20);
        drop((queue, sender));
        let received: Vec<_> = receiver.iter().map(|sent: Sent| (sent.bytes, sent.complete)).collect();
        assert_eq!(received, expected, "after {count}");
    }

    #[test]
    fn callbacks_receive_the_number_of_body_bytes_sent() {
        check_callbacks(20, &[(7, true), (3, true)]);
        check_callbacks(18, &[(7, true), (1, false)]);
        check_callbacks(12, &[(7, true), (0, false)]);
        check_callbacks(11, &[(6, false), (0, false)]);
        check_callbacks(0, &[(0, false), (0, false)]);
    }

    #[test]
    fn the_end_of_a_body_has_no_bytes_to_send() {
        let mut queue = SendQueue::default();
        queue.write(|text| text.extend_from_slice(b"head"));
        let from = queue.total_queued();
        queue.push(end(from, |_| resume_unwind(Box::new(PanicOnDrop(2)))));
        let Transmit::Bytes { more: false, .. } = queue.transmit() else { panic!("nothing follows") };
        queue.sent(4);
        assert!(queue.is_empty());
        let (sender, receiver) = channel();
        let _failures = push_stream(&mut queue, ".", BodyLength::UntilClose);
        queue.push(end(4, move |sent| sender.send(sent).expect("a receiver")));
        assert!(matches!(queue.transmit(), Transmit::Empty));
        assert_eq!(receiver.recv(), Ok(Sent { bytes: 0, complete: true }));
    }
}
