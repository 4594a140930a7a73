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

/// How often [`Registry::drain`] checks for the end without being notified.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// One open connection. The socket closes when the last reference is dropped.
pub(super) struct OpenConnection {
    pub(super) transport: Transport,
    number: u64,
    idle_since: Mutex<Option<Instant>>,
    closing: AtomicBool,
}

impl OpenConnection {
    /// Notes that its thread begins to wait for the next request (`Some`), or that the wait is over (`None`).
    pub(super) fn set_idle(&self, since: Option<Instant>) {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn idle_since(&self) -> Option<Instant> {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the wait of its thread. A request that has already arrived is still read and answered; the connection
    /// closes after it.
    pub(super) fn close_when_idle(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.transport.shutdown_read();
    }
}

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
    pub(super) fn len(&self) -> usize {
        self.table().open.len()
    }

    /// Adds a connection. Its session removes it with [`remove`](Registry::remove).
    pub(super) fn insert(&self, transport: Transport) -> Arc<OpenConnection> {
        let mut table = self.table();
        table.next += 1;
        let (number, idle_since, closing) = (table.next, Mutex::new(None), AtomicBool::new(false));
        let connection = Arc::new(OpenConnection { transport, number, idle_since, closing });
        table.open.insert(number, Arc::clone(&connection));
        connection
    }

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

    /// Makes [`drain`](Registry::drain) check at once: a thread has ended.
    pub(super) fn notify(&self) {
        let _table = self.table();
        self.changed.notify_all();
    }

    /// Waits for the shutdown, then closes idle connections until `is_finished` or the end of the grace period. An
    /// empty registry does not mean that all is finished: a connection may have been accepted and not inserted yet.
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

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
