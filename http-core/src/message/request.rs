//! A complete request, borrowed from the receive buffer.

use super::{
    extensions::{Link, PathParameters},
    upgrade::OfferedProtocols,
};
use crate::{
    codec::{
        framing::{BodyLength, RequestFraming},
        head::HeadIndex,
    },
    semantics::{
        cookies,
        form::{self, FormError},
        media_type::MediaType,
        multipart::{self, Boundary, MultipartError, Part},
    },
    types::{
        method::{Method, Version},
        path::RelativePath,
        uri,
    },
};
use core::net::SocketAddr;
use std::{any::Any, borrow::Cow, sync::Arc, time::Instant};

/// A complete request with a valid head. It borrows the receive buffer.
#[derive(Clone, Copy)]
pub struct Request<'b> {
    /// The offsets of the method, the target and the headers in `bytes`.
    pub(crate) index: &'b HeadIndex,
    /// The received bytes: the head and those after it.
    pub(crate) bytes: &'b [u8],
    /// The decoded body.
    pub(crate) body: &'b [u8],
    /// What the head says, such as the method, the length of the body, and the offsets of the authority, the path and
    /// the query in `bytes`.
    pub(crate) framing: RequestFraming,
    pub(crate) received_at: Instant,
    pub(crate) client_addr: Option<SocketAddr>,
    /// The value attached last, which leads to those attached before.
    pub(crate) extensions: Option<&'b Link<'b>>,
}

impl<'b> Request<'b> {
    /// Returns the method.
    pub fn method(&self) -> Method {
        self.framing.method
    }

    /// Returns the method's name as the client sent it, also for [`Method::Extension`].
    pub fn method_token(&self) -> &'b str {
        text(self.index.method.of(self.bytes))
    }

    /// Returns the target as the client sent it: ASCII without white space and control characters.
    pub fn target(&self) -> &'b str {
        text(self.index.target.of(self.bytes))
    }

    /// Returns the path of the target in its normalised form, as [`path::normalize`](crate::path::normalize) defines it:
    /// decoded, without empty segments and dot segments, beginning with a slash. So the same path is the same text, however
    /// the client has spelled it. Bytes that are not UTF-8 appear as `%XX`.
    ///
    /// Returns `*` for `OPTIONS *`, and an empty string for CONNECT.
    #[inline]
    pub fn path(&self) -> &'b str {
        if self.framing.is_path_decoded {
            self.index.decoded_path.as_str()
        } else {
            text(self.framing.path.of(self.bytes))
        }
    }

    /// Returns the path as [`path`](Request::path) does, as bytes, which need not be UTF-8. Cheaper than `path`: skips UTF-8
    /// validation.
    #[inline]
    pub fn path_bytes(&self) -> &'b [u8] {
        if self.framing.is_path_decoded {
            self.index.decoded_path.as_bytes()
        } else {
            self.framing.path.of(self.bytes)
        }
    }

    /// Returns the path of the target as the client sent it: percent-encoded, with all dot segments. Empty if the target has
    /// no path, as in `http://host`.
    ///
    /// Do not choose by it what a request may do: a path has many spellings. Use [`path`](Request::path).
    pub fn raw_path(&self) -> &'b str {
        text(self.framing.path.of(self.bytes))
    }

    /// Returns the target's query without its `?`, still percent-encoded; `None` if the target contains no `?`. It contains
    /// only characters that a URI allows, and complete percent-escapes.
    #[inline]
    pub fn raw_query(&self) -> Option<&'b str> {
        self.framing.query.map(|query| text(query.of(self.bytes)))
    }

    /// Returns the decoded names and values in the query, in order, as [`form::pairs`](crate::form::pairs) does. Without a
    /// query, there are none.
    ///
    /// ```
    /// use http_core::{Request, Status};
    ///
    /// /// Replies to `/search?word=a&word=b`.
    /// fn search(request: &Request<'_>) -> String {
    ///     let words = request.query().filter(|(name, _)| name == "word");
    ///     words.map(|(_, word)| format!("{word}\n")).collect()
    /// }
    /// ```
    pub fn query(&self) -> impl Iterator<Item = (Cow<'b, str>, Cow<'b, str>)> + use<'b> {
        form::pairs(self.raw_query().unwrap_or_default().as_bytes())
    }

    /// Returns the decoded value of the first parameter with this name in the query; `None` if there is none.
    ///
    /// ```
    /// use http_core::{Request, Status};
    ///
    /// /// Replies to `/list?page=2`.
    /// fn list(request: &Request<'_>) -> Result<String, Status> {
    ///     let page = request.query_value("page").unwrap_or("1".into());
    ///     let page: u32 = page.parse().map_err(|_| Status::BAD_REQUEST)?;
    ///     Ok(format!("page {page}"))
    /// }
    /// ```
    pub fn query_value(&self, name: &str) -> Option<Cow<'b, str>> {
        self.query().find_map(|(found, value)| (found == name).then_some(value))
    }

    /// Returns a relative reference (RFC 3986 §4.2) to `path`, with the query of this request: the `Location` of a redirect.
    ///
    /// A client resolves it against the URL that it requested. So the redirect also works behind a proxy that removes the
    /// beginning of each path. It cannot lead to another host.
    ///
    /// ```
    /// use http_core::{path::RelativePath, testing::ReceivedRequest};
    ///
    /// let bytes = b"GET /photos/2024?page=2 HTTP/1.1\r\nHost: example.org\r\n\r\n";
    /// let received = ReceivedRequest::new(bytes, std::time::Instant::now())?;
    /// let request = received.as_request();
    /// let path = RelativePath::new(request.path_bytes()).ok_or("not a path")?;
    /// assert_eq!(request.reference_to(path.as_directory()), "2024/?page=2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reference_to(&self, path: RelativePath<'_>) -> String {
        let reference = path.reference_from(self.raw_path());
        match self.raw_query() {
            Some(query) => format!("{reference}?{}", uri::normalize_query(query)),
            None => reference,
        }
    }

    /// Returns the host, with its port if there is one, that the request is for; `None` only in HTTP/1.0 (RFC 9110
    /// §7.2).
    pub fn host(&self) -> Option<&'b str> {
        self.framing.authority.map(|span| text(span.of(self.bytes)))
    }

    /// Returns the protocol version.
    pub fn version(&self) -> Version {
        self.framing.version
    }

    /// Returns the value of the first header with this name, which is compared without case; `None` if there is none.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.header_values(name).next()
    }

    /// Returns the values of all headers with this name, which is compared without case, in the order received.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let (bytes, headers) = (self.bytes, self.index.header_spans().iter());
        let named = headers.filter(move |header| header.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()));
        named.map(move |header| header.value.of(bytes))
    }

    /// Returns the names and values of all headers in the order received.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> {
        let (bytes, headers) = (self.bytes, self.index.header_spans().iter());
        headers.map(move |header| (text(header.name.of(bytes)), header.value.of(bytes)))
    }

    /// Returns the value of the first header with this name as text; `None` if there is none, or if it is not UTF-8.
    ///
    /// ```
    /// # use http_core::Request;
    /// fn browser<'r>(request: &Request<'r>) -> &'r str {
    ///     request.header_text("User-Agent").unwrap_or("unknown")
    /// }
    /// ```
    pub fn header_text(&self, name: &str) -> Option<&'b str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// Returns the names and values of the cookies in all `Cookie` headers, in order, as
    /// [`cookies::parse`](crate::cookies::parse) does (RFC 6265 §5.4).
    ///
    /// ```
    /// # use http_core::Request;
    /// fn names(request: &Request<'_>) -> String {
    ///     request.cookies().map(|(name, _)| format!("{name}\n")).collect()
    /// }
    /// ```
    pub fn cookies(&self) -> impl Iterator<Item = (&'b str, &'b str)> {
        self.header_values("Cookie").flat_map(cookies::parse)
    }

    /// Returns the value of the first cookie with this name, which is compared with case; `None` if there is none. A client
    /// sends the cookie with the longest path first (RFC 6265 §5.4).
    ///
    /// ```
    /// # use http_core::Request;
    /// fn theme<'r>(request: &Request<'r>) -> &'r str {
    ///     request.cookie("theme").unwrap_or("light")
    /// }
    /// ```
    pub fn cookie(&self, name: &str) -> Option<&'b str> {
        self.cookies().find_map(|(found, value)| (found == name).then_some(value))
    }

    /// Returns the media type of the content (RFC 9110 §8.3); `None` if `Content-Type` is missing, malformed or repeated.
    ///
    /// ```
    /// # use http_core::{Request, Status};
    /// fn save(request: &Request<'_>) -> Status {
    ///     let is_json = request.content_type().is_some_and(|media_type| media_type.is("application/json"));
    ///     if is_json { Status::NO_CONTENT } else { Status::UNSUPPORTED_MEDIA_TYPE }
    /// }
    /// ```
    pub fn content_type(&self) -> Option<MediaType<'b>> {
        let mut values = self.header_values("Content-Type");
        let value = values.next()?;
        values.next().is_none().then(|| MediaType::parse(value))?
    }

    /// Returns the length of the content in bytes, as `Content-Length` declares it (RFC 9110 §8.6): 0 if the request has no
    /// content, `None` if it comes in chunks. It is known before the content is received.
    ///
    /// ```
    /// # use http_core::{Admit, Request};
    /// /// Takes short content as a whole, and other content piece by piece.
    /// fn admit(head: &Request<'_>) -> Admit {
    ///     match head.content_length() {
    ///         Some(0..100_000) => Admit::Buffer,
    ///         _ => Admit::AtHead,
    ///     }
    /// }
    /// ```
    pub fn content_length(&self) -> Option<u64> {
        match self.framing.body {
            BodyLength::Exact(length) => Some(length),
            BodyLength::Chunked | BodyLength::UntilClose => None,
        }
    }

    /// Returns the decoded names and values of the form in the body, in order, as [`form::pairs`](crate::form::pairs)
    /// does.
    ///
    /// # Errors
    ///
    /// [`FormError::Type`] if the content is not of the type `application/x-www-form-urlencoded`. As a reply, it becomes 415.
    ///
    /// ```
    /// use http_core::{Request, form::FormError};
    ///
    /// fn save(request: &Request<'_>) -> Result<String, FormError> {
    ///     let city = request.form()?.find(|(name, _)| name == "city");
    ///     Ok(city.map_or("no city".to_owned(), |(_, city)| format!("saved {city}")))
    /// }
    /// ```
    pub fn form(&self) -> Result<impl Iterator<Item = (Cow<'b, str>, Cow<'b, str>)> + use<'b>, FormError> {
        let is_form = self.content_type().is_some_and(|media_type| media_type.is(form::MEDIA_TYPE));
        if is_form { Ok(form::pairs(self.body)) } else { Err(FormError::Type) }
    }

    /// Returns the fields and files of the form in the body, as [`multipart::parts`](crate::multipart::parts) does. The
    /// whole form is in memory.
    ///
    /// # Errors
    ///
    /// [`MultipartError::Type`] if the content is not of the type `multipart/form-data`, and
    /// [`MultipartError::Boundary`] if the type has no valid boundary. Any other error is an item of the iterator. As a
    /// reply, `Type` becomes 415, any other error 400.
    ///
    /// ```
    /// use http_core::{Request, multipart::MultipartError};
    ///
    /// fn upload(request: &Request<'_>) -> Result<String, MultipartError> {
    ///     let mut sizes = String::new();
    ///     for part in request.multipart()? {
    ///         let part = part?;
    ///         sizes += &format!("{}: {} bytes\n", part.name, part.content.len());
    ///     }
    ///     Ok(sizes)
    /// }
    /// ```
    pub fn multipart(
        &self,
    ) -> Result<impl Iterator<Item = Result<Part<'b>, MultipartError>> + use<'b>, MultipartError> {
        multipart::parts(&self.content_type().ok_or(MultipartError::Type)?, self.body)
    }

    /// Returns the boundary of the form in the body, for a [`multipart::Reader`](crate::multipart::Reader) that reads the form
    /// while it arrives.
    ///
    /// # Errors
    ///
    /// [`MultipartError::Type`] if the content is not of the type `multipart/form-data`, and [`MultipartError::Boundary`] if
    /// the type has no valid boundary. As a reply, `Type` becomes 415, and `Boundary` 400.
    pub fn multipart_boundary(&self) -> Result<Boundary, MultipartError> {
        Boundary::of(&self.content_type().ok_or(MultipartError::Type)?)
    }

    /// Returns whether the client offers to speak `protocol`, such as `websocket`, on this connection after the response
    /// (RFC 9110 §7.8): its headers Upgrade list the protocol, Connection lists `upgrade`, and the version is HTTP/1.1. The
    /// case of the name does not matter. At most eight protocols with names of 64 bytes count.
    ///
    /// A handler may accept the offer with [`Response::switching_protocols`](crate::Response::switching_protocols), or
    /// ignore it. [`Upgraded`](crate::Upgraded) has an example.
    pub fn upgrades_to(&self, protocol: &str) -> bool {
        self.framing.upgrade
            && OfferedProtocols::new(self.header_values("Upgrade")).contain_one_of(protocol.as_bytes())
    }

    /// Returns whether the request has a precondition header (RFC 9110 §13.1) or a Range header.
    pub fn is_conditional(&self) -> bool {
        self.framing.conditional
    }

    /// Returns the whole body, without chunk framing; an empty slice if the request has none.
    pub fn body(&self) -> &'b [u8] {
        self.body
    }

    /// Returns the client's address; `None` if the engine [has not set it](crate::Connection::with_client_addr).
    pub fn client_addr(&self) -> Option<SocketAddr> {
        self.client_addr
    }

    /// Returns the time when the connection parsed the last byte of the request.
    pub fn received_at(&self) -> Instant {
        self.received_at
    }

    /// Returns the value of a parameter in the path of the route: for the route `/users/{id}` and the path `/users/7`, the
    /// parameter `id` is `7`. Returns `None` if the route has no parameter with this name. The value is never empty, and
    /// decoded as [`path`](Request::path) is.
    ///
    /// ```
    /// use http_core::{Request, Router, Status};
    ///
    /// fn user(request: &Request<'_>) -> Result<String, Status> {
    ///     let id: Option<u32> = request.param("id").and_then(|id| id.parse().ok());
    ///     Ok(format!("user number {}", id.ok_or(Status::NOT_FOUND)?))
    /// }
    ///
    /// let router = Router::builder().get("/users/{id}", user).build()?;
    /// # Ok::<(), http_core::RouteError>(())
    /// ```
    pub fn param(&self, name: &str) -> Option<&'b str> {
        Link::values::<PathParameters>(self.extensions)
            .find_map(|parameters| parameters.get(self.path_bytes(), name))
    }

    /// Returns the extension of this type that was attached last; `None` if there is none.
    /// [`with_extension`](Request::with_extension) has an example.
    pub fn extension<T: Any>(&self) -> Option<&'b T> {
        Link::values(self.extensions).next()
    }

    /// Attaches a value, which [`extension`](Request::extension) of the returned request finds by its type. Middleware so
    /// hands on to the handler what it has found out. The value is borrowed: nothing is allocated.
    ///
    /// ```
    /// use http_core::{Middleware, Next, Reply, Request, Response, Status};
    ///
    /// struct User(String);
    ///
    /// /// Passes on requests of users only.
    /// struct Authentication;
    ///
    /// impl Middleware for Authentication {
    ///     fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
    ///         let Some(name) = request.cookie("user") else {
    ///             return Response::error(Status::FORBIDDEN).into();
    ///         };
    ///         let user = User(name.to_owned());
    ///         next.run(&request.with_extension(&user).as_request())
    ///     }
    /// }
    ///
    /// fn greet(request: &Request<'_>) -> Option<String> {
    ///     let User(name) = request.extension()?;
    ///     Some(format!("Hello, {name}"))
    /// }
    /// ```
    pub fn with_extension<'a, T: Any + Send + Sync>(&self, value: &'a T) -> Extended<'a>
    where
        'b: 'a,
    {
        Extended { request: *self, link: Link::borrowed(value, self.extensions) }
    }

    /// Attaches a value as [`with_extension`](Request::with_extension) does. [`to_owned`](Request::to_owned) keeps it, so
    /// that a job can read it.
    ///
    /// ```
    /// # use http_core::{Reply, Request};
    /// # use std::sync::Arc;
    /// struct User(String);
    ///
    /// fn greet(request: &Request<'_>) -> Reply {
    ///     let request = request.to_owned();
    ///     Reply::offload(move || request.as_request().extension().map(|User(name)| format!("Hello, {name}")))
    /// }
    ///
    /// fn greet_anna(request: &Request<'_>) -> Reply {
    ///     greet(&request.with_shared_extension(Arc::new(User("Anna".to_owned()))).as_request())
    /// }
    /// ```
    pub fn with_shared_extension<T: Any + Send + Sync>(&self, value: Arc<T>) -> Extended<'b> {
        Extended { request: *self, link: Link::shared(value, self.extensions) }
    }
}

/// A request with one more extension: the result of [`Request::with_extension`].
///
/// ```
/// use http_core::{Middleware, Next, Reply, Request, Stack, testing::TestRequest};
///
/// /// What a middleware finds out, and a handler uses.
/// struct User(String);
///
/// struct Login;
///
/// impl Middleware for Login {
///     fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
///         let user = User("Anna".to_owned());
///         next.run(&request.with_extension(&user).as_request())
///     }
/// }
///
/// let greet = |request: &Request<'_>| request.extension().map(|User(name)| format!("Hello, {name}"));
/// assert_eq!(TestRequest::get("/").run(&Stack::new(greet).wrap(Login)).text(), "Hello, Anna");
/// ```
pub struct Extended<'a> {
    request: Request<'a>,
    link: Link<'a>,
}

impl Extended<'_> {
    /// Returns the request.
    pub fn as_request(&self) -> Request<'_> {
        Request { extensions: Some(&self.link), ..self.request }
    }
}

impl std::fmt::Debug for Extended<'_> {
    /// Writes what the `Debug` of [`Request`] writes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.request.fmt(f)
    }
}

impl std::fmt::Debug for Request<'_> {
    /// Writes the method, the target and the names of the headers. Header values and the body may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers().map(|(name, _)| name).collect();
        write!(f, "Request({} {} {names:?})", self.method_token(), self.target())
    }
}

/// Returns `bytes` as text. They are always ASCII, because the parser accepts nothing else in these places. Other bytes
/// would become an empty string.
#[inline]
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ReceivedRequest;

    /// Receives a request with this request line.
    fn receive(line: &str) -> ReceivedRequest {
        let head =
            format!("{line} HTTP/1.1\r\nHost: a\r\nAuthorization: secret\r\nContent-Length: 6\r\n\r\nsecret");
        ReceivedRequest::with_any_target(head.as_bytes(), Instant::now()).expect("a request")
    }

    #[test]
    fn the_path_is_normalised_and_the_raw_path_is_not() {
        for (line, raw, path, query) in [
            ("GET /a/b?c=%41", "/a/b", "/a/b", Some("c=%41")),
            ("GET //a/./%62/?", "//a/./%62/", "/a/b/", Some("")),
            ("GET /caf%C3%A9/%ff", "/caf%C3%A9/%ff", "/caf\u{e9}/%FF", None),
            ("GET http://h?c", "", "/", Some("c")),
            ("GET http://h/%2E", "/%2E", "/", None),
            ("OPTIONS *", "*", "*", None),
            ("CONNECT h:80", "", "", None),
            // Rejected, but the code that logs the rejection sees them.
            ("GET /a|/../b", "/a|/../b", "/b", None),
            ("GET /../%zz", "/../%zz", "/%zz", None),
        ] {
            let received = receive(line);
            let request = received.as_request();
            assert_eq!(
                (request.raw_path(), request.path(), request.raw_query()),
                (raw, path, query),
                "{line}"
            );
        }
        assert_eq!(receive("GET /%ff").as_request().path_bytes(), b"/\xff");
    }

    #[test]
    fn debug_text_has_no_header_values_and_no_body() {
        let text = format!("{:?}", receive("GET /a?b").as_request());
        assert_eq!(text, r#"Request(GET /a?b ["Host", "Authorization", "Content-Length"])"#);
        let received = receive("GET /%2e?b");
        assert!(!format!("{received:?}").contains("secret"));
    }

    /// Receives a POST request with these headers and this content, and passes it to `check`.
    fn with_content(headers: &str, content: &str, check: impl FnOnce(&Request<'_>)) {
        let length = content.len();
        let bytes = format!(
            "POST /a?b=%41+&c&b=2 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{headers}\r\n{content}"
        );
        check(&ReceivedRequest::new(bytes.as_bytes(), Instant::now()).expect("a request").as_request());
    }

    #[test]
    fn reads_queries_headers_and_cookies() {
        let headers = "Cookie: a=1; b=2\r\nX: caf\u{e9}\r\nCOOKIE: a=3;c=4\r\nA: 1\r\na: 2\r\n";
        with_content(headers, "", |request| {
            let query: Vec<_> = request.query().collect();
            assert_eq!(query, [("b".into(), "A ".into()), ("c".into(), "".into()), ("b".into(), "2".into())]);
            assert_eq!((request.query_value("b"), request.query_value("d")), (Some("A ".into()), None));
            assert_eq!((request.header_text("x"), request.header_text("A")), (Some("caf\u{e9}"), Some("1")));
            assert_eq!(
                request.cookies().collect::<Vec<_>>(),
                [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]
            );
            assert_eq!(
                (request.cookie("a"), request.cookie("c"), request.cookie("A")),
                (Some("1"), Some("4"), None)
            );
        });
        let received =
            ReceivedRequest::new(b"GET / HTTP/1.0\r\nX: \xff\r\n\r\n", Instant::now()).expect("a request");
        let request = received.as_request();
        assert_eq!(
            (request.header("X"), request.header_text("X"), request.header_text("Y")),
            (Some(&b"\xff"[..]), None, None)
        );
        assert_eq!(
            (request.query().count(), request.cookies().count(), request.content_length()),
            (0, 0, Some(0))
        );
    }

    /// `expected` is what [`Request::form`] and [`Request::multipart`] return for content with these headers: the number of
    /// pairs and of parts.
    fn check_content(
        headers: &str,
        content: &str,
        media_type: Option<&str>,
        expected: (Result<usize, FormError>, Result<usize, MultipartError>),
    ) {
        with_content(headers, content, |request| {
            let essence =
                request.content_type().map(|found| format!("{}/{}", found.top_level(), found.subtype()));
            assert_eq!(essence.as_deref(), media_type, "{headers}");
            assert_eq!(request.content_length(), Some(content.len() as u64));
            let parts = request.multipart().and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let read = (request.form().map(Iterator::count), parts.map(|parts| parts.len()));
            assert_eq!(read, expected, "{headers}");
        });
    }

    #[test]
    fn reads_forms_only_from_content_of_their_type() {
        let (form, multipart) = (Err(FormError::Type), Err(MultipartError::Type));
        let urlencoded = "Content-Type: application/x-www-form-urlencoded";
        check_content("", "a=b", None, (form, multipart));
        check_content("Content-Type: text/plain\r\n", "a=b", Some("text/plain"), (form, multipart));
        check_content("Content-Type: text\r\n", "a=b", None, (form, multipart));
        let media_type = Some("application/x-www-form-urlencoded");
        check_content(&format!("{urlencoded}; charset=utf-8\r\n"), "a=b&c", media_type, (Ok(2), multipart));
        check_content(&format!("{urlencoded}\r\n{urlencoded}\r\n"), "a=b", None, (form, multipart));
        let parts = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n";
        let media_type = Some("multipart/form-data");
        check_content("Content-Type: multipart/form-data; boundary=x\r\n", parts, media_type, (form, Ok(1)));
        check_content(
            "Content-Type: multipart/form-data\r\n",
            parts,
            media_type,
            (form, Err(MultipartError::Boundary)),
        );
        check_content(
            "Content-Type: multipart/form-data; boundary=y\r\n",
            parts,
            media_type,
            (form, Err(MultipartError::Start)),
        );
    }

    #[test]
    fn finds_the_extension_attached_last() {
        let received = receive("GET /");
        let request = received.as_request();
        let (one, two) = (1_u8, 2_u8);
        let shared = request.with_shared_extension(Arc::new("text"));
        let shared = shared.as_request();
        let inner = {
            let outer = shared.with_extension(&one);
            let outer = outer.as_request();
            assert_eq!((outer.extension(), outer.extension()), (Some(&1_u8), Some(&"text")));
            let inner = outer.with_extension(&two);
            let inner = inner.as_request();
            assert_eq!((inner.extension::<u16>(), inner.param("a"), inner.path()), (None, None, "/"));
            // The value outlives the links.
            inner.extension::<u8>().copied()
        };
        assert_eq!((inner, shared.extension::<u8>(), request.extension::<&str>()), (Some(2), None, None));
    }
}
