//! Gets the listeners of a new server: from the service manager, or by binding the addresses in the settings.

use super::settings::ServerSettings;
use crate::{handoff::socket_activation, system::Context};
use http_engine::{
    Engine,
    listener::{self, Sharing},
};
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

/// The sockets of the service manager if it has passed any, else newly bound ones. Event loops in one process get a
/// socket each for every address, so that the kernel distributes connections among them; a successor receives them all.
pub(super) fn listen(settings: &ServerSettings) -> io::Result<Vec<TcpListener>> {
    let activated = socket_activation::listeners().context("cannot use the service manager's sockets")?;
    if let Some(listeners) = activated {
        return Ok(listeners);
    }
    if settings.options.prefork || settings.engine == Engine::Blocking {
        return bind(settings, Sharing::Shared);
    }
    let first = bind(settings, Sharing::PerWorker)?;
    let sets = listener::bind_per_worker(first, settings.workers())
        .context("cannot bind a socket for each worker")?;
    Ok(sets.into_iter().flatten().collect())
}

/// The addresses of the listeners in their order, each once.
pub(super) fn distinct(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    let mut seen = BTreeSet::new();
    let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
    addresses.filter(|address| seen.insert(*address)).collect()
}

/// Binds the addresses in the settings. Without any, binds the IPv4 loopback address, and the IPv6 one if the machine
/// has IPv6.
fn bind(settings: &ServerSettings, sharing: Sharing) -> io::Result<Vec<TcpListener>> {
    let (binds, port) = (&settings.options.bind, settings.options.port);
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let hosts = if binds.is_empty() { &loopback[..] } else { binds };
    let addresses: Vec<_> = hosts.iter().map(|host| SocketAddr::new(*host, port)).collect();
    let bound = match listener::bind_all(&addresses, sharing) {
        Err((address, error))
            if binds.is_empty() && address.is_ipv6() && error.kind() != io::ErrorKind::AddrInUse =>
        {
            listener::bind_all(&addresses[..1], sharing)
        }
        result => result,
    };
    bound.map_err(|(address, error)| {
        let is_privileged = address.port() < 1024 && error.kind() == io::ErrorKind::PermissionDenied;
        let remedy = if is_privileged { " (ports below 1024 need root or CAP_NET_BIND_SERVICE)" } else { "" };
        io::Error::new(error.kind(), format!("cannot bind {address}: {error}{remedy}"))
    })
}
