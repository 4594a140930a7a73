//! Cross-origin resource sharing: which sites' scripts may read the files
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use crate::options::InvalidOption;
use http_core::{Headers, Method, Request, Response, Status};
use std::str::FromStr;

/// The headers that scripts may read, besides those that all scripts may read: what a client needs for ranges.
const EXPOSED_HEADERS: &str = "Accept-Ranges, Content-Encoding, Content-Range, ETag";

/// How many seconds a browser may use the response to a preflight request. Chromium accepts at most this.
const MAX_AGE: &str = "7200";

/// Which origins may read the files. Nothing permits them to send credentials, such as cookies.
///
/// It is written as `*` for all origins, or as a list: `https://example.org,http://localhost:3000`.
///
/// A preflight request gets a 204, which permits GET and HEAD, and all headers but Authorization: the server ignores
/// those that it does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// As browsers send them in the Origin header; `None` for all origins.
    origins: Option<Box<[Box<str>]>>,
}

impl Cors {
    /// Returns the origins of both.
    pub fn or(self, other: Cors) -> Cors {
        let both = |(some, others): (Box<[_]>, Box<[_]>)| some.into_iter().chain(others).collect();
        Cors { origins: self.origins.zip(other.origins).map(both) }
    }

    /// Sets the headers that are the same for all requests.
    pub(super) fn set(&self, headers: &mut Headers) {
        let (name, value) = match self.origins {
            None => ("Access-Control-Allow-Origin", "*"),
            // In all responses: a cache must not use one for another origin, nor for a request without an origin.
            Some(_) => ("Vary", "Origin"),
        };
        for (name, value) in [(name, value), ("Access-Control-Expose-Headers", EXPOSED_HEADERS)] {
            let set = headers.set(name, value);
            debug_assert_eq!(set, Ok(()), "{name}");
        }
    }

    /// Permits the origin of the request to read the response, if it is one of the list.
    pub(super) fn permit(&self, request: &Request<'_>, response: Response) -> Response {
        let origin = self.origins.as_ref().zip(request.header("Origin"));
        match origin.filter(|(origins, origin)| origins.iter().any(|listed| listed.as_bytes() == *origin)) {
            Some((_, origin)) => response.with_header("Access-Control-Allow-Origin", origin),
            None => response,
        }
    }
}

/// Returns whether this is a preflight request: a browser asks what a request of another origin may contain.
pub fn is_preflight(request: &Request<'_>) -> bool {
    request.method() == Method::Options
        && request.header("Origin").is_some()
        && request.header("Access-Control-Request-Method").is_some()
}

/// Returns the response to a preflight request, without the headers of [`Cors::set`] and [`Cors::permit`]. It does not
/// depend on the requested method: the browser compares that with the permitted ones.
pub(super) fn preflight_response() -> Response {
    Response::new(Status::NO_CONTENT)
        .with_header("Access-Control-Allow-Methods", "GET, HEAD")
        .with_header("Access-Control-Allow-Headers", "*")
        .with_header("Access-Control-Max-Age", MAX_AGE)
}

impl FromStr for Cors {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Cors, InvalidOption> {
        if text == "*" {
            return Ok(Cors { origins: None });
        }
        let origin = |text: &str| {
            parse_origin(text).ok_or_else(|| {
                let expected =
                    "an origin must be scheme://host or scheme://host:port, as in https://example.org";
                InvalidOption::new(format!("malformed origin {text:?}: {expected}"))
            })
        };
        Ok(Cors { origins: Some(text.split(',').map(origin).collect::<Result<_, _>>()?) })
    }
}

/// Returns an origin as browsers send it: in lower case, and without the default port.
fn parse_origin(text: &str) -> Option<Box<str>> {
    let origin = text.trim().to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://")?;
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    // The colons of an IPv6 address are in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host_is_valid = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    let port_is_valid = port.is_none_or(|port| port.parse::<u16>().is_ok() && !port.starts_with(['0', '+']));
    if scheme.is_empty() || !scheme.bytes().all(is_scheme) || !host_is_valid || !port_is_valid {
        return None;
    }
    let is_default = [("http", "80"), ("https", "443")].contains(&(scheme, port.unwrap_or_default()));
    Some(if is_default { format!("{scheme}://{host}").into() } else { origin.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        for (text, expected) in [
            ("https://example.org", Some("https://example.org")),
            ("HTTPS://Example.org:443", Some("https://example.org")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("http://a:443", Some("http://a:443")),
            ("http://[::1]", Some("http://[::1]")),
            ("http://[::1]:80", Some("http://[::1]")),
            ("chrome-extension://abcdef", Some("chrome-extension://abcdef")),
            ("null", None),
            ("example.org", None),
            ("https://", None),
            ("https://example.org/", None),
            ("https://example.org/a", None),
            ("https://user@example.org", None),
            ("https://*.example.org", None),
            ("https://a:0", None),
            ("https://a:65536", None),
            ("https://a:", None),
            ("https://[::1", None),
            ("https://b\u{fc}cher.example", None),
            ("", None),
        ] {
            assert_eq!(parse_origin(text).as_deref(), expected, "{text}");
        }
        let list: Cors = "http://a, https://b".parse().expect("a list");
        assert_eq!(list.origins.as_deref(), Some(&["http://a".into(), "https://b".into()][..]));
        for malformed in ["", "*,http://a", "http://a,"] {
            malformed.parse::<Cors>().expect_err(malformed);
        }
    }
}
