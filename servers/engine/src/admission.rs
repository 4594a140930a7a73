//! Decides what a new connection gets: service, or 503 because a connection limit is reached.

use crate::settings::Settings;
use http_core::{Config, Connection};
use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The connection limits, the same for both engines.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    config: Arc<Config>,
    max_connections: usize,
    per_address: Option<Arc<AddressLimit>>,
}

impl Admission {
    /// `max_connections` is the limit of the caller; the limit per client address is in the settings.
    pub(crate) fn new(settings: &Settings, max_connections: usize) -> Admission {
        let per_address = settings.max_connections_per_address.map(AddressLimit::new);
        Admission { config: Arc::new(settings.protocol.clone()), max_connections, per_address }
    }

    /// A copy for one worker, with its own reference count on the configuration, which every connection changes.
    pub(crate) fn for_worker(&self) -> Admission {
        Admission { config: Arc::new(Config::clone(&self.config)), ..self.clone() }
    }

    /// The number of connections that the caller may serve at once.
    pub(crate) fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// The configuration of the connections.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Creates the protocol state of a new connection. Without `has_room`, or if the client's address has reached its
    /// own limit, the connection only sends 503. The permit counts the connection for its address while it exists.
    pub(crate) fn admit(
        &self,
        client_addr: Option<SocketAddr>,
        has_room: bool,
        now: Instant,
    ) -> (Connection, Option<Box<Permit>>) {
        let limited = self.per_address.as_ref().zip(client_addr);
        let permit = limited.map(|(limit, address)| limit.acquire(address.ip())).transpose();
        let new = if has_room && permit.is_ok() { Connection::new } else { Connection::over_limit };
        let connection = new(Arc::clone(&self.config), now);
        let connection = match client_addr {
            Some(address) => connection.with_client_addr(address),
            None => connection,
        };
        (connection, permit.ok().flatten().map(Box::new))
    }
}

/// Counts the connections of each client address, for all workers of a process.
#[derive(Debug)]
struct AddressLimit {
    limit: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's share of its client address's limit. Dropping it returns the share.
#[derive(Debug)]
pub(crate) struct Permit {
    limit: Arc<AddressLimit>,
    address: IpAddr,
}

/// The client's address already has as many connections as it may have.
#[derive(Clone, Copy, Debug)]
struct LimitReached;

impl AddressLimit {
    fn new(limit: usize) -> Arc<AddressLimit> {
        Arc::new(AddressLimit { limit, open: Mutex::default() })
    }

    fn acquire(self: &Arc<AddressLimit>, address: IpAddr) -> Result<Permit, LimitReached> {
        let mut open = self.open();
        let count = open.entry(address).or_default();
        if *count >= self.limit {
            return Err(LimitReached);
        }
        *count += 1;
        Ok(Permit { limit: Arc::clone(self), address })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Entry::Occupied(mut open) = self.limit.open().entry(self.address) {
            *open.get_mut() -= 1;
            // Remove addresses without connections: the table must not grow with every client ever seen.
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn each_address_has_its_own_limit_and_dropped_permits_return() {
        let limit = AddressLimit::new(2);
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        let first = limit.acquire(v4);
        let second = limit.acquire(v4);
        assert!(first.is_ok() && second.is_ok() && limit.acquire(v4).is_err());
        assert!(limit.acquire(v6).is_ok());
        drop(first);
        assert!(limit.acquire(v4).is_ok());
        drop(second);
        assert!(limit.open().is_empty(), "{limit:?}");
    }
}
