//! A response: status, headers and body. The connection adds the headers that delimit the body.

use super::{
    body::Body,
    stated::Statements,
    upgrade::{OnUpgrade, Upgraded},
};
use crate::{
    buffer::segment::{OnSent, Sent},
    semantics::{disposition, set_cookie::SetCookie},
    types::{
        error::HeaderError,
        grammar,
        headers::{Headers, SharedHeaders, is_singleton},
        method::Method,
        panic::{CatchDrop, catch_panic},
        status::Status,
    },
};
use std::borrow::Borrow;

/// A response to a request.
///
/// ```
/// use http_core::{Response, Status};
///
/// let response = Response::text("Hello").with_status(Status::CREATED).with_header("Location", "/hello/1");
/// assert_eq!(response.header("location"), Some(&b"/hello/1"[..]));
/// let response = response.append_header("Set-Cookie", "a=1").append_header("Set-Cookie", "b=2");
/// ```
///
/// # Headers that the library writes
///
/// The library writes the headers that delimit the message and control the connection. A handler may set some of them,
/// with the values that the library sends anyway:
///
/// | header | what a handler may set |
/// |---|---|
/// | Content-Length | the length of the body. In a response to HEAD without a body, the length of the response to GET |
/// | Transfer-Encoding | `chunked`, with a body of unknown length ([`Body::len`]) |
/// | Connection | `close`, which is the same as [`with_close`](Response::with_close), or `keep-alive`, which has no effect |
/// | Server, Date | any value, which is sent in place of the library's; Date in the format of RFC 9110 §5.6.7 |
/// | Upgrade | the protocols of which the client may ask for one, or in a 101 the protocol that follows; `Connection: upgrade` is added |
/// | Trailer | the names of the [trailers](crate::ChunkSource::trailers); sent only if the body can have trailers |
/// | Keep-Alive | nothing |
///
/// If a handler sets another value, or a header that is malformed, the engine logs the name of the header and the
/// reason, sends a 500 in place of the response, and closes the connection ([`Misuse`](crate::Misuse)).
#[must_use = "a response is sent only if the handler returns it"]
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
    /// What the handler has set of the headers that the library writes; `None` if nothing.
    pub(super) statements: Option<Box<Statements>>,
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
            statements: None,
        }
    }

    /// Creates a 200 with a body of this media type. If the type is not a legal header value, the result is a 500, as
    /// for [`with_header`](Response::with_header).
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
    /// `location`. If `location` is not a legal header value, the result is a 500, as for
    /// [`with_header`](Response::with_header).
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

    /// Creates a 101: the client and the server speak `protocol`, such as `websocket`, after this response (RFC 9110
    /// §7.8). Set the function that takes over the connection ([`on_upgrade`](Response::on_upgrade)).
    ///
    /// Only a request that [asks for the protocol](crate::Request::upgrades_to) may get it. Otherwise, or without a
    /// function, or if `protocol` is no name of a protocol, the engine logs a [`Misuse`](crate::Misuse), sends a 500
    /// and closes the connection.
    pub fn switching_protocols(protocol: &str) -> Response {
        Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", protocol)
    }

    /// Sets the function that takes over the connection after this response, if its status is 101
    /// ([`switching_protocols`](Response::switching_protocols)). With another status, for example because a middleware
    /// has replaced the response, the function is dropped, and the connection continues with HTTP.
    ///
    /// The function runs on a thread of its own and may wait for the client: `http-engine` has at most
    /// `Settings::streaming_threads` on event loops, and responds 503 in place of the 101 if all are busy. The
    /// connection may outlive the function, which can pass it to another thread. A panic is logged, and closes the
    /// connection.
    ///
    /// [`Upgraded`] has an example. [`Reply::upgrade`](crate::Reply::upgrade) is the same for a handler that returns a
    /// [`Reply`](crate::Reply).
    pub fn on_upgrade(mut self, take: impl FnOnce(Upgraded) + Send + 'static) -> Response {
        self.statements.get_or_insert_default().on_upgrade = Some(OnUpgrade::new(take));
        self
    }

    /// Removes and returns the function that [`on_upgrade`](Response::on_upgrade) has set, for engines and tests.
    pub fn take_on_upgrade(&mut self) -> Option<OnUpgrade> {
        self.statements.as_mut()?.on_upgrade.take()
    }

    /// Sets the Allow header, which lists the methods that the target supports (RFC 9110 §10.2.1). Leaves out
    /// [`Method::Extension`], which has no name.
    pub fn with_allow(mut self, allowed: &[Method]) -> Response {
        self.set_allow(allowed);
        self
    }

    /// Sets the Allow header, as [`with_allow`](Response::with_allow) does.
    pub(super) fn set_allow(&mut self, allowed: &[Method]) {
        let names = allowed.iter().map(|method| method.as_str()).filter(|name| !name.is_empty());
        let names: Vec<&str> = names.collect();
        self.remove("Allow");
        self.headers.append_unchecked(b"Allow", names.join(", ").as_bytes());
    }

    /// Replaces the status.
    pub fn with_status(self, status: Status) -> Response {
        Response { status, ..self }
    }

    /// Replaces the body. The status decides whether it is sent: a 204, a 205 and a 304 have no body (RFC 9110 §15).
    #[inline]
    pub fn with_body(mut self, body: impl Into<Body>) -> Response {
        self.body = body.into();
        self
    }

    /// Replaces the body and sets the Content-Type header. Removes a Content-Length that was set for the previous body.
    /// If `media_type` is not a legal header value, the result is a 500, as for [`with_header`](Response::with_header).
    pub fn with_typed_body(self, media_type: &str, body: impl Into<Body>) -> Response {
        self.remove_header("Content-Length").with_body(body).with_header("Content-Type", media_type)
    }

    /// Sets the headers that this response shares with others, which are sent before its own. Replaces those of an
    /// earlier call, and the response's own headers with the same names.
    #[inline]
    pub fn with_shared_headers(mut self, headers: SharedHeaders) -> Response {
        if !self.headers.as_bytes().is_empty() {
            self.headers.remove_all(&headers);
        }
        self.shared_headers = Some(headers);
        self
    }

    /// Sets a header: replaces all earlier headers with this name, which is compared without case.
    ///
    /// If the header cannot be sent, the response becomes an error page with status 500. The engine then logs the name
    /// of the header and the reason, sends a 500 and closes the connection, whatever else the handler sets.
    /// [`try_with_header`](Response::try_with_header) returns an error instead. For the headers that the library
    /// writes, see [the table](Response#headers-that-the-library-writes).
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Response {
        match self.set_header(name, value.as_ref()) {
            Ok(()) => self,
            Err(reason) => self.misused(name, reason),
        }
    }

    /// Sets a header, as [`with_header`](Response::with_header) does.
    ///
    /// # Errors
    ///
    /// If the header cannot be sent: its name is not a token, its value contains a control character other than HTAB,
    /// or it is a header that the library writes, with a value that an application cannot set.
    pub fn try_with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Response, HeaderError> {
        self.set_header(name, value.as_ref())?;
        Ok(self)
    }

    /// Adds a header, and keeps earlier headers with the same name. For headers that may occur several times:
    /// Set-Cookie, and those whose value is a list, such as Vary, Link and Cache-Control (RFC 9110 §5.3).
    ///
    /// If the header cannot be sent, the response becomes a 500, as for [`with_header`](Response::with_header). A
    /// header of which a response has at most one is set, not added: those that the library writes, and those whose
    /// value is not a list, such as Content-Type, Location, ETag and Last-Modified.
    pub fn append_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Response {
        let value = value.as_ref();
        let appended = match self.headers.append(name, value) {
            Err(HeaderError::Reserved) => self.state(name, value),
            Ok(()) if is_singleton(name) => {
                self.remove_shared(name);
                Ok(())
            }
            appended => appended,
        };
        match appended {
            Ok(()) => self,
            Err(reason) => self.misused(name, reason),
        }
    }

    /// Adds a Set-Cookie header, and keeps earlier ones, also of a cookie with the same name. If browsers would ignore
    /// or misread the cookie ([`SetCookie::to_value`]), the response becomes a 500, as for
    /// [`with_header`](Response::with_header).
    ///
    /// ```
    /// use http_core::{Response, SetCookie};
    ///
    /// let session = SetCookie::new("session", "31d4d96e").with_path("/").with_http_only();
    /// let response = Response::text("Welcome").with_cookie(session).with_cookie(SetCookie::removal("guest"));
    /// assert_eq!(response.headers().filter(|(name, _)| *name == "Set-Cookie").count(), 2);
    /// ```
    pub fn with_cookie(self, cookie: impl Borrow<SetCookie>) -> Response {
        match cookie.borrow().to_value() {
            Ok(value) => self.append_header("Set-Cookie", value),
            Err(reason) => self.misused("Set-Cookie", reason),
        }
    }

    /// Makes browsers save the response as a file with this name, by the header Content-Disposition (RFC 6266). The
    /// name may contain any characters. Browsers replace what a file name must not contain.
    ///
    /// ```
    /// use http_core::Response;
    ///
    /// let response = Response::bytes("1,2").with_attachment("prices in \u{20ac}.csv");
    /// let expected = "attachment; filename=\"prices in _.csv\"; filename*=UTF-8''prices%20in%20%E2%82%AC.csv";
    /// assert_eq!(response.header("Content-Disposition"), Some(expected.as_bytes()));
    /// ```
    pub fn with_attachment(self, file_name: &str) -> Response {
        self.with_header("Content-Disposition", disposition::attachment(file_name))
    }

    /// Removes all headers with this name, which is compared without case. The library still sends those that it
    /// writes.
    pub fn remove_header(mut self, name: &str) -> Response {
        self.remove(name);
        if let Some(statements) = &mut self.statements {
            statements.remove(name);
        }
        self
    }

    /// States the length of the body, for a response to HEAD that has no body: the Content-Length that a response to
    /// GET would have. In any other response it must equal the length of the body, which the library sends anyway.
    pub fn with_content_length(self, length: u64) -> Response {
        self.with_header("Content-Length", length.to_string())
    }

    /// Sets a header, in place of all others with this name. Fails if it cannot be sent.
    fn set_header(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        match self.headers.set(name, value) {
            Ok(()) => self.remove_shared(name),
            Err(HeaderError::Reserved) => self.state(name, value)?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sets one of the headers that the library writes. Fails if an application cannot set it to this value.
    #[cold]
    fn state(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        self.statements.get_or_insert_default().set(name, value)?;
        if name.eq_ignore_ascii_case("Connection") {
            self.close |= grammar::list(value).any(|option| option.eq_ignore_ascii_case(b"close"));
        }
        Ok(())
    }

    /// Returns the 500 in place of a response whose header `name` cannot be sent. Keeps whether the connection closes.
    #[cold]
    fn misused(self, name: &str, reason: HeaderError) -> Response {
        let mut statements = self.statements.unwrap_or_default();
        statements.add_misuse(name, reason);
        let error = Response::error(Status::INTERNAL_SERVER_ERROR);
        Response { close: self.close, statements: Some(statements), ..error }
    }

    /// Removes all own and shared headers with this name.
    fn remove(&mut self, name: &str) {
        self.headers.remove(name);
        self.remove_shared(name);
    }

    /// Removes a header from those that are shared with other responses: copies the others in front of the own ones.
    fn remove_shared(&mut self, name: &str) {
        if let Some(shared) = self.shared_headers.take_if(|shared| shared.get(name).is_some()) {
            let mut headers = shared.to_headers();
            headers.remove(name);
            headers.append_all(&self.headers);
            self.headers = headers;
        }
    }

    /// Closes the connection after this response.
    pub fn with_close(self) -> Response {
        Response { close: true, ..self }
    }

    /// Adds a callback, which the engine calls once with the number of body bytes sent: after the last of them, or when
    /// the connection ends before that. Callbacks run in the order in which they were added. They must not block,
    /// because they run on the thread that serves connections. If the response cannot be sent
    /// ([`Misuse`](crate::Misuse)), they are dropped without a call.
    pub fn on_sent(mut self, callback: impl FnOnce(Sent) + Send + 'static) -> Response {
        let callback: Box<dyn FnOnce(Sent) + Send> = match self.on_sent.take().and_then(CatchDrop::into_inner)
        {
            None => Box::new(callback),
            Some(earlier) => Box::new(move |sent| {
                let _ = catch_panic(|| earlier(sent));
                callback(sent);
            }),
        };
        self.on_sent = Some(CatchDrop::new(callback));
        self
    }

    /// Returns the status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Returns the value of the first header with this name, which is compared without case; `None` if there is none.
    /// Does not find the headers that the library adds when it sends the response.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let shared = || self.shared_headers.as_ref()?.get(name);
        self.headers.get(name).or_else(shared).or_else(|| self.statements.as_ref()?.get(name))
    }

    /// Returns the names and values of all headers: the shared ones, then the others, and those that the library writes
    /// if the handler has set them. A name occurs as often as its header.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let shared = self.shared_headers.iter().flat_map(SharedHeaders::iter);
        let statements = self.statements.iter().flat_map(|statements| statements.iter());
        shared.chain(self.headers.iter()).chain(statements)
    }

    /// Returns the body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Returns the body, to change it: an engine that sends streams gives the source of a [`Body::Stream`] its waker
    /// ([`ChunkSource::start`](crate::ChunkSource::start)).
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
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
