//! Gets the listeners of a new server: from the service manager (sd_listen_fds(3)), or by binding the addresses in the
//! settings.

use super::settings::ServerSettings;
use crate::{
    bind_address::BindAddress,
    options::{Common, MAX_BINDS},
    system::Context,
};
use http_engine::{
    Engine,
    listener::{self, Sharing},
};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::SockRef;
use std::{
    env, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::fd::{OwnedFd, RawFd},
};

/// The number of the first descriptor that a service manager passes.
const FIRST_DESCRIPTOR: RawFd = 3;

/// The most sockets that are taken over from a service manager. Further sockets are ignored.
const MAX_SOCKETS: RawFd = 253;

/// Returns the listening sockets of the server: those that the service manager has passed, or else new sockets that are
/// bound to the addresses in the settings. If several event loops run in one process, each address gets one socket per
/// event loop, and the kernel distributes connections among these sockets (`SO_REUSEPORT`).
///
/// The second sockets are those without TLS beside the others, for redirects. A socket of the service manager is one of them
/// if it has their port.
///
/// Fails if a passed descriptor is not a listening TCP socket, or if an address cannot be bound.
pub(super) fn listen(settings: &ServerSettings) -> io::Result<(Vec<TcpListener>, Vec<TcpListener>)> {
    let redirects = settings.application.redirects().map(|redirects| redirects.address.port());
    let activated = activated_sockets().context("cannot use the service manager's sockets")?;
    if !activated.is_empty() {
        let is_plain = |listener: &TcpListener| {
            redirects.is_some() && listener.local_addr().ok().map(|address| address.port()) == redirects
        };
        return Ok(activated.into_iter().partition(|listener| !is_plain(listener)));
    }
    let Common { bind, port, .. } = &settings.options;
    Ok((bind_for_workers(settings, bind, *port)?, Vec::new()))
}

/// Binds the sockets without TLS that redirect requests, if the application has any.
pub(super) fn listen_plain(settings: &ServerSettings) -> io::Result<Vec<TcpListener>> {
    let Some(redirects) = settings.application.redirects() else { return Ok(Vec::new()) };
    let address = &redirects.address;
    bind_for_workers(settings, &address.binds(&settings.options.bind), address.port())
}

/// Binds the addresses once, or once for each event loop of this process.
fn bind_for_workers(
    settings: &ServerSettings,
    addresses: &[BindAddress],
    port: u16,
) -> io::Result<Vec<TcpListener>> {
    if settings.options.prefork || settings.engine == Engine::Blocking {
        return bind(addresses, port, Sharing::Shared);
    }
    let first = bind(addresses, port, Sharing::PerWorker)?;
    let sets = listener::bind_per_worker(first, settings.workers())
        .context("cannot bind a socket for each worker")?;
    Ok(sets.into_iter().flatten().collect())
}

/// Binds one listening socket to each of these addresses, and to each address of a name in them. Without any, binds the
/// loopback addresses. Skips IPv6 addresses of a name or of `*`, and the IPv6 loopback address,
/// if the machine does not have them, and addresses that are bound already.
///
/// If `port` is 0, the kernel chooses the port, and all addresses without a port of their own get the same.
///
/// With [`Sharing::PerWorker`], sets `SO_REUSEPORT`, so that the caller can bind further sockets to the same addresses;
/// with [`Sharing::Shared`], does not. The error names the address that cannot be bound.
fn bind(bind: &[BindAddress], mut port: u16, sharing: Sharing) -> io::Result<Vec<TcpListener>> {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let mut listeners = Vec::new();
    if bind.is_empty() {
        port = bind_each(
            &loopback.map(|address| SocketAddr::new(address, port)),
            true,
            sharing,
            &mut listeners,
        )?;
    }
    for host in bind {
        let bound = bind_each(&host.resolve(port)?, host.has_alternatives(), sharing, &mut listeners)?;
        port = if host.port.is_none() { bound } else { port };
    }
    if listeners.len() > MAX_BINDS {
        let count = listeners.len();
        return Err(io::Error::other(format!(
            "cannot listen on {count} addresses: at most {MAX_BINDS} are possible"
        )));
    }
    Ok(listeners)
}

/// Binds a socket to each of the `addresses`, which have the same port, and appends it to `listeners`. Skips addresses
/// that `listeners` contains. Returns the port. If it is 0, the kernel chooses a port, and all addresses get the same.
///
/// If the addresses are `alternatives`, skips IPv6 addresses that the machine does not have, unless it has none at all.
fn bind_each(
    addresses: &[SocketAddr],
    alternatives: bool,
    sharing: Sharing,
    listeners: &mut Vec<TcpListener>,
) -> io::Result<u16> {
    let (mut port, mut skipped) = (None, None);
    for &(mut address) in addresses {
        address.set_port(port.unwrap_or(address.port()));
        let is_bound = |listener: &TcpListener| listener.local_addr().is_ok_and(|bound| bound == address);
        if listeners.iter().any(is_bound) {
            port = Some(address.port());
            continue;
        }
        match listener::bind_all(&[address], sharing) {
            Ok(bound) => {
                port = bound.first().map(TcpListener::local_addr).transpose()?.map(|bound| bound.port());
                listeners.extend(bound);
            }
            Err((address, error)) => {
                let is_optional =
                    alternatives && address.is_ipv6() && error.kind() != io::ErrorKind::AddrInUse;
                let error = listener::bind_error(address, &error);
                if !is_optional {
                    return Err(error);
                }
                skipped = Some(error);
            }
        }
    }
    port.ok_or_else(|| skipped.unwrap_or_else(|| io::Error::other("cannot bind: the name has no address")))
}

/// Takes over the listening sockets that a service manager has passed to this process. The result is empty if there is
/// no service manager, or if it has passed no socket. Fails if a passed descriptor is not a listening TCP socket.
///
/// The sockets keep their backlog and `TCP_DEFER_ACCEPT`, which the service manager's configuration sets
/// (systemd.socket(5)).
fn activated_sockets() -> io::Result<Vec<TcpListener>> {
    let number = |name| env::var(name).ok()?.parse::<RawFd>().ok();
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, MAX_SOCKETS);
    // A child that inherits the environment of an activated process must not use that process's sockets.
    if count == 0 || number("LISTEN_PID") != Some(getpid().as_raw_nonzero().get()) {
        return Ok(Vec::new());
    }
    // Safe code cannot own a descriptor by its number. But pidfd_getfd(2) duplicates a descriptor of any process that
    // the caller may trace, and a process may trace itself.
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let take = |number| {
        let duplicate = pidfd_getfd(&own, number, PidfdGetfdFlags::empty())?;
        adopt(duplicate).context(format_args!("descriptor {number}"))
    };
    (FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + count).map(take).collect()
}

/// Turns a descriptor from the service manager into a listener, and sets the socket options that an engine needs. Fails
/// if the descriptor is not a listening TCP socket.
fn adopt(descriptor: OwnedFd) -> io::Result<TcpListener> {
    let listener = TcpListener::from(descriptor);
    let socket = SockRef::from(&listener);
    let is_tcp = socket.local_addr()?.as_socket().is_some();
    if !(is_tcp && socket.is_listener()?) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a listening TCP socket"));
    }
    listener::prepare(&listener)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpStream, UdpSocket};

    #[test]
    fn adopts_only_listening_tcp_sockets() {
        let check = |descriptor, is_adopted| assert_eq!(adopt(descriptor).is_ok(), is_adopted);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        check(listener.into(), true);
        check(stream.into(), false);
        check(UdpSocket::bind("127.0.0.1:0").expect("a port").into(), false);
        check(std::fs::File::open("/dev/null").expect("a file").into(), false);
    }
}
