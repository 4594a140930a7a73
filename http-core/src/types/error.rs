//! Errors: [`ParseError`] is what a client does wrong, [`Misuse`] what an engine or a handler does wrong; [`io_cause`]
//! is the text of an I/O error.

use super::status::Status;
use std::io;

/// Declares an error enum. Each line is a variant and its description, which `as_str` returns and `Display` writes.
macro_rules! error_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $text:literal)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Returns a short description of the error, for a log.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            /// Writes the description of the error, which `as_str` returns.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::error::Error for $name {}
    };
}
pub(crate) use error_enum;

/// Declares [`ParseError`]. Each line is a variant, the status of the response, and the description.
macro_rules! parse_errors {
    ($($(#[$doc:meta])* $variant:ident $status:ident $text:literal)*) => {
        error_enum! {
            /// An error in a received request or response. It ends the connection: the bytes after it are neither
            /// parsed nor served.
            ///
            /// ```
            /// use http_core::{ParseError, Status};
            ///
            /// assert_eq!(ParseError::BothLengths.status(), Status::BAD_REQUEST);
            /// assert_eq!(ParseError::BothLengths.to_string(), "Transfer-Encoding and Content-Length");
            /// ```
            ParseError { $($(#[$doc])* $variant $text)* }
        }

        impl ParseError {
            /// Returns the status of the response to a request with this error.
            pub const fn status(self) -> Status {
                match self { $(ParseError::$variant => Status::$status,)* }
            }
        }
    };
}

parse_errors! {
    /// The method is empty or contains a byte that is not allowed in a token (RFC 9110 §9.1).
    Method BAD_REQUEST "malformed method"
    /// The method has more than 32 bytes, and so is longer than any registered one (RFC 9112 §3).
    MethodTooLong NOT_IMPLEMENTED "method too long"
    /// The target is empty, contains a byte or an escape that a URI does not allow, or has a form that the method does
    /// not allow (RFC 9112 §3.2).
    Target BAD_REQUEST "malformed request target"
    /// The path of the target leads above the root: `/../a`.
    AboveRoot FORBIDDEN "path leads above the root"
    /// The target exceeds [`Limits::target_bytes`](crate::Limits::target_bytes).
    TargetTooLong URI_TOO_LONG "request target too long"
    /// The target is a URI with a scheme that is not in [`Config::schemes`](crate::Config::schemes), such as an `https`
    /// URI without TLS (RFC 9110 §7.4).
    Misdirected MISDIRECTED_REQUEST "target of a scheme that is not served here"
    /// The version is missing, as in HTTP/0.9, or malformed (RFC 9112 §2.3).
    Version BAD_REQUEST "malformed version"
    /// The major version is not 1.
    VersionUnsupported HTTP_VERSION_NOT_SUPPORTED "unsupported major version"
    /// A line of the head contains CR without LF, or LF without CR (RFC 9112 §2.2).
    LineEnding BAD_REQUEST "bare CR or LF"
    /// A header name is empty, is not a token, or is followed by white space (RFC 9112 §5.1).
    HeaderName BAD_REQUEST "malformed header name"
    /// A header value contains NUL or another control character (RFC 9110 §5.5).
    HeaderValue BAD_REQUEST "malformed header value"
    /// A header line begins with white space (RFC 9112 §5.2).
    ObsFold BAD_REQUEST "folded header line"
    /// The head exceeds [`Limits::head_bytes`](crate::Limits::head_bytes).
    HeadTooLarge REQUEST_HEADER_FIELDS_TOO_LARGE "head too large"
    /// The head has more header lines than [`Limits::headers`](crate::Limits::headers).
    TooManyHeaders REQUEST_HEADER_FIELDS_TOO_LARGE "too many headers"
    /// An HTTP/1.1 request has no Host (RFC 9112 §3.2).
    HostMissing BAD_REQUEST "Host missing"
    /// Host is repeated, or is not a host with an optional port.
    Host BAD_REQUEST "malformed or repeated Host"
    /// Content-Length is not a number, or is repeated (RFC 9112 §6.3, rule 5).
    ContentLength BAD_REQUEST "malformed or repeated Content-Length"
    /// Both Transfer-Encoding and Content-Length are present: a smuggling attempt (RFC 9112 §6.1).
    BothLengths BAD_REQUEST "Transfer-Encoding and Content-Length"
    /// Transfer-Encoding does not end in chunked, names it twice, has an empty element, or comes with HTTP/1.0 (RFC
    /// 9112 §6.1).
    TransferEncoding BAD_REQUEST "malformed Transfer-Encoding"
    /// The transfer coding is not implemented (RFC 9112 §6.1).
    CodingUnknown NOT_IMPLEMENTED "unknown transfer coding"
    /// Expect has a value other than 100-continue (RFC 9110 §10.1.1).
    Expectation EXPECTATION_FAILED "unknown expectation"
    /// A chunk's size, extension or line ending is malformed (RFC 9112 §7.1).
    Chunk BAD_REQUEST "malformed chunk"
    /// Chunk extensions and trailers exceed [`Limits::chunk_overhead_bytes`](crate::Limits::chunk_overhead_bytes).
    ChunkOverhead REQUEST_HEADER_FIELDS_TOO_LARGE "chunk extensions or trailers too large"
    /// A trailer line is malformed (RFC 9112 §7.1.2).
    Trailer BAD_REQUEST "malformed trailer"
    /// The connection of a trusted proxy does not begin with a valid header of the PROXY protocol
    /// ([`Proxies::proxy_protocol`](crate::Proxies::proxy_protocol)).
    ProxyHeader BAD_REQUEST "missing or malformed PROXY header"
    /// The body exceeds [`Limits::body_bytes`](crate::Limits::body_bytes).
    BodyTooLarge CONTENT_TOO_LARGE "body too large"
}

error_enum! {
    /// The reason why a header cannot be set.
    ///
    /// ```
    /// use http_core::{HeaderError, Headers};
    ///
    /// let mut headers = Headers::default();
    /// assert_eq!(headers.append("Location", "/a\r\nSet-Cookie: b=c"), Err(HeaderError::Value));
    /// assert_eq!(headers.append("Two words", "a"), Err(HeaderError::Name));
    /// assert_eq!(headers.append("Connection", "close"), Err(HeaderError::Reserved));
    /// assert_eq!(headers, Headers::default());
    /// ```
    HeaderError {
        /// The name is empty or not a token (RFC 9110 §5.1).
        Name "a header name must be a token"
        /// The value contains CR, LF, NUL or another control character: header injection (RFC 9110 §5.5).
        Value "a header value must not contain control characters"
        /// An application cannot set this header, or not to this value: the library writes it, or never sends it.
        Reserved "only the library sets this header, or this value of it"
        /// The name of a cookie is empty or not a token (RFC 6265 §4.1.1).
        CookieName "a cookie's name must be a token"
        /// The value of a cookie contains a character that is not allowed (RFC 6265 §4.1.1), or name and value have
        /// more than 4,096 bytes.
        CookieValue "a cookie's value must be at most 4,096 visible ASCII characters without quotes, commas, semicolons and backslashes"
        /// The path of a cookie does not begin with a slash, or the path or the domain contains a character that is not
        /// allowed, or has more than 1,024 bytes.
        CookieAttribute "a cookie's path or domain is malformed"
        /// A cookie has SameSite=None, Partitioned, or a prefix in its name, but not Secure: browsers ignore it.
        CookieNotSecure "SameSite=None, Partitioned and the prefixes __Secure- and __Host- require Secure"
        /// A cookie has the prefix `__Host-`, and a domain or another path than `/`: browsers ignore it.
        CookieHost "the prefix __Host- of a cookie requires Path=/ and no Domain"
        /// Content-Length is not a decimal number (RFC 9110 §8.6).
        ContentLength "Content-Length must be a decimal number"
        /// Upgrade is not a list of protocols, such as `websocket` or `IRC/6.9` (RFC 9110 §7.8).
        Upgrade "Upgrade must be a list of protocols, as name or name/version"
        /// Date does not have the format that senders must use (RFC 9110 §5.6.7).
        Date "Date must have the format of Sun, 06 Nov 1994 08:49:37 GMT"
    }
}

/// The reason why [`Connection::respond`](crate::Connection::respond) did not queue a response. It is a bug of the
/// engine or of the handler, never an error of the client.
///
/// ```
/// use http_core::{Misuse, Request, Response, Status, testing::TestRequest};
///
/// let handler = |_: &Request<'_>| Response::text("Hello").with_header("Content-Length", "7");
/// let response = TestRequest::get("/").run(&handler);
/// assert_eq!(response.misuse(), Some(&Misuse::ContentLength { stated: 7, actual: Some(5) }));
/// assert_eq!(response.status(), Status::INTERNAL_SERVER_ERROR);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// The connection awaits no response: it has one already, or its request timed out.
    NoResponseDue,
    /// A [`Body::Shared`](crate::Body::Shared) has a range that lies outside its bytes.
    RangeOutOfBounds,
    /// A [`Body::Stream`](crate::Body::Stream), whose length is unknown, is one of several
    /// [`Body::Parts`](crate::Body::Parts).
    StreamInParts,
    /// The status is interim (1xx), and not 101. Only the library sends interim responses.
    InterimStatus(Status),
    /// The status is 101, but the request does not ask for the protocol in the response's header Upgrade, or is not
    /// HTTP/1.1 ([`Request::upgrades_to`](crate::Request::upgrades_to)).
    UpgradeNotRequested,
    /// The status is 101, but the content of the request has not been received: the handler has chosen
    /// [`Admit::AtHead`](crate::Admit::AtHead).
    UpgradeBeforeContent,
    /// The status is 101, but the response has no function that takes over the connection
    /// ([`Response::on_upgrade`](crate::Response::on_upgrade)).
    UpgradeWithoutFunction,
    /// The handler has set a header that cannot be sent.
    Header {
        /// The name of the header, as the handler has set it.
        name: Box<str>,
        /// Why the header cannot be sent.
        reason: HeaderError,
    },
    /// The handler has set Content-Length to another number than the length of the body.
    ContentLength {
        /// The number that the handler has set.
        stated: u64,
        /// The length of the body; `None` if it is a stream.
        actual: Option<u64>,
    },
    /// The handler has set Transfer-Encoding, but the body has a known length, and so needs none.
    TransferEncoding,
}

impl std::fmt::Display for Misuse {
    /// Writes what is wrong with the response, for a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Misuse::NoResponseDue => f.write_str("the connection awaits no response"),
            Misuse::RangeOutOfBounds => f.write_str("the range of a shared body lies outside its bytes"),
            Misuse::StreamInParts => f.write_str("a stream is one of the parts of a body"),
            Misuse::InterimStatus(status) => {
                write!(f, "status {}: only the library sends interim responses", status.code())
            }
            Misuse::UpgradeNotRequested => {
                f.write_str("status 101: the request does not ask for the protocol in the header \"Upgrade\"")
            }
            Misuse::UpgradeBeforeContent => {
                f.write_str("status 101: the content of the request is not received")
            }
            Misuse::UpgradeWithoutFunction => {
                f.write_str("status 101: no function takes over the connection")
            }
            Misuse::Header { name, reason } => write!(f, "header {name:?}: {reason}"),
            Misuse::ContentLength { stated, actual: Some(actual) } => {
                write!(f, "header \"Content-Length\": is {stated}, but the body has {actual} bytes")
            }
            Misuse::ContentLength { stated, actual: None } => {
                write!(f, "header \"Content-Length\": is {stated}, but the length of the body is unknown")
            }
            Misuse::TransferEncoding => {
                f.write_str("header \"Transfer-Encoding\": is chunked, but the length of the body is known")
            }
        }
    }
}

impl std::error::Error for Misuse {}

/// Returns the message of an I/O error for use behind a colon, as in `cannot open x: permission denied`. An error of a
/// system call has the kernel's text, in lower case and without its number.
///
/// ```
/// let error = std::io::Error::from_raw_os_error(13);
/// assert_eq!(error.to_string(), "Permission denied (os error 13)");
/// assert_eq!(http_core::io_cause(&error), "permission denied");
/// ```
pub fn io_cause(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(number) = error.raw_os_error() else { return text };
    let text = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
