//! The response that a test receives.

use crate::types::{
    error::{Misuse, io_cause},
    headers::Headers,
    status::Status,
};
use std::{fmt, io};

/// The longest body in the debug text, in bytes.
const MAX_DEBUG_BODY: usize = 1_000;

/// The response to a [`TestRequest`](super::TestRequest), as the client would receive it: with all headers that the
/// library adds, and with its body decoded.
///
/// ```
/// use http_core::{Body, Request, Response, testing::TestRequest};
///
/// let handler = |_: &Request<'_>| Response::text("a page").with_header("Cache-Control", "no-store");
/// let response = TestRequest::head("/").run(&handler);
/// assert_eq!(response.status().code(), 200);
/// assert_eq!(response.header("cache-control"), Some(&b"no-store"[..]));
/// assert_eq!((response.header("Content-Length"), response.body()), (Some(&b"6"[..]), &b""[..]));
/// ```
pub struct TestResponse {
    status: Status,
    headers: Headers,
    body: Vec<u8>,
    trailers: Headers,
    is_continued: bool,
    misuse: Option<Misuse>,
    error: Option<io::Error>,
}

impl TestResponse {
    /// Reads all that the server has sent: interim responses and one response. `misuse` is why the handler's response
    /// cannot be sent, and `error` why the response is incomplete. Returns `None` if the head of a response is missing.
    pub(super) fn read(
        sent: &[u8],
        misuse: Option<Misuse>,
        error: Option<io::Error>,
    ) -> Option<TestResponse> {
        let (mut head, mut rest) = split(sent, b"\r\n\r\n")?;
        let mut is_continued = false;
        while head.starts_with(b"HTTP/1.1 100") {
            is_continued = true;
            (head, rest) = split(rest, b"\r\n\r\n")?;
        }
        let (status_line, lines) = split(head, b"\r\n")?;
        let code = str::from_utf8(status_line.get(9..12)?).ok()?.parse().ok()?;
        let headers = parse_headers(lines);
        let is_chunked = headers.get("Transfer-Encoding").is_some();
        let (body, trailers) = if is_chunked { decode_chunks(rest) } else { (rest.to_vec(), &[][..]) };
        Some(TestResponse {
            status: Status::from_code(code)?,
            headers,
            body,
            trailers: parse_headers(trailers),
            is_continued,
            misuse,
            error,
        })
    }

    /// Returns the status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Returns the value of the first header with this name, which is compared without case; `None` if there is none.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name)
    }

    /// Returns the headers, also those that the library adds. The `Date` is always 1 January 1970.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the body, without chunk framing. After a 101, returns what the application has written to the upgraded
    /// connection.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body as text.
    ///
    /// # Panics
    ///
    /// If the body is not UTF-8.
    #[track_caller]
    #[expect(clippy::expect_used, reason = "a test calls this, and fails")]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("the body of the response should be UTF-8")
    }

    /// Returns the headers after the body.
    pub fn trailers(&self) -> &Headers {
        &self.trailers
    }

    /// Returns why the body is incomplete; `None` if it is complete. Possible reasons:
    ///
    /// * the source of a stream has failed or panicked, or a file is too short;
    /// * a wait for the source, or for the end of an upgraded connection, has exceeded
    ///   [`TestRequest::timeout`](super::TestRequest::timeout);
    /// * the client has left ([`TestRequest::leave_after`](super::TestRequest::leave_after)).
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// Returns why the handler's response cannot be sent; `None` if it can. The response is then a 500 in its place.
    pub fn misuse(&self) -> Option<&Misuse> {
        self.misuse.as_ref()
    }

    /// Returns whether the server has sent `100 Continue` before the response: the client has asked for it, and the
    /// handler takes the content.
    pub fn is_continued(&self) -> bool {
        self.is_continued
    }
}

impl fmt::Debug for TestResponse {
    /// Writes the response as it is sent, without chunk framing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.status.code(), self.status.reason())?;
        write_lines(f, self.headers.as_bytes())?;
        f.write_str("\n")?;
        write_content(f, &self.body)?;
        if !self.trailers.as_bytes().is_empty() {
            f.write_str("\n")?;
            write_lines(f, self.trailers.as_bytes())?;
        }
        if let Some(misuse) = &self.misuse {
            write!(f, "\n(cannot send the handler's response: {misuse})")?;
        }
        if let Some(error) = &self.error {
            write!(f, "\n(incomplete: {})", io_cause(error))?;
        }
        Ok(())
    }
}

/// Writes header lines as text, without CR.
pub(super) fn write_lines(f: &mut fmt::Formatter<'_>, lines: &[u8]) -> fmt::Result {
    f.write_str(&String::from_utf8_lossy(lines).replace('\r', ""))
}

/// Writes content as text. Abbreviates long content.
pub(super) fn write_content(f: &mut fmt::Formatter<'_>, content: &[u8]) -> fmt::Result {
    let shown = content.get(..MAX_DEBUG_BODY).unwrap_or(content);
    f.write_str(&String::from_utf8_lossy(shown))?;
    if shown.len() < content.len() { write!(f, "… ({} bytes)", content.len()) } else { Ok(()) }
}

/// Returns the bytes before and after the first `separator`; `None` if it is missing.
fn split<'s>(bytes: &'s [u8], separator: &[u8]) -> Option<(&'s [u8], &'s [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((bytes.get(..at)?, bytes.get(at + separator.len()..)?))
}

/// Returns the headers in these lines, which a [`Connection`](crate::Connection) has written.
fn parse_headers(lines: &[u8]) -> Headers {
    let mut headers = Headers::default();
    for line in lines.split(|&byte| byte == b'\n') {
        if let Some((name, value)) = split(line, b": ") {
            headers.append_unchecked(name, value.strip_suffix(b"\r").unwrap_or(value));
        }
    }
    headers
}

/// Returns the data of chunks, which a [`Connection`](crate::Connection) has written, and the lines after the last
/// chunk. Stops where the chunks are incomplete.
fn decode_chunks(mut coded: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut body = Vec::new();
    while let Some((size, rest)) = split(coded, b"\r\n") {
        let size = str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        match size {
            Some(0) => return (body, rest),
            Some(size) if size + 2 <= rest.len() => {
                body.extend_from_slice(&rest[..size]);
                coded = &rest[size + 2..];
            }
            _ => break,
        }
    }
    (body, &[])
}
