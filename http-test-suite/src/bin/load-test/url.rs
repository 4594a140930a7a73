//! `http://host:port/path?query`, as far as a load needs to understand it. What goes on the wire is not checked
//! further: to send strange targets is what a test may want.

use std::fmt;
use std::str::FromStr;

/// Where to ask, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// Host and port as written, for the Host field.
    pub(crate) authority: String,
    /// Host and port for the resolver: without brackets, 80 if none is given.
    pub(crate) host: (String, u16),
    /// The path and the query, in the form that a request line has: `/` at least.
    pub(crate) target: String,
}

impl FromStr for Url {
    type Err = String;

    /// Without `http://` it is taken for granted.
    fn from_str(text: &str) -> Result<Url, String> {
        let rest = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) => return Err(format!("not {scheme}, only http")),
        };
        // A fragment is the client's own (RFC 3986 §3.5).
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if text.contains(|c: char| c.is_ascii_control() || c == ' ') || authority.contains('@') {
            return Err("white space or a user in it".into());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Url { authority: authority.into(), host: host(authority)?, target: format!("{slash}{target}") })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.target)
    }
}

fn host(authority: &str) -> Result<(String, u16), String> {
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address are within brackets.
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("no port: {port:?}"))?)
        }
        _ => (authority, 80),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare.is_empty() || (bare.contains(':') && bare == host) {
        return Err(format!("no host: {host:?}"));
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
        check("http://[::1]", Some(("[::1]", "::1", 80, "/")));
    }

    #[test]
    fn refuses_what_it_would_get_wrong() {
        for text in [
            "https://a/",
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
