//! What is to be sent, in order: texts, shared bytes, stretches of files, and sources that yield chunks.
//!
//! The queue says what comes next and is told how much of it went. It never writes by itself.

use super::segment::{FileSlice, Piece, Sent, WhenSent};
use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

/// How many slices one gathered write takes: a head and a body, a few times over.
pub const MAX_SLICES: usize = 8;

/// Bodies up to this size are copied behind their head, so that both leave as one slice of one `send`.
const COPY_AT_MOST: usize = 4 * 1024;

/// What a text buffer may keep when it is empty.
const TEXT_CAPACITY: usize = 64 * 1024;

/// What to hand to the socket next.
#[derive(Debug)]
pub enum Transmit<'q> {
    /// Nothing is left.
    Empty,
    /// These bytes; `more` says that something follows at once and need not be pushed yet.
    Bytes {
        /// Never empty.
        slices: Gathered<'q>,
        /// Whether a file or a stream stands behind them.
        more: bool,
    },
    /// A stretch of a file; its length is never 0.
    File {
        /// The file.
        slice: &'q FileSlice,
        /// Whether something stands behind it.
        more: bool,
    },
    /// A source failed: the connection must be closed.
    Broken(io::Error),
}

/// A few slices for one gathered write.
#[derive(Debug)]
pub struct Gathered<'q> {
    slices: [IoSlice<'q>; MAX_SLICES],
    count: usize,
}

impl Gathered<'_> {
    /// The slices in one piece: for transports that cannot gather, and for tests.
    pub fn concat(&self) -> Vec<u8> {
        self.iter().flat_map(|slice| slice.iter().copied()).collect()
    }
}

impl<'q> std::ops::Deref for Gathered<'q> {
    type Target = [IoSlice<'q>];
    fn deref(&self) -> &[IoSlice<'q>] {
        &self.slices[..self.count]
    }
}

/// Answers on their way to one peer.
#[derive(Default)]
pub struct SendQueue {
    text: Vec<u8>,
    pieces: VecDeque<Piece>,
    /// Bytes queued and not sent; a stream counts once it yields.
    pending: u64,
    /// Bytes sent since the queue was made: a change in it is progress.
    sent: u64,
    scratch: Vec<u8>,
}

impl SendQueue {
    /// Whether everything is sent.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes queued and not sent.
    #[inline]
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// Bytes sent so far.
    #[inline]
    pub(crate) fn total_sent(&self) -> u64 {
        self.sent
    }

    /// Bytes that will have been sent when all that is queued is.
    #[inline]
    pub(crate) fn total_queued(&self) -> u64 {
        self.sent + self.pending
    }

    /// Appends what `write` appends to a text.
    #[inline]
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.text.len() >= TEXT_CAPACITY {
            self.compact();
        }
        let from = self.text.len();
        write(&mut self.text);
        let end = self.text.len();
        self.pending += (end - from) as u64;
        match self.pieces.back_mut() {
            Some(Piece::Text(range)) if range.end == from => range.end = end,
            _ if end > from => self.pieces.push_back(Piece::Text(from..end)),
            _ => {}
        }
    }

    /// Drops text that is sent, once it is the greater part. A peer that always leaves a little in the queue
    /// would otherwise make it grow with each answer.
    #[cold]
    fn compact(&mut self) {
        let unsent = self.pieces.iter().find_map(|piece| match piece {
            Piece::Text(range) => Some(range.start),
            _ => None,
        });
        let gone = unsent.unwrap_or(self.text.len());
        if gone <= self.text.len() / 2 {
            return;
        }
        self.text.drain(..gone);
        for piece in &mut self.pieces {
            if let Piece::Text(range) = piece {
                *range = range.start - gone..range.end - gone;
            }
        }
    }

    /// Appends a piece; small bytes become text.
    #[inline]
    pub(crate) fn push(&mut self, piece: Piece) {
        match piece.bytes() {
            Some(bytes) if bytes.len() <= COPY_AT_MOST => self.write(|text| text.extend_from_slice(bytes)),
            _ => {
                self.pending += piece.remaining();
                self.pieces.push_back(piece);
            }
        }
    }

    /// What comes next. Call [`sent`](SendQueue::sent) with what went of it, then ask again.
    #[inline]
    pub fn transmit(&mut self) -> Transmit<'_> {
        if let Some(Piece::Stream { .. }) = self.pieces.front()
            && let Err(error) = self.pull()
        {
            return Transmit::Broken(error);
        }
        match self.pieces.front() {
            None => Transmit::Empty,
            Some(Piece::File(slice)) => {
                let more = self.pieces.iter().skip(1).any(|piece| !piece.is_end());
                Transmit::File { slice, more }
            }
            Some(_) => self.gather(),
        }
    }

    #[inline]
    fn gather(&self) -> Transmit<'_> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        let mut pieces = self.pieces.iter().filter(|piece| !piece.is_end()).peekable();
        for slot in &mut slices {
            let Some(bytes) = pieces.peek().and_then(|piece| self.bytes_of(piece)) else { break };
            *slot = IoSlice::new(bytes);
            count += 1;
            pieces.next();
        }
        Transmit::Bytes { slices: Gathered { slices, count }, more: pieces.peek().is_some() }
    }

    fn bytes_of<'q>(&'q self, piece: &'q Piece) -> Option<&'q [u8]> {
        if let Piece::Text(range) = piece { self.text.get(range.clone()) } else { piece.bytes() }
    }

    /// Replaces the stream at the front by its next piece, coded, and puts the stream behind it.
    fn pull(&mut self) -> io::Result<()> {
        let Some(Piece::Stream { mut source, chunked }) = self.pieces.pop_front() else { return Ok(()) };
        self.scratch.clear();
        // The source is application code that runs outside of any handler: its panic must end here.
        catch_unwind(AssertUnwindSafe(|| source.next_chunk(&mut self.scratch)))
            .unwrap_or_else(|_| Err(io::Error::other("the source of a stream panicked")))?;
        let ended = self.scratch.is_empty();
        let mut coded = Vec::with_capacity(self.scratch.len() + 16);
        match (chunked, ended) {
            (true, true) => coded.extend_from_slice(b"0\r\n\r\n"),
            (true, false) => {
                write!(coded, "{:x}\r\n", self.scratch.len())?;
                coded.extend_from_slice(&self.scratch);
                coded.extend_from_slice(b"\r\n");
            }
            (false, _) => coded.extend_from_slice(&self.scratch),
        }
        if !ended {
            self.pieces.push_front(Piece::Stream { source, chunked });
        }
        if !coded.is_empty() {
            self.pending += coded.len() as u64;
            let all = 0..coded.len();
            self.pieces.push_front(Piece::Owned(coded, all));
        }
        // A stream that ends without a last chunk may have been all that stood before an end.
        self.sent(0);
        Ok(())
    }

    /// Takes `count` sent bytes off the front.
    #[inline]
    pub fn sent(&mut self, count: usize) {
        let mut left = count as u64;
        self.pending = self.pending.saturating_sub(left);
        self.sent += left;
        while let Some(piece) = self.pieces.front_mut() {
            let len = piece.remaining();
            if len > left || matches!(piece, Piece::Stream { .. }) {
                piece.advance(left);
                return;
            }
            left -= len;
            if let Some(Piece::End { from, then }) = self.pieces.pop_front() {
                tell(then, Sent { bytes: self.sent - left - from, complete: true });
            }
        }
        debug_assert_eq!(left, 0, "more sent than was queued");
        self.text.clear();
    }

    /// Drops everything.
    #[inline]
    pub fn clear(&mut self) {
        for piece in self.pieces.drain(..) {
            if let Piece::End { from, then } = piece {
                tell(then, Sent { bytes: self.sent.saturating_sub(from), complete: false });
            }
        }
        self.text.clear();
        self.text.shrink_to(TEXT_CAPACITY);
        self.scratch = Vec::new();
        self.pending = 0;
    }
}

/// Whoever hears it is application code that runs outside of any handler: its panic must end here.
fn tell(then: WhenSent, sent: Sent) {
    let _ = catch_unwind(AssertUnwindSafe(|| then(sent)));
}

impl Drop for SendQueue {
    fn drop(&mut self) {
        self.clear();
    }
}

impl std::fmt::Debug for SendQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SendQueue({} pieces, {} bytes pending)", self.pieces.len(), self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::segment::ChunkSource;
    use std::{fs::File, sync::Arc};

    /// Sends everything, `step` bytes at a time; files stand as `<offset+len>`.
    fn drain(queue: &mut SendQueue, step: usize) -> String {
        let mut all = Vec::new();
        loop {
            let count = match queue.transmit() {
                Transmit::Empty => break,
                Transmit::Broken(error) => {
                    all.extend_from_slice(format!("<{error}>").as_bytes());
                    break;
                }
                Transmit::File { slice, .. } => {
                    all.extend_from_slice(format!("<{}+{}>", slice.offset, slice.len).as_bytes());
                    (slice.len as usize).min(step)
                }
                Transmit::Bytes { slices, .. } => {
                    let bytes = slices.concat();
                    let count = bytes.len().min(step);
                    all.extend_from_slice(&bytes[..count]);
                    count
                }
            };
            queue.sent(count);
        }
        String::from_utf8(all).expect("text")
    }

    fn mixed() -> SendQueue {
        let mut queue = SendQueue::default();
        queue.write(|text| text.extend_from_slice(b"head "));
        queue.push(Piece::Static(b"small "));
        queue.push(Piece::Shared(vec![b's'; 10_000].into(), 10..9_010));
        queue.push(Piece::Owned(vec![b'o'; 5_000], 0..5_000));
        queue.write(|text| text.extend_from_slice(b" tail"));
        queue
    }

    #[test]
    fn pieces_leave_in_order_however_the_writes_are_cut() {
        let expected = format!("head small {}{} tail", "s".repeat(9_000), "o".repeat(5_000));
        for step in [1, 7, 4_096, usize::MAX] {
            let mut queue = mixed();
            assert_eq!(queue.pending(), expected.len() as u64);
            assert_eq!(drain(&mut queue, step), expected, "by {step}");
            assert_eq!((queue.pending(), queue.total_sent()), (0, expected.len() as u64));
        }
    }

    #[test]
    fn text_is_bounded_by_what_is_unsent_and_not_by_what_was_ever_queued() {
        let mut queue = SendQueue::default();
        let (mut expected, mut sent) = (Vec::new(), Vec::new());
        for number in 0..5_000u32 {
            let line = format!("{number:0100}");
            expected.extend_from_slice(line.as_bytes());
            queue.write(|text| text.extend_from_slice(line.as_bytes()));
            if number % 50 == 0 {
                queue.push(Piece::Static(&[b'-'; COPY_AT_MOST + 1]));
                expected.extend([b'-'; COPY_AT_MOST + 1]);
            }
            // A little always stays behind.
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
        assert!(sent == expected, "lost, doubled or out of order");
    }

    #[test]
    fn small_texts_become_one_slice() {
        let mut queue = SendQueue::default();
        queue.write(|text| text.extend_from_slice(b"head"));
        queue.push(Piece::Static(b"body"));
        let Transmit::Bytes { slices, more } = queue.transmit() else { panic!("bytes") };
        assert_eq!((slices.len(), &slices[0][..], more), (1, &b"headbody"[..], false));
    }

    #[test]
    fn a_file_stands_alone_and_moves_on() {
        let file = Arc::new(File::open("/dev/null").expect("/dev/null"));
        let mut queue = SendQueue::default();
        queue.write(|text| text.extend_from_slice(b"head"));
        queue.push(Piece::File(FileSlice { file: file.clone(), offset: 5, len: 10 }));
        queue.push(Piece::File(FileSlice { file, offset: 0, len: 0 }));
        queue.write(|text| text.extend_from_slice(b"next"));
        let Transmit::Bytes { more: true, .. } = queue.transmit() else {
            panic!("more must follow the head")
        };
        assert_eq!(drain(&mut queue, 6), "head<5+10><11+4>next");
    }

    /// Yields ever less, fails after that, and panics at 13.
    struct Countdown(u8);

    impl ChunkSource for Countdown {
        fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
            assert_ne!(self.0, 13, "a source that panics");
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::Other)?;
            chunk.extend(std::iter::repeat_n(b'c', usize::from(self.0) * 10));
            Ok(())
        }
    }

    #[test]
    fn a_stream_is_pulled_as_it_is_sent() {
        let stream = |count, chunked| {
            let mut queue = SendQueue::default();
            queue.push(Piece::Stream { source: Box::new(Countdown(count)), chunked });
            queue
        };
        let (ten, twenty) = ("c".repeat(10), "c".repeat(20));
        assert_eq!(drain(&mut stream(3, true), 3), format!("14\r\n{twenty}\r\na\r\n{ten}\r\n0\r\n\r\n"));
        assert_eq!(drain(&mut stream(3, false), 3), format!("{twenty}{ten}"));
        assert_eq!(drain(&mut stream(0, true), 3), "<other error>");
        assert_eq!(drain(&mut stream(13, true), 3), "<the source of a stream panicked>");
    }

    /// Two answers of 7 and 3 bytes behind heads of 5, sent up to `until`: what is told of their contents.
    fn check_ends(until: usize, expected: &[(u64, bool)]) {
        let (told, tell) = std::sync::mpsc::channel();
        let mut queue = SendQueue::default();
        for (head, content) in [("head ", "content"), ("tail ", "end")] {
            queue.write(|text| text.extend_from_slice(head.as_bytes()));
            let from = queue.total_queued();
            queue.push(Piece::Static(content.as_bytes()));
            let told = told.clone();
            let then =
                Box::new(move |sent: Sent| told.send((sent.bytes, sent.complete)).expect("a listener"));
            queue.push(Piece::End { from, then });
        }
        let mut left = until;
        while left > 0 {
            let Transmit::Bytes { slices, .. } = queue.transmit() else { panic!("bytes") };
            let count = slices.concat().len().min(left);
            queue.sent(count);
            left -= count;
        }
        assert_eq!(queue.is_empty(), until == 20);
        drop((queue, told));
        assert_eq!(tell.iter().collect::<Vec<_>>(), expected, "after {until}");
    }

    #[test]
    fn whoever_asked_hears_how_an_answer_ended() {
        check_ends(20, &[(7, true), (3, true)]);
        check_ends(18, &[(7, true), (1, false)]);
        check_ends(12, &[(7, true), (0, false)]);
        check_ends(11, &[(6, false), (0, false)]);
        check_ends(0, &[(0, false), (0, false)]);
    }

    #[test]
    fn an_end_is_nothing_to_send() {
        let mut queue = SendQueue::default();
        queue.write(|text| text.extend_from_slice(b"head"));
        let from = queue.total_queued();
        queue.push(Piece::End { from, then: Box::new(|_| panic!("as applications do")) });
        let Transmit::Bytes { more: false, .. } = queue.transmit() else { panic!("nothing follows") };
        queue.sent(4);
        assert!(queue.is_empty());
        let (told, tell) = std::sync::mpsc::channel();
        queue.push(Piece::Stream { source: Box::new(Countdown(1)), chunked: false });
        queue.push(Piece::End { from: 4, then: Box::new(move |sent| told.send(sent).expect("a listener")) });
        assert_eq!(drain(&mut queue, 1), "");
        assert_eq!(tell.recv(), Ok(Sent { bytes: 0, complete: true }));
    }
}
