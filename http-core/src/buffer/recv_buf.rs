//! The receive buffer: the bytes that the client has sent and the connection has not consumed.
//!
//! The engine fills the buffer, the connection empties it. The buffer never reads from a socket.

use crate::{
    codec::head::{HeadIndex, MAX_LEADING_CRLF, ParseStatus},
    types::{error::ParseError, limits::Limits},
};

/// The size of a new buffer in bytes: room for any usual head, or a few dozen pipelined requests.
const FIRST_CAPACITY: usize = 16 * 1024;

/// The receive buffer of one connection.
#[derive(Clone, Debug)]
pub struct RecvBuf {
    /// The memory, always initialised. `bytes[start..end]` are the bytes received and not consumed.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The parser of the head at `start`, with the offsets of the elements parsed so far.
    /// [`consume`](RecvBuf::consume) and [`clear`](RecvBuf::clear) reset it.
    pub(crate) index: HeadIndex,
}

impl Default for RecvBuf {
    fn default() -> RecvBuf {
        RecvBuf { bytes: vec![0; FIRST_CAPACITY], start: 0, end: 0, index: HeadIndex::default() }
    }
}

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

    /// Appends a copy of `bytes` to the received bytes. Grows the buffer if needed. For tests, and for transports that
    /// receive into buffers of their own.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Returns the bytes received and not consumed.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Returns whether the connection has consumed all received bytes.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns whether a head has begun: whether there are unread bytes other than the empty lines allowed before a request
    /// line (RFC 9112 §2.2).
    #[inline]
    pub(crate) fn begins_head(&self) -> bool {
        let bytes = self.unread();
        // With more empty lines than are allowed, the parser must run to reject them.
        bytes.len() > 2 * MAX_LEADING_CRLF || !bytes.chunks(2).all(|line| line == b"\r\n" || line == b"\r")
    }

    /// Removes all bytes, and frees the memory beyond the size of a new buffer.
    #[inline]
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        self.index.reset();
        if self.bytes.len() > FIRST_CAPACITY {
            self.bytes.truncate(FIRST_CAPACITY);
            self.bytes.shrink_to_fit();
        }
    }

    /// Parses the head at the front of the unread bytes, and returns whether the head is complete. Continues where the
    /// last call stopped. Fails if the head is malformed or exceeds a limit.
    #[inline]
    pub(crate) fn parse_head(&mut self, limits: &Limits) -> Result<ParseStatus, ParseError> {
        self.index.parse(&self.bytes[self.start..self.end], limits)
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
    /// from its first byte. `count` must be at most the number of unread bytes.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start = (self.start + count).min(self.end);
        self.index.reset();
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Makes room for at least `count` more bytes after the unread ones. Does nothing if the buffer has the room
    /// already.
    #[inline]
    pub(crate) fn reserve(&mut self, count: usize) {
        if self.bytes.len() - self.end < count {
            self.make_room(count);
        }
    }

    /// Makes room for `count` more bytes after the unread ones. Moves the unread bytes to the front of the buffer. Then
    /// doubles the buffer if less than half of it is free, and enlarges it further if `count` needs more room.
    ///
    /// The connection reserves one byte at a time. So the buffer grows with the bytes received, and a client cannot
    /// make it large with a large Content-Length alone.
    fn make_room(&mut self, count: usize) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // With less than half of the buffer free, many small receives would move the bytes too often.
        if self.bytes.len() - self.end < count.max(self.bytes.len() / 2) {
            self.bytes.resize((self.bytes.len() * 2).max(self.end + count), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn grows_with_received_bytes_and_shrinks_when_cleared() {
        let mut buf = RecvBuf::default();
        while buf.unread().len() < 1_000_000 {
            buf.reserve(1);
            let room = buf.spare().len();
            assert!(room > 0 && room <= 2 * FIRST_CAPACITY.max(buf.unread().len()), "{room}");
            buf.filled(room);
        }
        buf.clear();
        assert_eq!((buf.unread().len(), buf.spare().len()), (0, FIRST_CAPACITY));
    }
}
