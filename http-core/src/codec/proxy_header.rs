//! The header of the PROXY protocol, version 1 (text) or 2 (binary), with which a proxy begins a connection: it names
//! the client. <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>
//!
//! It must never take bytes behind the header: they may belong to a TLS handshake.

use crate::types::error::ParseError;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The maximum length of a header of version 1 in bytes, with its CRLF.
pub const MAX_V1: usize = 107;

/// The maximum length of a header of version 2 in bytes. The addresses need at most 232 bytes. The rest is for the
/// extensions (TLVs), such as the name in the client's certificate, which are skipped.
pub const MAX_V2: usize = 4096;

/// The first bytes of a header of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The length of the part of a header of version 2 that says how long the whole is.
const V2_START: usize = 16;

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The length of the header in bytes.
    pub len: usize,
    /// The client's address; `None` if the proxy does not say, or speaks for itself, as in a health check: the peer is
    /// then the client.
    pub client_addr: Option<SocketAddr>,
}

/// Parses the header at the front of `bytes`, the first bytes of a connection. Returns `None` if it is not complete.
///
/// # Errors
///
/// If `bytes` do not begin with a header, or it is malformed or too long.
pub fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, ParseError> {
    let header = if bytes.first() == Some(&SIGNATURE[0]) { parse_v2(bytes) } else { parse_v1(bytes) };
    header.ok_or(ParseError::ProxyHeader)
}

/// As [`parse`], for version 1. Returns `None` if the header is malformed.
fn parse_v1(bytes: &[u8]) -> Option<Option<ProxyHeader>> {
    const START: &[u8] = b"PROXY ";
    let known = bytes.len().min(START.len());
    if bytes[..known] != START[..known] {
        return None;
    }
    let line = &bytes[..bytes.len().min(MAX_V1)];
    let Some(len) = line.iter().position(|byte| *byte == b'\n') else {
        return (line.len() < MAX_V1).then_some(None);
    };
    let text = str::from_utf8(line[..len].strip_suffix(b"\r")?.strip_prefix(START)?).ok()?;
    let mut fields = text.split(' ');
    let family = fields.next()?;
    let client_addr = if family == "UNKNOWN" {
        None
    } else {
        let mut address = || -> Option<IpAddr> {
            match family {
                "TCP4" => Some(fields.next()?.parse::<Ipv4Addr>().ok()?.into()),
                "TCP6" => Some(fields.next()?.parse::<Ipv6Addr>().ok()?.into()),
                _ => None,
            }
        };
        let (client, _server) = (address()?, address()?);
        let mut port = || fields.next().and_then(decimal_port);
        let (client_port, _server_port) = (port()?, port()?);
        if fields.next().is_some() {
            return None;
        }
        Some(SocketAddr::new(client.to_canonical(), client_port))
    };
    Some(Some(ProxyHeader { len: len + 1, client_addr }))
}

/// Parses a port in decimal digits, without a sign and without zeros in front.
fn decimal_port(text: &str) -> Option<u16> {
    let is_decimal =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_decimal)
}

/// As [`parse`], for version 2. Returns `None` if the header is malformed.
fn parse_v2(bytes: &[u8]) -> Option<Option<ProxyHeader>> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return None;
    }
    let Some((start, rest)) = bytes.split_at_checked(V2_START) else { return Some(None) };
    let content_len = usize::from(u16::from_be_bytes([start[14], start[15]]));
    let is_local = match start[12] {
        0x20 => true,
        0x21 => false,
        _ => return None,
    };
    // The family of the addresses and, in the lower half, the transport, which does not matter here.
    let (family, transport) = (start[13] >> 4, start[13] & 0xF);
    let addresses_len = match family {
        // The addresses are unspecified.
        0 => 0,
        1 => 12,
        2 => 36,
        // The names of Unix sockets.
        3 => 216,
        _ => return None,
    };
    let len = V2_START + content_len;
    if transport > 2 || len > MAX_V2 || (!is_local && content_len < addresses_len) {
        return None;
    }
    let Some(content) = rest.get(..content_len) else { return Some(None) };
    let client_addr = match family {
        _ if is_local => None,
        1 => {
            let (client, port) = (content.first_chunk::<4>()?, content.get(8..10)?);
            Some((IpAddr::from(*client), port))
        }
        2 => {
            let (client, port) = (content.first_chunk::<16>()?, content.get(32..34)?);
            Some((IpAddr::from(*client), port))
        }
        _ => None,
    };
    let client_addr = client_addr
        .map(|(client, port)| SocketAddr::new(client.to_canonical(), u16::from_be_bytes([port[0], port[1]])));
    Some(Some(ProxyHeader { len, client_addr }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::select};

    /// Parses a header with bytes behind it, and each beginning of it. `Ok("-")` is a header without an address.
    fn check(header: &[u8], expected: Result<&str, ()>) {
        let text = header.escape_ascii();
        let bytes = [header, b"GET / HTTP/1.1"].concat();
        let expected = expected.map_err(|()| ParseError::ProxyHeader).map(|address| {
            Some(ProxyHeader {
                len: header.len(),
                client_addr: (address != "-").then(|| address.parse().expect("an address")),
            })
        });
        assert_eq!(parse(&bytes), expected, "{text}");
        if expected.is_ok() {
            (0..header.len())
                .for_each(|len| assert_eq!(parse(&header[..len]), Ok(None), "{len} bytes of {text}"));
        }
    }

    #[test]
    fn parses_version_1() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", Ok("192.0.2.1:56324"));
        check(b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", Ok("[2001:db8::1]:0"));
        check(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Ok("192.0.2.1:1"));
        check(b"PROXY UNKNOWN\r\n", Ok("-"));
        check(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Ok("-"));
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
        assert_eq!(longest.len(), MAX_V1);
        check(longest.as_bytes(), Ok("-"));
        check(longest.replace("\r\n", "f\r\n").as_bytes(), Err(()));
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +56324 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.1 1 443\r\n",
            "PROXY TCP4 ::1 ::1 1 443\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 1 443\r\n",
            "PROXY TCP4 192.0.2.256 198.51.100.1 1 443\r\n",
            "PROXY TCP4 host 198.51.100.1 1 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 1 443\r\n",
            "PROXY \r\n",
            "PROXY\r\n",
            "proxy UNKNOWN\r\n",
            "GET / HTTP/1.1\r\n",
            " PROXY UNKNOWN\r\n",
        ] {
            check(line.as_bytes(), Err(()));
        }
    }

    /// Returns a header of version 2.
    fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let len = u16::try_from(content.len()).expect("a short header").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, content].concat()
    }

    #[test]
    fn parses_version_2() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0xDC, 0x04, 1, 0xBB];
        let mut v6 = [0; 36];
        (v6[0], v6[1], v6[15], v6[33]) = (0x20, 0x01, 7, 80);
        check(&v2(0x21, 0x11, &v4), Ok("192.0.2.1:56324"));
        check(&v2(0x21, 0x12, &v4), Ok("192.0.2.1:56324"));
        check(&v2(0x21, 0x21, &v6), Ok("[2001::7]:80"));
        check(&v2(0x21, 0x31, &[b'/'; 216]), Ok("-"));
        check(&v2(0x21, 0x00, &[]), Ok("-"));
        check(&v2(0x20, 0x00, &[]), Ok("-"));
        check(&v2(0x20, 0x11, &v4), Ok("-"));
        check(&v2(0x20, 0x11, b"any"), Ok("-"));
        // With extensions.
        check(&v2(0x21, 0x11, &[&v4[..], &[0; MAX_V2 - V2_START - 12]].concat()), Ok("192.0.2.1:56324"));
        check(&v2(0x21, 0x11, &[&v4[..], &[0; MAX_V2 - V2_START - 11]].concat()), Err(()));
        for (command, family) in [(0x11, 0x11), (0x22, 0x11), (0x01, 0x11), (0x21, 0x41), (0x21, 0x13)] {
            check(&v2(command, family, &v4), Err(()));
        }
        check(&v2(0x21, 0x11, &v4[..11]), Err(()));
        check(&v2(0x21, 0x21, &v4), Err(()));
        check(b"\r\nGET", Err(()));
    }

    proptest! {
        /// Any bytes are incomplete, malformed, or a header; and what is malformed stays so when more bytes arrive.
        #[test]
        fn any_bytes_are_judged_once(
            start in select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 1.2.3.4 ", SIGNATURE, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"]),
            rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [start, &rest].concat();
            let judged = (0..=bytes.len()).map(|len| parse(&bytes[..len]));
            let mut decided = None;
            for (len, result) in judged.enumerate() {
                if let Some(decided) = decided {
                    prop_assert_eq!(result, decided, "at {} bytes", len);
                } else if result != Ok(None) {
                    decided = Some(result);
                }
                if let Ok(Some(header)) = result {
                    prop_assert!(header.len <= len && header.len <= MAX_V2);
                }
            }
        }

        /// A header that a proxy writes is read as it was meant, whatever follows.
        #[test]
        fn reads_what_proxies_write(client: SocketAddr, server: SocketAddr, rest in prop::collection::vec(any::<u8>(), 0..50)) {
            let (family, server) = if client.is_ipv4() { (4, "192.0.2.1") } else { (6, "::1") };
            let text = format!("PROXY TCP{family} {} {server} {} {}\r\n", client.ip(), client.port(), server.len());
            let parsed = parse(&[text.as_bytes(), &rest].concat());
            let client_addr = Some(SocketAddr::new(client.ip().to_canonical(), client.port()));
            prop_assert_eq!(parsed, Ok(Some(ProxyHeader { len: text.len(), client_addr })));
        }
    }
}
