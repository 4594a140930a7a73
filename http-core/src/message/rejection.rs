//! Why the library itself answers, in the application's place.

use super::{request::Request, response::Response};
use crate::types::{error::ParseError, status::Status};
use core::net::SocketAddr;

/// A request that no handler sees, or whose handler did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The request is wrong.
    Malformed(ParseError),
    /// The request did not arrive in time.
    TooSlow,
    /// The answer was not ready in time.
    Unanswered,
    /// The server holds as many connections, or as much work, as it may.
    Overloaded,
    /// The handler panicked.
    Panicked,
}

impl Rejection {
    /// The status that says so.
    pub const fn status(self) -> Status {
        match self {
            Rejection::Malformed(error) => error.status(),
            Rejection::TooSlow => Status::REQUEST_TIMEOUT,
            Rejection::Unanswered | Rejection::Overloaded => Status::SERVICE_UNAVAILABLE,
            Rejection::Panicked => Status::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer, before any middleware has seen it. It closes the connection.
    pub fn response(self) -> Response {
        let response = Response::error(self.status()).close();
        if self.status() == Status::SERVICE_UNAVAILABLE {
            response.header("Retry-After", "1")
        } else {
            response
        }
    }
}

/// A rejection, and what is known of the request.
#[derive(Clone, Copy, Debug)]
pub struct Rejected<'r> {
    /// Why nobody else answers.
    pub why: Rejection,
    /// Where the connection comes from, if that has been said.
    pub peer: Option<SocketAddr>,
    /// The request without its content, if its head has been understood and is still at hand.
    pub request: Option<Request<'r>>,
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Rejection::Malformed(error) => error.as_str(),
            Rejection::TooSlow => "the request did not arrive in time",
            Rejection::Unanswered => "the answer was not ready in time",
            Rejection::Overloaded => "over capacity",
            Rejection::Panicked => "the handler panicked",
        })
    }
}
