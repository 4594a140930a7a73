//! What trusted proxies say about the client of a request, in `X-Forwarded-For` and the headers beside it, or in
//! `Forwarded` (RFC 7239).
//!
//! Each proxy appends the peer that it has received the request from. So the values are read from right to left, as
//! long as each names another trusted proxy: what is left of the first other address was written by the client, and
//! must never be read.

use crate::types::{
    grammar::is_authority,
    proxies::{ForwardedHeaders, Proxies},
};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What the proxies say. A field is `None` if they do not say it, or if it is malformed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ForwardedRequest<'a> {
    /// The client's address. Its port is 0 if no proxy names it.
    pub client_addr: Option<SocketAddr>,
    /// Whether the scheme is `https`; else it is `http`.
    pub is_https: Option<bool>,
    /// The host, with its port if there is one.
    pub host: Option<&'a [u8]>,
}

/// Returns what the proxies say about a request that a trusted proxy has sent. `values` returns the values of the
/// headers with a name, the last header first.
pub(crate) fn read<'a, I: Iterator<Item = &'a [u8]>>(
    proxies: &Proxies,
    values: impl Fn(&'static str) -> I,
) -> ForwardedRequest<'a> {
    let mut request = ForwardedRequest::default();
    // Returns the elements of all headers with this name, the last one first.
    let elements = |name| values(name).flat_map(|value| rsplit_unquoted(value, b','));
    match proxies.headers {
        ForwardedHeaders::Forwarded => {
            for element in elements("Forwarded") {
                // A trusted proxy has written this element, for those to the right of it name only trusted proxies.
                let Some(element) = parse_element(element) else { break };
                request.is_https = element.is_https.or(request.is_https);
                request.host = element.host.or(request.host);
                let Some(address) = element.client_addr else { break };
                request.client_addr = Some(address);
                if !proxies.trust(Some(address.ip())) {
                    break;
                }
            }
        }
        ForwardedHeaders::XForwardedFor { proto, host } => {
            for element in elements("X-Forwarded-For") {
                let Some(address) = parse_address(element) else { break };
                request.client_addr = Some(address);
                if !proxies.trust(Some(address.ip())) {
                    break;
                }
            }
            if proto {
                request.is_https = elements("X-Forwarded-Proto").next().and_then(parse_scheme);
            }
            if host {
                request.host = elements("X-Forwarded-Host").next().filter(|host| is_authority(host));
            }
        }
    }
    request
}

/// Returns the non-empty parts of `value` between separators that are not in quotes, without the white space around
/// them, from right to left. Quotes are paired from the right, so that an odd quote of the client has no effect on what
/// a proxy has appended.
fn rsplit_unquoted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let parts = value.rsplit(move |byte| {
        quoted ^= *byte == b'"';
        *byte == separator && !quoted
    });
    parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// Parses an element of `Forwarded`. Returns `None` if it is malformed.
fn parse_element(element: &[u8]) -> Option<ForwardedRequest<'_>> {
    let mut parsed = ForwardedRequest::default();
    let (mut has_for, mut has_proto, mut has_host) = (false, false, false);
    for pair in rsplit_unquoted(element, b';') {
        let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
        let value = match &value[1..] {
            [b'"', value @ .., b'"'] => value,
            value => value,
        };
        // No address, scheme or host contains these, so that a value with one must not be read in part.
        if value.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
            return None;
        }
        let is_repeated = if name.eq_ignore_ascii_case(b"for") {
            parsed.client_addr = parse_address(value);
            &mut has_for
        } else if name.eq_ignore_ascii_case(b"proto") {
            parsed.is_https = parse_scheme(value);
            &mut has_proto
        } else if name.eq_ignore_ascii_case(b"host") {
            parsed.host = Some(value).filter(|host| is_authority(host));
            &mut has_host
        } else {
            continue;
        };
        if std::mem::replace(is_repeated, true) {
            return None;
        }
    }
    Some(parsed)
}

/// Parses an address with an optional port, as in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` and `[2001:db8::1]:80`.
/// Returns `None` for `unknown` and names such as `_hidden` (RFC 7239 §6). The port is 0 if there is none, or a name
/// such as `_hidden` in its place.
fn parse_address(text: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(text).ok()?;
    let text = text.split_once(":_").map_or(text, |(address, _)| address);
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let (ip, port): (IpAddr, u16) = match (text.parse::<SocketAddr>(), bracketed) {
        (Ok(address), _) => (address.ip(), address.port()),
        (Err(_), Some(text)) => (text.parse::<Ipv6Addr>().ok()?.into(), 0),
        (Err(_), None) => (text.parse().ok()?, 0),
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// Parses the name of a scheme. Returns whether it is `https`; `None` if it is neither that nor `http`.
fn parse_scheme(text: &[u8]) -> Option<bool> {
    let is_https = text.eq_ignore_ascii_case(b"https");
    (is_https || text.eq_ignore_ascii_case(b"http")).then_some(is_https)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::select};

    fn proxies(headers: &str) -> Proxies {
        let networks =
            ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().expect("a network")).to_vec();
        Proxies { networks, headers: headers.parse().expect("headers"), ..Proxies::default() }
    }

    /// Reads headers, in the order received, for proxies that set `names`.
    fn read_headers<'a>(names: &str, headers: &[(&str, &'a [u8])]) -> ForwardedRequest<'a> {
        read(&proxies(names), |name| {
            let named: Vec<_> = headers.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name)).collect();
            named.into_iter().rev().map(|(_, value)| *value)
        })
    }

    /// Reads values of `X-Forwarded-For`, between `|`. Expects a client; `-` is none.
    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy() {
        let check = |values: &str, expected: &str| {
            let headers: Vec<_> =
                values.split('|').map(|value| ("X-Forwarded-For", value.as_bytes())).collect();
            let client = read_headers("x-forwarded-for", &headers).client_addr;
            assert_eq!(client.map_or("-".to_owned(), |client| client.to_string()), expected, "{values}");
        };
        check("192.0.2.1", "192.0.2.1:0");
        check("192.0.2.1:80", "192.0.2.1:80");
        check("2001:db9::1", "[2001:db9::1]:0");
        check("[2001:db9::1]", "[2001:db9::1]:0");
        check("[2001:db9::1]:80", "[2001:db9::1]:80");
        check("::ffff:192.0.2.1", "192.0.2.1:0");
        check("192.0.2.1, 192.0.2.2", "192.0.2.2:0");
        check("192.0.2.1,\t10.0.0.1 , [2001:db8::1]:9,", "192.0.2.1:0");
        check("192.0.2.1|10.0.0.1|10.0.0.2", "192.0.2.1:0");
        check("192.0.2.1|192.0.2.2|10.0.0.2", "192.0.2.2:0");
        check("::ffff:10.0.0.3", "10.0.0.3:0");
        // All are proxies: the leftmost.
        check("10.0.0.1, 10.0.0.2", "10.0.0.1:0");
        // The nearest valid hop.
        check("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2:0");
        check("192.0.2.1, _hidden", "-");
        check("_hidden:_port", "-");
        check("192.0.2.1:_port", "192.0.2.1:0");
        check("[2001:db9::1]:_port", "[2001:db9::1]:0");
        check("192.0.2.1, 10.0.0.2:", "-");
        check("192.0.2.1, 10.0.0.2:65536", "-");
        check("192.0.2.1, 10.0.0", "-");
        check("192.0.2.1, [10.0.0.1]", "-");
        check("192.0.2.1 10.0.0.2", "-");
        check("192.0.2.1, \"10.0.0.2", "-");
        check("", "-");
        check(" , ,", "-");
    }

    #[test]
    fn reads_elements_of_forwarded() {
        let check = |values: &str, expected: (&str, Option<bool>, Option<&str>)| {
            let headers: Vec<_> = values.split('|').map(|value| ("Forwarded", value.as_bytes())).collect();
            let read = read_headers("forwarded", &headers);
            let client = read.client_addr.map_or("-".to_owned(), |client| client.to_string());
            let expected = (expected.0.to_owned(), expected.1, expected.2.map(str::as_bytes));
            assert_eq!((client, read.is_https, read.host), expected, "{values}");
        };
        check("for=192.0.2.1", ("192.0.2.1:0", None, None));
        check(
            "For=\"192.0.2.1:80\";PROTO=https; host=a:80;by=_x",
            ("192.0.2.1:80", Some(true), Some("a:80")),
        );
        check("for=\"[2001:db9::1]:80\"; proto=\"http\"", ("[2001:db9::1]:80", Some(false), None));
        check("for=192.0.2.1;proto=https, for=10.0.0.1;proto=http", ("192.0.2.1:0", Some(true), None));
        check("for=192.0.2.1, for=10.0.0.1;proto=https;host=a", ("192.0.2.1:0", Some(true), Some("a")));
        check("for=192.0.2.1;proto=https|for=192.0.2.2", ("192.0.2.2:0", None, None));
        check("for=192.0.2.1, for=unknown;proto=https, for=10.0.0.1", ("10.0.0.1:0", Some(true), None));
        check("for=192.0.2.1, proto=https", ("-", Some(true), None));
        // The client cannot hide what the proxy has appended.
        check("for=\", for=192.0.2.2", ("192.0.2.2:0", None, None));
        check("for=10.0.0.1;a=\", for=\"192.0.2.2\"", ("192.0.2.2:0", None, None));
        for malformed in [
            "for",
            "for=\"192.0.2.1",
            "for=1.2.3.4;for=1.2.3.4",
            "for=\"1.2.3\\.4\"",
            "x;for=1.2.3.4",
            "a=b\"c\"d",
            "host=\"a,for=1.2.3.4;x\"=b",
        ] {
            check(malformed, ("-", None, None));
            check(&format!("for=192.0.2.1, {malformed}, for=10.0.0.1"), ("10.0.0.1:0", None, None));
        }
        check("for=192.0.2.1;proto=ftp;host=\"a b\"", ("192.0.2.1:0", None, None));
        check("", ("-", None, None));
    }

    #[test]
    fn reads_only_the_chosen_headers() {
        let headers: [(&str, &[u8]); 4] = [
            ("X-Forwarded-For", b"192.0.2.1"),
            ("x-forwarded-proto", b"http, HTTPS"),
            ("x-forwarded-host", b"b, a:80"),
            ("Forwarded", b"for=192.0.2.2"),
        ];
        let check = |names: &str, client: &str, is_https, host: Option<&str>| {
            let client_addr = Some(SocketAddr::new(client.parse().expect("an address"), 0));
            let expected = ForwardedRequest { client_addr, is_https, host: host.map(str::as_bytes) };
            assert_eq!(read_headers(names, &headers), expected, "{names}");
        };
        check("x-forwarded-for", "192.0.2.1", None, None);
        check("X-Forwarded-For, x-forwarded-proto", "192.0.2.1", Some(true), None);
        check("x-forwarded-for,x-forwarded-host", "192.0.2.1", None, Some("a:80"));
        check("x-forwarded-for,x-forwarded-host,x-forwarded-proto", "192.0.2.1", Some(true), Some("a:80"));
        check("forwarded", "192.0.2.2", None, None);
        for names in ["forwarded,x-forwarded-for", "x-forwarded-for,forwarded", "x-forwarded-proto", ""] {
            assert!(names.parse::<ForwardedHeaders>().is_err(), "{names}");
        }
        for names in ["forwarded", "x-forwarded-for", "x-forwarded-for,x-forwarded-proto,x-forwarded-host"] {
            assert_eq!(
                names.parse::<ForwardedHeaders>().map(|names| names.to_string()),
                Ok(names.to_owned())
            );
        }
    }

    /// Returns bytes of which the headers consist, and others.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let known = select(vec![
            "for=",
            "10.0.0.1",
            "192.0.2.9",
            ",",
            ";",
            "\"",
            "\\",
            "=",
            "[2001:db8::1]",
            "proto=https",
            "host=",
            " ",
        ]);
        vec(prop_oneof![known.prop_map(|text| text.as_bytes().to_vec()), vec(any::<u8>(), 1..4)], 0..20)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        /// Whatever a client sends, the client is the address that the trusted proxy has appended.
        #[test]
        fn a_client_cannot_forge_its_address(sent in text(), more in text(), proxies in 0..3_usize) {
            for (names, header, open) in [("x-forwarded-for", "X-Forwarded-For", ""), ("forwarded", "Forwarded", "for=")] {
                let hops = format!(", {open}10.9.9.9").repeat(proxies);
                let appended = [&more[..], format!(",{open}192.0.2.7{hops}").as_bytes()].concat();
                let read = read_headers(names, &[(header, &sent), (header, &appended)]);
                prop_assert_eq!(read.client_addr, Some(([192, 0, 2, 7], 0).into()));
                prop_assert_eq!((read.is_https, read.host), (None, None));
            }
        }

        /// Any value is read without a panic. An address that it yields is in it.
        #[test]
        fn reads_any_value(value in text()) {
            for (names, header) in [("x-forwarded-for,x-forwarded-proto,x-forwarded-host", "X-Forwarded-For"), ("forwarded", "Forwarded")] {
                let headers = [(header, &value[..]), ("X-Forwarded-Proto", &value), ("X-Forwarded-Host", &value)];
                let read = read_headers(names, &headers);
                prop_assert!(read.host.is_none_or(is_authority));
                if value.iter().all(|byte| !byte.is_ascii_digit()) {
                    prop_assert_eq!(read.client_addr, None);
                }
            }
        }
    }
}
