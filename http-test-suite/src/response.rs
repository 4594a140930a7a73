//! Whole responses: [`Response`], and [`ResponseCollector`], which stores what the [`reader`](crate::reader) finds.

use crate::reader::{BodyFraming, Event, RequestKind, ResponseReader};

/// A response, interim or final, that was read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP version: (1, 1) or (1, 0).
    pub version: (u8, u8),
    /// The status code, 100 to 999.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub reason: String,
    /// The names and values of the header lines in order; values without surrounding white space, bytes beyond ASCII as
    /// Latin-1.
    pub headers: Vec<(String, String)>,
    /// The body, without the chunked coding.
    pub body: Vec<u8>,
    /// How the end of the body was found.
    pub framing: BodyFraming,
    /// The names and values of the trailer lines after the last chunk.
    pub trailers: Vec<(String, String)>,
    /// The interim responses (1xx) before this response; [`exchange`](crate::exchange) sets them.
    pub interim: Vec<Response>,
    /// The kind of the request that this response belongs to.
    pub request: RequestKind,
    /// The status line and the header lines as received, with the empty line.
    pub head: Vec<u8>,
    /// The length of the whole response as received, in bytes: head, body with its coding, and trailers.
    pub len: usize,
    /// Whether the server keeps the connection open after this response (RFC 9112 §9.3).
    pub keeps_alive: bool,
    /// Whether a chunk size had an extension, a leading zero or an upper-case digit.
    pub has_unusual_chunks: bool,
}

impl Response {
    /// Reads the response at the start of `input`. Returns `None` if it is not complete. `ended` says that the
    /// connection ended after `input`: then an incomplete response is an error.
    ///
    /// # Errors
    ///
    /// Describes what is wrong with the bytes.
    pub fn read(input: &[u8], request: RequestKind, ended: bool) -> Result<Option<Response>, String> {
        let mut collector = ResponseCollector::default();
        match collector.take(input, request)? {
            (_, None) if ended => collector.end(request),
            (_, response) => Ok(response),
        }
    }

    /// The first value of the header `name`, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// The value of each header line `name`, in order.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the comma-separated list in the header `name` has this member, in any case of letters.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(member))
    }

    /// Whether this is the last response to its request: any but 1xx, and 101, after which the bytes are not HTTP/1.1.
    pub fn is_final(&self) -> bool {
        self.status >= 200 || self.status == 101
    }

    /// The body as text. Bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A short description for messages: `status 404 Not Found`.
    pub fn describe(&self) -> String {
        format!("status {} {}", self.status, self.reason).trim_end().to_owned()
    }
}

/// Collects whole responses from the bytes of one connection, which may arrive in any pieces.
#[derive(Debug, Default)]
pub struct ResponseCollector {
    /// The reader that finds the parts of each response.
    reader: ResponseReader,
    /// The body of the current response so far.
    body: Vec<u8>,
    /// The number of bytes of the current response so far.
    len: usize,
}

impl ResponseCollector {
    /// Reads from the start of `input` until a response is complete or the input ends. Returns how many bytes it read,
    /// and the response if it is complete. `request` is the request that the response belongs to.
    ///
    /// # Errors
    ///
    /// Describes what is wrong with the bytes.
    pub fn take(&mut self, input: &[u8], request: RequestKind) -> Result<(usize, Option<Response>), String> {
        let mut at = 0;
        loop {
            let (len, event) = self.reader.read(&input[at..], request)?;
            at += len;
            self.len += len;
            match event {
                Event::Head => {}
                Event::Body(bytes) => self.body.extend_from_slice(bytes),
                Event::Incomplete => return Ok((at, None)),
                Event::Complete => return Ok((at, Some(self.response(request)))),
            }
        }
    }

    /// Tells the collector that the connection has ended. Returns the response that this completes, if any.
    ///
    /// # Errors
    ///
    /// If the connection ended inside a response.
    pub fn end(&mut self, request: RequestKind) -> Result<Option<Response>, String> {
        let is_complete = self.reader.end()?;
        Ok(is_complete.then(|| self.response(request)))
    }

    /// Makes a [`Response`] from the response that the reader has just completed.
    fn response(&mut self, request: RequestKind) -> Response {
        let reader = &self.reader;
        let pair = |(name, value)| (latin1(name), latin1(value));
        Response {
            version: (1, reader.minor_version()),
            status: reader.status(),
            reason: latin1(reader.reason()),
            headers: reader.headers().map(pair).collect(),
            body: std::mem::take(&mut self.body),
            framing: reader.framing(),
            trailers: reader.trailers().map(pair).collect(),
            interim: Vec::new(),
            request,
            head: reader.head().to_vec(),
            len: std::mem::take(&mut self.len),
            keeps_alive: reader.keeps_alive(),
            has_unusual_chunks: reader.has_unusual_chunks(),
        }
    }
}

/// Decodes Latin-1: each byte is the character with its number.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
