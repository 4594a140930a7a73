//! Parsers for the lines of an answer: pure functions that reject malformed input.

/// The error for bytes that are not a valid HTTP/1.1 answer, or that are ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// RFC 9112 §5: a token, a colon right behind it, a value with optional whitespace around it.
pub(super) fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(Malformed)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(is_token) || !value.iter().all(is_text) {
        return Err(Malformed);
    }
    Ok((name, value.trim_ascii()))
}

/// RFC 9112 §7.1. Extensions are ignored.
pub(super) fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
    if !line.iter().all(is_text) {
        return Err(Malformed);
    }
    number(digits, 16)
}

/// Digits and nothing else: no sign, no white space, no list.
pub(super) fn number(digits: &[u8], radix: u32) -> Result<u64, Malformed> {
    if digits.is_empty() || !digits.iter().all(|&byte| char::from(byte).is_digit(radix)) {
        return Err(Malformed);
    }
    str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, radix).ok()).ok_or(Malformed)
}

/// tchar, RFC 9110 §5.6.2.
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// HTAB, SP, VCHAR, obs-text.
pub(super) fn is_text(byte: &u8) -> bool {
    *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)
}
