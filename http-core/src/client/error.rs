//! The errors of the client: why a request cannot be created, and why a response cannot be read.

use crate::types::error::{ParseError, error_enum};

error_enum! {
    /// The reason why a request cannot be created.
    ///
    /// ```
    /// use http_core::{Method, client::{ClientRequest, RequestError}};
    ///
    /// let request = |authority, target| ClientRequest::new(Method::Get, authority, target).map(|_| ());
    /// assert_eq!(request("example.org:8080", "/"), Ok(()));
    /// assert_eq!(request("http://example.org", "/"), Err(RequestError::Authority));
    /// assert_eq!(request("example.org", "/ HTTP/1.1"), Err(RequestError::Target));
    /// ```
    RequestError {
        /// The client does not support this method.
        Method "the client does not support this method"
        /// The authority is not a host with an optional port (RFC 9110 §7.2).
        Authority "an authority must be a host with an optional port"
        /// The target does not begin with `/`, and is not the `*` of OPTIONS. Or it contains white space, a control
        /// character, `#` or a character outside ASCII (RFC 9112 §3.2.1). Other characters that a URI does not allow,
        /// such as `|`, and incomplete percent-escapes are accepted.
        Target "a target must begin with / and contain only characters of a URI"
    }
}

/// The reason why a response cannot be read. After any error but [`Finished`](ResponseError::Finished), the connection
/// cannot be used for another request.
///
/// ```
/// use http_core::{Limits, Method, ParseError, client::{ResponseError, ResponseReader}};
///
/// let read = |bytes| ResponseReader::new(Method::Get, Limits::default()).receive(bytes);
/// assert_eq!(read(b"ICY 200 OK\r\n\r\n"), Err(ResponseError::StatusLine));
/// let twice = read(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na");
/// assert_eq!(twice, Err(ResponseError::Malformed(ParseError::ContentLength)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// The status line is malformed (RFC 9112 §4).
    StatusLine,
    /// The server sent more than eight interim responses (RFC 9110 §15.2).
    TooManyInterims,
    /// The server sent 101, but the request asked for no other protocol (RFC 9110 §15.2.2).
    SwitchedProtocols,
    /// The connection ended before the response was complete (RFC 9112 §8).
    Truncated,
    /// The [`ResponseReader`](super::ResponseReader) was called after it had returned a response or an error: a bug of
    /// the caller. This error says nothing about the state of the connection.
    Finished,
    /// An error that can also occur in a request: in a line ending, a header, the framing, a chunk or a size.
    Malformed(ParseError),
}

impl ResponseError {
    /// Returns the description, for a log.
    pub const fn as_str(self) -> &'static str {
        match self {
            ResponseError::StatusLine => "malformed status line",
            ResponseError::TooManyInterims => "too many interim responses",
            ResponseError::SwitchedProtocols => "unrequested switch of protocols",
            ResponseError::Truncated => "connection closed before the response was complete",
            ResponseError::Finished => "response reader used after its end",
            ResponseError::Malformed(error) => error.as_str(),
        }
    }
}

impl From<ParseError> for ResponseError {
    fn from(error: ParseError) -> ResponseError {
        ResponseError::Malformed(error)
    }
}

impl std::fmt::Display for ResponseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for ResponseError {}
