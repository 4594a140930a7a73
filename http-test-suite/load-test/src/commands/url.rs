//! Parses `http://host:port/path?query` and `https:` as far as a load needs it. The target is not checked, because a
//! test may need to send an invalid target.

use std::fmt;
use std::str::FromStr;

/// A URL: the server and the target of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// Whether the scheme is https.
    pub(crate) is_https: bool,
    /// Host and port as given, for the header Host.
    pub(crate) authority: String,
    /// Host and port for the resolver: without brackets; the default port is 80, or 443.
    pub(crate) host: (String, u16),
    /// Path and query, as in a request line; at least `/`.
    pub(crate) target: String,
}

impl FromStr for Url {
    /// Says what is wrong with the URL.
    type Err = String;

    /// Parses a URL; `http://` may be left out.
    fn from_str(text: &str) -> Result<Url, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let is_https = scheme.eq_ignore_ascii_case("https");
        if !is_https && !scheme.eq_ignore_ascii_case("http") {
            return Err(format!("the scheme {scheme} is not supported, only http and https"));
        }
        // A fragment is not sent to the server (RFC 3986 §3.5).
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if text.contains(|c: char| c.is_ascii_control() || c == ' ') || authority.contains('@') {
            return Err("white space or user information in the URL".into());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        let host = host(authority, if is_https { 443 } else { 80 })?;
        Ok(Url { is_https, authority: authority.into(), host, target: format!("{slash}{target}") })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.target)
    }
}

/// Splits the authority of a URL into host and port.
fn host(authority: &str, default_port: u16) -> Result<(String, u16), String> {
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address are within brackets.
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("not a port: {port:?}"))?)
        }
        _ => (authority, default_port),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare.is_empty() || (bare.contains(':') && bare == host) {
        return Err(format!("not a host: {host:?}"));
    }
    Ok((bare.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str, u16, &str)>) {
        let url = text.parse::<Url>().ok();
        let actual = url.as_ref().map(|url| (&*url.authority, &*url.host.0, url.host.1, &*url.target));
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn finds_the_parts() {
        check("http://localhost", Some(("localhost", "localhost", 80, "/")));
        check("HTTP://a:8080/b/c?d=/#e", Some(("a:8080", "a", 8080, "/b/c?d=/")));
        check("localhost:81?q", Some(("localhost:81", "localhost", 81, "/?q")));
        check("http://[::1]:8080/", Some(("[::1]:8080", "::1", 8080, "/")));
        check("https://a/b", Some(("a", "a", 443, "/b")));
        check("https://a:8443", Some(("a:8443", "a", 8443, "/")));
        check("http://[::1]", Some(("[::1]", "::1", 80, "/")));
    }

    #[test]
    fn rejects_unsupported_urls() {
        for text in [
            "ftp://a/",
            "http://",
            "",
            "/a",
            "http://a:b/",
            "http://a:99999/",
            "http://::1/",
            "http://u@a/",
            "http://a/b c",
            "http://a/\r\nX: y",
        ] {
            check(text, None);
        }
    }
}
