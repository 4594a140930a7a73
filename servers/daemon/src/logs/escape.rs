//! Octets that a peer has chosen, made harmless: nothing it sends can end a line, close a quotation, or steer a
//! terminal.

/// Stands behind what had no room for its end.
const CUT: &[u8] = b"...";

/// Where octets are to stand, which decides what must not stand there as it is. Printable ASCII may, everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// In a message: all but backslashes, which begin an escape.
    Message,
    /// Between double quotes: nor those.
    Quoted,
    /// Between the quotes of a JSON string (RFC 8259 §7). What is not ASCII becomes the character with the octet's
    /// number, so that no octet is lost and the line is valid whatever was sent.
    Json,
}

impl Escape {
    fn lets_pass(self, octet: u8) -> bool {
        matches!(octet, b' '..=b'~') && octet != b'\\' && (octet != b'"' || self == Escape::Message)
    }

    /// Stands in front of the two digits.
    fn prefix(self) -> &'static [u8] {
        if self == Escape::Json { b"\\u00" } else { b"\\x" }
    }

    /// Appends these octets, in at most `room` bytes and the mark of what was cut off.
    pub(super) fn write(self, out: &mut Vec<u8>, octets: &[u8], room: usize) {
        let end = out.len().saturating_add(room);
        let mut rest = octets;
        while !rest.is_empty() {
            let run = rest.iter().position(|octet| !self.lets_pass(*octet)).unwrap_or(rest.len());
            let (passing, behind) = rest.split_at(run.min(end - out.len()));
            out.extend_from_slice(passing);
            let Some((octet, behind)) = behind.split_first() else { return };
            if passing.len() < run || end - out.len() < self.prefix().len() + 2 {
                return out.extend_from_slice(CUT);
            }
            self.write_digits(out, *octet);
            rest = behind;
        }
    }

    fn write_digits(self, out: &mut Vec<u8>, octet: u8) {
        let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
        out.extend_from_slice(self.prefix());
        out.extend([digit(octet >> 4), digit(octet & 0xf)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(escape: Escape, octets: &[u8], room: usize, expected: &str) {
        let mut out = b"before ".to_vec();
        escape.write(&mut out, octets, room);
        assert_eq!(String::from_utf8_lossy(&out), format!("before {expected}"), "{}", octets.escape_ascii());
    }

    #[test]
    fn what_could_forge_a_line_is_escaped() {
        let bytes = b"a\r\nb\"c\\d\x00\x1b[2J\x7f\xc3\xa4 z";
        check(Escape::Quoted, bytes, 99, r"a\x0D\x0Ab\x22c\x5Cd\x00\x1B[2J\x7F\xC3\xA4 z");
        check(Escape::Message, bytes, 99, r#"a\x0D\x0Ab"c\x5Cd\x00\x1B[2J\x7F\xC3\xA4 z"#);
        check(Escape::Json, bytes, 99, r"a\u000D\u000Ab\u0022c\u005Cd\u0000\u001B[2J\u007F\u00C3\u00A4 z");
    }

    #[test]
    fn only_whole_escapes_are_written_and_no_more_than_there_is_room_for() {
        check(Escape::Quoted, b"", 0, "");
        check(Escape::Quoted, b"abc", 3, "abc");
        check(Escape::Quoted, b"abcd", 3, "abc...");
        check(Escape::Quoted, b"ab\n", 6, r"ab\x0A");
        check(Escape::Quoted, b"ab\n", 5, "ab...");
        check(Escape::Json, b"\n\n", 11, r"\u000A...");
        check(Escape::Quoted, b"\nabc", 6, r"\x0Aab...");
    }

    #[test]
    fn json_reads_every_octet_back() {
        let octets: Vec<u8> = (0..=255).collect();
        let mut out = b"\"".to_vec();
        Escape::Json.write(&mut out, &octets, 2000);
        out.push(b'"');
        let text: String = serde_json::from_slice(&out).expect("a string");
        assert!(text.chars().map(u32::from).eq(0..=255), "{text:?}");
    }
}
