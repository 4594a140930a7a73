//! What can be wrong with a response.

use crate::types::error::ParseError;

/// A fault of the peer's, behind which nothing of its connection can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseError {
    /// What stands for the status line is none (RFC 9112 §4).
    StatusLine,
    /// More interim responses than anybody has use for (RFC 9110 §15.2).
    TooManyInterims,
    /// 101, though no other protocol was asked for (RFC 9110 §15.2.2).
    SwitchedProtocols,
    /// The connection ended before the response did (RFC 9112 §8).
    Truncated,
    /// Nothing more was to come: the response is complete already, or has failed. This fault is the caller's.
    Over,
    /// A fault that a request can have as well: in a line's end, a field, the framing, a chunk, or a size.
    Malformed(ParseError),
}

impl ResponseError {
    /// The fault in words, for a log.
    pub const fn as_str(self) -> &'static str {
        match self {
            ResponseError::StatusLine => "malformed status line",
            ResponseError::TooManyInterims => "too many interim responses",
            ResponseError::SwitchedProtocols => "switched protocols unasked",
            ResponseError::Truncated => "ended before the response was complete",
            ResponseError::Over => "nothing more to receive",
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
