//! Rejections: responses that the library makes itself, in place of a handler.

use super::{request::Request, response::Response};
use crate::types::{error::ParseError, status::Status};
use core::net::SocketAddr;

/// The reason why the library responds to a request itself: the request reached no handler, or its handler failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The request is malformed, or exceeds a limit.
    Malformed(ParseError),
    /// The request did not arrive in time.
    RequestTimeout,
    /// The handler did not reply in time.
    ReplyTimeout,
    /// The server has reached its limit of connections or of queued work.
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
            Rejection::RequestTimeout => Status::REQUEST_TIMEOUT,
            Rejection::ReplyTimeout | Rejection::Overloaded => Status::SERVICE_UNAVAILABLE,
            Rejection::HandlerPanicked | Rejection::InvalidResponse => Status::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the library's response: an error page, with Retry-After if the status is 503. The connection closes
    /// after it. The engine passes the response to [`Handler::rejected`](crate::Handler::rejected), and sends what that
    /// method returns.
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
#[derive(Clone, Copy, Debug)]
pub struct Rejected<'r> {
    /// Why the request was rejected.
    pub reason: Rejection,
    /// The client's address; `None` if the engine [has not set it](crate::Connection::with_client_addr).
    pub client_addr: Option<SocketAddr>,
    /// The request without its body; `None` unless the head is complete, valid and still in the receive buffer.
    pub request: Option<Request<'r>>,
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Rejection::Malformed(error) => error.as_str(),
            Rejection::RequestTimeout => "the request did not arrive in time",
            Rejection::ReplyTimeout => "the handler did not reply in time",
            Rejection::Overloaded => "over capacity",
            Rejection::HandlerPanicked => "the handler panicked",
            Rejection::InvalidResponse => "the handler's response is invalid",
        })
    }
}
