//! The request writer: every request that it accepts is one well-formed message.
//!
//! It alone writes the headers that delimit the message and control the connection, as [`encode`](crate::encode) does
//! for responses.

use super::error::RequestError;
use crate::types::{chars, error::HeaderError, grammar, headers::Headers, method::Method};

/// The names of the headers that [`ClientRequest::with_header`] rejects, in addition to those that [`Headers`] rejects.
/// The library sends Host itself. It never sends TE, which would allow transfer codings that the
/// [`ResponseReader`](super::ResponseReader) cannot decode.
const RESERVED: [&str; 2] = ["Host", "TE"];

/// A request to send.
///
/// ```
/// use http_core::{Method, client::ClientRequest};
///
/// let request = ClientRequest::new(Method::Post, "localhost:8001", "/echo")?
///     .with_body("text/plain", "Hello")?
///     .with_keep_alive();
/// let headers = "Host: localhost:8001\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n";
/// assert_eq!(request.to_bytes(), format!("POST /echo HTTP/1.1\r\n{headers}\r\nHello").as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request is sent only if the caller writes its bytes"]
pub struct ClientRequest {
    method: Method,
    target: String,
    authority: String,
    headers: Headers,
    /// `None` if no body was set. An empty body is sent with `Content-Length: 0`.
    body: Option<Vec<u8>>,
    /// Whether to leave the connection open: if false, `Connection: close` is sent.
    keep_alive: bool,
}

impl ClientRequest {
    /// Creates a request to the host and port in `authority`, for `target`: a path with an optional query, or `*` for
    /// OPTIONS.
    ///
    /// # Errors
    ///
    /// If the authority or the target is malformed, or the method is CONNECT, TRACE or an extension.
    pub fn new(method: Method, authority: &str, target: &str) -> Result<ClientRequest, RequestError> {
        // The target of CONNECT has another form, TRACE must not have a body (RFC 9110 §9.3.8), and the name of an
        // extension is unknown.
        if matches!(method, Method::Connect | Method::Trace | Method::Extension) {
            return Err(RequestError::Method);
        }
        if !grammar::is_authority(authority.as_bytes()) {
            return Err(RequestError::Authority);
        }
        // The origin form, or the asterisk of OPTIONS (RFC 9112 §3.2).
        let is_origin = target.starts_with('/') && chars::target_end(target.as_bytes(), 0) == target.len();
        if !is_origin && (method != Method::Options || target != "*") {
            return Err(RequestError::Target);
        }
        Ok(ClientRequest {
            method,
            target: target.to_owned(),
            authority: authority.to_owned(),
            headers: Headers::default(),
            body: None,
            keep_alive: false,
        })
    }

    /// Sets a header: replaces all earlier headers with this name, which is compared without case.
    ///
    /// # Errors
    ///
    /// If [`Headers::set`] rejects the header, or it is Host or TE.
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<ClientRequest, HeaderError> {
        check_name(name)?;
        self.headers.set(name, value)?;
        Ok(self)
    }

    /// Adds a header, and keeps earlier headers with the same name.
    ///
    /// # Errors
    ///
    /// If [`Headers::append`] rejects the header, or it is Host or TE.
    pub fn append_header(
        mut self,
        name: &str,
        value: impl AsRef<[u8]>,
    ) -> Result<ClientRequest, HeaderError> {
        check_name(name)?;
        self.headers.append(name, value)?;
        Ok(self)
    }

    /// Replaces the body and sets the Content-Type header.
    ///
    /// # Errors
    ///
    /// If the media type is not a legal header value.
    pub fn with_body(self, media_type: &str, body: impl Into<Vec<u8>>) -> Result<ClientRequest, HeaderError> {
        let request = self.with_header("Content-Type", media_type)?;
        Ok(ClientRequest { body: Some(body.into()), ..request })
    }

    /// Lets the server keep the connection open after its response. Otherwise the request asks the server to close it.
    pub fn with_keep_alive(self) -> ClientRequest {
        ClientRequest { keep_alive: true, ..self }
    }

    /// Returns the method, which [`ResponseReader::new`](super::ResponseReader::new) needs.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the value of the first header with this name among those that were added; `None` if there is none. The
    /// name is compared without case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name)
    }

    /// Returns the whole request as bytes to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut headers = Headers::default();
        // RFC 9110 §7.2 recommends to send Host first.
        headers.append_unchecked(b"Host", self.authority.as_bytes());
        headers.append_all(&self.headers);
        // RFC 9110 §8.6: sent with a body, and also without one if the method usually has one.
        let usual = matches!(self.method, Method::Post | Method::Put | Method::Patch);
        if let Some(length) = self.body.as_ref().map(Vec::len).or(usual.then_some(0)) {
            headers.append_unchecked(b"Content-Length", length.to_string().as_bytes());
        }
        if !self.keep_alive {
            headers.append_unchecked(b"Connection", b"close");
        }
        let line = [self.method.as_str(), " ", &self.target, " HTTP/1.1\r\n"].concat();
        let body = self.body.as_deref().unwrap_or_default();
        [line.as_bytes(), headers.as_bytes(), b"\r\n", body].concat()
    }
}

/// Fails if only the library sets the header `name`.
fn check_name(name: &str) -> Result<(), HeaderError> {
    match RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        true => Err(HeaderError::Reserved),
        false => Ok(()),
    }
}
