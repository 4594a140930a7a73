//! An answer: status, fields and content. What delimits it is not its business.

use super::{
    body::Body,
    headers::{FieldError, Fields, ReadyFields},
};
use crate::{
    buffer::segment::{FileSlice, Sent, WhenSent},
    types::{method::Method, status::Status},
};

/// An answer to a request.
///
/// ```
/// use http_core::{Response, Status};
///
/// let response = Response::text("Hello").with_status(Status::CREATED).header("Location", "/hello/1");
/// assert_eq!(response.field("location"), Some(&b"/hello/1"[..]));
/// ```
pub struct Response {
    pub(crate) status: Status,
    pub(crate) ready: Option<ReadyFields>,
    pub(crate) fields: Fields,
    pub(crate) body: Body,
    pub(crate) close: bool,
    pub(crate) when_sent: Option<WhenSent>,
}

impl Response {
    /// An answer without content.
    #[inline]
    pub fn new(status: Status) -> Response {
        Response {
            status,
            ready: None,
            fields: Fields::default(),
            body: Body::Empty,
            close: false,
            when_sent: None,
        }
    }

    /// 200 with content of this media type, which must be a legal field value; else the answer is a 500.
    pub fn content(media_type: &str, body: impl Into<Body>) -> Response {
        Response::new(Status::OK).with_body(body).header("Content-Type", media_type)
    }

    /// 200 with plain text.
    pub fn text(body: impl Into<Body>) -> Response {
        Response::content("text/plain; charset=utf-8", body)
    }

    /// 200 with a page.
    pub fn html(body: impl Into<Body>) -> Response {
        Response::content("text/html; charset=utf-8", body)
    }

    /// 200 with JSON that is text already.
    pub fn json(body: impl Into<Body>) -> Response {
        Response::content("application/json", body)
    }

    /// 200 with bytes of no particular type.
    pub fn bytes(body: impl Into<Body>) -> Response {
        Response::content("application/octet-stream", body)
    }

    /// 200 with part of a file.
    pub fn file(media_type: &str, slice: FileSlice) -> Response {
        Response::content(media_type, slice)
    }

    /// A redirect to `location`, a URI reference.
    pub fn redirect(status: Status, location: &str) -> Response {
        Response::new(status).header("Location", location)
    }

    /// The library's page for a status. Use [`method_refused`](Response::method_refused) for 405, which owes an Allow.
    pub fn error(status: Status) -> Response {
        const PAGE: Fields = Fields::of(b"Content-Type: text/html; charset=utf-8\r\n");
        Response { fields: PAGE, ..Response::new(status).with_body(status.page()) }
    }

    /// 405 with what is allowed instead (RFC 9110 §15.5.6); for a method nobody here knows, 501 (§9.1).
    pub fn method_refused(method: Method, allowed: &[Method]) -> Response {
        if method == Method::Extension {
            return Response::error(Status::NOT_IMPLEMENTED);
        }
        Response::error(Status::METHOD_NOT_ALLOWED).allow(allowed)
    }

    /// Names the methods that the target supports (RFC 9110 §10.2.1).
    pub fn allow(mut self, allowed: &[Method]) -> Response {
        let names: Vec<&str> = allowed.iter().map(|method| method.as_str()).collect();
        self.fields.append("Allow", names.join(", ").as_bytes());
        self
    }

    /// Sets another status.
    pub fn with_status(mut self, status: Status) -> Response {
        self.status = status;
        self
    }

    /// Sets the content.
    #[inline]
    pub fn with_body(mut self, body: impl Into<Body>) -> Response {
        self.body = body.into();
        self
    }

    /// Sets the content and its media type, which must be a legal field value, in the place of what was set.
    pub fn with_content(mut self, media_type: &str, body: impl Into<Body>) -> Response {
        self.fields.remove("Content-Type");
        self.with_body(body).header("Content-Type", media_type)
    }

    /// Sets fields that many answers share.
    #[inline]
    pub fn with_ready(mut self, ready: ReadyFields) -> Response {
        self.ready = Some(ready);
        self
    }

    /// Adds a field. A name or value that could break the message makes the answer a 500 instead of reaching the
    /// peer; [`try_header`](Response::try_header) is for those who want to know.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Response {
        match self.fields.push(name, value) {
            Ok(()) => self,
            Err(_) => {
                let Response { close, when_sent, .. } = self;
                Response { close, when_sent, ..Response::error(Status::INTERNAL_SERVER_ERROR) }
            }
        }
    }

    /// Adds a field.
    ///
    /// # Errors
    ///
    /// If the name or the value could break the message, or the field is the library's to set.
    pub fn try_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<&mut Response, FieldError> {
        self.fields.push(name, value)?;
        Ok(self)
    }

    /// Closes the connection after this answer.
    pub fn close(mut self) -> Response {
        self.close = true;
        self
    }

    /// Has `hear` told how much of the content was sent, once the last of it has been, or the connection has ended
    /// before. It runs between requests and must not block. The last word counts.
    pub fn when_sent(self, hear: impl FnOnce(Sent) + Send + 'static) -> Response {
        Response { when_sent: Some(Box::new(hear)), ..self }
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The value of the first field with this name that has been set.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.find(name).or_else(|| self.ready.as_ref()?.find(name))
    }

    /// The content.
    pub fn body(&self) -> &Body {
        &self.body
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Response { status, ready, fields, body, close, when_sent: _ } = self;
        f.debug_struct("Response")
            .field("status", status)
            .field("ready", ready)
            .field("fields", fields)
            .field("body", body)
            .field("close", close)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_injected_field_becomes_a_500_and_nothing_else() {
        let response = Response::text("x").header("Location", "/\r\nSet-Cookie: a=b");
        assert_eq!(response.status(), Status::INTERNAL_SERVER_ERROR);
        assert_eq!(response.field("Set-Cookie"), None);
        assert_eq!(response.field("Location"), None);
        assert!(
            Response::text("x").close().header("X", "\n").close,
            "what was asked for besides still counts"
        );
    }

    #[test]
    fn other_content_takes_the_place_of_the_first() {
        let response = Response::error(Status::METHOD_NOT_ALLOWED).allow(&[Method::Get]);
        let response = response.with_content("application/json", "{}");
        assert_eq!(response.fields.as_bytes(), b"Allow: GET\r\nContent-Type: application/json\r\n");
        assert_eq!(response.body.len(), Some(2));
    }

    #[test]
    fn a_refused_method_names_what_is_allowed() {
        let refused = Response::method_refused(Method::Post, &[Method::Get, Method::Head]);
        assert_eq!(
            (refused.status(), refused.field("Allow")),
            (Status::METHOD_NOT_ALLOWED, Some(&b"GET, HEAD"[..]))
        );
        let unknown = Response::method_refused(Method::Extension, &[Method::Get]);
        assert_eq!(unknown.status(), Status::NOT_IMPLEMENTED);
    }
}
