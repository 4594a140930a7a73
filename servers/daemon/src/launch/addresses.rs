//! Where a server listens: bound anew, or as it comes from whoever has bound it already.

use super::settings::{Failure, Settings, failed};
use crate::handoff::socket_activation;
use http_engine::{
    Engine,
    listener::{self, Sharing},
};
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

/// What a service manager has bound, or else what the settings name: for event loops a socket each, so that the
/// kernel spreads connections over them. All of them go to a successor, and with them whoever waits there.
pub(super) fn listen(settings: &Settings) -> Result<Vec<TcpListener>, Failure> {
    let activated =
        socket_activation::listeners().map_err(failed("cannot listen on what was handed over"))?;
    if let Some(listeners) = activated {
        return Ok(listeners);
    }
    if settings.prefork || settings.engine == Engine::Blocking {
        return bind(settings, Sharing::OneForAll);
    }
    let first = bind(settings, Sharing::EachItsOwn)?;
    let sets = listener::one_for_each(first, settings.workers);
    Ok(sets.map_err(failed("cannot listen with another socket"))?.into_iter().flatten().collect())
}

/// Each address once, in the order in which they were asked for.
pub(super) fn of(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    let mut known = BTreeSet::new();
    let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
    addresses.filter(|address| known.insert(*address)).collect()
}

/// Binds what was asked for, or the loopback addresses: IPv4's always, IPv6's where the machine has one.
fn bind(settings: &Settings, sharing: Sharing) -> Result<Vec<TcpListener>, Failure> {
    let all = |addresses: &[IpAddr]| -> Vec<SocketAddr> {
        addresses.iter().map(|address| SocketAddr::new(*address, settings.port)).collect()
    };
    let cannot =
        |(address, error): (SocketAddr, io::Error)| failed(format!("cannot listen on {address}"))(error);
    if !settings.binds.is_empty() {
        return listener::bind_all(&all(&settings.binds), sharing).map_err(cannot);
    }
    let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    match listener::bind_all(&all(&both), sharing) {
        Err((address, error)) if address.is_ipv6() && error.kind() != io::ErrorKind::AddrInUse => {
            listener::bind_all(&all(&both[..1]), sharing).map_err(cannot)
        }
        outcome => outcome.map_err(cannot),
    }
}
