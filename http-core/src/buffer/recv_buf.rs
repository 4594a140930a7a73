//! What a peer has sent and nobody has used up yet, with the index of the head that stands at its front.
//!
//! It is filled by an engine and emptied by the connection. It never reads by itself.

use crate::codec::head::{HeadIndex, MAX_LEADING_CRLF, Progress};
use crate::types::{error::ParseError, limits::Limits};

/// What a fresh buffer holds: any usual head, and a page of pipelined requests.
const FIRST_CAPACITY: usize = 16 * 1024;

/// Bytes received, from the first that is not used up.
#[derive(Clone, Debug)]
pub struct RecvBuf {
    /// Always initialised to its whole length; `start..end` holds what was received.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    pub(crate) index: HeadIndex,
}

impl Default for RecvBuf {
    fn default() -> RecvBuf {
        RecvBuf { bytes: vec![0; FIRST_CAPACITY], start: 0, end: 0, index: HeadIndex::default() }
    }
}

impl RecvBuf {
    /// Room for the next receive; never empty after a [`Step::Receive`](crate::Step::Receive).
    #[inline]
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// Counts the first `count` bytes of the room as received.
    ///
    /// # Panics
    ///
    /// If there was no such room.
    #[inline]
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.bytes.len() - self.end, "more received than there was room for");
        self.end += count;
    }

    /// Copies bytes in, growing as needed: for tests and for transports that bring their own buffers.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.spare().len() < bytes.len() {
            self.reserve(bytes.len());
        }
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Bytes received and not used up.
    #[inline]
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether anything but empty lines is here, which may stand before a request line (RFC 9112 §2.2).
    #[inline]
    pub(crate) fn begins_head(&self) -> bool {
        let empty_lines = |bytes: &[u8]| bytes.chunks(2).all(|line| line == b"\r\n" || line == b"\r");
        match self.unread() {
            [] => false,
            // So many that the parser has something to say about them.
            bytes => bytes.len() > 2 * MAX_LEADING_CRLF || !empty_lines(bytes),
        }
    }

    /// Forgets everything, and gives back what a large body made it grow to.
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

    /// Goes on parsing the head at the front.
    #[inline]
    pub(crate) fn parse_head(&mut self, limits: &Limits) -> Result<Progress, ParseError> {
        self.index.parse(&self.bytes[self.start..self.end], limits)
    }

    /// What follows the first `head_len` unread bytes.
    pub(crate) fn after_mut(&mut self, head_len: usize) -> &mut [u8] {
        &mut self.bytes[self.start + head_len..self.end]
    }

    /// Drops all but the first `count` unread bytes.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.end = self.end.min(self.start + count);
    }

    /// Uses up the first `count` unread bytes, with the head in them.
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

    /// Makes room for at least one more byte, at most doubling: memory follows what a peer has sent, not what
    /// it has announced.
    #[inline]
    pub(crate) fn make_room(&mut self) {
        if self.end == self.bytes.len() {
            self.reserve(1);
        }
    }

    fn reserve(&mut self, count: usize) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // Half a buffer free is room enough; less, and many small receives would copy too often.
        if self.bytes.len() - self.end < count.max(self.bytes.len() / 2) {
            self.bytes.resize((self.bytes.len() * 2).max(self.end + count), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_growing_and_moving() {
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
    fn room_follows_what_came_and_is_given_back() {
        let mut buf = RecvBuf::default();
        while buf.unread().len() < 1_000_000 {
            buf.make_room();
            let room = buf.spare().len();
            assert!(room > 0 && room <= 2 * FIRST_CAPACITY.max(buf.unread().len()), "{room}");
            buf.filled(room);
        }
        buf.clear();
        assert_eq!((buf.unread().len(), buf.spare().len()), (0, FIRST_CAPACITY));
    }
}
