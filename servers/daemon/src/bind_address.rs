//! Where to listen: the value of `--bind`, an address or a name, with or without a port, a Unix socket, or a
//! descriptor; and the values of other options that name addresses.

use crate::{system::Context, units::count};
use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index, socket};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs},
    os::{fd::RawFd, linux::net::SocketAddrExt, unix::net::SocketAddr as UnixAddr},
    str::FromStr,
};

/// The accepted forms of a [`BindAddress`], for the error message.
const FORMS: &str = "must be an address or a name, with or without a port, as in 127.0.0.1, localhost, [::1]:8080, \
    [fe80::1%eth0]:80, *:8080; or unix:PATH, unix:@NAME, fd:NUMBER";

/// The accepted forms of a Unix socket, for the error message.
const UNIX_FORMS: &str = "must be unix:PATH or unix:@NAME, as in unix:/run/httpd/httpd.sock, with at most 107 bytes of path or name";

/// The accepted forms of a [`RedirectAddress`], for the error message.
const REDIRECT_FORMS: &str =
    "must be a port, or an address or a name, as in 80, 127.0.0.1:80, localhost:80, [::1]:80, *:80";

/// The accepted forms of an [`AdminAddress`], for the error message.
const ADMIN_FORMS: &str = "must be a port of 127.0.0.1, or an address or a name with a port, as in 9100, localhost:9100, \
    [::1]:9100, 10.0.0.1:9100, *:9100";

/// The accepted form of a descriptor, for the error message.
const FD_FORM: &str = "must be fd: and the number of an inherited descriptor, at least 3, as in fd:3";

/// What `--bind` names. The `Display` output is the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindAddress {
    /// An address or a name, with or without a port.
    Tcp(TcpAddress),
    /// `unix:PATH` or `unix:@NAME`: a Unix socket with a path or an abstract name (unix(7)).
    Unix(UnixName),
    /// `fd:NUMBER`: a listening socket that this process has inherited.
    Descriptor(RawFd),
}

impl FromStr for BindAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<BindAddress, &'static str> {
        if let Some(name) = text.strip_prefix("unix:") {
            let name = UnixName(name.to_owned());
            return name.address().map(|_| BindAddress::Unix(name)).map_err(|_| UNIX_FORMS);
        }
        match text.strip_prefix("fd:") {
            // The first three are the standard streams.
            Some(number) => {
                count(3..=i32::MAX as u64)(number).map(BindAddress::Descriptor).map_err(|_| FD_FORM)
            }
            None => text.parse().map(BindAddress::Tcp),
        }
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindAddress::Tcp(address) => address.fmt(f),
            BindAddress::Unix(UnixName(name)) => write!(f, "unix:{name}"),
            BindAddress::Descriptor(number) => write!(f, "fd:{number}"),
        }
    }
}

/// The path of a Unix socket, or `@` and its abstract name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixName(String);

impl UnixName {
    /// Returns the address that the name stands for. Fails if it is empty or too long.
    pub(crate) fn address(&self) -> io::Result<UnixAddr> {
        match self.0.strip_prefix('@') {
            Some("") => Err(io::ErrorKind::InvalidInput.into()),
            Some(name) => UnixAddr::from_abstract_name(name),
            None if self.0.is_empty() => Err(io::ErrorKind::InvalidInput.into()),
            None => UnixAddr::from_pathname(&self.0),
        }
    }
}

/// An address or a name to listen on, with or without a port.
///
/// The accepted forms, each also with `:PORT` behind it: `127.0.0.1`, `localhost`, `[::1]`, `[fe80::1%eth0]`, `*`. An
/// IPv6 address without a port needs no brackets. `*` stands for all addresses of the machine, and so does `:PORT`
/// alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpAddress {
    host: Host,
    /// `None` for the port of the option `--port`.
    pub(crate) port: Option<u16>,
}

/// What a [`TcpAddress`] says about the address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    /// An IPv6 address, and the name or the number of its network interface (RFC 4007 §11).
    Scoped(Ipv6Addr, String),
    /// A name to resolve when the server starts.
    Name(String),
    /// All IPv4 and IPv6 addresses of the machine.
    All,
}

impl TcpAddress {
    /// Returns the address to listen on, or the addresses if the host is a name or `*`. `port` is used if the value has
    /// no port.
    ///
    /// # Errors
    ///
    /// If the name cannot be resolved, or if there is no such network interface.
    pub fn resolve(&self, port: u16) -> io::Result<Vec<SocketAddr>> {
        let port = self.port.unwrap_or(port);
        let addresses = match &self.host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, port)]),
            Host::Scoped(address, interface) => {
                let scope = scope_id(interface).context(format_args!("cannot resolve {self}"))?;
                return Ok(vec![SocketAddrV6::new(*address, port, 0, scope).into()]);
            }
            Host::Name(name) => (name.as_str(), port).to_socket_addrs(),
            Host::All => {
                let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
                return Ok(all.map(|address| SocketAddr::new(address, port)).to_vec());
            }
        };
        addresses.map(Iterator::collect).context(format_args!("cannot resolve {self}"))
    }

    /// Whether the addresses of the host come from a resolver, which may not answer.
    pub(crate) fn is_name(&self) -> bool {
        matches!(self.host, Host::Name(_))
    }

    /// Whether the host stands for several addresses, of which the machine may lack those of IPv6: a name, or `*`.
    pub(crate) fn has_alternatives(&self) -> bool {
        matches!(self.host, Host::Name(_) | Host::All)
    }
}

impl FromStr for TcpAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<TcpAddress, &'static str> {
        // An IPv6 address without brackets contains at least two colons, and cannot have a port.
        if let Some(host) = parse_ipv6(text) {
            return Ok(TcpAddress { host, port: None });
        }
        let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            Some((address, rest)) => (parse_ipv6(address), rest),
            None => {
                let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                let all = (host == "*" || host.is_empty() && !port.is_empty()).then_some(Host::All);
                let address = host.parse::<Ipv4Addr>().ok().map(|address| Host::Address(address.into()));
                (all.or(address).or_else(|| is_name(host).then(|| Host::Name(host.to_owned()))), port)
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            port => Some(port.and_then(|port| count(0..=65_535)(port).ok()).ok_or(FORMS)?),
        };
        Ok(TcpAddress { host: host.ok_or(FORMS)?, port })
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Host::Address(address) => write!(f, "{address}")?,
            Host::Scoped(address, interface) => write!(f, "[{address}%{interface}]")?,
            Host::Name(name) => f.write_str(name)?,
            Host::All => f.write_str("*")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A TCP address to listen on without TLS: a port alone stands for the TCP addresses of `--bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectAddress {
    /// This port of each TCP address that the server listens on.
    Port(u16),
    /// This address, with port 80 if it has none.
    Address(TcpAddress),
}

impl RedirectAddress {
    /// The port.
    pub(crate) fn port(&self) -> u16 {
        match self {
            RedirectAddress::Port(port) => *port,
            RedirectAddress::Address(address) => address.port.unwrap_or(80),
        }
    }

    /// Returns the addresses to listen on at [`port`](RedirectAddress::port), if the server listens on those in `bind`:
    /// `None` if a TCP address is needed there, and only sockets of other kinds are.
    pub(crate) fn binds(&self, bind: &[BindAddress]) -> Option<Vec<BindAddress>> {
        if let RedirectAddress::Address(address) = self {
            return Some(vec![BindAddress::Tcp(address.clone())]);
        }
        let with_port = |address: &BindAddress| match address {
            BindAddress::Tcp(address) => Some(BindAddress::Tcp(TcpAddress { port: None, ..address.clone() })),
            BindAddress::Unix(_) | BindAddress::Descriptor(_) => None,
        };
        let binds: Vec<_> = bind.iter().filter_map(with_port).collect();
        (bind.is_empty() || !binds.is_empty()).then_some(binds)
    }
}

impl FromStr for RedirectAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<RedirectAddress, &'static str> {
        match count(0..=65_535)(text) {
            Ok(port) => Ok(RedirectAddress::Port(port)),
            Err(_) => text.parse().map(RedirectAddress::Address).map_err(|_| REDIRECT_FORMS),
        }
    }
}

/// The value of `--admin`: an address or a name with a port, or only a port of 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAddress(
    /// A TCP address with a port.
    pub(crate) BindAddress,
);

impl FromStr for AdminAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<AdminAddress, &'static str> {
        let address = match count(0..=65_535)(text) {
            Ok(port) => Ok(TcpAddress { host: Host::Address(Ipv4Addr::LOCALHOST.into()), port: Some(port) }),
            Err(_) => text.parse().map_err(|_| ADMIN_FORMS),
        }?;
        address.port.map(|_| AdminAddress(BindAddress::Tcp(address))).ok_or(ADMIN_FORMS)
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Parses an IPv6 address, with or without `%` and an interface.
fn parse_ipv6(text: &str) -> Option<Host> {
    match text.split_once('%') {
        Some((_, "")) => None,
        Some((address, interface)) => Some(Host::Scoped(address.parse().ok()?, interface.to_owned())),
        None => Some(Host::Address(text.parse::<Ipv6Addr>().ok()?.into())),
    }
}

/// Whether `text` can be a host name. Its last label is not a number: the resolver would take `8080` for 0.0.31.144,
/// and `127.1` for 127.0.0.1.
fn is_name(text: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    text.bytes().all(is_valid) && last.bytes().any(|byte| !byte.is_ascii_digit())
}

/// Returns the number of the network interface `interface`, which is its name or its number.
fn scope_id(interface: &str) -> io::Result<u32> {
    if let Ok(number) = interface.parse() {
        return Ok(number);
    }
    // Any socket can be asked.
    let socket = socket(AddressFamily::INET6, SocketType::DGRAM, None)?;
    name_to_index(&socket, interface).context(format_args!("network interface {interface}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_addresses_and_names_with_and_without_a_port() {
        let check = |text: &str, shown: &str, port: Option<u16>, has_alternatives: bool| {
            let parsed: TcpAddress = text.parse().expect(text);
            assert_eq!((parsed.to_string().as_str(), parsed.port), (shown, port));
            assert_eq!(parsed.has_alternatives(), has_alternatives, "{text}");
            assert_eq!(shown.parse(), Ok(parsed));
        };
        check("127.0.0.1", "127.0.0.1", None, false);
        check("127.0.0.1:80", "127.0.0.1:80", Some(80), false);
        check("::", "[::]", None, false);
        check("[::1]", "[::1]", None, false);
        check("[::1]:0", "[::1]:0", Some(0), false);
        check("::ffff:10.0.0.1", "[::ffff:10.0.0.1]", None, false);
        check("fe80::1%eth0", "[fe80::1%eth0]", None, false);
        check("[fe80::1%2]:65535", "[fe80::1%2]:65535", Some(65_535), false);
        check("localhost", "localhost", None, true);
        check("www.example.org:8080", "www.example.org:8080", Some(8080), true);
        check("1.2.3.example.", "1.2.3.example.", None, true);
        check("*", "*", None, true);
        check("*:80", "*:80", Some(80), true);
        check(":80", "*:80", Some(80), true);
        for text in [
            "",
            ":",
            "*:",
            "[*]:80",
            "*.example.org",
            "8080",
            "127.1",
            "10.0.0",
            "256.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "127.0.0.1:+80",
            "localhost:http",
            "localhost:80:80",
            "[::1",
            "::1]",
            "[::1]80",
            "[::1]:",
            "[127.0.0.1]:80",
            "[localhost]:80",
            "::1:::80",
            "fe80::1%",
            "[fe80::1%]:80",
            "http://localhost",
            "a b",
            "a/b",
            ".",
            "-\n",
        ] {
            assert_eq!(text.parse::<TcpAddress>(), Err(FORMS), "{text:?}");
        }
    }

    #[test]
    fn parses_unix_sockets_and_descriptors() {
        let long = |prefix: &str, len| format!("unix:{prefix}{}", "x".repeat(len));
        for text in [
            "unix:/run/httpd.sock",
            "unix:a",
            "unix:@a b",
            "fd:3",
            "[::1]:80",
            &long("/", 106),
            &long("@", 107),
        ] {
            assert_eq!(text.parse::<BindAddress>().expect(text).to_string(), text);
        }
        for (text, expected) in [
            ("unix:", UNIX_FORMS),
            ("unix:@", UNIX_FORMS),
            ("unix:a\0b", UNIX_FORMS),
            (&long("/", 107), UNIX_FORMS),
            (&long("@", 108), UNIX_FORMS),
            ("fd:", FD_FORM),
            ("fd:2", FD_FORM),
            ("fd:-1", FD_FORM),
            ("fd:2147483648", FD_FORM),
            ("8080", FORMS),
        ] {
            assert_eq!(text.parse::<BindAddress>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn parses_where_to_redirect() {
        let check = |text: &str, expected: Result<(u16, Option<&str>), &'static str>| {
            let parsed = text.parse::<RedirectAddress>().map(|address| {
                let binds = address.binds(&["unix:/a", "localhost:81"].map(|bind| bind.parse().expect(bind)));
                let binds = binds.map(|binds| binds.iter().map(BindAddress::to_string).collect::<String>());
                (address.port(), binds)
            });
            assert_eq!(parsed, expected.map(|(port, binds)| (port, binds.map(str::to_owned))), "{text}");
        };
        check("80", Ok((80, Some("localhost"))));
        check("0", Ok((0, Some("localhost"))));
        check("[::1]:8080", Ok((8080, Some("[::1]:8080"))));
        check("*", Ok((80, Some("*"))));
        check("65536", Err(REDIRECT_FORMS));
        check("unix:/a", Err(REDIRECT_FORMS));
        let port = RedirectAddress::Port(80);
        assert_eq!(port.binds(&[]), Some(Vec::new()));
        assert_eq!(port.binds(&[BindAddress::Descriptor(3)]), None);
    }

    #[test]
    fn parses_where_the_admin_server_listens() {
        let check = |text: &str, expected: Result<&str, &'static str>| {
            let parsed = text.parse::<AdminAddress>().map(|address| address.to_string());
            assert_eq!(parsed, expected.map(str::to_owned), "{text:?}");
        };
        check("9100", Ok("127.0.0.1:9100"));
        check("0", Ok("127.0.0.1:0"));
        check(":9100", Ok("*:9100"));
        check("*:9100", Ok("*:9100"));
        check("localhost:9100", Ok("localhost:9100"));
        check("10.0.0.1:9100", Ok("10.0.0.1:9100"));
        check("[::1]:9100", Ok("[::1]:9100"));
        for text in ["", "65536", "+1", "127.0.0.1", "localhost", "[::1]", "::1", "9100 ", "unix:/a"] {
            check(text, Err(ADMIN_FORMS));
        }
    }

    #[test]
    fn resolves_names_and_interfaces() {
        let resolve = |text: &str, port| text.parse::<TcpAddress>().expect(text).resolve(port);
        let addresses = |text: &str, port| resolve(text, port).expect(text);
        assert_eq!(addresses("127.0.0.1", 80), ["127.0.0.1:80".parse().expect("one")]);
        assert_eq!(addresses("[::1]:81", 80), ["[::1]:81".parse().expect("one")]);
        let localhost = addresses("localhost", 80);
        assert!(!localhost.is_empty() && localhost.iter().all(|address| address.ip().is_loopback()));
        let all = ["0.0.0.0:80", "[::]:80"].map(|address| address.parse().expect("one"));
        assert_eq!([addresses("*", 80), addresses(":80", 8080)], [all, all]);
        assert_eq!(addresses("fe80::1%7", 80), ["[fe80::1%7]:80".parse().expect("one")]);
        // The loopback interface is the first.
        assert_eq!(addresses("[fe80::1%lo]:81", 80), ["[fe80::1%1]:81".parse().expect("one")]);
        let check_error = |text: &str, expected: &str| {
            let error = resolve(text, 80).expect_err(text).to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check_error("nowhere.invalid:80", "cannot resolve nowhere.invalid:80: ");
        check_error("fe80::1%none0", "cannot resolve [fe80::1%none0]: network interface none0: ");
    }
}
