//! Where upstream is: a base URL, checked at start, and the targets below it.

use http_engine::{Method, client};
use std::{fmt, str::FromStr};

/// An `http` URL that services lie below, as in `http://localhost:8080` or `http://example.org/weather`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Host and port as they stand in the URL, for the Host field.
    pub(super) authority: String,
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// What targets begin with: empty, or a path without its last slash.
    prefix: String,
}

/// Why a text is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It begins with `https://`.
    Tls,
    /// It begins with something else than `http://`.
    Scheme,
    /// What follows is no host with an optional port.
    Authority,
    /// What follows that is no path, or has a query.
    Path,
}

impl Url {
    /// A host without a path, on the port that HTTP has.
    pub(super) fn of(host: &str) -> Url {
        Url { authority: host.to_owned(), host: host.to_owned(), port: 80, prefix: String::new() }
    }

    /// The target of a service below this URL, with this query.
    pub(super) fn target(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut target = [&self.prefix, path].concat();
        for (separator, (name, value)) in std::iter::once('?').chain(std::iter::repeat('&')).zip(query) {
            target.extend([separator]);
            target.extend([name, "=", &escaped(value)]);
        }
        target
    }
}

/// Text as it can stand in a query: all but the unreserved characters escaped (RFC 3986 §2.3).
fn escaped(text: &str) -> String {
    let escape = |octet: u8| match octet {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(escape).collect()
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Url, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(UrlError::Tls),
            _ => return Err(UrlError::Scheme),
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            // The last colon of an IPv6 address is none before a port.
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (authority, ""),
        };
        let port = if port.is_empty() { Some(80) } else { port.parse().ok().filter(|&port| port > 0) };
        let port = port.filter(|_| !host.is_empty()).ok_or(UrlError::Authority)?;
        let prefix = path.trim_end_matches('/');
        match client::Request::new(Method::Get, authority, &[prefix, "/"].concat()) {
            Ok(_) if !prefix.contains('?') => {}
            Err(client::RequestError::Authority) => return Err(UrlError::Authority),
            _ => return Err(UrlError::Path),
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Url { authority: authority.to_owned(), host: host.to_owned(), port, prefix: prefix.to_owned() })
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::Tls => "no TLS is spoken here; an http:// URL is needed",
            UrlError::Scheme => "an http:// URL is needed",
            UrlError::Authority => "a host, and perhaps a port, is needed behind http://",
            UrlError::Path => "nothing but a path may follow the host, and no query",
        })
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_a_host_and_perhaps_a_port_and_a_path() {
        let check = |text: &str, expected: Result<(&str, &str, u16, &str), UrlError>| {
            let read = text.parse::<Url>();
            let read = read.as_ref().map(|url| (&*url.authority, &*url.host, url.port, &*url.prefix));
            assert_eq!(read.map_err(|&error| error), expected, "{text:?}");
        };
        check("http://localhost", Ok(("localhost", "localhost", 80, "")));
        check("HTTP://localhost:8080/", Ok(("localhost:8080", "localhost", 8080, "")));
        check("http://10.0.0.1:/a/b/", Ok(("10.0.0.1:", "10.0.0.1", 80, "/a/b")));
        check("http://[::1]", Ok(("[::1]", "::1", 80, "")));
        check("http://[::1]:81/a", Ok(("[::1]:81", "::1", 81, "/a")));
        check("https://localhost", Err(UrlError::Tls));
        for wrong in ["", "localhost", "localhost:80", "ftp://localhost", "//localhost"] {
            check(wrong, Err(UrlError::Scheme));
        }
        for wrong in
            ["http://", "http:///a", "http://:80", "http://a:0", "http://a:65536", "http://a:b", "http://a b"]
        {
            check(wrong, Err(UrlError::Authority));
        }
        for wrong in
            ["http://a\r\nX: y", "http://user@a", "http://a?b", "http://a#b", "http://[::1", "http://ä"]
        {
            check(wrong, Err(UrlError::Authority));
        }
        for wrong in ["http://a/?b", "http://a/b#c", "http://a/b c", "http://a/\r\n"] {
            check(wrong, Err(UrlError::Path));
        }
    }

    #[test]
    fn a_target_holds_nothing_that_could_break_it() {
        let check = |base: &str, value: &str, expected: &str| {
            let url: Url = base.parse().expect("a URL");
            assert_eq!(url.target("/v1/search", &[("name", value), ("count", "1")]), expected);
        };
        check("http://a", "berlin", "/v1/search?name=berlin&count=1");
        check("http://a/b/", "-9.5", "/b/v1/search?name=-9.5&count=1");
        check("http://a", "são paulo", "/v1/search?name=s%C3%A3o%20paulo&count=1");
        check("http://a", "a&b=c#d%+/\u{7f}", "/v1/search?name=a%26b%3Dc%23d%25%2B%2F%7F&count=1");
    }
}
