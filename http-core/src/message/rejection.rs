//! Rejections: responses that the library makes itself, in place of a handler.

use super::{request::Request, response::Response};
use crate::types::{error::ParseError, panic::Panicked, path::RelativePath, status::Status};
use core::net::SocketAddr;

/// The reason why the library responds to a request itself: the request reached no handler, or its handler failed.
///
/// ```
/// use http_core::{ParseError, Rejection, Status};
///
/// let reason = Rejection::Malformed(ParseError::Host);
/// assert_eq!((reason.status(), &*reason.to_string()), (Status::BAD_REQUEST, "malformed or repeated Host"));
/// assert_eq!(Rejection::Overloaded.response().header("Retry-After"), Some(&b"1"[..]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// The request is malformed, or exceeds a limit.
    Malformed(ParseError),
    /// The target of a GET or HEAD request is not correctly encoded: it contains a character that a URI does not allow,
    /// or a malformed escape in the query. The response redirects to the encoded target (RFC 9112 §3).
    TargetNotEncoded,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The handler did not reply in time.
    ReplyTimeout,
    /// The server has reached its limit of connections, of queued work or of memory for requests, or the system has no
    /// memory left.
    Overloaded,
    /// The handler panicked, or dropped the [`Responder`](crate::Responder) of a deferred reply without a response.
    HandlerPanicked,
    /// The handler's response cannot be sent, for example because of an invalid header ([`Misuse`](crate::Misuse)).
    InvalidResponse,
}

impl Rejection {
    /// Returns the status of the response.
    pub const fn status(self) -> Status {
        match self {
            Rejection::Malformed(error) => error.status(),
            Rejection::TargetNotEncoded => Status::MOVED_PERMANENTLY,
            Rejection::RequestTimeout => Status::REQUEST_TIMEOUT,
            Rejection::ReplyTimeout | Rejection::Overloaded => Status::SERVICE_UNAVAILABLE,
            Rejection::HandlerPanicked | Rejection::InvalidResponse => Status::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the library's response to a request of which only this reason is known: an error page, with Retry-After
    /// if the status is 503. The connection closes after it. [`Rejected::response`] also knows where to redirect.
    pub fn response(self) -> Response {
        let response = Response::error(self.status()).with_close();
        if self.status() == Status::SERVICE_UNAVAILABLE {
            response.with_header("Retry-After", "1")
        } else {
            response
        }
    }
}

/// A rejection, and what the library knows of the rejected request.
///
/// ```
/// use http_core::{Handler, Rejected, Rejection, Reply, Request, Response, testing::TestRequest};
///
/// struct App;
///
/// impl Handler for App {
///     fn handle(&self, _: &Request<'_>) -> Reply {
///         Response::text("Hello").into()
///     }
///
///     /// Replaces the library's error pages, and leaves its redirects.
///     fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
///         match rejected.reason {
///             Rejection::TargetNotEncoded => response,
///             reason => response.with_typed_body("text/plain", format!("Sorry: {reason}.\n")),
///         }
///     }
/// }
///
/// let response = TestRequest::get("/").header("Host", "two").header("Host", "hosts").run(&App);
/// assert_eq!((response.status().code(), response.text()), (400, "Sorry: malformed or repeated Host.\n"));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rejected<'r> {
    /// Why the request was rejected.
    pub reason: Rejection,
    /// The client's address; `None` if the engine [has not set it](crate::Connection::with_client_addr).
    pub client_addr: Option<SocketAddr>,
    /// The request without its body; `None` unless the head is complete, valid and still in the receive buffer. Its
    /// target may be the reason of the rejection: then [`Request::path`] is normalised as far as possible.
    pub request: Option<Request<'r>>,
    /// If the head is malformed, too large or late: what was received of the request line, without its line end. It can
    /// be incomplete and contain any byte but LF. Otherwise empty.
    pub request_line: &'r [u8],
}

/// Returns the first line of `unread` that is not empty, without its line end. The line can be incomplete.
#[cold]
pub(crate) fn first_line(unread: &[u8]) -> &[u8] {
    let lines = unread.split(|byte| *byte == b'\n');
    let mut lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

impl Rejected<'_> {
    /// Returns the library's response: a redirect if only the target is not correctly encoded, otherwise that of
    /// [`Rejection::response`]. The connection closes after it, except after a redirect of a request without a body.
    /// The engine passes the response to [`Handler::rejected`](crate::Handler::rejected), and sends what that method
    /// returns.
    pub fn response(&self) -> Response {
        let path = |request: &Request<'_>| {
            RelativePath::new(request.path_bytes()).map(|path| request.reference_to(path))
        };
        match self.request.as_ref().and_then(path) {
            Some(location) if self.reason == Rejection::TargetNotEncoded => {
                Response::error(self.reason.status()).with_header("Location", location)
            }
            _ => self.reason.response(),
        }
    }
}

impl From<Panicked> for Rejection {
    fn from(_: Panicked) -> Rejection {
        Rejection::HandlerPanicked
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Rejection::Malformed(error) => error.as_str(),
            Rejection::TargetNotEncoded => "the request target is not correctly encoded",
            Rejection::RequestTimeout => "the request did not arrive in time",
            Rejection::ReplyTimeout => "the handler did not reply in time",
            Rejection::Overloaded => "over capacity",
            Rejection::HandlerPanicked => "the handler panicked",
            Rejection::InvalidResponse => "the handler's response is invalid",
        })
    }
}
