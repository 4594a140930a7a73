//! Escapes bytes that a client has chosen, so that they cannot end a line, close a quotation or control a terminal.

/// Follows text that was truncated.
const TRUNCATED: &[u8] = b"...";

/// Where text appears in a log line. This determines which bytes are escaped, and how. Printable ASCII stays as it is,
/// except the characters that the variant names. These characters and all other bytes become `\xHH`, or `\u00HH` with
/// [`Escape::Json`]; `HH` is the byte in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// In the message of the error log: escapes backslashes.
    Message,
    /// Between double quotes: escapes backslashes and double quotes.
    Quoted,
    /// In a JSON string (RFC 8259 §7): escapes backslashes and double quotes. The byte 0xE9 becomes `\u00E9`, so the
    /// number of each character in the decoded string is the original byte.
    Json,
}

impl Escape {
    /// Appends `bytes` to `out`, escaped. If the escaped text is longer than `max_bytes`, truncates it to at most
    /// `max_bytes` and then appends `...`.
    pub(super) fn write(self, out: &mut Vec<u8>, bytes: &[u8], max_bytes: usize) {
        let end = out.len().saturating_add(max_bytes);
        let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
        let prefix: &[u8] = if self == Escape::Json { b"\\u00" } else { b"\\x" };
        let mut rest = bytes;
        while !rest.is_empty() {
            let run = rest.iter().position(|byte| !self.is_plain(*byte)).unwrap_or(rest.len());
            let (plain, after) = rest.split_at(run.min(end - out.len()));
            out.extend_from_slice(plain);
            let Some((byte, after)) = after.split_first() else { return };
            if plain.len() < run || end - out.len() < prefix.len() + 2 {
                return out.extend_from_slice(TRUNCATED);
            }
            out.extend_from_slice(prefix);
            out.extend([digit(byte >> 4), digit(byte & 0xf)]);
            rest = after;
        }
    }

    /// Whether `byte` stays as it is.
    fn is_plain(self, byte: u8) -> bool {
        matches!(byte, b' '..=b'~') && byte != b'\\' && (byte != b'"' || self == Escape::Message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what [`Escape::write`] appends.
    fn check(escape: Escape, bytes: &[u8], max_bytes: usize, expected: &str) {
        let mut out = b"before ".to_vec();
        escape.write(&mut out, bytes, max_bytes);
        assert_eq!(String::from_utf8_lossy(&out), format!("before {expected}"), "{}", bytes.escape_ascii());
    }

    #[test]
    fn escapes_what_could_forge_a_line() {
        let bytes = b"a\r\nb\"c\\d\x00\x1b[2J\x7f\xc3\xa4 z";
        check(Escape::Quoted, bytes, 99, r"a\x0D\x0Ab\x22c\x5Cd\x00\x1B[2J\x7F\xC3\xA4 z");
        check(Escape::Message, bytes, 99, r#"a\x0D\x0Ab"c\x5Cd\x00\x1B[2J\x7F\xC3\xA4 z"#);
        check(Escape::Json, bytes, 99, r"a\u000D\u000Ab\u0022c\u005Cd\u0000\u001B[2J\u007F\u00C3\u00A4 z");
    }

    #[test]
    fn truncates_between_escape_sequences() {
        check(Escape::Quoted, b"", 0, "");
        check(Escape::Quoted, b"abc", 3, "abc");
        check(Escape::Quoted, b"abcd", 3, "abc...");
        check(Escape::Quoted, b"ab\n", 6, r"ab\x0A");
        check(Escape::Quoted, b"ab\n", 5, "ab...");
        check(Escape::Json, b"\n\n", 11, r"\u000A...");
        check(Escape::Quoted, b"\nabc", 6, r"\x0Aab...");
    }

    #[test]
    fn json_recovers_every_byte() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut out = b"\"".to_vec();
        Escape::Json.write(&mut out, &bytes, 2000);
        out.push(b'"');
        let text: String = serde_json::from_slice(&out).expect("a string");
        assert!(text.chars().map(u32::from).eq(0..=255), "{text:?}");
    }
}
