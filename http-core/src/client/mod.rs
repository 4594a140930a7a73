//! The client side of HTTP/1.1, without sockets: writes a request to bytes, and reads a response from received bytes.
//!
//! ```text
//! ClientRequest ─► to_bytes ─► server ─► receive ─┐
//!                                                 ▼
//!                                     ┌──────── Head ◄─┐ 1xx
//!                                     │           │────┘
//!                            no body, │           ▼        length reached, last chunk,
//!                            length 0 │         Body ────┐ or end of the connection
//!                                     └─► Complete ◄─────┘
//! ```
//!
//! The diagram shows the states of a [`ResponseReader`]. It applies to a response the same rules as the server to a
//! request, with the same code for headers, framing and chunks. It reads no clock: the owner of the socket decides how
//! long to wait for a response, and whether to retry.
//!
//! ```
//! use http_core::{Limits, Method, client::{ClientRequest, ReadStatus, ResponseReader}};
//!
//! let request = ClientRequest::new(Method::Get, "example.org", "/hello?who=you")?
//!     .with_header("Accept", "text/plain")?;
//! assert_eq!(
//!     request.to_bytes(),
//!     b"GET /hello?who=you HTTP/1.1\r\nHost: example.org\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
//! );
//!
//! let mut reader = ResponseReader::new(request.method(), Limits::default());
//! let mut receives = [
//!     &b"HTTP/1.1 200 OK\r\nContent-Type: text/pl"[..],
//!     b"ain\r\nContent-Length: 5\r\n\r\nHel",
//!     b"lo",
//! ]
//! .into_iter();
//! let response = loop {
//!     let Some(bytes) = receives.next() else { break reader.receive_eof()? };
//!     if let ReadStatus::Complete(response) = reader.receive(bytes)? {
//!         break response;
//!     }
//! };
//! assert!(response.is_success() && response.reusable);
//! assert_eq!(response.header("content-type"), Some(&b"text/plain"[..]));
//! assert_eq!(response.body, b"Hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod head;
mod request;
mod response;

pub use error::{RequestError, ResponseError};
pub use request::ClientRequest;
pub use response::{ClientResponse, ReadStatus, ResponseReader};
