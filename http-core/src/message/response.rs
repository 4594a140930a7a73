//! A response: status, headers and body. The connection adds the headers that delimit the body.

use super::{
    body::Body,
    headers::{HeaderError, Headers, SharedHeaders},
};
use crate::{
    buffer::{
        segment::{OnSent, Segment, Sent},
        send_queue::SendQueue,
    },
    codec::{
        encode::{self, ResponseHead},
        framing::BodyLength,
    },
    types::{clock::Clock, method::Method, status::Status},
};

/// A response to a request.
///
/// ```
/// use http_core::{Response, Status};
///
/// let response = Response::text("Hello").with_status(Status::CREATED).with_header("Location", "/hello/1");
/// assert_eq!(response.header("location"), Some(&b"/hello/1"[..]));
/// ```
pub struct Response {
    pub(crate) status: Status,
    /// The headers shared with other responses, which are sent before `headers`; `None` if there are none.
    pub(crate) shared_headers: Option<SharedHeaders>,
    pub(crate) headers: Headers,
    pub(crate) body: Body,
    /// Whether the connection must close after this response.
    pub(crate) close: bool,
    /// See [`Response::on_sent`].
    pub(crate) on_sent: Option<OnSent>,
}

impl Response {
    /// Creates a response without headers and body.
    #[inline]
    pub fn new(status: Status) -> Response {
        Response {
            status,
            shared_headers: None,
            headers: Headers::default(),
            body: Body::Empty,
            close: false,
            on_sent: None,
        }
    }

    /// Creates a 200 with a body of this media type. If the type is not a legal header value, the result is a 500.
    pub fn of_type(media_type: &str, body: impl Into<Body>) -> Response {
        Response::new(Status::OK).with_body(body).with_header("Content-Type", media_type)
    }

    /// Creates a 200 with a plain text body in UTF-8.
    pub fn text(body: impl Into<Body>) -> Response {
        Response::of_type("text/plain; charset=utf-8", body)
    }

    /// Creates a 200 with an HTML body in UTF-8.
    pub fn html(body: impl Into<Body>) -> Response {
        Response::of_type("text/html; charset=utf-8", body)
    }

    /// Creates a 200 with a JSON body. `body` must be JSON text: this method does not check it.
    pub fn json(body: impl Into<Body>) -> Response {
        Response::of_type("application/json", body)
    }

    /// Creates a 200 with a body of type `application/octet-stream`.
    pub fn bytes(body: impl Into<Body>) -> Response {
        Response::of_type("application/octet-stream", body)
    }

    /// Creates a response with this status, such as [`Status::SEE_OTHER`], and a Location header with the URI reference
    /// `location`. If `location` is not a legal header value, the result is a 500.
    pub fn redirect(status: Status, location: &str) -> Response {
        Response::new(status).with_header("Location", location)
    }

    /// Creates a response with the library's HTML page for this status. For 405, which must have an Allow header, use
    /// [`method_not_allowed`](Response::method_not_allowed).
    pub fn error(status: Status) -> Response {
        const HTML: Headers = Headers::from_static(b"Content-Type: text/html; charset=utf-8\r\n");
        Response { headers: HTML, ..Response::new(status).with_body(status.page()) }
    }

    /// Creates the response to a request whose method the target does not support: a 405 with an Allow header that
    /// lists the supported ones (RFC 9110 §15.5.6), or a 501 if `method` is [`Method::Extension`] (§9.1).
    pub fn method_not_allowed(method: Method, allowed: &[Method]) -> Response {
        if method == Method::Extension {
            return Response::error(Status::NOT_IMPLEMENTED);
        }
        Response::error(Status::METHOD_NOT_ALLOWED).with_allow(allowed)
    }

    /// Adds an Allow header with the methods that the target supports (RFC 9110 §10.2.1).
    pub fn with_allow(mut self, allowed: &[Method]) -> Response {
        let names: Vec<&str> = allowed.iter().map(|method| method.as_str()).collect();
        self.headers.append_unchecked(b"Allow", names.join(", ").as_bytes());
        self
    }

    /// Replaces the status.
    pub fn with_status(self, status: Status) -> Response {
        Response { status, ..self }
    }

    /// Replaces the body.
    #[inline]
    pub fn with_body(mut self, body: impl Into<Body>) -> Response {
        self.body = body.into();
        self
    }

    /// Replaces the body and the Content-Type header. Does not remove a Content-Type from the headers of
    /// [`with_shared_headers`](Response::with_shared_headers): then both would be sent. If `media_type` is not a legal
    /// header value, the result is a 500.
    pub fn with_typed_body(mut self, media_type: &str, body: impl Into<Body>) -> Response {
        self.headers.remove("Content-Type");
        self.with_body(body).with_header("Content-Type", media_type)
    }

    /// Sets the headers that this response shares with others, which are sent before its own. Replaces those of an
    /// earlier call.
    #[inline]
    pub fn with_shared_headers(mut self, headers: SharedHeaders) -> Response {
        self.shared_headers = Some(headers);
        self
    }

    /// Adds a header. If [`Headers::append`] rejects the header, the response becomes an error page with status 500.
    /// The error page keeps only the callback of [`on_sent`](Response::on_sent) and the effect of
    /// [`with_close`](Response::with_close). [`try_with_header`](Response::try_with_header) returns an error instead.
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Response {
        match self.headers.append(name, value) {
            Ok(()) => self,
            Err(_) => Response {
                close: self.close,
                on_sent: self.on_sent,
                ..Response::error(Status::INTERNAL_SERVER_ERROR)
            },
        }
    }

    /// Adds a header.
    ///
    /// # Errors
    ///
    /// If [`Headers::append`] rejects the header.
    pub fn try_with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Response, HeaderError> {
        self.headers.append(name, value)?;
        Ok(self)
    }

    /// Closes the connection after this response.
    pub fn with_close(self) -> Response {
        Response { close: true, ..self }
    }

    /// Sets a callback, which the engine calls once with the number of body bytes sent: after the last of them, or when
    /// the connection ends before that. The callback must not block, because it runs on the thread that serves
    /// connections. Replaces the callback of an earlier call.
    pub fn on_sent(self, callback: impl FnOnce(Sent) + Send + 'static) -> Response {
        Response { on_sent: Some(Box::new(callback)), ..self }
    }

    /// Returns the status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Returns the value of the first header with this name, which is compared without case; `None` if there is none.
    /// Does not find the headers that the library adds when it sends the response.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).or_else(|| self.shared_headers.as_ref()?.get(name))
    }

    /// Returns the body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Corrects a response that must not be sent to a request with this method. Adds an empty Allow header to a 405
    /// without Allow. Replaces a 2xx response to CONNECT by a 501, because it would tell the client that a tunnel is
    /// open. Returns any other response unchanged.
    pub(crate) fn corrected(self, method: Method) -> Response {
        match self.status {
            // RFC 9110 §15.5.6: every 405 must have an Allow header. An empty one means that no method is allowed.
            Status::METHOD_NOT_ALLOWED if self.header("Allow").is_none() => self.with_allow(&[]),
            // RFC 9110 §9.3.6: a success means that a tunnel is open, and this library opens none.
            status if method == Method::Connect && status.is_success() => {
                Response { on_sent: self.on_sent, ..Response::error(Status::NOT_IMPLEMENTED) }
            }
            _ => self,
        }
    }

    /// Appends the head and the body to the send queue. Drops the body of a 204 or 304, and of a response to HEAD.
    /// `method` is that of the request. `length` says how the body is delimited. `keep_alive` sets the Connection
    /// header. `clock` provides the Date header. Call this only if [`Body::check`] accepts the body.
    #[inline]
    pub(crate) fn queue(
        self,
        method: Method,
        length: BodyLength,
        keep_alive: bool,
        out: &mut SendQueue,
        clock: &Clock,
    ) {
        let head = ResponseHead {
            status: self.status,
            shared_headers: self.shared_headers.as_ref().map_or(&[], |headers| headers.as_bytes()),
            headers: self.headers.as_bytes(),
            body: length,
            keep_alive,
        };
        out.write(|text| encode::response_head(text, &head, clock));
        let from = out.total_queued();
        if encode::carries_body(self.status, method) {
            self.body.queue(out, length == BodyLength::Chunked);
        }
        if let Some(on_sent) = self.on_sent {
            out.push(Segment::End { from, on_sent });
        }
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headers = String::from_utf8_lossy(self.headers.as_bytes());
        write!(f, "Response({}, {headers:?}, {:?})", self.status, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_injected_header_makes_the_response_a_500() {
        let response = Response::text("x").with_header("Location", "/\r\nSet-Cookie: a=b");
        assert_eq!(response.status(), Status::INTERNAL_SERVER_ERROR);
        assert_eq!(response.header("Set-Cookie"), None);
        assert_eq!(response.header("Location"), None);
        assert!(Response::text("x").with_close().with_header("X", "\n").close, "the 500 lost `close`");
    }

    #[test]
    fn a_typed_body_replaces_the_previous_type() {
        let response = Response::error(Status::METHOD_NOT_ALLOWED).with_allow(&[Method::Get]);
        let response = response.with_typed_body("application/json", "{}");
        assert_eq!(response.headers.as_bytes(), b"Allow: GET\r\nContent-Type: application/json\r\n");
        assert_eq!(response.body.len(), Some(2));
    }
}
