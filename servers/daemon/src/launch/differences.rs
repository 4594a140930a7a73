//! Compares the sockets that a successor keeps with its options: the sockets are those of its predecessor.

use super::{
    listeners::{addresses, tcp_addresses},
    settings::ServerSettings,
};
use crate::{
    bind_address::{AdminAddress, BindAddress, RedirectAddress},
    options::Common,
};
use http_engine::listener::{ListenAddr, Listener};
use std::{collections::BTreeSet, env, net::SocketAddr, slice};

/// Names the options of a successor that differ from the sockets of its predecessor: `listeners`, those without TLS in
/// `plain`, and those of the admin server. Leaves out what it cannot know: port 0, and the addresses of a name or an
/// inherited descriptor.
pub(super) fn differences(
    settings: &ServerSettings,
    listeners: &[Listener],
    plain: &[Listener],
    admin: &[Listener],
) -> Vec<&'static str> {
    let Common { bind: hosts, port, service, .. } = &settings.options;
    let mut different = Vec::new();
    // The service manager has chosen the addresses.
    if env::var_os("LISTEN_FDS").is_none() {
        let bound = tcp_bound(listeners);
        let is_used = hosts.is_empty() || tcp_addresses(hosts).any(|host| host.port.is_none());
        let is_different = is_used && !is_port_bound(*port, &bound);
        if is_different {
            different.push("port");
        }
        if !are_bound(hosts, if is_different { 0 } else { *port }, &bound)
            || !are_unix_bound(hosts, &unix_bound(listeners))
        {
            different.push("bind");
        }
        let redirects = settings.application.redirects().filter(|_| !plain.is_empty());
        if redirects.is_some_and(|redirects| !is_redirect_bound(&redirects.address, &tcp_bound(plain))) {
            different.push("redirect-http");
        }
    }
    let is_bound =
        |AdminAddress(address): &AdminAddress| are_bound(slice::from_ref(address), 0, &tcp_bound(admin));
    if !admin.is_empty() && !service.admin.as_ref().is_some_and(is_bound) {
        different.push("admin");
    }
    different
}

/// Returns the addresses of the TCP sockets.
fn tcp_bound(listeners: &[Listener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()?.tcp()).collect()
}

/// Returns the addresses of the Unix sockets, as text.
fn unix_bound(listeners: &[Listener]) -> BTreeSet<String> {
    let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
    addresses.filter(|address| address.tcp().is_none()).map(|address| address.to_string()).collect()
}

/// Whether one of the `bound` addresses has the port. Port 0 means any.
fn is_port_bound(port: u16, bound: &[SocketAddr]) -> bool {
    port == 0 || bound.iter().any(|address| address.port() == port)
}

/// Whether the `bound` addresses are those without TLS that `address` means. A port alone follows the addresses of
/// `--bind`, whose differences are found without it.
fn is_redirect_bound(address: &RedirectAddress, bound: &[SocketAddr]) -> bool {
    match address {
        RedirectAddress::Port(port) => is_port_bound(*port, bound),
        RedirectAddress::Address(host) => are_bound(&[BindAddress::Tcp(host.clone())], address.port(), bound),
    }
}

/// Whether the addresses that `hosts` and `port` mean are the `bound` ones. Port 0 means any.
fn are_bound(hosts: &[BindAddress], port: u16, bound: &[SocketAddr]) -> bool {
    let is_unknown = |host: &BindAddress| match host {
        // Not resolved: a successor must not wait for that.
        BindAddress::Tcp(address) => address.is_name(),
        BindAddress::Unix(_) => false,
        BindAddress::Descriptor(_) => true,
    };
    if hosts.iter().any(is_unknown) {
        return true;
    }
    let Ok(wanted) = addresses(hosts, port) else { return true };
    let is = |wanted: &SocketAddr, bound: &SocketAddr| {
        wanted.ip() == bound.ip() && [0, bound.port()].contains(&wanted.port())
    };
    let is_bound = |address: &SocketAddr| bound.iter().any(|bound| is(address, bound));
    let is_wanted = |bound: &SocketAddr| wanted.iter().any(|(address, _)| is(address, bound));
    wanted.iter().all(|(address, is_optional)| *is_optional || is_bound(address))
        && bound.iter().all(is_wanted)
}

/// Whether the Unix sockets among `hosts` are the `bound` ones.
fn are_unix_bound(hosts: &[BindAddress], bound: &BTreeSet<String>) -> bool {
    let mut wanted = BTreeSet::new();
    for host in hosts {
        match host {
            BindAddress::Tcp(_) => {}
            BindAddress::Unix(name) => {
                wanted.extend(name.address().ok().map(|address| ListenAddr::Unix(address).to_string()));
            }
            BindAddress::Descriptor(_) => return true,
        }
    }
    wanted == *bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_addresses_that_are_not_bound() {
        let check = |hosts: &[&str], port: u16, bound: &[&str], expected: bool| {
            let hosts: Vec<_> = hosts.iter().map(|host| host.parse().expect("a host")).collect();
            let addresses: Vec<_> =
                bound.iter().map(|address| address.parse().expect("an address")).collect();
            assert_eq!(are_bound(&hosts, port, &addresses), expected, "{hosts:?} {port} {bound:?}");
        };
        check(&[], 80, &["127.0.0.1:80"], true);
        check(&[], 80, &["127.0.0.1:80", "[::1]:80"], true);
        check(&[], 80, &["127.0.0.2:80"], false);
        check(&[], 80, &["127.0.0.1:81"], false);
        check(&[], 0, &["127.0.0.1:81", "127.0.0.1:81"], true);
        check(&["127.0.0.1", "127.0.0.2:82"], 80, &["127.0.0.1:80", "127.0.0.2:82"], true);
        check(&["127.0.0.1", "127.0.0.2:82"], 80, &["127.0.0.1:80", "127.0.0.2:80"], false);
        check(&["127.0.0.1"], 80, &["127.0.0.1:80", "127.0.0.2:80"], false);
        check(&["127.0.0.1", "::1"], 80, &["127.0.0.1:80"], false);
        check(&["127.0.0.1", "unix:/a"], 80, &["127.0.0.1:80"], true);
        check(&["unix:/a"], 80, &["127.0.0.1:80"], false);
        check(&["fd:3"], 80, &["127.0.0.1:80"], true);
        check(&["*"], 80, &["0.0.0.0:80"], true);
        check(&["*"], 80, &["127.0.0.1:80"], false);
        check(&["a.invalid"], 80, &["127.0.0.1:80"], true);
    }

    #[test]
    fn finds_unix_sockets_that_are_not_bound() {
        let check = |hosts: &[&str], bound: &[&str], expected: bool| {
            let hosts: Vec<_> = hosts.iter().map(|host| host.parse().expect("a host")).collect();
            let bound = bound.iter().map(|&bound| bound.to_owned()).collect();
            assert_eq!(are_unix_bound(&hosts, &bound), expected, "{hosts:?} {bound:?}");
        };
        check(&["127.0.0.1", "unix:/a", "unix:@b"], &["unix:@b", "unix:/a"], true);
        check(&["unix:/a"], &["unix:/b"], false);
        check(&["unix:/a"], &[], false);
        check(&["127.0.0.1"], &["unix:/a"], false);
        check(&["fd:3"], &["unix:/a"], true);
        check(&[], &[], true);
    }

    #[test]
    fn finds_redirects_that_are_not_bound() {
        let check = |address: &str, bound: &[&str], expected: bool| {
            let address: RedirectAddress = address.parse().expect("an address");
            let bound: Vec<_> = bound.iter().map(|bound| bound.parse().expect("an address")).collect();
            assert_eq!(is_redirect_bound(&address, &bound), expected, "{address:?} {bound:?}");
        };
        check("80", &["127.0.0.1:80", "[::1]:80"], true);
        check("0", &["127.0.0.1:80"], true);
        check("81", &["127.0.0.1:80"], false);
        check("127.0.0.1:80", &["127.0.0.1:80"], true);
        check("127.0.0.1", &["127.0.0.1:80"], true);
        check("127.0.0.2:80", &["127.0.0.1:80"], false);
    }
}
