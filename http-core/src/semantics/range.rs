//! `Range`: which bytes of a representation a request asks for (RFC 9110 §14).
//!
//! A header that is malformed, has an unknown unit or asks for too much is no error: the server ignores it and sends
//! the whole representation (§14.2). Before it calls this module, a server checks that the header applies: the method
//! is GET, the preconditions hold, and [`range_applies`](super::conditional::range_applies) accepts `If-Range`. This
//! module never lets a header select more bytes than the representation has.
//!
//! ```
//! use http_core::range::{self, ByteRange, Ranges};
//!
//! let Ranges::Partial(parts) = range::resolve(b"bytes=0-9, -5", 100, 200) else { unreachable!() };
//! assert_eq!(parts, [ByteRange { first: 0, last: 9 }, ByteRange { first: 95, last: 99 }]);
//! assert_eq!(parts[0].content_range(100), "bytes 0-9/100");
//!
//! assert_eq!(range::resolve(b"bytes=100-", 100, 200), Ranges::Unsatisfiable);
//! assert_eq!(range::unsatisfied(100), "bytes */100");
//! ```

use crate::types::grammar::{decimal, list};

/// A range of bytes within the representation, from `first` to `last` inclusive.
///
/// ```
/// use http_core::range::ByteRange;
///
/// let range = ByteRange { first: 10, last: 19 };
/// assert_eq!((range.len(), &*range.content_range(100)), (10, "bytes 10-19/100"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, at least `first`.
    pub last: u64,
}

impl ByteRange {
    /// Returns the number of bytes, at least one.
    #[expect(clippy::len_without_is_empty, reason = "no range is empty: Content-Range has no syntax for it")]
    pub fn len(self) -> u64 {
        debug_assert!(self.first <= self.last, "{self:?} is reversed");
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Returns the value of `Content-Range` for this range of a representation of `complete` bytes (RFC 9110 §14.4):
    /// `bytes 0-9/100`.
    pub fn content_range(self, complete: u64) -> String {
        format!("bytes {}-{}/{complete}", self.first, self.last)
    }

    /// Returns whether the ranges overlap, or one begins where the other ends.
    fn touches(self, other: ByteRange) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }
}

/// The response that a `Range` header asks for.
///
/// ```
/// use http_core::{Response, Status, range::{self, Ranges}};
///
/// /// Responds with one range of the alphabet, if the client asks for one.
/// fn respond(range: &[u8]) -> Response {
///     let text = "abcdefghijklmnopqrstuvwxyz";
///     match range::resolve(range, 26, 1) {
///         Ranges::Partial(parts) => {
///             let part = &text[parts[0].first as usize..=parts[0].last as usize];
///             let response = Response::text(part).with_status(Status::PARTIAL_CONTENT);
///             response.with_header("Content-Range", parts[0].content_range(26))
///         }
///         Ranges::Unsatisfiable => Response::error(Status::RANGE_NOT_SATISFIABLE)
///             .with_header("Content-Range", range::unsatisfied(26)),
///         Ranges::Whole => Response::text(text),
///     }
/// }
///
/// assert_eq!(respond(b"bytes=23-").header("Content-Range"), Some(&b"bytes 23-25/26"[..]));
/// assert_eq!(respond(b"bytes=26-").status(), Status::RANGE_NOT_SATISFIABLE);
/// assert_eq!(respond(b"lines=1").status(), Status::OK);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it says how to respond"]
pub enum Ranges {
    /// 200 with the whole representation: the header is ignored.
    Whole,
    /// 206 with these parts, in the order requested. There is at least one. No two of them overlap or are adjacent.
    Partial(Vec<ByteRange>),
    /// 416: the header is valid, but none of its ranges contains a byte of the representation.
    Unsatisfiable,
}

/// Resolves the value of a `Range` header for a representation of `length` bytes (RFC 9110 §14.1.2, §14.2).
///
/// Drops ranges that contain no byte of the representation. If none remains, the result is [`Ranges::Unsatisfiable`].
///
/// Coalesces ranges that overlap or are adjacent, wherever they are in the header (§15.3.7.2). The result takes the
/// place of the first of them. So the parts together never have more bytes than the representation, and a header cannot
/// make the server send the same bytes many times (§17.15).
///
/// The result is [`Ranges::Whole`], so that the server ignores the header, in four cases: the header is malformed; its
/// unit is not bytes; it has more than `max_parts` ranges; or the representation is empty and a range begins at its
/// beginning or is a suffix. `Content-Range` cannot express such a range, and a 416 would tell a client that the
/// representation has changed.
///
/// ```
/// # use http_core::range::{resolve, ByteRange, Ranges};
/// assert_eq!(resolve(b"bytes=90-999", 100, 200), Ranges::Partial(vec![ByteRange { first: 90, last: 99 }]));
/// assert_eq!(resolve(b"bytes=5-9,0-4", 100, 200), Ranges::Partial(vec![ByteRange { first: 0, last: 9 }]));
/// assert_eq!(resolve(b"lines=1-2", 100, 200), Ranges::Whole);
/// assert_eq!(resolve(b"bytes=0-", 0, 200), Ranges::Whole);
/// ```
pub fn resolve(value: &[u8], length: u64, max_parts: usize) -> Ranges {
    match satisfiable_parts(value, length, max_parts) {
        None => Ranges::Whole,
        Some(parts) if parts.is_empty() => Ranges::Unsatisfiable,
        Some(parts) => Ranges::Partial(parts),
    }
}

/// Returns the value of `Content-Range` in a 416 response for a representation of `length` bytes (RFC 9110 §14.4):
/// `bytes */100`.
pub fn unsatisfied(length: u64) -> String {
    format!("bytes */{length}")
}

/// Returns the parts to send, or an empty vector if no range contains a byte of the representation. Returns `None` if
/// the server should ignore the header: see [`resolve`].
fn satisfiable_parts(value: &[u8], length: u64, max_parts: usize) -> Option<Vec<ByteRange>> {
    const UNIT: &[u8] = b"bytes=";
    let (_, range_set) =
        value.split_at_checked(UNIT.len()).filter(|(unit, _)| unit.eq_ignore_ascii_case(UNIT))?;
    let mut parts = Vec::new();
    let (mut requested, mut selects_empty) = (0, false);
    for member in list(range_set) {
        let selected = select(member, length)?;
        requested += 1;
        if requested > max_parts {
            return None;
        }
        match selected {
            Selected::Bytes(range) => add_part(&mut parts, range),
            Selected::Empty => selects_empty = true,
            Selected::Nothing => {}
        }
    }
    (requested > 0 && !selects_empty).then_some(parts)
}

/// Adds `range` to the parts, of which no two overlap or are adjacent. Coalesces it with all parts that it overlaps or
/// is adjacent to: the result takes the place of the first of them. If there is none, `range` becomes the last part.
fn add_part(parts: &mut Vec<ByteRange>, range: ByteRange) {
    let place = parts.iter().position(|part| part.touches(range)).unwrap_or(parts.len());
    let mut union = range;
    parts.retain(|part| {
        let separate = !part.touches(range);
        if !separate {
            union = ByteRange { first: union.first.min(part.first), last: union.last.max(part.last) };
        }
        separate
    });
    // Nothing before `place` was removed.
    parts.insert(place, union);
}

/// What one range of a `Range` header selects.
enum Selected {
    /// These bytes.
    Bytes(ByteRange),
    /// All of an empty representation.
    Empty,
    /// No byte: the range is unsatisfiable.
    Nothing,
}

/// Returns what one range selects (RFC 9110 §14.1.1, §14.1.2), or `None` if it is malformed. `member` is the text of
/// the range, such as `0-9`. `length` is the size of the representation.
fn select(member: &[u8], length: u64) -> Option<Selected> {
    let dash = member.iter().position(|&byte| byte == b'-')?;
    let (first, last) = match (&member[..dash], &member[dash + 1..]) {
        // A suffix range, the last bytes.
        (b"", suffix) => match decimal(suffix)? {
            0 => return Some(Selected::Nothing),
            count => (length.saturating_sub(count), u64::MAX),
        },
        (first, b"") => (decimal(first)?, u64::MAX),
        (first, last) => (decimal(first)?, decimal(last)?),
    };
    if first > last {
        return None;
    }
    Some(match length.checked_sub(1) {
        Some(end) if first <= end => Selected::Bytes(ByteRange { first, last: last.min(end) }),
        None if first == 0 => Selected::Empty,
        _ => Selected::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ranges::{Unsatisfiable, Whole};
    use proptest::prelude::*;

    /// The argument `max_parts` in all tests but one.
    const MAX_PARTS: usize = 3;

    /// Resolves the Range header `value` for a representation of `length` bytes.
    fn check(value: &str, length: u64, expected: &Ranges) {
        assert_eq!(&resolve(value.as_bytes(), length, MAX_PARTS), expected, "{value:?} of {length}");
    }

    /// Returns the result with these parts, each given by its first and last offset.
    fn parts<const N: usize>(pairs: [(u64, u64); N]) -> Ranges {
        Ranges::Partial(pairs.map(|(first, last)| ByteRange { first, last }).to_vec())
    }

    #[test]
    fn resolves_one_range() {
        check("bytes=0-0", 100, &parts([(0, 0)]));
        check("bytes=10-19", 100, &parts([(10, 19)]));
        check("bytes=99-", 100, &parts([(99, 99)]));
        check("bytes=0-99", 100, &parts([(0, 99)]));
        check("bytes=50-100", 100, &parts([(50, 99)]));
        check("bytes=-1", 100, &parts([(99, 99)]));
        check("bytes=-100", 100, &parts([(0, 99)]));
        check("bytes=-101", 100, &parts([(0, 99)]));
        check("ByTeS=007-8", 100, &parts([(7, 8)]));
    }

    #[test]
    fn keeps_the_order_of_several_ranges() {
        check("bytes=6-9,0-4", 100, &parts([(6, 9), (0, 4)]));
        check("bytes= ,0-0 ,\t2-2,, -1 ,", 100, &parts([(0, 0), (2, 2), (99, 99)]));
        check("bytes=100-,0-0,-0", 100, &parts([(0, 0)]));
    }

    /// RFC 9110 §15.3.7.2.
    #[test]
    fn coalesces_ranges_that_overlap_or_are_adjacent() {
        check("bytes=0-49,0-49", 100, &parts([(0, 49)]));
        check("bytes=0-49,40-", 100, &parts([(0, 99)]));
        check("bytes=50-59,40-49", 100, &parts([(40, 59)]));
        check("bytes=0-0,1-1,2-2", 100, &parts([(0, 2)]));
        check("bytes=0-0,2-2,1-1", 100, &parts([(0, 2)]));
        check("bytes=0-9,5-6,20-29", 100, &parts([(0, 9), (20, 29)]));
        // In the place of the first, whichever part joins them.
        check("bytes=50-59,0-9,8-50", 100, &parts([(0, 59)]));
        check("bytes=80-,10-19,-30", 100, &parts([(70, 99), (10, 19)]));
        check("bytes=10-19,80-,-30", 100, &parts([(10, 19), (70, 99)]));
        check("bytes=0-,0-", u64::MAX, &parts([(0, u64::MAX - 1)]));
    }

    #[test]
    fn ranges_without_a_byte_are_unsatisfiable() {
        check("bytes=100-", 100, &Unsatisfiable);
        check("bytes=100-200,300-,-0", 100, &Unsatisfiable);
        check("bytes=-0", 100, &Unsatisfiable);
        for value in ["bytes=1-", "bytes=1-1", "bytes=-0", "bytes=1-,-0"] {
            check(value, 0, &Unsatisfiable);
        }
    }

    /// As nginx and Apache do: a client that resumes an empty file must not see an error.
    #[test]
    fn a_range_of_an_empty_representation_is_all_of_it() {
        for value in ["bytes=0-", "bytes=0-0", "bytes=0-99", "bytes=-1", "bytes=1-,-5", "bytes=0-,1-"] {
            check(value, 0, &Whole);
        }
    }

    #[test]
    fn ignores_malformed_headers() {
        for set in ["", ",", "-", "1", "a-", "0-a", "+0-1", "--1", "0-1-2", "0 -1", "0-1;2-3", "*", "2-1"] {
            check(&format!("bytes={set}"), 100, &Whole);
        }
        for value in ["", "0-1", "bytes", "bytes:0-1", "bytes =0-1", "byte=0-1", "bytess=0-1", "lines=0-1"] {
            check(value, 100, &Whole);
        }
        check("bytes=0-0,x", 100, &Whole);
        check("bytes=0-0,2-1", 100, &Whole);
        check("bytes=100-,2-1", 100, &Whole);
    }

    #[test]
    fn large_numbers_saturate() {
        check("bytes=0-99999999999999999999999", 100, &parts([(0, 99)]));
        check("bytes=-99999999999999999999999", 100, &parts([(0, 99)]));
        check("bytes=99999999999999999999999-", u64::MAX, &Unsatisfiable);
        check("bytes=18446744073709551616-", 100, &Unsatisfiable); // 2^64, which must not wrap to 0
        check("bytes=0-", u64::MAX, &parts([(0, u64::MAX - 1)]));
    }

    #[test]
    fn ignores_headers_with_too_many_ranges() {
        check("bytes=0-0,2-2,4-4", 100, &parts([(0, 0), (2, 2), (4, 4)]));
        check("bytes=0-0,2-2,4-4,6-6", 100, &Whole);
        check("bytes=200-,200-,200-,200-", 100, &Whole);
        assert_eq!(resolve(b"bytes=0-0", 100, 0), Whole);
    }

    #[test]
    fn formats_lengths_and_content_range() {
        assert_eq!(ByteRange { first: 7, last: 7 }.len(), 1);
        assert_eq!(ByteRange { first: 0, last: u64::MAX }.len(), u64::MAX);
        assert_eq!(ByteRange { first: 500, last: 999 }.content_range(1234), "bytes 500-999/1234");
        assert_eq!(unsatisfied(0), "bytes */0");
    }

    proptest! {
        #[test]
        fn parts_are_disjoint_and_within_the_representation(
            value in prop_oneof![".*", "bytes=([0-9]{0,2}-[0-9]{0,2}[, ]{1,2}){1,4}"],
            length in prop_oneof![0..100_u64, any::<u64>()],
        ) {
            if let Ranges::Partial(parts) = resolve(value.as_bytes(), length, MAX_PARTS) {
                prop_assert!((1..=MAX_PARTS).contains(&parts.len()));
                prop_assert!(parts.iter().all(|part| part.first <= part.last && part.last < length));
                let touching = |(at, part): (usize, &ByteRange)| parts[..at].iter().any(|other| other.touches(*part));
                prop_assert!(!parts.iter().enumerate().any(touching), "{:?}", parts);
            }
        }
    }
}
