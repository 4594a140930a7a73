//! The settings of `/weather`, and the base URL of the upstream services.

use http_engine::{
    Method,
    client::{ClientRequest, RequestError},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::{num::NonZeroU16, path::PathBuf, str::FromStr, time::Duration};

/// The settings of `/weather`, which fetches from two upstream services: the search for a city's coordinates, and the
/// forecast.
#[derive(Clone, Debug)]
pub struct WeatherSettings {
    /// The base URL of both services; `None` selects the public services of open-meteo.com.
    pub url: Option<Url>,
    /// A PEM file with the authorities that `https` URLs trust; `None` selects those that Mozilla trusts.
    pub authorities: Option<PathBuf>,
    /// Timeout for connecting to one address, and for each read and write. Open-Meteo usually responds within 100 ms.
    pub idle_timeout: Duration,
    /// Timeout for the whole fetch from both services. It does not interrupt name resolution.
    pub total_timeout: Duration,
    /// How long a report is served before the next fetch for its place. Open-Meteo has new data every 15 minutes.
    pub max_age: Duration,
    /// How long after its own fetch a report may still be served if later fetches fail (RFC 5861 §4).
    pub stale_if_error: Duration,
    /// How long after a failed fetch there is no other fetch for the same place.
    pub retry_delay: Duration,
    /// The largest number of places in the cache. Each takes about one kilobyte. When the cache is full, a new place
    /// replaces the one whose last fetch is the oldest.
    pub max_places: usize,
}

impl Default for WeatherSettings {
    fn default() -> WeatherSettings {
        WeatherSettings {
            url: None,
            authorities: None,
            idle_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(5),
            max_age: Duration::from_secs(10 * 60),
            stale_if_error: Duration::from_secs(6 * 60 * 60),
            retry_delay: Duration::from_secs(2),
            max_places: 1000,
        }
    }
}

/// The ASCII characters that [`Url::target`] escapes in a query value: all but the unreserved ones (RFC 3986 §2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An `http` or `https` base URL, such as `http://localhost:8080` or `https://example.org/weather`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether the scheme is `https`.
    pub(super) is_secure: bool,
    /// Host and port as in the URL, for the `Host` header.
    pub(super) authority: String,
    /// Host and port to connect to; port 80 or 443 if the URL has none.
    pub(super) address: String,
    /// The path without the slashes at its end. Empty if there is no path or only slashes.
    prefix: String,
}

impl Url {
    /// Returns the `https` URL of `host`, a host name or an address, without a path.
    pub(super) fn from_host(host: &str) -> Url {
        let address = format!("{host}:443");
        Url { is_secure: true, authority: host.to_owned(), address, prefix: String::new() }
    }

    /// The host without the port.
    pub(super) fn host(&self) -> &str {
        self.address.rsplit_once(':').map_or(&self.address, |(host, _)| host)
    }

    /// Returns the request target for `path` below this URL, with a query of these names and values. Escapes the
    /// values.
    pub(super) fn target(&self, path: &str, query: &[(&str, &str)]) -> String {
        let pair = |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, ESCAPED));
        let pairs: Vec<String> = query.iter().map(pair).collect();
        format!("{}{path}?{}", self.prefix, pairs.join("&"))
    }
}

/// An error of [`Url::from_str`]: the scheme is missing, or neither `http` nor `https`.
const BAD_SCHEME: &str = "the URL must begin with http:// or https://";
/// An error of [`Url::from_str`]: host or port is missing or malformed.
const BAD_AUTHORITY: &str = "the scheme must be followed by a host, or a host and a port";
/// An error of [`Url::from_str`]: the path is malformed, or has a query or a fragment.
const BAD_PATH: &str = "the host may be followed by a path, but not by a query or a fragment";

impl FromStr for Url {
    /// What is wrong with the URL, as a sentence for the operator.
    type Err = &'static str;

    /// Parses `http://HOST[:PORT][/PATH]`, or the same with `https`. An error is a sentence for the operator.
    fn from_str(text: &str) -> Result<Url, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or(BAD_SCHEME)?;
        let (is_secure, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err(BAD_SCHEME),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            // The last colon may be part of an IPv6 address.
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (authority, ""),
        };
        let port = if port.is_empty() { NonZeroU16::new(default_port) } else { port.parse().ok() };
        let port = port.ok_or(BAD_AUTHORITY)?;
        let prefix = path.trim_end_matches('/');
        match ClientRequest::new(Method::Get, authority, &[prefix, "/"].concat()) {
            Ok(_) if !prefix.contains('?') => {}
            Err(RequestError::Authority) => return Err(BAD_AUTHORITY),
            _ => return Err(BAD_PATH),
        }
        Ok(Url {
            is_secure,
            authority: authority.to_owned(),
            address: format!("{host}:{port}"),
            prefix: prefix.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_host_with_an_optional_port_and_path() {
        let check = |text: &str, expected: Result<(&str, &str, &str), &str>| {
            let url = text.parse::<Url>();
            let parts = url.as_ref().map(|url| (&*url.authority, &*url.address, &*url.prefix));
            assert_eq!(parts.map_err(|&error| error), expected, "{text:?}");
        };
        check("http://localhost", Ok(("localhost", "localhost:80", "")));
        check("HTTP://localhost:8080/", Ok(("localhost:8080", "localhost:8080", "")));
        check("HTTPS://localhost/a", Ok(("localhost", "localhost:443", "/a")));
        check("http://10.0.0.1:/a/b/", Ok(("10.0.0.1:", "10.0.0.1:80", "/a/b")));
        check("http://[::1]", Ok(("[::1]", "[::1]:80", "")));
        check("http://[::1]:81/a", Ok(("[::1]:81", "[::1]:81", "/a")));
        let invalid: [(&str, &[&str]); 5] = [
            (BAD_SCHEME, &["", "localhost", "localhost:80", "ftp://localhost", "//localhost"]),
            (BAD_AUTHORITY, &["http://", "https:///a", "http://user@a", "http://[::1", "http://ä"]),
            (BAD_AUTHORITY, &["http://:80", "http://a:0", "http://a:65536", "http://a:b"]),
            (BAD_AUTHORITY, &["http://a b", "http://a\r\nX: y", "http://a?b", "http://a#b"]),
            (BAD_PATH, &["http://a/?b", "http://a/b#c", "http://a/b c", "http://a/\r\n"]),
        ];
        for (error, texts) in invalid {
            texts.iter().for_each(|text| check(text, Err(error)));
        }
    }

    #[test]
    fn percent_encodes_query_values() {
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
