//! Decides what a new connection gets: service, or 503 because a connection limit is reached.

use crate::settings::Settings;
use http_core::{Config, Connection};
use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The connection limits of the blocking engine or of one event loop, and the configuration of the connections.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    config: Arc<Config>,
    /// The maximum number of open connections: the whole limit for the blocking engine, an equal share for an event
    /// loop.
    max_connections: usize,
    /// The maximum number of open connections of each client address, over all workers; `None` for no limit.
    per_address: Option<Arc<AddressLimit>>,
}

impl Admission {
    /// Creates the limits: at most `max_connections` connections at once, and per client address as many as the
    /// settings allow.
    pub(crate) fn new(settings: &Settings, max_connections: usize) -> Admission {
        let per_address = settings.max_connections_per_address.map(AddressLimit::new);
        Admission { config: Arc::new(settings.protocol.clone()), max_connections, per_address }
    }

    /// Returns a copy for one event loop. Each copy allows `max_connections` of its own: the caller has divided the
    /// limit among the event loops. The connections of a client address count together in all copies.
    ///
    /// Each copy has its own configuration too: every new connection changes its reference count, and event loops
    /// should not write to the same memory.
    pub(crate) fn for_worker(&self) -> Admission {
        Admission { config: Arc::new(Config::clone(&self.config)), ..self.clone() }
    }

    /// The number of connections that may be open at once, those that only get 503 not included.
    pub(crate) fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// The protocol limits and timeouts of every connection.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Creates the protocol state of a new connection. If `has_room` is false (the connection limit is reached), or the
    /// client's address has reached its own limit, the connection only sends 503. `client_addr` is `None` if it is not
    /// an IP address.
    ///
    /// The permit counts as one connection of the client's address. Keep it until the connection closes: dropping it
    /// ends the count. It is `None` if the limit of the address is reached, if the settings limit no addresses, or if
    /// `client_addr` is `None`.
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

/// The connection limit per client address, and the open connections of each address in this process.
#[derive(Debug)]
struct AddressLimit {
    limit: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// Counts one open connection of a client address. Dropping it ends the count.
#[derive(Debug)]
pub(crate) struct Permit {
    limit: Arc<AddressLimit>,
    address: IpAddr,
}

/// The error of [`AddressLimit::acquire`]: the address has as many connections as it may have.
#[derive(Clone, Copy, Debug)]
struct LimitReached;

impl AddressLimit {
    /// Allows each address `limit` connections at once.
    fn new(limit: usize) -> Arc<AddressLimit> {
        Arc::new(AddressLimit { limit, open: Mutex::default() })
    }

    /// Counts one more connection from `address`, until the returned permit is dropped.
    ///
    /// # Errors
    ///
    /// `address` already has as many connections as it may have. Nothing is counted.
    fn acquire(self: &Arc<AddressLimit>, address: IpAddr) -> Result<Permit, LimitReached> {
        let mut open = self.open();
        let count = open.entry(address).or_default();
        if *count >= self.limit {
            return Err(LimitReached);
        }
        *count += 1;
        Ok(Permit { limit: Arc::clone(self), address })
    }

    /// Locks the table of open connections. A thread that panicked while it held the lock does not poison it.
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
