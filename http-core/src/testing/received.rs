//! A complete request in memory, received and checked as a connection does it.

use crate::{
    buffer::recv_buf::RecvBuf,
    codec::{
        body::BodyDecoder,
        chunked::DecodeStatus,
        framing::{RequestFraming, TargetStatus},
        head::ParseStatus,
    },
    message::{rejection::Rejection, request::Request},
    types::{error::ParseError, limits::Limits, method::Schemes},
};
use std::{fmt, ops::Range, time::Instant};

/// A complete request in memory, received and checked as a connection does it.
///
/// ```
/// use http_core::{Handler, Reply, Request, Response, Status, testing::ReceivedRequest};
///
/// let handler = |request: &Request<'_>| Response::text(request.path().to_owned());
/// let bytes = b"POST /a/../b HTTP/1.1\r\nHost: example.org\r\nContent-Length: 4\r\n\r\nbody";
/// let received = ReceivedRequest::new(bytes, std::time::Instant::now())?;
/// assert_eq!(received.as_request().body(), b"body");
/// let Reply::Now(response) = handler.handle(&received.as_request()) else { return Err("a late reply".into()) };
/// assert_eq!(response.status(), Status::OK);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReceivedRequest {
    /// Holds the request at its front.
    input: RecvBuf,
    framing: RequestFraming,
    /// Where the decoded body is in `input`.
    body: Range<usize>,
    received_at: Instant,
}

/// The reason why bytes are not exactly one request.
///
/// ```
/// use http_core::{ParseError, Rejection, testing::{ReceiveError, ReceivedRequest}};
/// use std::time::Instant;
///
/// let receive = |bytes: &[u8]| ReceivedRequest::new(bytes, Instant::now()).map(|_| ());
/// assert_eq!(receive(b"GET / HTTP/1.0\r\n"), Err(ReceiveError::Incomplete));
/// let malformed = Rejection::Malformed(ParseError::Version);
/// assert_eq!(receive(b"GET / HTTP\r\n\r\n"), Err(ReceiveError::Rejected(malformed)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiveError {
    /// A server rejects the request for this reason, and passes it to no handler.
    Rejected(Rejection),
    /// The head or the body is not complete.
    Incomplete,
    /// There are bytes after the request.
    ExtraBytes,
}

impl ReceivedRequest {
    /// Receives a request with the default limits. `bytes` must be exactly one request: the body ends where
    /// Content-Length or the chunked coding says. `received_at` is what [`Request::received_at`] returns.
    ///
    /// # Errors
    ///
    /// See [`ReceiveError`].
    pub fn new(bytes: &[u8], received_at: Instant) -> Result<ReceivedRequest, ReceiveError> {
        let received = ReceivedRequest::with_any_target(bytes, received_at)?;
        match received.framing.target {
            TargetStatus::Valid => Ok(received),
            TargetStatus::NotEncoded => Err(ReceiveError::Rejected(Rejection::TargetNotEncoded)),
            TargetStatus::Malformed(error) => Err(malformed(error)),
        }
    }

    /// Receives a request as [`new`](ReceivedRequest::new) does, and also one whose path or query is invalid: a
    /// connection passes such a request to [`Handler::rejected`](crate::Handler::rejected) only.
    ///
    /// # Errors
    ///
    /// See [`ReceiveError`].
    pub fn with_any_target(bytes: &[u8], received_at: Instant) -> Result<ReceivedRequest, ReceiveError> {
        let limits = Limits::default();
        let mut input = RecvBuf::default();
        input.extend(bytes);
        let ParseStatus::Complete(head_len) = input.parse_head(&limits).map_err(malformed)? else {
            return Err(ReceiveError::Incomplete);
        };
        let framing = input.validate_head(Schemes::default()).map_err(malformed)?;
        let mut decoder = BodyDecoder::new(framing.body, &limits).map_err(malformed)?;
        let received = input.after_mut(head_len);
        let received_len = received.len();
        match decoder.decode(received, &limits).map_err(malformed)? {
            DecodeStatus::Partial => Err(ReceiveError::Incomplete),
            DecodeStatus::Complete(end) if end < received_len => Err(ReceiveError::ExtraBytes),
            DecodeStatus::Complete(_) => {
                let body = head_len..head_len + decoder.body_len(received_len);
                Ok(ReceivedRequest { input, framing, body, received_at })
            }
        }
    }

    /// Returns the request.
    pub fn as_request(&self) -> Request<'_> {
        Request {
            index: &self.input.index,
            bytes: self.input.unread(),
            body: self.input.unread().get(self.body.clone()).unwrap_or_default(),
            framing: self.framing,
            received_at: self.received_at,
            client_addr: None,
            tls: None,
            extensions: None,
        }
    }
}

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceivedRequest({:?})", self.as_request())
    }
}

/// Returns the error of a request that is malformed or exceeds a limit.
fn malformed(error: ParseError) -> ReceiveError {
    ReceiveError::Rejected(Rejection::Malformed(error))
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReceiveError::Rejected(reason) => write!(f, "the request is rejected: {reason}"),
            ReceiveError::Incomplete => f.write_str("the request is incomplete"),
            ReceiveError::ExtraBytes => f.write_str("there are bytes after the request"),
        }
    }
}

impl std::error::Error for ReceiveError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receives_exactly_one_request() {
        let check = |bytes: &str, expected: Result<&str, ReceiveError>| {
            let body = ReceivedRequest::new(bytes.as_bytes(), Instant::now())
                .map(|received| String::from_utf8_lossy(received.as_request().body()).into_owned());
            assert_eq!(body.as_deref(), expected.as_ref().copied(), "{bytes}");
        };
        let get = |target: &str, rest: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{rest}");
        let malformed = |error| Err(ReceiveError::Rejected(Rejection::Malformed(error)));
        check(&get("/", "\r\n"), Ok(""));
        check(&get("/", "Content-Length: 2\r\n\r\nab"), Ok("ab"));
        check(&get("/", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"), Ok("ab"));
        for incomplete in ["", "\r", "Content-Length: 2\r\n\r\na", "Transfer-Encoding: chunked\r\n\r\n1\r\na"]
        {
            check(&get("/", incomplete), Err(ReceiveError::Incomplete));
        }
        for extra in
            ["\r\na", "Content-Length: 0\r\n\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"]
        {
            check(&get("/", extra), Err(ReceiveError::ExtraBytes));
        }
        check(&get("/", "Content-Length: 2, 2\r\n\r\nab"), malformed(ParseError::ContentLength));
        check(&get("/", "Transfer-Encoding: chunked\r\n\r\nx"), malformed(ParseError::Chunk));
        check(&get("/..", "\r\n"), malformed(ParseError::AboveRoot));
        check(&get("/|", "\r\n"), Err(ReceiveError::Rejected(Rejection::TargetNotEncoded)));
        let rejected = get("/|", "\r\n");
        let received = ReceivedRequest::with_any_target(rejected.as_bytes(), Instant::now());
        assert_eq!(received.as_ref().map(|received| received.as_request().path()), Ok("/|"));
    }
}
