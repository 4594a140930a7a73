//! A Range header never makes a server send more than the representation, or bytes outside it.
//!
//! Property: `resolve` does not panic. Every part has `first <= last < length`; there are at least one and at most
//! `max_parts`; together they are no longer than the representation. The parts are those of RFC 9110 §14, computed here
//! with numbers that cannot overflow.
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
    let mut sum = 0;
    for part in parts {
        assert!(part.first <= part.last && part.last < length, "{part:?} of {length}");
        assert_eq!(part.len(), part.last - part.first + 1);
        assert_eq!(part.content_range(length), format!("bytes {}-{}/{length}", part.first, part.last));
        sum += u128::from(part.len());
    }
    assert!(sum <= u128::from(length), "{sum} bytes of {length}");
}

/// A judge: what the header asks for.
fn expected(value: &[u8], length: u128, max_parts: usize) -> Ranges {
    let Some(specs) = read(value).filter(|specs| !specs.is_empty() && specs.len() <= max_parts) else {
        return Ranges::Whole;
    };
    let parts: Vec<(u128, u128)> =
        specs.into_iter().filter_map(|spec| resolve_member(spec, length)).collect();
    // From first to one after last.
    let sum: u128 = parts.iter().map(|(first, end)| end - first).sum();
    match parts.len() {
        0 => Ranges::Unsatisfiable,
        _ if sum > length => Ranges::Whole,
        _ => {
            let part = |(first, end)| ByteRange { first: first as u64, last: (end - 1) as u64 };
            Ranges::Partial(parts.into_iter().map(part).collect())
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
