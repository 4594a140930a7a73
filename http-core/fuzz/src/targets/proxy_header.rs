//! The header of the PROXY protocol names the client that the specification says, however it is split.
//!
//! Property: for any bytes in any pieces, `proxy_header::parse` does not panic and has the same result as for all bytes
//! at once, which is that of a strict reader. No byte behind the header changes it. The client's address survives to be
//! encoded in both versions and parsed again.
//!
//! Input: three pieces, line feed; then the bytes.

use crate::plan;
use http_core::proxy_header::{self, ProxyHeader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8] = b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A";

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let Some(([pieces @ .., _], bytes)) = data.split_first_chunk::<4>() else { return };
    let whole = parse(bytes);
    assert_eq!(whole, read(bytes));
    for pieces in [pieces.as_slice(), b"a"] {
        let mut ends = plan::ends(pieces, bytes.len());
        let decided = ends.find_map(|end| Some(parse(&bytes[..end])).filter(|result| *result != Ok(None)));
        assert_eq!(decided.unwrap_or(Ok(None)), whole, "the result depends on the split");
    }
    let Ok(Some(header)) = whole else { return };
    assert_eq!(parse(&bytes[..header.len]), whole, "bytes behind the header matter");
    for encoded in [encode_v1(header.client_addr), encode_v2(header.client_addr)] {
        assert_eq!(parse(&encoded), Ok(Some(ProxyHeader { len: encoded.len(), ..header })));
    }
}

fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, ()> {
    proxy_header::parse(bytes).map_err(|_| ())
}

/// An oracle: reads the header at the front of `bytes`. Returns `Ok(None)` if more bytes can complete it.
fn read(bytes: &[u8]) -> Result<Option<ProxyHeader>, ()> {
    let begins_like = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    if begins_like(SIGNATURE) && !bytes.is_empty() {
        return read_v2(bytes);
    }
    let line = bytes.iter().take(107).position(|&byte| byte == b'\n').map(|end| &bytes[..=end]);
    match line {
        Some(line) => {
            let client_addr = str::from_utf8(line).ok().and_then(read_v1).ok_or(())?;
            Ok(Some(ProxyHeader { len: line.len(), client_addr }))
        }
        None if begins_like(b"PROXY ") && bytes.len() < 107 => Ok(None),
        None => Err(()),
    }
}

/// Returns the client that a line of version 1 names; `None` if the line is malformed.
fn read_v1(line: &str) -> Option<Option<SocketAddr>> {
    let text = line.strip_prefix("PROXY ")?.strip_suffix("\r\n")?;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let [family, client, server, client_port, server_port] = text.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| port.to_string() == text);
    let (port, _) = (port(client_port)?, port(server_port)?);
    let client: IpAddr = match family {
        "TCP4" => (client.parse::<Ipv4Addr>().ok()?, server.parse::<Ipv4Addr>().ok()?).0.into(),
        "TCP6" => (client.parse::<Ipv6Addr>().ok()?, server.parse::<Ipv6Addr>().ok()?).0.into(),
        _ => return None,
    };
    Some(Some(SocketAddr::new(client.to_canonical(), port)))
}

/// As [`read`], for version 2.
fn read_v2(bytes: &[u8]) -> Result<Option<ProxyHeader>, ()> {
    let &[_, _, _, _, _, _, _, _, _, _, _, _, command, family, high, low, ref content @ ..] = bytes else {
        return Ok(None);
    };
    let content_len = usize::from(high) * 256 + usize::from(low);
    let addresses_len = [0, 12, 36, 216].get(usize::from(family / 16)).ok_or(())?;
    let is_known = (command == 0x20 || command == 0x21 && content_len >= *addresses_len) && family % 16 <= 2;
    if !is_known || content_len > 4096 - 16 {
        return Err(());
    }
    if content.len() < content_len {
        return Ok(None);
    }
    let port = |at: usize| u16::from(content[at]) * 256 + u16::from(content[at + 1]);
    let client_addr = match (command, family / 16) {
        (0x21, 1) => {
            let bits = content[..4].iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
            Some((IpAddr::from(Ipv4Addr::from_bits(bits)), port(8)))
        }
        (0x21, 2) => {
            let bits = content[..16].iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte));
            Some((Ipv6Addr::from_bits(bits).to_canonical(), port(32)))
        }
        _ => None,
    };
    Ok(Some(ProxyHeader { len: 16 + content_len, client_addr: client_addr.map(SocketAddr::from) }))
}

fn encode_v1(client: Option<SocketAddr>) -> Vec<u8> {
    let line = match client {
        Some(SocketAddr::V4(client)) => {
            format!("PROXY TCP4 {} 192.0.2.1 {} 80\r\n", client.ip(), client.port())
        }
        Some(SocketAddr::V6(client)) => {
            format!("PROXY TCP6 {} 2001:db8::1 {} 80\r\n", client.ip(), client.port())
        }
        None => "PROXY UNKNOWN\r\n".to_owned(),
    };
    line.into_bytes()
}

fn encode_v2(client: Option<SocketAddr>) -> Vec<u8> {
    let (command, family, addresses) = match client.map(|client| client.ip()) {
        Some(IpAddr::V4(ip)) => (0x21, 0x11, [ip.octets(), [192, 0, 2, 1]].concat()),
        Some(IpAddr::V6(ip)) => (0x21, 0x21, [ip.octets(), [1; 16]].concat()),
        None => (0x20, 0, Vec::new()),
    };
    let ports = client.map(|client| [client.port().to_be_bytes(), [0, 80]].concat()).unwrap_or_default();
    let len = (addresses.len() + ports.len()) as u8;
    [SIGNATURE, &[command, family, 0, len], &addresses, &ports].concat()
}
