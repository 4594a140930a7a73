//! Where something stands in a head.

/// A stretch of the head. Offsets, not pointers: the bytes may move and the index stays true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// The span from `start` to `end`, both below 64 KiB because no head is longer.
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end <= usize::from(u16::MAX));
        Span { start: start as u16, end: end as u16 }
    }

    /// The bytes it stands for; empty if they are not there.
    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }

    /// Its first `length` octets, and those behind them.
    #[inline]
    pub(crate) fn split_at(self, length: usize) -> (Span, Span) {
        let (start, end) = (usize::from(self.start), usize::from(self.end));
        (Span::new(start, start + length), Span::new(start + length, end))
    }
}
