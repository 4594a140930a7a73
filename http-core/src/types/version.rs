//! Protocol versions (RFC 9112 §2.3).

/// The version a peer speaks. Every 1.x above 1.0 is understood as 1.1 (RFC 9110 §2.5); others never get this far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: closes after each answer unless keep-alive is asked for; knows no chunked coding.
    Http10,
    /// HTTP/1.1.
    Http11,
}
