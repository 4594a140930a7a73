//! Which octet may stand where, and how far a run of allowed octets reaches.
//!
//! The scanners are where a request spends its parsing time. Each takes a slice and a start and returns the
//! first index that does not belong, or the slice's length; none of them looks at an octet twice.

/// `tchar` of RFC 9110 §5.6.2.
const TOKEN: u8 = 1;
/// What a request target is read as: visible ASCII, but for `#`, which no target has (RFC 9112 §3.2). What a URI
/// has no room for besides is for `spelling` to judge.
const TARGET: u8 = 2;
/// What may stand in a registered name (RFC 3986 §3.2.2) besides escapes, but for the comma: two Host fields joined into
/// one must not pass for a name.
const HOST: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let byte = octet as u8;
        let alphanumeric = byte.is_ascii_alphanumeric();
        if alphanumeric || contains(b"!#$%&'*+-.^_`|~", byte) {
            table[octet] |= TOKEN;
        }
        if byte.is_ascii_graphic() && byte != b'#' {
            table[octet] |= TARGET;
        }
        if alphanumeric || contains(b"-._~!$&'()*+;=", byte) {
            table[octet] |= HOST;
        }
        octet += 1;
    }
    table
};

const fn contains(set: &[u8], byte: u8) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether `byte` may stand in a token (method, field name, connection option).
#[inline]
pub const fn is_token(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

/// Whether `byte` is optional white space: SP or HTAB (RFC 9110 §5.6.3).
#[inline]
pub const fn is_ows(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Whether `byte` may stand inside a field value: visible, SP, HTAB or obs-text (RFC 9110 §5.5).
#[inline]
pub const fn is_field_content(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f || byte == b'\t'
}

/// The end of the run of token octets that starts at `at`.
#[inline]
pub fn token_end(bytes: &[u8], at: usize) -> usize {
    run_end(bytes, at, |byte| CLASSES[byte as usize] & TOKEN != 0)
}

/// The end of the run of request-target octets that starts at `at`.
#[inline]
pub fn target_end(bytes: &[u8], at: usize) -> usize {
    run_end(bytes, at, |byte| CLASSES[byte as usize] & TARGET != 0)
}

/// The end of the run of octets that starts at `at` and may stand in a host unescaped.
#[inline]
pub fn host_end(bytes: &[u8], at: usize) -> usize {
    run_end(bytes, at, |byte| CLASSES[byte as usize] & HOST != 0)
}

#[inline]
fn run_end(bytes: &[u8], at: usize, belongs: impl Fn(u8) -> bool) -> usize {
    match bytes.get(at..) {
        Some(rest) => at + rest.iter().position(|&byte| !belongs(byte)).unwrap_or(rest.len()),
        None => bytes.len(),
    }
}

/// The end of the run of field-content octets that starts at `at`: the first control other than HTAB.
///
/// Values are the bulk of a head, so sixteen octets are judged in one step, and eight where one of them stops. Names and
/// targets are shorter: there, one after the other measured faster than eight at once.
#[inline]
pub fn field_content_end(bytes: &[u8], mut at: usize) -> usize {
    // No early end, no table: the compiler makes vector instructions of it.
    let is_plain =
        |block: &[u8; 16]| block.iter().fold(true, |all, &byte| all & (byte >= 0x20) & (byte != 0x7f));
    while bytes.get(at..).and_then(|rest| rest.first_chunk()).is_some_and(is_plain) {
        at += 16;
    }
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let stops = controls(u64::from_le_bytes(*word));
        if stops == 0 {
            at += 8;
            continue;
        }
        at += stops.trailing_zeros() as usize / 8;
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    run_end(bytes, at, is_field_content)
}

/// A set high bit in the lowest lane that holds an octet below 0x20 or DEL; lanes above it may be wrong.
#[inline]
fn controls(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let not_delete = word ^ (ONES * 0x7f);
    let delete = not_delete.wrapping_sub(ONES) & !not_delete;
    (below_space | delete) & HIGHS
}

/// `bytes` without optional white space at both ends.
pub fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_ows(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_ows(*last)
    {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_content_ends_at_every_control_but_tab_wherever_it_stands() {
        for octet in 0..=255u8 {
            for place in 0..40 {
                let mut line = vec![b'v'; 40];
                line[place] = octet;
                let stops = (octet < 0x20 && octet != b'\t') || octet == 0x7f;
                let expected = if stops { place } else { line.len() };
                assert_eq!(field_content_end(&line, 0), expected, "octet {octet:#x} at {place}");
            }
        }
    }

    #[test]
    fn an_octet_above_ascii_beside_a_stop_does_not_hide_it() {
        assert_eq!(field_content_end(b"\xff\x80\t\xfe\x7f\xff\xff\xff\xff", 0), 4);
    }

    #[test]
    fn tokens_are_what_the_grammar_says() {
        let tokens: Vec<u8> = (0..=255).filter(|&byte| is_token(byte)).collect();
        assert_eq!(
            tokens,
            b"!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~".to_vec()
        );
    }

    #[test]
    fn a_start_beyond_the_end_is_the_end() {
        assert_eq!(token_end(b"ab", 5), 2);
        assert_eq!(field_content_end(b"ab", 5), 2);
    }
}
