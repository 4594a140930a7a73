//! Decides whether a new connection is served or refused: the limit of open connections, and the limit per client
//! address.
//!
//! The order matters, and both engines keep it: first the client's address ([`Admission::admit_address`]), then room
//! for one more connection ([`Admission::admit`]), and only if there is none, the longest idle connection is closed. So
//! a client at its own limit costs no other client its connection. A refused connection gets 503 and does not count.

use crate::{metrics::Counters, reserve::Reserve, settings::Settings};
use http_core::{BufferPool, Config, Connection, MemoryBudget, TlsInfo};
use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// The maximum number of refused connections that a server holds open at once. For one more, the oldest is closed: a
/// client that does not close its refused connection delays no other client.
pub(crate) const MAX_REFUSED: usize = 64;

/// How long a refused connection stays open at most. In this time the client can read the 503 and close the connection:
/// if the server closed first while bytes of the client are in flight, the kernel would reset the connection, and the
/// client could lose the 503 (RFC 9112 §9.6). A round trip rarely takes longer.
pub(crate) const REFUSED_LINGER: Duration = Duration::from_millis(250);

/// How many idle connections are closed for a new one when there is no descriptor left: one for the new connection, the
/// others for the files that its request may need.
pub(crate) const SHORTAGE_EVICTIONS: usize = 4;

/// The connection limits of a server, and the configuration of its connections.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    config: Arc<Config>,
    connections: Arc<WorkerConnections>,
    /// The counters of each worker, by its number.
    counters: Arc<[Arc<Counters>]>,
    /// The maximum number of open connections of each client address, over all workers; `None` for no limit.
    per_address: Option<Arc<AddressLimit>>,
    /// Limits the memory of the requests of all workers.
    budget: MemoryBudget,
    reserve: Arc<Reserve>,
}

impl Admission {
    /// Creates the limits: at most `max_connections` connections at once, and per client address as many as the
    /// settings allow.
    pub(crate) fn new(settings: &Settings, max_connections: usize) -> Admission {
        let limit = Arc::new(ConnectionLimit { limit: max_connections, open: AtomicUsize::new(0) });
        let counters = Counters::of_workers(settings.workers, settings.measure_latency);
        Admission {
            config: Arc::new(settings.protocol.clone()),
            connections: Arc::new(WorkerConnections { limit, counters: Arc::clone(&counters[0]) }),
            counters,
            per_address: settings.max_connections_per_address.map(AddressLimit::new),
            budget: MemoryBudget::new(settings.max_buffered_bytes),
            reserve: Arc::new(Reserve::new()),
        }
    }

    /// Returns a copy for the worker with this number, or for one of its threads. The limits apply to the connections
    /// of all copies together. Numbers beyond the last worker start again at worker 0.
    pub(crate) fn for_worker(&self, number: usize) -> Admission {
        // Each new connection changes the reference counts of the configuration and of `WorkerConnections`. Copies keep
        // event loops from writing to the same memory.
        Admission {
            config: Arc::new(Config::clone(&self.config)),
            connections: Arc::new(WorkerConnections {
                limit: Arc::clone(&self.connections.limit),
                counters: Arc::clone(&self.counters[number % self.counters.len()]),
            }),
            ..self.clone()
        }
    }

    /// The counters of this worker.
    #[inline]
    pub(crate) fn counters(&self) -> &Counters {
        &self.connections.counters
    }

    /// The counters of all workers, by their numbers.
    pub(crate) fn all_counters(&self) -> &Arc<[Arc<Counters>]> {
        &self.counters
    }

    /// The maximum number of open connections.
    pub(crate) fn max_connections(&self) -> usize {
        self.connections.limit.limit
    }

    /// Creates a pool that keeps at most `max_free` unused buffers. The buffers of all pools together grow up to
    /// [`Settings::max_buffered_bytes`].
    pub(crate) fn buffer_pool(&self, max_free: usize) -> BufferPool {
        BufferPool::new(max_free).with_budget(self.budget.clone())
    }

    /// The descriptor that is released when there is no other for a new connection.
    pub(crate) fn reserve(&self) -> &Arc<Reserve> {
        &self.reserve
    }

    /// Whether no connection is counted, and no buffer has grown.
    #[cfg(test)]
    pub(crate) fn is_unused(&self) -> bool {
        let is_empty = |limit: &Arc<AddressLimit>| limit.open().is_empty();
        self.connections.limit.open.load(Ordering::Relaxed) == 0
            && self.per_address.as_ref().is_none_or(is_empty)
            && self.budget.used() == 0
    }

    /// The protocol limits and timeouts of every connection.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Counts a new connection for its client's address, until the returned permit is dropped. The permit is `None` if
    /// the settings have no limit per address, if `client_addr` is `None` (the client has no IP address), or if it is
    /// the address of a trusted proxy. The connection of a proxy is counted again when the proxy has announced its
    /// client.
    ///
    /// # Errors
    ///
    /// The address has as many connections as it may have. Nothing is counted: the connection must be refused.
    pub(crate) fn admit_address(
        &self,
        client_addr: Option<SocketAddr>,
    ) -> Result<Option<AddressPermit>, LimitReached> {
        match self.per_address.as_ref().zip(client_addr) {
            Some((limit, address)) if !self.config.proxies.trust(Some(address.ip())) => {
                limit.acquire(address.ip()).map(Box::new).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Counts a new connection, until the returned permit is dropped: keep it while the connection is open. `address`
    /// is the result of [`admit_address`](Admission::admit_address).
    ///
    /// # Errors
    ///
    /// As many connections are open as the server may hold. Returns `address`, so that the caller can close an idle
    /// connection and try again.
    pub(crate) fn admit(&self, address: Option<AddressPermit>) -> Result<Permit, Option<AddressPermit>> {
        if self.connections.acquire() {
            Ok(Permit { connections: Arc::clone(&self.connections), is_counted: true, address })
        } else {
            Err(address)
        }
    }

    /// Creates the protocol state of a new connection. If it is refused (`is_refused`), it does nothing but send 503
    /// and close. `client_addr` is `None` if the client has no IP address. `tls` is what TLS negotiates, if it
    /// secures the connection.
    pub(crate) fn connection(
        &self,
        client_addr: Option<SocketAddr>,
        tls: Option<Arc<OnceLock<TlsInfo>>>,
        is_refused: bool,
        now: Instant,
    ) -> Connection {
        let new = if is_refused { Connection::over_limit } else { Connection::new };
        let mut connection = new(Arc::clone(&self.config), now);
        if let Some(session) = tls {
            connection = connection.with_tls_info(session);
        }
        match client_addr {
            Some(address) => connection.with_client_addr(address),
            None => connection,
        }
    }
}

/// The number of open connections of a server, and its limit.
#[derive(Debug)]
struct ConnectionLimit {
    limit: usize,
    open: AtomicUsize,
}

impl ConnectionLimit {
    /// Counts one more connection. Returns false, and counts nothing, if the limit is reached.
    fn count(&self) -> bool {
        let one_more = |open: usize| (open < self.limit).then(|| open + 1);
        // The count orders no other memory.
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

/// One worker's reference to the connection count of the server, and the worker's own counters.
#[derive(Debug)]
struct WorkerConnections {
    limit: Arc<ConnectionLimit>,
    counters: Arc<Counters>,
}

impl WorkerConnections {
    /// Counts one more connection. Returns false, and counts nothing, if the limit is reached.
    fn acquire(&self) -> bool {
        let is_counted = self.limit.count();
        if is_counted {
            self.counters.open();
        }
        is_counted
    }

    /// Ends the count of a connection.
    fn release(&self) {
        self.limit.open.fetch_sub(1, Ordering::Relaxed);
        self.counters.close();
    }
}

/// The permission to hold one more connection: counts it, and counts it for its client's address. Dropping it ends both
/// counts.
#[derive(Debug)]
pub(crate) struct Permit {
    connections: Arc<WorkerConnections>,
    is_counted: bool,
    /// Held until the connection closes.
    address: Option<AddressPermit>,
}

impl Permit {
    /// Counts the connection for the address that a trusted proxy has announced, instead of that of the proxy.
    pub(crate) fn set_address(&mut self, address: Option<AddressPermit>) {
        self.address = address;
    }

    /// Ends the count of the connection, which is being closed for a new one. It still counts for its client's address.
    pub(crate) fn suspend(&mut self) {
        if std::mem::take(&mut self.is_counted) {
            self.connections.release();
        }
    }

    /// Counts the connection again after [`suspend`](Permit::suspend). Returns false if there is no room: the
    /// connection must be closed.
    pub(crate) fn resume(&mut self) -> bool {
        self.is_counted = self.is_counted || self.connections.acquire();
        self.is_counted
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.suspend();
    }
}

/// The limit of connections per client address, and the number of open connections of each address in this process.
#[derive(Debug)]
struct AddressLimit {
    limit: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// The permission of a client address to hold one more connection. In a box, because a server without a limit per
/// address has none.
pub(crate) type AddressPermit = Box<CountedAddress>;

/// Counts one open connection of a client address. Dropping it ends the count.
#[derive(Debug)]
pub(crate) struct CountedAddress {
    limit: Arc<AddressLimit>,
    address: IpAddr,
}

/// The error of [`Admission::admit_address`]: the address has as many connections as it may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitReached;

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
    fn acquire(self: &Arc<AddressLimit>, address: IpAddr) -> Result<CountedAddress, LimitReached> {
        let mut open = self.open();
        let count = open.entry(address).or_default();
        if *count >= self.limit {
            return Err(LimitReached);
        }
        *count += 1;
        Ok(CountedAddress { limit: Arc::clone(self), address })
    }

    /// Locks the table of open connections. This works even if a thread has panicked while it held the lock.
    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CountedAddress {
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
    use std::net::Ipv4Addr;

    #[test]
    fn all_workers_together_have_one_limit() {
        let settings = Settings { max_connections_per_address: Some(3), ..Settings::default() };
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let first = Admission::new(&settings, 2);
        let second = first.for_worker(1);
        let address = |admission: &Admission| admission.admit_address(Some(client));
        let permits = [&first, &second].map(|worker| worker.admit(address(worker).expect("a permit")));
        assert!(permits.iter().all(Result::is_ok));
        let Err(third @ Some(_)) = first.admit(address(&first).expect("a permit")) else {
            panic!("the limit is 2")
        };
        assert!(address(&second).is_err(), "the third one counts for the address while it waits for room");
        drop(permits);
        let mut third = second.admit(third).expect("room");
        let fourth = first.admit(None);
        assert!(fourth.is_ok() && first.admit(None).is_err());
        third.suspend();
        let fifth = first.admit(None);
        assert!(fifth.is_ok() && !third.resume(), "the fifth connection has the room of the third");
        drop(fourth);
        assert!(third.resume() && first.admit(None).is_err());
        drop((third, fifth));
        assert_eq!(first.connections.limit.open.load(Ordering::Relaxed), 0);
        assert!(first.per_address.is_some_and(|limit| limit.open().is_empty()));
    }
}
