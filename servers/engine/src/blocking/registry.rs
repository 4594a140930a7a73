//! The open connections of the blocking engine and since when each is idle: to close the longest idle one at the
//! connection limit, and all idle ones at the shutdown.

use crate::{shutdown::Shutdown, transport::Transport};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// During a shutdown, [`Registry::drain`] closes idle connections and calls `is_finished` at least this often.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// One open connection. The socket closes when the last reference is dropped.
pub(super) struct OpenConnection {
    pub(super) transport: Transport,
    /// The key of the connection in the registry.
    number: u64,
    /// Since when the connection's thread waits for the next request; `None` if it does not.
    idle_since: Mutex<Option<Instant>>,
    /// Whether [`close_when_idle`](OpenConnection::close_when_idle) was called. [`Registry::evict_idle`] ignores such a
    /// connection.
    closing: AtomicBool,
}

impl OpenConnection {
    /// Sets since when the connection's thread waits for the next request. `None` means that it no longer waits.
    pub(super) fn set_idle(&self, since: Option<Instant>) {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Since when the connection's thread waits for the next request; `None` if it does not.
    fn idle_since(&self) -> Option<Instant> {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the receiving side of the socket, so that the connection's thread stops waiting for a request and closes
    /// the connection. If a request has already arrived, the thread responds to it first.
    pub(super) fn close_when_idle(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.transport.shutdown_read();
    }
}

/// The open connections by number, and the number that the last connection got (0 before the first).
#[derive(Default)]
struct Table {
    open: HashMap<u64, Arc<OpenConnection>>,
    next: u64,
}

/// All open connections of an engine.
#[derive(Default)]
pub(super) struct Registry {
    table: Mutex<Table>,
    /// Wakes [`drain`](Registry::drain) when a connection was removed or a thread has ended.
    changed: Condvar,
}

impl Registry {
    /// The number of open connections.
    pub(super) fn len(&self) -> usize {
        self.table().open.len()
    }

    /// Adds a connection. Its thread must call [`remove`](Registry::remove) after it has served the connection.
    pub(super) fn insert(&self, transport: Transport) -> Arc<OpenConnection> {
        let mut table = self.table();
        table.next += 1;
        let (number, idle_since, closing) = (table.next, Mutex::new(None), AtomicBool::new(false));
        let connection = Arc::new(OpenConnection { transport, number, idle_since, closing });
        table.open.insert(number, Arc::clone(&connection));
        connection
    }

    /// Removes a connection that was served to its end, and wakes [`drain`](Registry::drain).
    pub(super) fn remove(&self, connection: &OpenConnection) {
        self.table().open.remove(&connection.number);
        self.changed.notify_all();
    }

    /// Ends the connection that has been idle for longest ([`OpenConnection::close_when_idle`]). Returns false if no
    /// connection is idle.
    pub(super) fn evict_idle(&self) -> bool {
        let table = self.table();
        let open = table.open.values().filter(|connection| !connection.closing.load(Ordering::SeqCst));
        let idle = open.filter_map(|connection| Some((connection.idle_since()?, connection)));
        let longest = idle.min_by_key(|(since, _)| *since);
        longest.inspect(|(_, connection)| connection.close_when_idle()).is_some()
    }

    /// Wakes [`drain`](Registry::drain), so that it calls `is_finished` at once. Every thread calls this when it ends.
    pub(super) fn notify(&self) {
        // With the lock, `drain` cannot be between its check and its wait, where it would miss the wake-up.
        let _table = self.table();
        self.changed.notify_all();
    }

    /// Waits for the shutdown to begin. Then closes connections as they become idle, until `is_finished` returns true
    /// or the grace period is over. After the grace period, busy connections stay open and their threads continue.
    ///
    /// `is_finished` must return whether all threads that serve connections have ended. If waiting for the shutdown
    /// fails, logs the error and returns.
    pub(super) fn drain(&self, shutdown: &Shutdown, is_finished: impl Fn() -> bool) {
        let mut events = [PollFd::new(shutdown, PollFlags::IN)];
        while !shutdown.has_begun() {
            match poll(&mut events, None::<&Timespec>) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    log::error!("cannot wait for the shutdown: {error}");
                    return;
                }
            }
        }
        let mut table = self.table();
        loop {
            // A session checks for the shutdown after `set_idle`, so that none is missed between the two.
            let idle = table.open.values().filter(|connection| connection.idle_since().is_some());
            idle.for_each(|connection| connection.close_when_idle());
            let left = |end: Instant| end.saturating_duration_since(Instant::now());
            let left = shutdown.deadline().map_or(Duration::ZERO, left);
            if is_finished() || left.is_zero() {
                return;
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
