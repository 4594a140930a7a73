//! A Range header never makes a server send more than the representation, or bytes outside it.
//!
//! Property: `resolve` does not panic. Every part has `first <= last < length`; there are at least one and at most
//! `max_parts`. No part overlaps another or is adjacent to it, so that together they are no longer than the
//! representation. The parts are those of RFC 9110 §14, computed here with numbers that cannot overflow.
//!
//! Input: the length in decimal digits, line feed; then the value of the header.

use http_core::range::{self, ByteRange, Ranges};

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let (line, value) = match data.iter().position(|&byte| byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let length = u64::try_from(number(&line[..digits]).unwrap_or(0)).unwrap_or(u64::MAX);

    for max_parts in [0, 1, 3, 16, usize::MAX] {
        let ranges = range::resolve(value, length, max_parts);
        check_safe(&ranges, length, max_parts);
        assert_eq!(ranges, expected(value, length.into(), max_parts), "of {length} in {max_parts} parts");
    }
}

fn check_safe(ranges: &Ranges, length: u64, max_parts: usize) {
    let Ranges::Partial(parts) = ranges else { return };
    assert!((1..=max_parts).contains(&parts.len()), "{} parts", parts.len());
    for (number, part) in parts.iter().enumerate() {
        assert!(part.first <= part.last && part.last < length, "{part:?} of {length}");
        assert_eq!(part.len(), part.last - part.first + 1);
        assert_eq!(part.content_range(length), format!("bytes {}-{}/{length}", part.first, part.last));
        let gap = |other: &ByteRange| {
            other.first > part.last.saturating_add(1) || part.first > other.last.saturating_add(1)
        };
        assert!(parts[..number].iter().all(gap), "{part:?} overlaps another part, or is adjacent to it");
    }
}

/// An oracle: what the header asks for.
fn expected(value: &[u8], length: u128, max_parts: usize) -> Ranges {
    let Some(specs) = read(value).filter(|specs| !specs.is_empty() && specs.len() <= max_parts) else {
        return Ranges::Whole;
    };
    let is_all = |spec: &(Option<u128>, Option<u128>)| match *spec {
        (Some(first), _) => first == 0,
        (None, suffix) => suffix != Some(0),
    };
    if length == 0 && specs.iter().any(is_all) {
        return Ranges::Whole;
    }
    // From first to one after last, in the order of the header.
    let requested: Vec<(u128, u128)> =
        specs.into_iter().filter_map(|spec| resolve_member(spec, length)).collect();
    // In the order of the bytes, without overlaps and gaps of no bytes.
    let mut sorted = requested.clone();
    sorted.sort_unstable();
    let mut coalesced: Vec<(u128, u128)> = Vec::new();
    for (first, end) in sorted {
        match coalesced.last_mut() {
            Some((_, last_end)) if first <= *last_end => *last_end = end.max(*last_end),
            _ => coalesced.push((first, end)),
        }
    }
    // In the order in which the header first asks for a byte of each.
    coalesced.sort_by_key(|(first, end)| requested.iter().position(|(at, _)| (first..end).contains(&at)));
    match coalesced.len() {
        0 => Ranges::Unsatisfiable,
        _ => {
            let part = |(first, end)| ByteRange { first: first as u64, last: (end - 1) as u64 };
            Ranges::Partial(coalesced.into_iter().map(part).collect())
        }
    }
}

/// Returns both ends of each member as sent; `None` if the header is malformed.
fn read(value: &[u8]) -> Option<Vec<(Option<u128>, Option<u128>)>> {
    let (unit, set) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let members = set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    members
        .map(|member| {
            let mut ends = member.splitn(2, |&byte| byte == b'-');
            let mut end = || match ends.next()? {
                b"" => Some(None),
                digits => number(digits).map(Some),
            };
            match (end()?, end()?) {
                (None, None) => None,
                (Some(first), Some(last)) if first > last => None,
                ends => Some(ends),
            }
        })
        .collect()
}

/// Returns the start and the end of a member; `None` if it contains no byte.
fn resolve_member(spec: (Option<u128>, Option<u128>), length: u128) -> Option<(u128, u128)> {
    let (first, end) = match spec {
        (Some(first), Some(last)) => (first, length.min(last + 1)),
        (Some(first), None) => (first, length),
        (None, suffix) => (length.saturating_sub(suffix?), length),
    };
    (first < end).then_some((first, end))
}

/// Parses a number. One beyond 64 bits counts as the largest of 64 bits, which lies outside every representation.
fn number(digits: &[u8]) -> Option<u128> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let add = |sum: u128, digit: &u8| (sum * 10 + u128::from(digit - b'0')).min(u64::MAX.into());
    all_digits.then(|| digits.iter().fold(0, add))
}
