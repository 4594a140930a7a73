//! Makes bytes readable for messages and reports. If it leaves bytes out, it says how many.

/// How many bytes of one side of a conversation a report shows.
pub const SHOWN: usize = 2048;

/// `bytes` on one line: printable ASCII as it is, everything else as in a Rust string; after `most` bytes, how many
/// were left out.
pub fn line(bytes: &[u8], most: usize) -> String {
    let mut text = String::new();
    for &byte in bytes.iter().take(most) {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    if bytes.len() > most {
        text.push_str(&format!(" … {} bytes more", bytes.len() - most));
    }
    text
}

/// Like [`line()`], but starts a new line behind every line feed.
pub fn lines(bytes: &[u8], most: usize) -> Vec<String> {
    let text = line(bytes, most);
    text.split_inclusive("\\n").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_every_byte() {
        assert_eq!(line(b"a b\r\n\t\\\x00\xff", 99), "a b\\r\\n\\t\\\\\\x00\\xff");
        assert_eq!(line(b"abcdef", 2), "ab … 4 bytes more");
        assert_eq!(lines(b"a\r\nb\nc", 99), ["a\\r\\n", "b\\n", "c"]);
    }
}
