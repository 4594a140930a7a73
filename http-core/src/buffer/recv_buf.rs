//! The receive buffer: the bytes that the client has sent and the connection has not consumed.
//!
//! The engine fills the buffer, the connection empties it. The buffer never reads from a socket.

use super::budget::{MemoryBudget, Share};
use crate::{
    codec::{
        framing::{self, RequestFraming},
        head::{HeadIndex, ParseStatus},
    },
    types::{error::ParseError, limits::Limits, method::Schemes},
};

/// The size of a new buffer in bytes: room for any usual head, or a few dozen pipelined requests.
const FIRST_CAPACITY: usize = 16 * 1024;

/// The receive buffer of one connection.
///
/// It grows with the bytes received, and shrinks to its first size when what is left fits into that.
///
/// ```
/// use http_core::{Connection, RecvBuf, SendQueue, Step};
/// use std::{io::Read, sync::Arc, time::Instant};
///
/// let mut socket = &b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"[..];
/// let (mut input, mut out) = (RecvBuf::default(), SendQueue::default());
/// let mut conn = Connection::new(Arc::default(), Instant::now());
/// while conn.poll(&mut input, &mut out, Instant::now()) == Step::Receive {
///     match socket.read(input.spare())? {
///         0 => conn.receive_eof(),
///         count => input.filled(count),
///     }
/// }
/// assert!(conn.is_awaiting_reply());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct RecvBuf {
    /// The memory, always initialised. `bytes[start..end]` are the bytes received and not consumed.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// What the memory beyond [`FIRST_CAPACITY`] takes from the budget.
    share: Share,
    /// The parser of the head at `start`, with the offsets of the elements parsed so far.
    /// [`consume`](RecvBuf::consume) and [`clear`](RecvBuf::clear) reset it.
    pub(crate) index: HeadIndex,
}

impl Default for RecvBuf {
    fn default() -> RecvBuf {
        let bytes = vec![0; FIRST_CAPACITY];
        RecvBuf { bytes, start: 0, end: 0, share: Share::default(), index: HeadIndex::default() }
    }
}

/// The error of [`RecvBuf::reserve`]: the budget is used up, or the system has no memory left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl RecvBuf {
    /// Returns the unused memory, into which the engine receives the next bytes. It is never empty after
    /// [`Step::Receive`](crate::Step::Receive).
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// Marks the first `count` bytes of [`spare`](RecvBuf::spare) as received.
    ///
    /// # Panics
    ///
    /// If `count` exceeds the length of `spare`.
    #[inline]
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.bytes.len() - self.end, "more bytes received than there was room for");
        self.end += count;
    }

    /// Appends a copy of `bytes` to the received bytes. Grows the buffer if needed. For tests and examples: an engine
    /// receives into [`spare`](RecvBuf::spare).
    ///
    /// # Panics
    ///
    /// If the memory budget is used up, or the system has no memory left.
    pub fn extend(&mut self, bytes: &[u8]) {
        assert!(self.reserve(bytes.len(), usize::MAX).is_ok(), "no memory for {} more bytes", bytes.len());
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Counts the memory beyond the first size against `budget` from now on. The buffer must have its first size.
    pub(super) fn set_budget(&mut self, budget: MemoryBudget) {
        self.share.set_budget(budget);
    }

    /// Returns the bytes received and not consumed.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Returns whether the connection has consumed all received bytes.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns whether the first unread byte is CR or LF.
    #[inline]
    pub(crate) fn begins_with_line_end(&self) -> bool {
        matches!(self.unread(), [b'\r' | b'\n', ..])
    }

    /// Removes the empty lines at the front of the unread bytes. `removed` is how many bytes of such lines were removed
    /// before. Returns that number with the bytes removed now. It is odd if the LF of the last line has not arrived.
    ///
    /// Stops before the first byte that continues no empty line, and when `most` bytes are removed.
    pub(crate) fn skip_empty_lines(&mut self, removed: usize, most: usize) -> usize {
        let expected = b"\r\n".iter().cycle().skip(removed).take(most.saturating_sub(removed));
        let count =
            self.unread().iter().zip(expected).take_while(|(byte, expected)| byte == expected).count();
        self.consume(count);
        removed + count
    }

    /// Removes all bytes, and gives the buffer the size of a new one.
    #[inline]
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        self.index.clear();
        if self.bytes.len() != FIRST_CAPACITY {
            self.shrink();
        }
    }

    /// Frees the memory of the buffer, which must be empty, until more bytes are received. For connections that will
    /// not receive for long, because they send a stream that waits for its source.
    pub fn release(&mut self) {
        if self.is_empty() && !self.bytes.is_empty() {
            self.bytes = Vec::new();
            (self.start, self.end) = (0, 0);
            self.index = HeadIndex::default();
        }
    }

    /// Parses the head at the front of the unread bytes, and returns whether the head is complete. Continues where the
    /// last call stopped. Fails if the head is malformed or exceeds a limit.
    #[inline]
    pub(crate) fn parse_head(&mut self, limits: &Limits) -> Result<ParseStatus, ParseError> {
        self.index.parse(&self.bytes[self.start..self.end], limits)
    }

    /// Validates the complete head at the front of the unread bytes. Fails as [`framing::validate`] does.
    #[inline]
    pub(crate) fn validate_head(&mut self, schemes: Schemes) -> Result<RequestFraming, ParseError> {
        framing::validate(&mut self.index, &self.bytes[self.start..self.end], schemes)
    }

    /// Returns the unread bytes without the first `head_len`. There must be at least `head_len` unread bytes.
    pub(crate) fn after_mut(&mut self, head_len: usize) -> &mut [u8] {
        &mut self.bytes[self.start + head_len..self.end]
    }

    /// Keeps the first `count` unread bytes, and removes those after them.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.end = self.end.min(self.start + count);
    }

    /// Removes the first `count` unread bytes, and resets [`index`](RecvBuf::index), so that the next head is parsed
    /// from its first byte. Frees the memory beyond the size of a new buffer if the other bytes fit into that. `count`
    /// must be at most the number of unread bytes.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start = (self.start + count).min(self.end);
        self.index.reset();
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        if self.bytes.len() > FIRST_CAPACITY {
            self.shrink();
        }
    }

    /// Gives the buffer the size of a new one, if the unread bytes fit into that. Returns the memory beyond it to the
    /// budget.
    #[cold]
    fn shrink(&mut self) {
        if self.end - self.start <= FIRST_CAPACITY {
            self.move_to_front();
            self.bytes.resize(FIRST_CAPACITY, 0);
            self.bytes.shrink_to_fit();
            self.share.resize(0);
        }
    }

    /// Moves the unread bytes to the front of the buffer.
    fn move_to_front(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    /// Makes room for at least `count` more bytes after the unread ones. Does nothing if the buffer has the room
    /// already. `expected` is the number of unread bytes at which the message will be complete, or `usize::MAX` if it
    /// is unknown: the buffer grows no further without need.
    ///
    /// # Errors
    ///
    /// The memory budget is used up, or the system has no memory left. The buffer is unchanged then.
    #[inline]
    pub(crate) fn reserve(&mut self, count: usize, expected: usize) -> Result<(), OutOfMemory> {
        if self.bytes.len() - self.end < count { self.make_room(count, expected) } else { Ok(()) }
    }

    /// Makes room for `count` more bytes after the unread ones. Moves the unread bytes to the front of the buffer. Then
    /// doubles the buffer if less than half of it is free, but not beyond `expected` bytes, and enlarges it further if
    /// `count` needs more room.
    ///
    /// The connection reserves one byte at a time. So the buffer grows with the bytes received, and a client cannot
    /// make it large with a large Content-Length alone.
    #[cold]
    fn make_room(&mut self, count: usize, expected: usize) -> Result<(), OutOfMemory> {
        self.move_to_front();
        let size = self.bytes.len();
        // With less than half of the buffer free, many small receives would move the bytes too often.
        if size - self.end >= count.max(size / 2) {
            return Ok(());
        }
        let needed = self.end.saturating_add(count);
        let wanted = size.saturating_mul(2).min(expected).max(needed).max(FIRST_CAPACITY);
        if wanted > size && self.grow(wanted).is_err() && needed > size {
            return Err(OutOfMemory);
        }
        Ok(())
    }

    /// Enlarges the buffer to `size` bytes.
    ///
    /// # Errors
    ///
    /// As [`reserve`](RecvBuf::reserve).
    fn grow(&mut self, size: usize) -> Result<(), OutOfMemory> {
        let before = self.bytes.len();
        if !self.share.resize(size.saturating_sub(FIRST_CAPACITY)) {
            return Err(OutOfMemory);
        }
        if self.bytes.try_reserve_exact(size - before).is_err() {
            self.share.resize(before.saturating_sub(FIRST_CAPACITY));
            return Err(OutOfMemory);
        }
        self.bytes.resize(size, 0);
        Ok(())
    }
}

impl std::fmt::Debug for RecvBuf {
    /// Writes the number of bytes. The bytes may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecvBuf({} bytes)", self.unread().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_buffer_can_receive_again() {
        let mut buffer = RecvBuf::default();
        buffer.extend(b"unread");
        buffer.release();
        assert_eq!(buffer.unread(), b"unread", "only an empty buffer is released");
        buffer.consume(6);
        let reserve = |buffer: &mut RecvBuf| assert_eq!(buffer.reserve(1, 1), Ok(()));
        for receive in [reserve, RecvBuf::clear] {
            buffer.release();
            assert_eq!(buffer.bytes.capacity(), 0);
            receive(&mut buffer);
            assert_eq!(buffer.spare().len(), FIRST_CAPACITY);
        }
    }

    #[test]
    fn growing_and_moving_keeps_the_bytes() {
        let mut buf = RecvBuf::default();
        let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        buf.extend(&all[..10_000]);
        buf.consume(9_999);
        buf.extend(&all[10_000..]);
        assert_eq!(buf.unread(), &all[9_999..]);
        buf.consume(buf.unread().len());
        assert!(buf.is_empty() && !buf.spare().is_empty());
    }

    #[test]
    fn a_cleared_buffer_holds_no_path() {
        let mut buf = RecvBuf::default();
        buf.extend(b"GET /%73ecret HTTP/1.0\r\n\r\n");
        assert!(matches!(buf.parse_head(&Limits::default()), Ok(ParseStatus::Complete(_))));
        buf.validate_head(Schemes::Http).expect("a valid head");
        assert_eq!(buf.index.decoded_path.as_bytes(), b"/secret");
        buf.clear();
        assert_eq!(buf.index.decoded_path.as_bytes(), b"");
    }

    #[test]
    fn grows_with_received_bytes_and_shrinks_when_cleared() {
        let mut buf = RecvBuf::default();
        while buf.unread().len() < 1_000_000 {
            buf.reserve(1, usize::MAX).expect("memory");
            let room = buf.spare().len();
            assert!(room > 0 && room <= 2 * FIRST_CAPACITY.max(buf.unread().len()), "{room}");
            buf.filled(room);
        }
        buf.clear();
        assert_eq!((buf.unread().len(), buf.spare().len()), (0, FIRST_CAPACITY));
    }

    #[test]
    fn shrinks_when_what_is_left_fits_the_first_size() {
        let budget = MemoryBudget::new(1_000_000);
        let mut buf = RecvBuf::default();
        buf.set_budget(budget.clone());
        let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        buf.extend(&all);
        let mut check = |left: usize, is_small: bool| {
            buf.consume(buf.unread().len() - left);
            assert_eq!(buf.unread(), &all[all.len() - left..]);
            let held = budget.used() + FIRST_CAPACITY;
            assert_eq!((held == FIRST_CAPACITY, buf.bytes.capacity()), (is_small, held), "{left} bytes left");
        };
        check(FIRST_CAPACITY + 1, false);
        check(FIRST_CAPACITY, true);
        check(1, true);
    }

    #[test]
    fn grows_no_further_than_expected() {
        let mut buf = RecvBuf::default();
        for (received, expected, size) in [
            (FIRST_CAPACITY - 1, 20_000, FIRST_CAPACITY),
            (FIRST_CAPACITY, 20_000, 20_000),
            (20_000, 20_000, 20_001),
            (20_001, 1_000_000, 40_002),
            (40_002, usize::MAX, 80_004),
        ] {
            buf.filled(received - buf.unread().len());
            assert_eq!(buf.reserve(1, expected), Ok(()));
            assert_eq!(buf.bytes.len(), size);
        }
    }

    #[test]
    fn grows_if_less_than_half_is_free() {
        for (consumed, size) in
            [(FIRST_CAPACITY / 2, FIRST_CAPACITY), (FIRST_CAPACITY / 2 - 1, 2 * FIRST_CAPACITY)]
        {
            let mut buf = RecvBuf::default();
            buf.filled(FIRST_CAPACITY);
            buf.consume(consumed);
            assert_eq!(buf.reserve(1, usize::MAX), Ok(()));
            assert_eq!(buf.bytes.len(), size, "{consumed} bytes consumed");
        }
    }

    #[test]
    fn the_bytes_are_not_logged() {
        let mut buf = RecvBuf::default();
        buf.extend(b"secret");
        assert_eq!(format!("{buf:?}"), "RecvBuf(6 bytes)");
    }

    #[test]
    fn lack_of_memory_is_an_error() {
        let budget = MemoryBudget::new(FIRST_CAPACITY);
        let mut buf = RecvBuf::default();
        buf.set_budget(budget.clone());
        let fill = |buf: &mut RecvBuf| {
            let room = buf.spare().len();
            buf.filled(room);
        };
        fill(&mut buf);
        assert_eq!(buf.reserve(1, usize::MAX), Ok(()));
        fill(&mut buf);
        assert_eq!((buf.reserve(1, usize::MAX), budget.used()), (Err(OutOfMemory), FIRST_CAPACITY));
        assert_eq!(buf.unread().len(), 2 * FIRST_CAPACITY);
        // What needs no more memory still works.
        buf.consume(1);
        assert_eq!((buf.reserve(1, usize::MAX), buf.spare().len()), (Ok(()), 1));
        buf.clear();
        assert_eq!(budget.used(), 0);
        // Without a budget, the system is the limit: no allocation has this size.
        assert_eq!(RecvBuf::default().reserve(usize::MAX, usize::MAX), Err(OutOfMemory));
    }

    #[test]
    fn skips_empty_lines() {
        let check = |bytes: &[u8], removed, most, expected: (usize, &[u8])| {
            let mut buf = RecvBuf::default();
            buf.extend(bytes);
            assert_eq!((buf.skip_empty_lines(removed, most), buf.unread()), expected, "{bytes:?}");
        };
        check(b"", 0, 8, (0, b""));
        check(b"GET", 0, 8, (0, b"GET"));
        check(b"\r\n\r\nGET", 0, 8, (4, b"GET"));
        check(b"\r", 0, 8, (1, b""));
        check(b"\n\rG", 1, 8, (3, b"G"));
        check(b"\r\r\n", 0, 8, (1, b"\r\n"));
        check(b"\n", 0, 8, (0, b"\n"));
        check(b"\r\n\r\n", 6, 8, (8, b"\r\n"));
    }
}
