//! Character classes of HTTP, and scanners for the end of a run of one class.
//!
//! Parsing a request spends most of its time in the scanners, the functions whose names end in `_end`. Each takes a
//! slice and a start, and returns the index of the first byte from there on that is outside its class. If there is no
//! such byte, or the start lies beyond the slice, it returns the length of the slice.

/// The bit in [`CLASSES`] of the bytes of a token: `tchar` of RFC 9110 §5.6.2.
const TOKEN: u8 = 1;

/// The bit in [`CLASSES`] of the bytes accepted in a request target: visible ASCII without `#`, because a target has no
/// fragment (RFC 9112 §3.2). These are more bytes than a URI allows.
const TARGET: u8 = 2;

/// The bit in [`CLASSES`] of the bytes of a registered name (RFC 3986 §3.2.2), without percent-escapes. The comma is
/// left out, so that two Host headers joined into one do not look like one name.
const HOST: u8 = 4;

/// The bit in [`CLASSES`] of the bytes of a path or a query in a URI (RFC 3986 §3.3, §3.4), without percent-escapes.
const URI: u8 = 8;

/// The bit in [`CLASSES`] of the bytes of a path segment (`pchar`, RFC 3986 §3.3), without percent-escapes: those of
/// [`URI`] except `/` and `?`.
const SEGMENT: u8 = 16;

/// The bytes of a path or a query in a URI that are not letters or digits, without percent-escapes.
pub(crate) const URI_PUNCTUATION: &[u8] = b"-._~/?:@!$&'()*+,;=";

/// The classes of each byte: `CLASSES[byte] & TOKEN != 0` if a token may contain the byte.
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let byte = code as u8;
        if byte.is_ascii_alphanumeric() {
            table[code] = TOKEN | HOST | URI | SEGMENT;
        }
        if byte.is_ascii_graphic() && byte != b'#' {
            table[code] |= TARGET;
        }
        code += 1;
    }
    add_class(&mut table, TOKEN, b"!#$%&'*+-.^_`|~");
    add_class(&mut table, HOST, b"-._~!$&'()*+;=");
    add_class(&mut table, URI, URI_PUNCTUATION);
    add_class(&mut table, SEGMENT, b"-._~:@!$&'()*+,;=");
    table
};

/// Adds the bit `class` to the entries of `bytes`.
const fn add_class(table: &mut [u8; 256], class: u8, bytes: &[u8]) {
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] |= class;
        i += 1;
    }
}

/// Returns whether a token may contain `byte`. Methods, header names and connection options are tokens.
pub const fn is_token(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

/// Returns whether a path or a query in a URI may contain `byte` without a percent-escape.
pub(crate) const fn is_uri(byte: u8) -> bool {
    CLASSES[byte as usize] & URI != 0
}

/// Returns whether a registered name may contain `byte` without a percent-escape (RFC 3986 §3.2.2). A comma is not
/// accepted.
pub(crate) const fn is_host(byte: u8) -> bool {
    CLASSES[byte as usize] & HOST != 0
}

/// Returns whether `byte` is optional white space: SP or HTAB (RFC 9110 §5.6.3).
pub const fn is_ows(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Returns whether a header value may contain `byte`: visible ASCII, SP, HTAB or obs-text (RFC 9110 §5.5).
pub const fn is_header_value(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f || byte == b'\t'
}

/// Returns the end of the token that starts at `at`: the index of the first byte from `at` on that a token may not
/// contain. Returns `bytes.len()` if there is no such byte. Returns `at` if no token starts there.
pub fn token_end(bytes: &[u8], at: usize) -> usize {
    run_end(bytes, at, |byte| CLASSES[byte as usize] & TOKEN != 0)
}

/// Returns the end of the request target that starts at `at`: the index of the first byte from `at` on that is `#` or
/// is not visible ASCII. Returns `bytes.len()` if there is no such byte.
pub fn target_end(bytes: &[u8], at: usize) -> usize {
    run_end(bytes, at, |byte| CLASSES[byte as usize] & TARGET != 0)
}

/// Returns whether a path segment in a URI may contain `byte` without a percent-escape.
pub(crate) const fn is_segment(byte: u8) -> bool {
    CLASSES[byte as usize] & SEGMENT != 0
}

/// Returns the index of the first byte from `at` on that a query in a URI may not contain without a percent-escape.
/// Returns `bytes.len()` if there is no such byte.
pub(crate) fn query_end(bytes: &[u8], at: usize) -> usize {
    run_end(bytes, at, is_uri)
}

/// Returns the index of the first byte from `at` on that a host name may not contain without a percent-escape. Returns
/// `bytes.len()` if there is no such byte.
pub fn host_end(bytes: &[u8], at: usize) -> usize {
    run_end(bytes, at, |byte| CLASSES[byte as usize] & HOST != 0)
}

/// Returns the index of the first byte from `at` on for which `belongs` returns false; `bytes.len()` if there is none.
fn run_end(bytes: &[u8], at: usize, belongs: impl Fn(u8) -> bool) -> usize {
    match bytes.get(at..) {
        Some(rest) => at + rest.iter().position(|&byte| !belongs(byte)).unwrap_or(rest.len()),
        None => bytes.len(),
    }
}

/// Returns the end of the header value that starts at `at`: the index of the first control character from `at` on other
/// than HTAB. Returns `bytes.len()` if there is none.
pub fn header_value_end(bytes: &[u8], mut at: usize) -> usize {
    // Values are long: test 16 bytes at once, then 8. For names and targets, testing single bytes measured faster.
    // Without an early exit and a table, the compiler vectorises this.
    let is_plain =
        |block: &[u8; 16]| block.iter().fold(true, |all, &byte| all & (byte >= 0x20) & (byte != 0x7f));
    while bytes.get(at..).and_then(|rest| rest.first_chunk()).is_some_and(is_plain) {
        at += 16;
    }
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let stops = first_control_mask(u64::from_le_bytes(*word));
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
    run_end(bytes, at, is_header_value)
}

/// Returns a mask that tells where the first control character is in `word`, eight bytes in little-endian order. HTAB
/// is one of the control characters: all bytes below 0x20, and DEL. If the mask is 0, `word` has none. Otherwise
/// `mask.trailing_zeros() / 8` is the index of the first. Bits above the lowest set bit mean nothing.
fn first_control_mask(word: u64) -> u64 {
    /// Eight bytes 0x01. Multiplying by a byte repeats that byte eight times.
    const ONES: u64 = u64::MAX / 0xff;
    /// Eight bytes 0x80. Selects the highest bit of each byte, which the formulas below set to mark the byte.
    const HIGHS: u64 = ONES << 7;
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let not_delete = word ^ (ONES * 0x7f);
    let delete = not_delete.wrapping_sub(ONES) & !not_delete;
    (below_space | delete) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_value_ends_at_every_control_character_but_tab() {
        for byte in 0..=255u8 {
            for index in 0..40 {
                let mut line = vec![b'v'; 40];
                line[index] = byte;
                let stops = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
                let expected = if stops { index } else { line.len() };
                assert_eq!(header_value_end(&line, 0), expected, "byte {byte:#x} at {index}");
                let rest = [&line[..index], &[byte; 40]].concat();
                let expected = if stops { index } else { rest.len() };
                assert_eq!(header_value_end(&rest, 0), expected, "bytes {byte:#x} from {index}");
            }
        }
        // Bytes above ASCII do not hide a control character.
        assert_eq!(header_value_end(b"\xff\x80\t\xfe\x7f\xff\xff\xff\xff", 0), 4);
    }

    #[test]
    fn token_bytes_are_those_of_the_grammar() {
        let tokens: Vec<u8> = (0..=255).filter(|&byte| is_token(byte)).collect();
        assert_eq!(tokens, b"!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~");
    }

    #[test]
    fn a_start_beyond_the_end_returns_the_length() {
        assert_eq!(token_end(b"ab", 5), 2);
        assert_eq!(header_value_end(b"ab", 5), 2);
    }
}
