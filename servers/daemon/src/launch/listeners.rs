//! Gets the listeners of a new server: from the service manager (sd_listen_fds(3)), or by binding the addresses in the
//! settings. Some of these may be sockets that the process has inherited.

use super::settings::{Redirects, ServerSettings};
use crate::{
    bind_address::{BindAddress, RedirectAddress, TcpAddress},
    options::{Common, MAX_BINDS},
    system::Context,
    units::FileMode,
};
use http_engine::{
    Engine,
    listener::{self, Listener, Sharing},
};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use std::{
    env, fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::fd::RawFd,
    slice,
};

/// The number of the first descriptor that a service manager passes.
const FIRST_DESCRIPTOR: RawFd = 3;

/// The most sockets that are taken over from a service manager. Further sockets are ignored.
const MAX_SOCKETS: RawFd = 253;

/// The addresses of a server without the option `--bind`.
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Returns the listening sockets of the server: those that the service manager has passed, or else those that the
/// settings name. If several event loops run in one process, each TCP address gets one socket per event loop, and the
/// kernel distributes connections among these sockets (`SO_REUSEPORT`).
///
/// The second vector has the sockets without TLS that the service manager has passed: those with the port of the
/// redirects.
///
/// Fails if a passed descriptor is not a listening TCP or Unix socket, or if an address cannot be bound.
pub(super) fn listen(settings: &ServerSettings) -> io::Result<(Vec<Listener>, Vec<Listener>)> {
    let redirects = settings.application.redirects().map(|redirects| redirects.address.port());
    let activated = activated_sockets().context("cannot use the service manager's sockets")?;
    if !activated.is_empty() {
        let port = |listener: &Listener| Some(listener.local_addr().ok()?.tcp()?.port());
        let is_plain = |listener: &Listener| redirects.is_some() && port(listener) == redirects;
        let (plain, others): (Vec<_>, Vec<_>) = activated.into_iter().partition(is_plain);
        if others.is_empty() {
            return Err(io::Error::other(
                "the service manager has passed no socket but those of redirect-http",
            ));
        }
        return Ok((others, plain));
    }
    let Common { bind, port, .. } = &settings.options;
    Ok((bind_for_workers(settings, bind, *port)?, Vec::new()))
}

/// Binds the sockets without TLS that redirect requests, if the application has any.
pub(super) fn listen_plain(settings: &ServerSettings) -> io::Result<Vec<Listener>> {
    let Some(Redirects { address, .. }) = settings.application.redirects() else { return Ok(Vec::new()) };
    bind_for_workers(settings, &redirect_hosts(address, &settings.options.bind)?, address.port())
}

/// Binds the sockets of the admin server, if there is one. Warns if other machines can reach it.
pub(super) fn listen_admin(options: &Common) -> io::Result<Vec<Listener>> {
    let Some(address) = &options.service.admin else { return Ok(Vec::new()) };
    let bound = bind(slice::from_ref(&address.0), 0, options.socket_mode, Sharing::Shared);
    let (bound, _) = bound.context("cannot start the admin server")?;
    let is_local = |listener: &TcpListener| {
        listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
    };
    if !bound.iter().all(is_local) {
        log::warn!(
            "the admin server at {address} is open to other machines: every client that reaches it can read the metrics"
        );
    }
    Ok(bound.into_iter().map(Listener::from).collect())
}

/// Returns the addresses to listen on without TLS.
fn redirect_hosts(address: &RedirectAddress, hosts: &[BindAddress]) -> io::Result<Vec<BindAddress>> {
    let needed = || io::Error::other("redirect-http needs an address: bind has no TCP address");
    address.binds(hosts).ok_or_else(needed)
}

/// Returns the error for a redirect to `https` whose port is unknown.
pub(super) fn no_https_port() -> io::Error {
    io::Error::other("redirect-http needs https-port: bind has no TCP address")
}

/// Binds the addresses once, or the TCP addresses once for each event loop of this process.
fn bind_for_workers(
    settings: &ServerSettings,
    hosts: &[BindAddress],
    port: u16,
) -> io::Result<Vec<Listener>> {
    let Common { prefork, socket_mode, .. } = &settings.options;
    let sharing = if *prefork { Sharing::Shared } else { Sharing::PerWorker };
    let (tcp, others) = bind(hosts, port, *socket_mode, sharing)?;
    let workers = if *prefork || settings.engine == Engine::Blocking { 1 } else { settings.workers() };
    let sets = listener::bind_per_worker(tcp, workers).context("cannot bind a socket for each worker")?;
    Ok(sets.into_iter().flatten().map(Listener::from).chain(others).collect())
}

/// Returns the TCP addresses among `hosts`.
pub(super) fn tcp_addresses(hosts: &[BindAddress]) -> impl Iterator<Item = &TcpAddress> {
    hosts.iter().filter_map(|host| match host {
        BindAddress::Tcp(address) => Some(address),
        BindAddress::Unix(_) | BindAddress::Descriptor(_) => None,
    })
}

/// Returns the TCP addresses that `hosts` and `port` mean, and of each whether the machine may lack it.
pub(super) fn addresses(hosts: &[BindAddress], port: u16) -> io::Result<Vec<(SocketAddr, bool)>> {
    if hosts.is_empty() {
        return Ok(LOOPBACK.map(|address| (SocketAddr::new(address, port), address.is_ipv6())).to_vec());
    }
    let mut addresses = Vec::new();
    for host in tcp_addresses(hosts) {
        let is_optional = |address: &SocketAddr| host.has_alternatives() && address.is_ipv6();
        addresses.extend(host.resolve(port)?.into_iter().map(|address| (address, is_optional(&address))));
    }
    Ok(addresses)
}

/// Fails if a host cannot be resolved, or if the sockets for `redirects` or the admin server have an address of the
/// site. Binds nothing.
pub(super) fn check(options: &Common, redirects: Option<&Redirects>) -> io::Result<()> {
    let mut site = addresses(&options.bind, options.port)?;
    if let Some(Redirects { address, port }) = redirects {
        let plain = addresses(&redirect_hosts(address, &options.bind)?, address.port())?;
        let is_descriptor = |host: &BindAddress| matches!(host, BindAddress::Descriptor(_));
        if port.is_none() && site.is_empty() && !options.bind.iter().any(is_descriptor) {
            return Err(no_https_port());
        }
        let is_taken = |plain: &SocketAddr| plain.port() != 0 && site.iter().any(|(site, _)| site == plain);
        if let Some((address, _)) = plain.iter().find(|(address, _)| is_taken(address)) {
            return Err(io::Error::other(format!("cannot redirect at {address}: the site has it with TLS")));
        }
        site.extend(plain);
    }
    let Some(admin) = &options.service.admin else { return Ok(()) };
    for (own, _) in addresses(slice::from_ref(&admin.0), 0)? {
        if let Some((address, _)) = site.iter().find(|(address, _)| are_in_conflict(own, *address)) {
            return Err(io::Error::other(format!(
                "cannot start the admin server at {admin}: the site has {address}"
            )));
        }
    }
    Ok(())
}

/// Whether a process cannot listen on both addresses. Port 0 means a free one.
fn are_in_conflict(one: SocketAddr, other: SocketAddr) -> bool {
    let is_unspecified = one.ip().is_unspecified() || other.ip().is_unspecified();
    let is_same = one.ip() == other.ip() || is_unspecified && one.is_ipv4() == other.is_ipv4();
    is_same && one.port() == other.port() && one.port() != 0
}

/// Binds one listening socket to each of the `hosts`, and to each address of a name in them. Without any, binds the
/// loopback addresses. Skips IPv6 addresses of a name or of `*`, and the IPv6 loopback address, if the machine does not
/// have them, and addresses that are bound already. Returns the TCP sockets that it has bound, and all others.
///
/// If `port` is 0, the kernel chooses the port, and all addresses without a port of their own get the same.
///
/// With [`Sharing::PerWorker`], sets `SO_REUSEPORT`, so that the caller can bind further sockets to the same addresses;
/// with [`Sharing::Shared`], does not. The error names the address that cannot be bound.
fn bind(
    hosts: &[BindAddress],
    mut port: u16,
    socket_mode: FileMode,
    sharing: Sharing,
) -> io::Result<(Vec<TcpListener>, Vec<Listener>)> {
    let (mut listeners, mut others) = (Vec::new(), Vec::new());
    if hosts.is_empty() {
        port = bind_each(
            &LOOPBACK.map(|address| SocketAddr::new(address, port)),
            true,
            sharing,
            &mut listeners,
        )?;
    }
    for address in hosts {
        match address {
            BindAddress::Tcp(host) => {
                let bound =
                    bind_each(&host.resolve(port)?, host.has_alternatives(), sharing, &mut listeners)?;
                port = if host.port.is_none() { bound } else { port };
            }
            BindAddress::Unix(name) => {
                others.push(listener::bind_unix(&name.address()?, Some(socket_mode.0))?.into());
            }
            BindAddress::Descriptor(number) => {
                let taken = take(&[*number]).context(format_args!("cannot listen on {address}"))?;
                others.extend(taken);
            }
        }
    }
    let count = listeners.len() + others.len();
    if count > MAX_BINDS {
        return Err(io::Error::other(format!(
            "cannot listen on {count} addresses: at most {MAX_BINDS} are possible"
        )));
    }
    Ok((listeners, others))
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
/// no service manager, or if it has passed no socket. Fails if a passed descriptor is not a listening TCP or Unix
/// socket.
///
/// The sockets keep their backlog and `TCP_DEFER_ACCEPT`, which the service manager's configuration sets
/// (systemd.socket(5)).
fn activated_sockets() -> io::Result<Vec<Listener>> {
    let number = |name| env::var(name).ok()?.parse::<RawFd>().ok();
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, MAX_SOCKETS);
    // A child that inherits the environment of an activated process must not use that process's sockets.
    if count == 0 || number("LISTEN_PID") != Some(getpid().as_raw_nonzero().get()) {
        return Ok(Vec::new());
    }
    take(&Vec::from_iter(FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + count))
}

/// Takes over listening sockets by the numbers of the descriptors that this process has inherited. The child processes
/// do not inherit these again. Fails if one is not a listening TCP or Unix socket.
fn take(numbers: &[RawFd]) -> io::Result<Vec<Listener>> {
    // Safe code cannot own a descriptor by its number. But pidfd_getfd(2) duplicates a descriptor of any process that
    // the caller may trace, and a process may trace itself.
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let duplicate = |number: &RawFd| {
        let duplicate = pidfd_getfd(&own, *number, PidfdGetfdFlags::empty());
        duplicate
            .map_err(io::Error::from)
            .and_then(Listener::try_from)
            .context(format_args!("descriptor {number}"))
    };
    let taken = numbers.iter().map(duplicate).collect::<io::Result<_>>()?;
    let open =
        fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let others: Vec<RawFd> = open.filter(|number| !numbers.contains(number)).collect();
    close_fds::set_fds_cloexec(FIRST_DESCRIPTOR, &others);
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::{
        super::settings::testing::{options, settings},
        *,
    };

    #[test]
    fn each_event_loop_of_a_process_has_a_socket() {
        for (engine, arguments, expected) in [
            (Engine::EventLoop, "-w 3", 3),
            (Engine::EventLoop, "-w 3 --prefork", 1),
            (Engine::Blocking, "-w 3", 1),
        ] {
            let host = "127.0.0.1:0".parse().expect("an address");
            let bound = bind_for_workers(&settings(engine, 0, arguments), &[host], 0).expect("a free port");
            assert_eq!(bound.len(), expected, "{engine:?} {arguments}");
        }
    }

    #[test]
    fn checks_where_to_redirect() {
        let check = |arguments: &str, address: &str, expected: Result<(), &str>| {
            let redirects = Redirects { address: address.parse().expect("an address"), port: None };
            let checked =
                super::check(&options(arguments), Some(&redirects)).map_err(|error| error.to_string());
            assert_eq!(checked.as_ref().map_err(String::as_str), expected.as_ref().map_err(|error| *error));
        };
        check("", "80", Ok(()));
        check("-p 0", "0", Ok(()));
        check("", "8443", Err("cannot redirect at 127.0.0.1:8443: the site has it with TLS"));
        check(
            "-b 127.0.0.1:443",
            "127.0.0.1:443",
            Err("cannot redirect at 127.0.0.1:443: the site has it with TLS"),
        );
        check("-b 127.0.0.1:443", "443", Err("cannot redirect at 127.0.0.1:443: the site has it with TLS"));
        check("-b unix:/a", "80", Err("redirect-http needs an address: bind has no TCP address"));
        check("-b unix:/a", "127.0.0.1:80", Err("redirect-http needs https-port: bind has no TCP address"));
        check("-b unix:/a -b 127.0.0.1", "80", Ok(()));
        check(
            "--admin 127.0.0.1:80",
            "80",
            Err("cannot start the admin server at 127.0.0.1:80: the site has 127.0.0.1:80"),
        );
    }
}
