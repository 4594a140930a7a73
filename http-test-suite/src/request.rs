//! Requests as bytes: a builder for well-formed requests, and two requests that the suite sends after others.
//!
//! Nothing is checked here. A case that needs a malformed request writes it as text, or makes one of these malformed.

use crate::reader::RequestKind;

/// The value of the Host header that [`request`] sets, and so of nearly every request of the suite.
pub const HOST: &str = "test";

/// A request that is sent after a request that must be rejected, or inside another's body; a server must not serve it.
/// Its target is the fixture [`SMUGGLED`](crate::fixtures::SMUGGLED), which no other request asks for.
pub const SMUGGLED: &str = "GET /smuggled.txt HTTP/1.1\r\nHost: test\r\n\r\n";

/// The last request on a connection: if the connection is open, the server answers it and then closes.
pub const CLOSING_REQUEST: &str =
    "GET / HTTP/1.1\r\nHost: test\r\nUser-Agent: closing\r\nConnection: close\r\n\r\n";

/// Makes a request `GET target` in HTTP/1.1 with a Host header.
pub fn get(target: &str) -> Request {
    request("GET", target)
}

/// Makes a request `HEAD target` in HTTP/1.1 with a Host header.
pub fn head(target: &str) -> Request {
    request("HEAD", target)
}

/// Makes a request `POST target` in HTTP/1.1 with a Host header, and this body with its Content-Length.
pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
    request("POST", target).body(body)
}

/// Makes a request `method target` in HTTP/1.1 with a Host header.
pub fn request(method: &str, target: &str) -> Request {
    Request {
        method: method.into(),
        target: target.into(),
        version: "HTTP/1.1",
        lines: vec![format!("Host: {HOST}")],
        body: Vec::new(),
    }
}

/// Finds the first line in `bytes` that looks like a request line. Returns the kind of the request, and the offset
/// after the line; `None` if there is no such line.
pub fn first_request(bytes: &[u8]) -> Option<(RequestKind, usize)> {
    let mut end = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        end += line.len();
        let line = line.trim_ascii_end();
        let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
        if version.len() == 8 && version.starts_with(b"HTTP/") && line.len() > version.len() {
            let (head, http10) = (line.starts_with(b"HEAD "), version == b"HTTP/1.0");
            return Some((RequestKind { head, http10 }, end));
        }
    }
    None
}

/// A builder of a request; [`Case::send`](crate::case::Case::send) accepts it directly.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method: `GET`.
    method: String,
    /// The target as it is sent: `/hello.txt`.
    target: String,
    /// The version: `HTTP/1.1` or `HTTP/1.0`.
    version: &'static str,
    /// Header lines without their CRLF. The first is Host, unless [`Request::without_host`] removed it.
    lines: Vec<String>,
    /// The bytes after the empty line, with the chunked coding if there is one.
    body: Vec<u8>,
}

impl Request {
    /// Adds a header line, written as it is sent, without its CRLF: `with("Range: bytes=0-3")`.
    pub fn with(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Replaces the method, by default that of the function that made the request.
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// Adds the header `Connection: close`.
    pub fn closing(self) -> Self {
        self.with("Connection: close")
    }

    /// Changes the version to HTTP/1.0. The Host header stays.
    pub fn http10(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// Removes the Host header that the request had from the start.
    pub fn without_host(mut self) -> Self {
        self.lines.retain(|line| !line.starts_with("Host:"));
        self
    }

    /// Sets the body, and adds the matching Content-Length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = format!("Content-Length: {}", self.body.len());
        self.with(length)
    }

    /// Sets a chunked body of these chunks and the last chunk, and adds `Transfer-Encoding: chunked`.
    pub fn chunked<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        for chunk in chunks {
            self.body.extend(format!("{:x}\r\n", chunk.as_ref().len()).bytes());
            self.body.extend(chunk.as_ref());
            self.body.extend(b"\r\n");
        }
        self.body.extend(b"0\r\n\r\n");
        self.with("Transfer-Encoding: chunked")
    }
}

impl From<Request> for Vec<u8> {
    /// Encodes the request: the request line, the header lines, the empty line and the body.
    fn from(request: Request) -> Self {
        let Request { method, target, version, lines, body } = request;
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let mut bytes = format!("{method} {target} {version}\r\n{lines}\r\n").into_bytes();
        bytes.extend(body);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_requests_exactly_as_built() {
        for (request, expected) in [
            (get("/a"), "GET /a HTTP/1.1\r\nHost: test\r\n\r\n"),
            (head("/").http10().without_host(), "HEAD / HTTP/1.0\r\n\r\n"),
            (
                get("/").with("A: b").closing(),
                "GET / HTTP/1.1\r\nHost: test\r\nA: b\r\nConnection: close\r\n\r\n",
            ),
            (post("/", "abc"), "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc"),
            (
                request("PUT", "/").without_host().chunked(["0123456789abcdef", "x"]),
                "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n",
            ),
        ] {
            assert_eq!(Vec::from(request), expected.as_bytes());
        }
    }

    #[test]
    fn finds_request_lines() {
        let kind = |head, http10| RequestKind { head, http10 };
        for (bytes, expected) in [
            ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", Some((kind(true, false), 17))),
            ("\r\nGET / HTTP/1.0\n\n", Some((kind(false, true), 17))),
            ("GET /\r\nHTTP/1.1\r\n", None),
        ] {
            assert_eq!(first_request(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }
}
