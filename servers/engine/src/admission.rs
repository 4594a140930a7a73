//! Decides what a new connection gets: service, or 503 because a connection limit is reached.

use crate::settings::Settings;
use http_core::{BufferPool, Config, Connection, MemoryBudget};
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
    /// The maximum number of open connections. In the blocking engine this is the limit of the server; in an event
    /// loop, an equal share of it, rounded up.
    max_connections: usize,
    /// The maximum number of open connections of each client address, over all workers; `None` for no limit.
    per_address: Option<Arc<AddressLimit>>,
    /// Limits the memory of the requests of all workers.
    budget: MemoryBudget,
}

impl Admission {
    /// Creates the limits: at most `max_connections` connections at once, and per client address as many as the
    /// settings allow.
    pub(crate) fn new(settings: &Settings, max_connections: usize) -> Admission {
        let per_address = settings.max_connections_per_address.map(AddressLimit::new);
        let budget = MemoryBudget::new(settings.max_buffered_bytes);
        Admission { config: Arc::new(settings.protocol.clone()), max_connections, per_address, budget }
    }

    /// Returns a copy for one event loop. Each event loop may hold `max_connections` connections. The limit per client
    /// address applies to the connections of all copies together.
    pub(crate) fn for_worker(&self) -> Admission {
        // Each new connection changes the reference count of the configuration. A configuration of its own keeps event
        // loops from writing to the same memory.
        Admission { config: Arc::new(Config::clone(&self.config)), ..self.clone() }
    }

    /// The number of open connections at which a new connection only gets 503, unless an idle connection can be closed
    /// for it.
    pub(crate) fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// Creates a pool that keeps at most `max_free` unused buffers. The buffers of all pools together grow up to
    /// [`Settings::max_buffered_bytes`].
    pub(crate) fn buffer_pool(&self, max_free: usize) -> BufferPool {
        BufferPool::new(max_free).with_budget(self.budget.clone())
    }

    /// The protocol limits and timeouts of every connection.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Creates the protocol state of a new connection. `client_addr` is `None` if the client has no IP address.
    ///
    /// If `has_room` is false (the connection limit is reached), or if the client's address has reached its own limit, the
    /// connection does nothing but send 503 and close.
    ///
    /// The permit counts the connection for the client's address until it is dropped: keep it while the connection is
    /// open. There is no permit if the address has reached its limit, if the settings have no limit per address, or if
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

/// The limit of connections per client address, and the number of open connections of each address in this process.
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

    /// Locks the table of open connections. This works even if a thread has panicked while it held the lock.
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
