//! The open connections of the blocking engine and since when each is idle: to close the longest idle one at the
//! connection limit, and all idle ones at the shutdown.

use crate::{admission::Permit, shutdown::Shutdown, transport::Transport};
use http_core::{CancellationToken, io_cause};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// During a shutdown, [`Registry::drain`] looks for connections to close and calls `is_finished` at least this often.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// One open connection. The socket closes when the last reference is dropped.
pub(super) struct OpenConnection {
    pub(super) transport: Transport,
    /// The key of the connection in the registry.
    number: u64,
    idle: Mutex<IdleState>,
    /// Whether the client may be in a TLS handshake: a shutdown does not close the connection before its first request.
    is_new: AtomicBool,
    /// The token of the connection after its upgrade.
    upgraded: OnceLock<CancellationToken>,
}

/// Whether a connection is idle, and whether it counts. One lock for both: otherwise a connection that has just
/// received a request could be evicted, and its request be served although it does not count.
struct IdleState {
    /// Counts the connection, unless it is being closed for a new one.
    permit: Permit,
    /// Since when the connection's thread waits for the next request; `None` if it does not.
    since: Option<Instant>,
    /// Whether [`Registry::evict_idle`] has chosen the connection.
    is_evicted: bool,
}

impl OpenConnection {
    /// Sets since when the connection's thread waits for the next request. `None` means that it no longer waits.
    pub(super) fn set_idle(&self, since: Option<Instant>) {
        self.idle().since = since;
    }

    /// Sets whether the client may be in a TLS handshake.
    pub(super) fn set_new(&self, is_new: bool) {
        self.is_new.store(is_new, Ordering::SeqCst);
    }

    /// Since when the connection's thread waits for the next request; `None` if it does not.
    fn idle_since(&self) -> Option<Instant> {
        self.idle().since
    }

    /// Whether the connection is being closed for a new one, and does not count.
    pub(super) fn is_evicted(&self) -> bool {
        self.idle().is_evicted
    }

    /// Counts an evicted connection again, because a request has arrived on it meanwhile. Returns false if there is no
    /// room: then the request must not be served.
    pub(super) fn resume(&self) -> bool {
        self.idle().permit.resume()
    }

    /// Marks the connection as upgraded. Returns the token that [`Registry::drain`] cancels.
    pub(super) fn upgrade(&self) -> CancellationToken {
        self.upgraded.get_or_init(CancellationToken::default).clone()
    }

    /// Ends the count of the connection, and closes it, if it is idle and no request has arrived. Returns whether it
    /// is.
    fn evict(&self) -> bool {
        let mut idle = self.idle();
        if idle.is_evicted || idle.since.is_none() || self.transport.has_input() {
            return false;
        }
        idle.is_evicted = true;
        idle.permit.suspend();
        self.close_when_idle();
        true
    }

    /// Locks whether the connection is idle.
    fn idle(&self) -> MutexGuard<'_, IdleState> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the receiving side of the socket, so that the connection's thread stops waiting for a request and closes
    /// the connection. If a request has already arrived, the thread responds to it first.
    pub(super) fn close_when_idle(&self) {
        self.transport.shutdown_read();
    }
}

/// The open connections by number, and the number that the last connection got (0 before the first).
#[derive(Default)]
struct Table {
    open: HashMap<u64, Arc<OpenConnection>>,
    next: u64,
    /// Whether the grace period of a shutdown is over.
    is_over: bool,
}

/// A connection in the registry. Dropping it removes the connection.
pub(super) struct Entry<'r> {
    registry: &'r Registry,
    pub(super) connection: Arc<OpenConnection>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.registry.table().open.remove(&self.connection.number);
    }
}

/// All open connections of an engine.
#[derive(Default)]
pub(super) struct Registry {
    table: Mutex<Table>,
    /// Wakes [`drain`](Registry::drain) when a thread has ended.
    changed: Condvar,
}

impl Registry {
    /// Adds a connection, until the returned entry is dropped. `permit` counts it.
    ///
    /// After the grace period, shuts the socket down at once.
    pub(super) fn insert(&self, transport: Transport, permit: Permit) -> Entry<'_> {
        let mut table = self.table();
        if table.is_over {
            transport.shutdown_both();
        }
        table.next += 1;
        let connection = Arc::new(OpenConnection {
            transport,
            number: table.next,
            idle: Mutex::new(IdleState { permit, since: None, is_evicted: false }),
            is_new: AtomicBool::new(false),
            upgraded: OnceLock::new(),
        });
        table.open.insert(connection.number, Arc::clone(&connection));
        Entry { registry: self, connection }
    }

    /// Ends the connection that has been idle for longest, for a new one: it no longer counts, and its thread closes it
    /// at once. Returns false if no connection is idle. A connection on which a request has arrived is not idle,
    /// although its thread may not have noticed yet.
    ///
    /// If a request arrives during this call, the thread responds to it if there is room.
    pub(super) fn evict_idle(&self) -> bool {
        let table = self.table();
        let open = table.open.values();
        let mut idle: Vec<_> = open.filter_map(|open| Some((open.idle_since()?, open))).collect();
        while let Some(longest) = (0..idle.len()).min_by_key(|index| idle[*index].0) {
            let (_, connection) = idle.swap_remove(longest);
            if connection.evict() {
                return true;
            }
        }
        false
    }

    /// Wakes [`drain`](Registry::drain), so that it calls `is_finished` at once. Every thread calls this when it ends.
    pub(super) fn notify(&self) {
        // With the lock, `drain` cannot be between its check and its wait, where it would miss the wake-up.
        let _table = self.table();
        self.changed.notify_all();
    }

    /// Waits for the shutdown to begin. Then cancels the tokens of upgraded connections, and closes the others when
    /// they have been idle for `idle_grace`, until `is_finished` returns true or the grace period is over. After the
    /// grace period, shuts down the sockets of all connections, so that no receive or send waits any longer: their
    /// threads end as soon as they are not in application code.
    ///
    /// `is_finished` must return whether all threads that serve connections have ended.
    ///
    /// # Errors
    ///
    /// Waiting for the shutdown fails.
    pub(super) fn drain(
        &self,
        shutdown: &Shutdown,
        idle_grace: Duration,
        is_finished: impl Fn() -> bool,
    ) -> io::Result<()> {
        let mut events = [PollFd::new(shutdown, PollFlags::IN)];
        while !shutdown.has_begun() {
            match poll(&mut events, None::<&Timespec>) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    let error = io::Error::from(error);
                    return Err(io::Error::new(
                        error.kind(),
                        format!("cannot wait for the shutdown: {}", io_cause(&error)),
                    ));
                }
            }
        }
        let begun = Instant::now();
        let mut table = self.table();
        loop {
            let upgraded = table.open.values().filter_map(|connection| connection.upgraded.get().cloned());
            let upgraded: Vec<_> = upgraded.collect();
            if !upgraded.is_empty() {
                // What the application has registered with a token runs without the lock.
                drop(table);
                upgraded.iter().for_each(CancellationToken::cancel);
                table = self.table();
            }
            // A session that may be in a handshake ends by its own deadline.
            let is_over = |connection: &&Arc<OpenConnection>| {
                let is_idle = |since: Instant| since.max(begun).elapsed() >= idle_grace;
                connection.idle_since().is_some_and(is_idle) && !connection.is_new.load(Ordering::SeqCst)
            };
            let idle = table.open.values().filter(is_over);
            idle.for_each(|connection| connection.close_when_idle());
            if is_finished() {
                return Ok(());
            }
            let left = |end: Instant| end.saturating_duration_since(Instant::now());
            let left = shutdown.deadline().map_or(Duration::ZERO, left);
            if left.is_zero() {
                table.is_over = true;
                table.open.values().for_each(|connection| connection.transport.shutdown_both());
                return Ok(());
            }
            let waited = self.changed.wait_timeout(table, left.min(CHECK_INTERVAL));
            table = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Locks the table. This works even if a thread has panicked while it held the lock.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admission::Admission, settings::Settings};
    use std::{io::Write, os::unix::net::UnixStream};

    #[test]
    fn evicts_the_longest_idle_connection_without_a_request() {
        let (registry, admission) = (Registry::default(), Admission::new(&Settings::default(), 3));
        let start = Instant::now();
        let open = |age| {
            let (server, client) = UnixStream::pair().expect("sockets");
            let entry =
                registry.insert(Transport::new(server.into(), true), admission.admit(None).expect("room"));
            entry.connection.set_idle(start.checked_sub(Duration::from_secs(age)));
            (entry, client)
        };
        let [(oldest, mut client), (middle, _client), (youngest, _other)] = [3, 2, 1].map(open);
        client.write_all(b"GET").expect("an open connection");
        youngest.connection.set_idle(None);
        assert!(admission.admit(None).is_err());
        assert!(registry.evict_idle() && middle.connection.is_evicted());
        assert!(!registry.evict_idle() && !oldest.connection.is_evicted());
        let new = admission.admit(None);
        assert!(new.is_ok() && !middle.connection.resume(), "the new connection has its room");
        drop(new);
        assert!(middle.connection.resume());
    }
}
