//! Field lines of an answer, kept as the text that goes on the wire, checked as they are set.

use crate::types::chars;
use std::{borrow::Cow, sync::Arc};

/// Fields that the library decides and no application may set: they delimit the message, rule the connection,
/// or stand on every answer anyway.
const RESERVED: [&str; 8] = [
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "Upgrade",
    "Trailer",
    "Date",
    "Server",
];

/// Why a field was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The name is empty or no token (RFC 9110 §5.1).
    Name,
    /// The value holds CR, LF, NUL or another control: header injection (RFC 9110 §5.5).
    Value,
    /// The field is the library's to set.
    Reserved,
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FieldError::Name => "a field name must be a token",
            FieldError::Value => "a field value must not hold control characters",
            FieldError::Reserved => "the library sets this field itself",
        })
    }
}

impl std::error::Error for FieldError {}

/// Field lines, each checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Borrowed where the library's own lines are all there are: an error page allocates none.
    text: Cow<'static, [u8]>,
}

impl Fields {
    /// Lines that the library itself wrote and knows to be right.
    pub(crate) const fn of(lines: &'static [u8]) -> Fields {
        Fields { text: Cow::Borrowed(lines) }
    }

    /// Appends a field line.
    ///
    /// # Errors
    ///
    /// If the name or the value could break the message, or the field is the library's; then nothing is
    /// appended.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), FieldError> {
        let value = value.as_ref();
        if name.is_empty() || !name.bytes().all(chars::is_token) {
            return Err(FieldError::Name);
        }
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(FieldError::Reserved);
        }
        if !value.iter().copied().all(chars::is_field_content) {
            return Err(FieldError::Value);
        }
        self.append(name, value);
        Ok(())
    }

    /// Appends all lines of another.
    pub fn append_all(&mut self, other: &Fields) {
        self.text.to_mut().extend_from_slice(&other.text);
    }

    /// Appends a line that the library itself wrote and knows to be right.
    pub(crate) fn append(&mut self, name: &str, value: &[u8]) {
        debug_assert!(value.iter().copied().all(chars::is_field_content));
        let text = self.text.to_mut();
        text.reserve(name.len() + value.len() + 4);
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }

    /// Removes all lines with this name, in any case.
    pub fn remove(&mut self, name: &str) {
        let lines = self.text.split_inclusive(|&byte| byte == b'\n');
        self.text = lines.filter(|line| find(line, name).is_none()).flatten().copied().collect();
    }

    /// The value of the first line with this name, in any case.
    pub fn find(&self, name: &str) -> Option<&[u8]> {
        find(&self.text, name)
    }

    /// The lines as they go on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The lines made ready for many answers: they are shared, not copied.
    pub fn freeze(self) -> ReadyFields {
        ReadyFields(self.text.into())
    }
}

/// Field lines that many answers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyFields(Arc<[u8]>);

impl ReadyFields {
    /// The lines as they go on the wire.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value of the first line with this name, in any case.
    pub fn find(&self, name: &str) -> Option<&[u8]> {
        find(&self.0, name)
    }
}

fn find<'t>(text: &'t [u8], name: &str) -> Option<&'t [u8]> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let (candidate, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b": ")?.strip_suffix(b"\r")?;
        candidate.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_the_message_is_refused() {
        let check = |name: &str, value: &[u8], expected: Result<(), FieldError>| {
            let mut fields = Fields::default();
            assert_eq!(fields.push(name, value), expected, "{name}: {}", value.escape_ascii());
            assert_eq!(fields.as_bytes().is_empty(), expected.is_err());
        };
        check("X-A", b"caf\xc3\xa9\tb", Ok(()));
        check("X-A", b"", Ok(()));
        for value in [&b"a\r\nSet-Cookie: b"[..], b"a\nb", b"a\rb", b"a\0", b"\x7f"] {
            check("X-A", value, Err(FieldError::Value));
        }
        for name in ["", "X A", "X-A:", "X\r\n", "X\u{e9}"] {
            check(name, b"v", Err(FieldError::Name));
        }
        for name in ["Content-Length", "transfer-encoding", "CONNECTION", "Date", "server"] {
            check(name, b"1", Err(FieldError::Reserved));
        }
    }

    #[test]
    fn lines_are_found_by_name_in_any_case() {
        let mut fields = Fields::default();
        fields.push("X-Long", "no").and_then(|()| fields.push("X", "1")).expect("valid");
        assert_eq!(fields.as_bytes(), b"X-Long: no\r\nX: 1\r\n");
        assert_eq!(
            (fields.find("x"), fields.find("x-long"), fields.find("lon")),
            (Some(&b"1"[..]), Some(&b"no"[..]), None)
        );
        assert_eq!(fields.freeze().find("X"), Some(&b"1"[..]));
    }
}
