//! The request writer: what it has accepted cannot become anything but one well-formed request.
//!
//! What delimits the message and rules the connection it writes itself, as `encode` does for answers.

use crate::{
    codec::framing,
    message::headers::{FieldError, Fields},
    types::{chars, method::Method},
};

/// Fields that follow from the request, besides those that [`Fields`] keeps for the library anyway. TE would
/// invite codings that are not understood here.
const RESERVED: [&str; 2] = ["Host", "TE"];

/// A request to be sent.
///
/// ```
/// use http_core::{Method, client::Request};
///
/// let request = Request::new(Method::Post, "localhost:8001", "/echo")?.body("text/plain", "Hello")?.keep_alive();
/// let lines = "Host: localhost:8001\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n";
/// assert_eq!(request.to_bytes(), format!("POST /echo HTTP/1.1\r\n{lines}\r\nHello").as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    target: String,
    authority: String,
    fields: Fields,
    content: Option<Vec<u8>>,
    keep_alive: bool,
}

impl Request {
    /// A request for `target`, a path with an optional query (or `*` for OPTIONS), of the host and port that
    /// `authority` names.
    ///
    /// # Errors
    ///
    /// If one of them could break the request line or Host, or if no request with such a method is written here.
    pub fn new(method: Method, authority: &str, target: &str) -> Result<Request, RequestError> {
        // CONNECT's target has another form, TRACE must not have content (RFC 9110 §9.3.8), and an extension's
        // name is not known.
        if matches!(method, Method::Connect | Method::Trace | Method::Extension) {
            return Err(RequestError::Method);
        }
        if !framing::is_authority(authority.as_bytes()) {
            return Err(RequestError::Authority);
        }
        if !is_target(method, target) {
            return Err(RequestError::Target);
        }
        Ok(Request {
            method,
            target: target.to_owned(),
            authority: authority.to_owned(),
            fields: Fields::default(),
            content: None,
            keep_alive: false,
        })
    }

    /// Adds a field.
    ///
    /// # Errors
    ///
    /// If the name or the value could break the message, or the field is the library's to set.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Request, FieldError> {
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(FieldError::Reserved);
        }
        self.fields.push(name, value)?;
        Ok(self)
    }

    /// Sets the content, and adds Content-Type.
    ///
    /// # Errors
    ///
    /// If the media type is no legal field value.
    pub fn body(self, media_type: &str, content: impl Into<Vec<u8>>) -> Result<Request, FieldError> {
        let request = self.field("Content-Type", media_type)?;
        Ok(Request { content: Some(content.into()), ..request })
    }

    /// Leaves the connection open for another request; unasked, the peer is told to close it.
    pub fn keep_alive(mut self) -> Request {
        self.keep_alive = true;
        self
    }

    /// The method, which a [`ResponseReader`](super::ResponseReader) needs to know.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The whole request as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut fields = Fields::default();
        // RFC 9110 §7.2: Host is best the first.
        fields.append("Host", self.authority.as_bytes());
        fields.append_all(&self.fields);
        if let Some(length) = self.content_length() {
            fields.append("Content-Length", length.to_string().as_bytes());
        }
        if !self.keep_alive {
            fields.append("Connection", b"close");
        }
        let line = [self.method.as_str(), " ", &self.target, " HTTP/1.1\r\n"].concat();
        let content = self.content.as_deref().unwrap_or_default();
        [line.as_bytes(), fields.as_bytes(), b"\r\n", content].concat()
    }

    /// RFC 9110 §8.6: a length stands with content, and without it where the method leads one to expect some.
    fn content_length(&self) -> Option<usize> {
        let expected = matches!(self.method, Method::Post | Method::Put | Method::Patch);
        self.content.as_ref().map(Vec::len).or(expected.then_some(0))
    }
}

/// Whether it is a target in origin form, or the asterisk of OPTIONS (RFC 9112 §3.2).
fn is_target(method: Method, target: &str) -> bool {
    let origin = target.starts_with('/') && chars::target_end(target.as_bytes(), 0) == target.len();
    origin || method == Method::Options && target == "*"
}

/// Why no request can be made of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestError {
    /// No request with this method is written here.
    Method,
    /// The authority is no host with an optional port (RFC 9110 §7.2).
    Authority,
    /// The target is no path with an optional query, or holds white space, a control, `#` or something beyond
    /// ASCII (RFC 9112 §3.2.1).
    Target,
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RequestError::Method => "no request with this method can be written",
            RequestError::Authority => "an authority must be a host with an optional port",
            RequestError::Target => "a target must begin with / and hold only what a URI can",
        })
    }
}

impl std::error::Error for RequestError {}
