//! Which peers are proxies, and what the server believes of what they say about their clients.

use super::network::Network;
use core::net::IpAddr;
use std::{fmt, str::FromStr};

/// The proxies in front of a server, such as a load balancer. By default none.
///
/// The server takes the address of a client from a proxy that it trusts, and from no other peer:
/// [`Request::client_addr`](crate::Request::client_addr) is then that of the client, not of the proxy.
///
/// ```
/// use http_core::{Config, Proxies, Request, testing::TestRequest};
///
/// let proxies = Proxies { networks: vec!["10.0.0.0/8".parse()?], ..Proxies::default() };
/// let config = Config { proxies, ..Config::default() };
/// let client = |request: &Request<'_>| request.client_addr().map(|address| address.ip().to_string());
/// let ask = |peer: [u8; 4], forwarded: &str| {
///     let request = TestRequest::get("/").config(config.clone()).client_addr((peer, 80).into());
///     request.header("X-Forwarded-For", forwarded).run(&client).text().to_owned()
/// };
/// assert_eq!(ask([10, 0, 0, 1], "203.0.113.9, 192.0.2.7"), "192.0.2.7");
/// // Another proxy has received the request from 192.0.2.7.
/// assert_eq!(ask([10, 0, 0, 1], "203.0.113.9, 192.0.2.7, 10.0.0.2"), "192.0.2.7");
/// // Anyone can send this header.
/// assert_eq!(ask([198, 51, 100, 1], "192.0.2.7"), "198.51.100.1");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// The networks of the proxies that are trusted. Only proxies must be in them: any other client there can claim to
    /// have any address.
    pub networks: Vec<Network>,
    /// Whether peers without an address are trusted: those of Unix sockets.
    pub unix: bool,
    /// The headers in which they name the client.
    pub headers: ForwardedHeaders,
    /// Whether the trusted proxies begin each connection with a header of the PROXY protocol, version 1 or 2. A
    /// connection of theirs without it gets 400. [`headers`](Proxies::headers) are read only if the announced address
    /// is that of a trusted proxy too.
    pub proxy_protocol: bool,
}

impl Proxies {
    /// Returns whether a peer is a trusted proxy. `None` is a peer without an address.
    pub fn trust(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(peer) => self.networks.iter().any(|network| network.contains(peer)),
            None => self.unix,
        }
    }
}

/// The headers in which trusted proxies name the client. Others are ignored: a proxy passes on those that it does not
/// set, so that clients could choose their values. So the server never reads both `Forwarded` and `X-Forwarded-For`.
///
/// As text, it is `forwarded`, or a list that begins with `x-forwarded-for`.
///
/// ```
/// use http_core::ForwardedHeaders;
///
/// let headers: ForwardedHeaders = "x-forwarded-for,x-forwarded-proto".parse()?;
/// assert_eq!(headers, ForwardedHeaders::XForwardedFor { proto: true, host: false });
/// assert_eq!(headers.to_string(), "x-forwarded-for,x-forwarded-proto");
/// assert!("forwarded,x-forwarded-for".parse::<ForwardedHeaders>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For`.
    XForwardedFor {
        /// Whether also to read the scheme from `X-Forwarded-Proto`.
        proto: bool,
        /// Whether also to read the host from `X-Forwarded-Host`.
        host: bool,
    },
    /// `Forwarded` (RFC 7239), with the scheme and the host.
    Forwarded,
}

/// The names of the headers beside `X-Forwarded-For`.
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";

impl Default for ForwardedHeaders {
    /// Returns `X-Forwarded-For` alone, which most proxies set.
    fn default() -> ForwardedHeaders {
        ForwardedHeaders::XForwardedFor { proto: false, host: false }
    }
}

impl FromStr for ForwardedHeaders {
    type Err = String;

    fn from_str(text: &str) -> Result<ForwardedHeaders, String> {
        let text = text.to_ascii_lowercase();
        let mut names = text.split(',').map(str::trim);
        let (first, rest): (_, Vec<_>) = (names.next().unwrap_or_default(), names.collect());
        match first {
            "forwarded" if rest.is_empty() => Ok(ForwardedHeaders::Forwarded),
            "x-forwarded-for" if rest.iter().all(|name| [PROTO, HOST].contains(name)) => {
                Ok(ForwardedHeaders::XForwardedFor {
                    proto: rest.contains(&PROTO),
                    host: rest.contains(&HOST),
                })
            }
            _ => Err(
                "must be `forwarded`, or `x-forwarded-for`, alone or followed by `,x-forwarded-proto` or \
                `,x-forwarded-host`"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for ForwardedHeaders {
    /// Writes the text from which the value can be parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ForwardedHeaders::XForwardedFor { proto, host } = *self else { return f.write_str("forwarded") };
        f.write_str("x-forwarded-for")?;
        for name in
            [(proto, PROTO), (host, HOST)].into_iter().filter_map(|(is_read, name)| is_read.then_some(name))
        {
            write!(f, ",{name}")?;
        }
        Ok(())
    }
}
