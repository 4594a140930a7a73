//! Request methods (RFC 9110 §9, RFC 5789), protocol versions (RFC 9112 §2.3) and URI schemes (RFC 9110 §4.2).

/// Declares [`Method`]. Each line is a variant and its name on the wire.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $token:literal)*) => {
        /// A request method (RFC 9110 §9). Names are case-sensitive.
        ///
        /// ```
        /// use http_core::{Method, Request, Response, Status, testing::TestRequest};
        ///
        /// fn handler(request: &Request<'_>) -> Response {
        ///     match request.method() {
        ///         Method::Get | Method::Head => Response::text("Hello"),
        ///         Method::Extension => Response::error(Status::NOT_IMPLEMENTED),
        ///         _ => Response::error(Status::METHOD_NOT_ALLOWED).with_allow(&[Method::Get, Method::Head]),
        ///     }
        /// }
        ///
        /// assert_eq!(TestRequest::new("BREW", "/").run(&handler).status(), Status::NOT_IMPLEMENTED);
        /// assert_eq!(TestRequest::post("/").run(&handler).header("Allow"), Some(&b"GET, HEAD"[..]));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Method {
            $($(#[$doc])* $variant,)*
            /// A method that is not a variant of this enum. [`Request::method_token`](crate::Request::method_token)
            /// returns its name. A handler that does not know it responds with 501.
            Extension,
        }

        impl Method {
            /// Returns the method with the name `token`; [`Method::Extension`] if no variant has this name.
            pub fn of(token: &[u8]) -> Method {
                $(if token == $token.as_bytes() { return Method::$variant; })*
                Method::Extension
            }

            /// Returns the method's name as sent on the wire; an empty string for [`Method::Extension`].
            pub const fn as_str(self) -> &'static str {
                match self { $(Method::$variant => $token,)* Method::Extension => "" }
            }
        }
    };
}

methods! {
    /// Transfer a representation of the target (RFC 9110 §9.3.1).
    Get "GET"
    /// Same as GET, but without a response body (RFC 9110 §9.3.2).
    Head "HEAD"
    /// Let the target process the request body (RFC 9110 §9.3.3).
    Post "POST"
    /// Replace the target's state by the request body (RFC 9110 §9.3.4).
    Put "PUT"
    /// Remove the target (RFC 9110 §9.3.5).
    Delete "DELETE"
    /// Open a tunnel (RFC 9110 §9.3.6).
    Connect "CONNECT"
    /// Ask which methods the target supports (RFC 9110 §9.3.7).
    Options "OPTIONS"
    /// Send the request back (RFC 9110 §9.3.8).
    Trace "TRACE"
    /// Change part of the target's state (RFC 5789).
    Patch "PATCH"
}

impl std::fmt::Display for Method {
    /// Writes the name as sent on the wire; nothing for [`Method::Extension`].
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A protocol version. The versions from 1.2 to 1.9 are treated as 1.1 (RFC 9110 §2.5). Other major versions are
/// rejected.
///
/// ```
/// use http_core::{Request, Version, testing::TestRequest};
///
/// let handler = |request: &Request<'_>| request.version().to_string();
/// assert_eq!(TestRequest::get("/").run(&handler).text(), "HTTP/1.1");
/// assert_eq!(TestRequest::get("/").http10().run(&handler).text(), "HTTP/1.0");
/// assert!(Version::Http11 > Version::Http10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0, which has no chunked coding. The connection closes after each response, unless the client asks for
    /// keep-alive.
    Http10,
    /// HTTP/1.1. The connection stays open after each response, unless the client or the server closes it.
    Http11,
}

impl std::fmt::Display for Version {
    /// Writes the version as it is sent: `HTTP/1.1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        })
    }
}

/// The schemes of the URIs that a server is authoritative for (RFC 9110 §4.3). A request in absolute form for a URI
/// with another of these schemes is rejected with 421 (§7.4).
///
/// ```
/// use http_core::{Config, Request, Schemes, Status, testing::TestRequest};
///
/// let request = TestRequest::get("https://example.org/");
/// let handler = |_: &Request<'_>| "Hello";
/// assert_eq!(request.run(&handler).status(), Status::MISDIRECTED_REQUEST);
/// let config = Config { schemes: Schemes::HttpAndHttps, ..Config::default() };
/// assert_eq!(request.config(config).run(&handler).status(), Status::OK);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Schemes {
    /// Only the scheme of the connection: `https` on those that the engine secures with TLS, `http` on the others.
    #[default]
    Http,
    /// Only `https`: all connections are secured with TLS, by this program or by a proxy in front of it.
    Https,
    /// Both: the server cannot tell how a connection reached the proxy in front of it.
    HttpAndHttps,
}

impl Schemes {
    /// Returns the length of `scheme://` at the front of `target`, where `scheme` is `http` or `https` in any case, and
    /// whether the scheme is one of these. Returns `None` if the target begins with neither.
    pub(crate) fn split_from(self, target: &[u8]) -> Option<(usize, bool)> {
        let schemes: [(&[u8], bool); 2] =
            [(b"http://", self != Schemes::Https), (b"https://", self != Schemes::Http)];
        schemes.into_iter().find_map(|(start, is_served)| {
            let begins = target.get(..start.len())?.eq_ignore_ascii_case(start);
            begins.then_some((start.len(), is_served))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_case_sensitive() {
        assert_eq!(Method::of(b"GET"), Method::Get);
        assert_eq!(Method::of(b"get"), Method::Extension);
        assert_eq!(Method::of(b"PROPFIND"), Method::Extension);
        assert_eq!(Method::of(Method::Patch.as_str().as_bytes()), Method::Patch);
    }
}
