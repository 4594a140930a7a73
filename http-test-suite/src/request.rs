//! Requests as bytes: a builder for well-formed requests, and the two requests that the suite sends behind others.
//!
//! Nothing is checked here. A case that needs a malformed request writes it as text, or breaks one of these.

/// The value of Host in cases that are not about Host.
pub const HOST: &str = "test";

/// A request that is sent behind a request that must be refused, or inside another's content; a server must not answer
/// it. Its target is the fixture [`SMUGGLED`](crate::fixtures::SMUGGLED), which no other request asks for.
pub const SMUGGLED: &str = "GET /smuggled.txt HTTP/1.1\r\nHost: test\r\n\r\n";

/// The last request of a conversation: on an open connection the server answers it and then closes.
pub const FAREWELL: &str =
    "GET / HTTP/1.1\r\nHost: test\r\nUser-Agent: farewell\r\nConnection: close\r\n\r\n";

/// `GET target` with a Host field.
pub fn get(target: &str) -> Request {
    request("GET", target)
}

/// `HEAD target` with a Host field.
pub fn head(target: &str) -> Request {
    request("HEAD", target)
}

/// `POST target` with a Host field, and `content` with its Content-Length.
pub fn post(target: &str, content: impl Into<Vec<u8>>) -> Request {
    request("POST", target).content(content)
}

/// `method target` with a Host field.
pub fn request(method: &str, target: &str) -> Request {
    Request {
        method: method.into(),
        target: target.into(),
        version: "HTTP/1.1",
        lines: vec![format!("Host: {HOST}")],
        content: Vec::new(),
    }
}

/// A request builder; [`Case::send`](crate::case::Case::send) accepts it directly.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    version: &'static str,
    /// Field lines without their CRLF. The first is Host, unless [`Request::without_host`] removed it.
    lines: Vec<String>,
    content: Vec<u8>,
}

impl Request {
    /// Adds a field line, written as on the wire, without its CRLF: `with("Range: bytes=0-3")`.
    pub fn with(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Changes the method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// Adds `Connection: close`.
    pub fn closing(self) -> Self {
        self.with("Connection: close")
    }

    /// Changes the version to HTTP/1.0. Host stays.
    pub fn http10(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// Removes the Host line.
    pub fn without_host(mut self) -> Self {
        self.lines.retain(|line| !line.starts_with("Host:"));
        self
    }

    /// Adds content and the matching Content-Length.
    pub fn content(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.content = content.into();
        let length = format!("Content-Length: {}", self.content.len());
        self.with(length)
    }

    /// Adds `Transfer-Encoding: chunked`, and content in these chunks followed by the last chunk.
    pub fn chunked<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        for chunk in chunks {
            self.content.extend(format!("{:x}\r\n", chunk.as_ref().len()).bytes());
            self.content.extend(chunk.as_ref());
            self.content.extend(b"\r\n");
        }
        self.content.extend(b"0\r\n\r\n");
        self.with("Transfer-Encoding: chunked")
    }
}

impl From<Request> for Vec<u8> {
    fn from(request: Request) -> Self {
        let Request { method, target, version, lines, content } = request;
        let fields: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let mut bytes = format!("{method} {target} {version}\r\n{fields}\r\n").into_bytes();
        bytes.extend(content);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: Request, expected: &str) {
        assert_eq!(Vec::from(request), expected.as_bytes());
    }

    #[test]
    fn encodes_requests_exactly_as_built() {
        check(get("/a"), "GET /a HTTP/1.1\r\nHost: test\r\n\r\n");
        check(head("/").http10().without_host(), "HEAD / HTTP/1.0\r\n\r\n");
        check(
            get("/").with("A: b").closing(),
            "GET / HTTP/1.1\r\nHost: test\r\nA: b\r\nConnection: close\r\n\r\n",
        );
        check(post("/", "abc"), "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc");
        check(
            request("PUT", "/").chunked(["0123456789abcdef", "x"]),
            "PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n",
        );
    }
}
