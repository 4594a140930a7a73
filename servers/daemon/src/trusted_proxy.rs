//! Which peers are proxies, as an operator names them: networks, and names for groups of peers.

use http_engine::{ForwardedHeaders, Network, Proxies};
use std::{fmt, str::FromStr};

/// The networks of the name `loopback`.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];
/// The networks of the name `private` (RFC 1918, RFC 4193).
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// Proxies that are trusted to name their clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Those with an address in this network.
    Network(Network),
    /// Those of this machine.
    Loopback,
    /// Those in private networks.
    Private,
    /// The peers of Unix sockets.
    Unix,
}

impl FromStr for TrustedProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<TrustedProxy, String> {
        Ok(match text {
            "loopback" => TrustedProxy::Loopback,
            "private" => TrustedProxy::Private,
            "unix" => TrustedProxy::Unix,
            network => TrustedProxy::Network(
                network.parse().map_err(|error| format!("{error}, or be loopback, private or unix"))?,
            ),
        })
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustedProxy::Network(network) => network.fmt(f),
            TrustedProxy::Loopback => f.write_str("loopback"),
            TrustedProxy::Private => f.write_str("private"),
            TrustedProxy::Unix => f.write_str("unix"),
        }
    }
}

/// Returns the setting of the engine for these proxies, which name their clients in `headers` or, with
/// `proxy_protocol`, at the beginning of each connection.
pub(crate) fn proxies(trusted: &[TrustedProxy], headers: ForwardedHeaders, proxy_protocol: bool) -> Proxies {
    let parse = |networks: &[&str]| networks.iter().filter_map(|network| network.parse().ok()).collect();
    let networks = trusted.iter().flat_map(|trusted| match trusted {
        TrustedProxy::Network(network) => vec![*network],
        TrustedProxy::Loopback => parse(&LOOPBACK),
        TrustedProxy::Private => parse(&PRIVATE),
        TrustedProxy::Unix => Vec::new(),
    });
    let unix = trusted.contains(&TrustedProxy::Unix);
    Proxies { networks: networks.collect(), unix, headers, proxy_protocol }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn trusts_the_peers_that_are_named() {
        let check = |trusted: &str, yes: &str, no: &str| {
            let trusted: Vec<TrustedProxy> =
                trusted.split_whitespace().map(|one| one.parse().expect("a proxy")).collect();
            let again: Vec<_> = trusted
                .iter()
                .map(|one| one.to_string().parse::<TrustedProxy>())
                .collect::<Result<_, _>>()
                .expect("the same");
            assert_eq!(again, trusted);
            let proxies = proxies(&trusted, ForwardedHeaders::default(), false);
            for (peers, expected) in [(yes, true), (no, false)] {
                for peer in peers.split_whitespace() {
                    assert_eq!(proxies.trust(peer.parse::<IpAddr>().ok()), expected, "{trusted:?} {peer}");
                }
            }
        };
        check("", "", "127.0.0.1 ::1 10.0.0.1 -");
        check("10.1.0.0/16 2001:db8::1", "10.1.2.3 ::ffff:10.1.2.3 2001:db8::1", "10.2.0.0 2001:db8::2 -");
        check("loopback", "127.0.0.1 127.9.9.9 ::1", "10.0.0.1 -");
        check(
            "private unix",
            "10.0.0.1 172.16.0.1 172.31.255.255 192.168.9.9 fd00::1 -",
            "127.0.0.1 172.32.0.1 fe80::1",
        );
        let error = "nginx".parse::<TrustedProxy>().expect_err("no network");
        assert!(error.ends_with("2001:db8::/32, or be loopback, private or unix"), "{error}");
    }
}
