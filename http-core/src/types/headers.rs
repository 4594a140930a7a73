//! Header lines of a message to send: checked when they are added, and stored as the text that is sent.

use super::{chars, error::HeaderError, grammar};
use std::{borrow::Cow, sync::Arc};

/// The names of headers that cannot be added, because the library sets or forbids them. They delimit the message,
/// control the connection, or are in every response.
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

/// The names of headers of which a message has at most one, and whose value is no list (RFC 9110 §5.3). Two of them
/// contradict each other, so that clients and caches could understand the message in two ways.
const SINGLETONS: [&str; 13] = [
    "Age",
    "Content-Disposition",
    "Content-Location",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Expires",
    "From",
    "If-Range",
    "Last-Modified",
    "Location",
    "Referer",
    "Retry-After",
];

/// Returns whether a message has at most one header with this name, and its value is no list (RFC 9110 §5.3).
pub(crate) fn is_singleton(name: &str) -> bool {
    SINGLETONS.iter().any(|singleton| singleton.eq_ignore_ascii_case(name))
}

/// Removes the white space around the value of a header. CR and LF stay, and are rejected.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The header lines of a message, each checked when it was added.
///
/// ```
/// use http_core::Headers;
///
/// let mut headers = Headers::default();
/// headers.append("Set-Cookie", "a=1")?;
/// headers.append("Set-Cookie", "b=2")?;
/// headers.set("Cache-Control", "no-store")?;
/// assert_eq!(headers.get("cache-control"), Some(&b"no-store"[..]));
/// assert_eq!(headers.as_bytes(), b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nCache-Control: no-store\r\n");
/// # Ok::<(), http_core::HeaderError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The lines as sent, each with its CRLF. Borrowed if all are constants of the library, so that creating an error
    /// page allocates no memory for headers.
    text: Cow<'static, [u8]>,
}

impl Headers {
    /// Creates headers from constant lines, without a check. Each line must be well-formed and end in CRLF.
    pub(crate) const fn from_static(lines: &'static [u8]) -> Headers {
        Headers { text: Cow::Borrowed(lines) }
    }

    /// Appends a header line. Keeps earlier lines with the same name, as Set-Cookie needs it. [`set`](Headers::set)
    /// replaces them, and so does this method for a header of which a message has at most one, such as Content-Type,
    /// Location, ETag and Last-Modified. Removes white space around the value, which is no part of it (RFC 9110 §5.5).
    ///
    /// # Errors
    ///
    /// If the name is not a token, the value contains a control character other than HTAB, or the header is one of
    /// those that the library writes: Content-Length, Transfer-Encoding, Connection, Keep-Alive, Upgrade, Trailer, Date
    /// or Server. After an error, the headers are unchanged.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        let value = trim(value.as_ref());
        Headers::check(name, value)?;
        if is_singleton(name) {
            self.remove(name);
        }
        self.append_unchecked(name.as_bytes(), value);
        Ok(())
    }

    /// Sets a header: removes all lines with this name, which is compared without case, and appends one.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Headers::append). After an error, the headers are unchanged.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        let value = trim(value.as_ref());
        Headers::check(name, value)?;
        self.remove(name);
        self.append_unchecked(name.as_bytes(), value);
        Ok(())
    }

    /// Checks a header line, as [`append`](Headers::append) describes it.
    fn check(name: &str, value: &[u8]) -> Result<(), HeaderError> {
        if !grammar::is_token(name.as_bytes()) {
            return Err(HeaderError::Name);
        }
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(HeaderError::Reserved);
        }
        if !value.iter().copied().all(chars::is_header_value) {
            return Err(HeaderError::Value);
        }
        Ok(())
    }

    /// Appends all header lines of `other`.
    pub fn append_all(&mut self, other: &Headers) {
        self.text.to_mut().extend_from_slice(&other.text);
    }

    /// Appends a header line without a check. For headers that the library sets itself, and for received headers that
    /// its parser has accepted.
    pub(crate) fn append_unchecked(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(value.iter().copied().all(chars::is_header_value));
        let text = self.text.to_mut();
        text.reserve(name.len() + value.len() + 4);
        text.extend_from_slice(name);
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }

    /// Removes all headers with this name, which is compared without case.
    pub fn remove(&mut self, name: &str) {
        if self.get(name).is_none() {
            return;
        }
        let lines = self.text.split_inclusive(|&byte| byte == b'\n');
        self.text = lines.filter(|line| find(line, name).is_none()).flatten().copied().collect();
    }

    /// Returns the value of the first header with this name, which is compared without case; `None` if there is none.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        find(&self.text, name)
    }

    /// Returns the names and values of all headers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        lines(&self.text)
    }

    /// Removes all headers with a name that is also in `other`. Names are compared without case.
    pub(crate) fn remove_all(&mut self, other: &SharedHeaders) {
        other.iter().for_each(|(name, _)| self.remove(name));
    }

    /// Returns the lines as they are sent, each with its CRLF.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Converts the headers into lines that many responses can share.
    pub fn into_shared(self) -> SharedHeaders {
        SharedHeaders(self.text.into())
    }
}

/// Header lines that many responses share: a clone copies no bytes.
///
/// ```
/// use http_core::{Headers, Response};
///
/// // Once, when the server starts:
/// let mut headers = Headers::default();
/// headers.append("X-Content-Type-Options", "nosniff")?;
/// let shared = headers.into_shared();
/// // For each response, without copying:
/// let response = Response::text("Hello").with_shared_headers(shared.clone());
/// assert_eq!(response.header("x-content-type-options"), Some(&b"nosniff"[..]));
/// # Ok::<(), http_core::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SharedHeaders(Arc<[u8]>);

impl SharedHeaders {
    /// Copies the lines into headers that can be changed.
    pub(crate) fn to_headers(&self) -> Headers {
        Headers { text: self.0.to_vec().into() }
    }

    /// Returns the lines as they are sent, each with its CRLF.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the value of the first header with this name, which is compared without case; `None` if there is none.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        find(&self.0, name)
    }

    /// Returns the names and values of all headers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        lines(&self.0)
    }
}

/// Returns the names and values of the lines in `text`.
fn lines(text: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let end = line.iter().position(|&byte| byte == b':')?;
        let value = line[end..].strip_prefix(b": ")?.strip_suffix(b"\r")?;
        Some((str::from_utf8(&line[..end]).ok()?, value))
    })
}

/// Returns the value of the first line in `text` with this name, which is compared without case; `None` if there is
/// none.
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
    fn rejects_headers_that_could_break_the_message() {
        let check = |name: &str, value: &[u8], expected: Result<(), HeaderError>| {
            let mut headers = Headers::default();
            assert_eq!(headers.append(name, value), expected, "{name}: {}", value.escape_ascii());
            assert_eq!(headers.as_bytes().is_empty(), expected.is_err());
        };
        check("X-A", b"caf\xc3\xa9\tb", Ok(()));
        check("X-A", b"", Ok(()));
        for value in [&b"a\r\nSet-Cookie: b"[..], b"a\nb", b"a\rb", b"a\0", b"\x7f"] {
            check("X-A", value, Err(HeaderError::Value));
        }
        for name in ["", "X A", "X-A:", "X\r\n", "X\u{e9}"] {
            check(name, b"v", Err(HeaderError::Name));
        }
        for name in ["Content-Length", "transfer-encoding", "CONNECTION", "Date", "server"] {
            check(name, b"1", Err(HeaderError::Reserved));
        }
    }

    #[test]
    fn setting_replaces_and_appending_adds() {
        let mut headers = Headers::default();
        for (name, value) in [("A", "1"), ("B", "2"), ("a", "3"), ("AB", "4")] {
            assert_eq!(headers.append(name, value), Ok(()));
        }
        assert_eq!(headers.set("B", "x\n"), Err(HeaderError::Value));
        assert_eq!(headers.set("c", "5").and_then(|()| headers.set("A", "6")), Ok(()));
        assert_eq!(headers.as_bytes(), b"B: 2\r\nAB: 4\r\nc: 5\r\nA: 6\r\n");
        let mut other = Headers::default();
        assert_eq!(other.append("b", "").and_then(|()| other.append("C", "")), Ok(()));
        headers.remove_all(&other.into_shared());
        assert_eq!(headers.as_bytes(), b"AB: 4\r\nA: 6\r\n");
        assert!(headers.iter().eq([("AB", &b"4"[..]), ("A", b"6")]));
    }

    #[test]
    fn white_space_around_a_value_is_no_part_of_it() {
        let mut headers = Headers::default();
        assert_eq!(headers.append("A", " : b \t").and_then(|()| headers.set("C", "\t ")), Ok(()));
        assert_eq!(headers.as_bytes(), b"A: : b\r\nC: \r\n");
        assert_eq!(headers.append("A", "b\r\n "), Err(HeaderError::Value));
    }

    #[test]
    fn appending_replaces_headers_that_occur_once() {
        let mut headers = Headers::default();
        for (name, value) in [("ETag", "1"), ("Link", "2"), ("etag", "3"), ("link", "4")] {
            assert_eq!(headers.append(name, value), Ok(()));
        }
        assert_eq!(headers.as_bytes(), b"Link: 2\r\netag: 3\r\nlink: 4\r\n");
    }

    #[test]
    fn finds_headers_by_name_in_any_case() {
        let mut headers = Headers::default();
        headers.append("X-Long", "no").and_then(|()| headers.append("X", "1")).expect("valid");
        assert_eq!(headers.as_bytes(), b"X-Long: no\r\nX: 1\r\n");
        assert_eq!((headers.get("x"), headers.get("x-long")), (Some(&b"1"[..]), Some(&b"no"[..])));
        assert_eq!(headers.get("lon"), None);
        assert_eq!(headers.into_shared().get("X"), Some(&b"1"[..]));
    }
}
