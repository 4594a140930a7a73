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

/// How often [`Registry::drain`] closes idle connections and checks whether it is finished, if nothing wakes it
/// earlier.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// One open connection. The socket closes when the last reference is dropped.
pub(super) struct OpenConnection {
    pub(super) transport: Transport,
    /// The key of the connection in the registry.
    number: u64,
    idle_since: Mutex<Option<Instant>>,
    /// Set by [`close_when_idle`](OpenConnection::close_when_idle), so that [`Registry::evict_idle`] chooses another.
    closing: AtomicBool,
}

impl OpenConnection {
    /// Notes that the connection's thread begins to wait for the next request (`Some`: since when), or that this wait
    /// is over (`None`).
    pub(super) fn set_idle(&self, since: Option<Instant>) {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Since when the connection is idle; `None` while its thread is serving a request.
    fn idle_since(&self) -> Option<Instant> {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the wait of the connection's thread for the next request. If a request has already arrived, the thread
    /// still responds to it; then the connection closes.
    pub(super) fn close_when_idle(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.transport.shutdown_read();
    }
}

/// The open connections by number, and the number of the next one.
#[derive(Default)]
struct Table {
    open: HashMap<u64, Arc<OpenConnection>>,
    next: u64,
}

/// All open connections of an engine.
#[derive(Default)]
pub(super) struct Registry {
    table: Mutex<Table>,
    changed: Condvar,
}

impl Registry {
    /// The number of open connections.
    pub(super) fn len(&self) -> usize {
        self.table().open.len()
    }

    /// Adds a connection. Its thread calls [`remove`](Registry::remove) when it has finished.
    pub(super) fn insert(&self, transport: Transport) -> Arc<OpenConnection> {
        let mut table = self.table();
        table.next += 1;
        let (number, idle_since, closing) = (table.next, Mutex::new(None), AtomicBool::new(false));
        let connection = Arc::new(OpenConnection { transport, number, idle_since, closing });
        table.open.insert(number, Arc::clone(&connection));
        connection
    }

    /// Removes a connection that its thread has finished, and wakes [`drain`](Registry::drain).
    pub(super) fn remove(&self, connection: &OpenConnection) {
        self.table().open.remove(&connection.number);
        self.changed.notify_all();
    }

    /// Closes the connection that has been idle for longest. Returns whether there was one.
    pub(super) fn evict_idle(&self) -> bool {
        let table = self.table();
        let open = table.open.values().filter(|connection| !connection.closing.load(Ordering::SeqCst));
        let idle = open.filter_map(|connection| Some((connection.idle_since()?, connection)));
        let longest = idle.min_by_key(|(since, _)| *since);
        longest.inspect(|(_, connection)| connection.close_when_idle()).is_some()
    }

    /// Wakes [`drain`](Registry::drain), so that it calls `is_finished` at once. Every thread calls this when it ends.
    /// Locks the table, so that `drain` is not between its check and its wait, where it would miss the wake-up.
    pub(super) fn notify(&self) {
        let _table = self.table();
        self.changed.notify_all();
    }

    /// Waits for the shutdown to begin. Then closes idle connections, again and again, until `is_finished` returns true
    /// or the grace period is over. Connections that are busy then stay open, and their threads go on to
    /// serve them.
    ///
    /// `is_finished` must return whether all threads that serve connections have ended. An empty registry does not show
    /// that: a thread may have accepted a connection and not inserted it yet.
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

    /// Locks the table. A thread that panicked while it held the lock does not poison it.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
