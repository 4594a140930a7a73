//! The other side of the wire, without its socket: a request goes out as bytes, bytes come in until they are a
//! response.
//!
//! ```text
//!   Request ─► to_bytes ─► the peer ─► receive ─┐
//!                                               ▼
//!                                   ┌──────── Head ◄─┐ 1xx
//!                                   │           │────┘
//!                       no content, │           ▼        length reached, last chunk,
//!                       or length 0 │        Content ──┐ or the end where that delimits
//!                                   └─► Complete ◄─────┘
//! ```
//!
//! It holds a response to the rules that the server holds a request to, field lines, framing and chunks by the
//! same code: who asks a server that another party can write to is as easily deceived as the server itself. It
//! asks no clock; whoever has the socket decides how long a response may take, and whether to try again.
//!
//! ```
//! use http_core::{Limits, Method, client::{Progress, Request, ResponseReader}};
//!
//! let request = Request::new(Method::Get, "example.org", "/hello?who=you")?.field("Accept", "text/plain")?;
//! assert_eq!(
//!     request.to_bytes(),
//!     b"GET /hello?who=you HTTP/1.1\r\nHost: example.org\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
//! );
//!
//! let mut reader = ResponseReader::new(Method::Get, Limits::default());
//! let arriving = [&b"HTTP/1.1 200 OK\r\nContent-Type: text/pl"[..], b"ain\r\nContent-Length: 5\r\n\r\nHel", b"lo"];
//! let mut pieces = arriving.into_iter();
//! let response = loop {
//!     // A piece is what one receive yields; none is the end of the connection.
//!     let Some(piece) = pieces.next() else { break reader.ended()? };
//!     if let Progress::Complete(response) = reader.receive(piece)? {
//!         break response;
//!     }
//! };
//! assert!(response.is_success() && response.reusable);
//! assert_eq!(response.field("content-type"), Some(&b"text/plain"[..]));
//! assert_eq!(response.body, b"Hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod content;
mod error;
mod head;
mod request;
mod response;

pub use error::ResponseError;
pub use request::{Request, RequestError};
pub use response::{Progress, Response, ResponseReader};
