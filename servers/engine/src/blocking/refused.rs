//! The refused connections of the blocking engine. The thread that has accepted such a connection sends the 503 without
//! waiting, and accepts the next one; a single thread closes them all.
//!
//! Never waits for a client.

use crate::{
    admission::{MAX_REFUSED, REFUSED_LINGER},
    drive::{Action, Driver},
    metrics::Counters,
    shutdown::Shutdown,
    transport::{Received, Transmitted, Transport},
};
use http_core::{Buffers, Clock, Connection, Handler};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How often the closing thread checks the refused connections. After the client has closed, a connection keeps its
/// descriptor for at most this time.
const INTERVAL: Duration = Duration::from_millis(50);

/// The maximum number of receives from one refused connection in one call of [`RefusedConnection::advance`], so that a
/// client that sends without pause does not occupy the thread.
const RECEIVES: usize = 16;

/// A connection that gets 503 and is then closed. Its socket is non-blocking.
pub(super) struct RefusedConnection {
    transport: Transport,
    conn: Connection,
    buffers: Buffers,
    /// When it is closed at the latest.
    end: Instant,
}

impl RefusedConnection {
    /// Sends 503 as far as that is possible without waiting. `conn` must be over a limit ([`Connection::over_limit`]).
    /// Returns `None` if the connection is over already: the socket is closed.
    pub(super) fn new(
        mut transport: Transport,
        conn: Connection,
        handler: &dyn Handler,
        clock: &Clock,
        counters: &Counters,
    ) -> Option<RefusedConnection> {
        transport.set_blocking(false).ok()?;
        let end = clock.now() + REFUSED_LINGER;
        let mut refused = RefusedConnection { transport, conn, buffers: Buffers::default(), end };
        refused.advance(handler, clock, counters).then_some(refused)
    }

    /// Sends what is left of the 503, and drops what the client has sent. Returns false if the connection must be
    /// closed.
    fn advance(&mut self, handler: &dyn Handler, clock: &Clock, counters: &Counters) -> bool {
        let RefusedConnection { transport, conn, buffers, .. } = self;
        let mut receives = 0;
        loop {
            let action = Driver { conn, buffers, handler, clock, streams: &(), late: &mut None, counters }
                .drive(&mut u32::MAX.clone());
            match action {
                Action::Receive if receives == RECEIVES => return true,
                Action::Receive => match transport.receive(&mut buffers.input) {
                    Ok(Received::Bytes { .. }) => receives += 1,
                    Ok(Received::Eof) => conn.receive_eof(),
                    Ok(Received::WouldBlock) => return true,
                    Err(_) => return false,
                },
                Action::Send => match transport.transmit(&mut buffers.out, u64::MAX, counters) {
                    Ok(Transmitted::All) => {}
                    Ok(Transmitted::WouldBlock | Transmitted::Pending | Transmitted::BudgetSpent) => {
                        return true;
                    }
                    _ => return false,
                },
                Action::ShutdownWrite if transport.shutdown_write().is_ok() => {}
                _ => return false,
            }
        }
    }
}

/// The refused connections that are still open.
#[derive(Default)]
pub(super) struct RefusedConnections {
    list: Mutex<RefusedList>,
}

#[derive(Default)]
struct RefusedList {
    /// The oldest first.
    connections: VecDeque<RefusedConnection>,
    /// Whether a thread runs [`RefusedConnections::close_all`].
    has_thread: bool,
}

impl RefusedConnections {
    /// Keeps a connection open until its end. If there are [`MAX_REFUSED`] already, closes the oldest.
    ///
    /// Returns true if the caller must start a thread that calls [`close_all`](RefusedConnections::close_all).
    pub(super) fn push(&self, connection: RefusedConnection) -> bool {
        let mut list = self.list();
        if list.connections.len() >= MAX_REFUSED {
            list.connections.pop_front();
        }
        list.connections.push_back(connection);
        !std::mem::replace(&mut list.has_thread, true)
    }

    /// Closes connections when their clients have closed them or their end has come, and all of them after the grace
    /// period of a shutdown. Returns when there are none left.
    pub(super) fn close_all(
        &self,
        handler: &dyn Handler,
        clock: &mut Clock,
        counters: &Counters,
        shutdown: &Shutdown,
    ) {
        loop {
            thread::sleep(INTERVAL);
            clock.update(Instant::now(), SystemTime::now);
            let is_over = shutdown.deadline().is_some_and(|deadline| deadline <= clock.now());
            let mut list = self.list();
            list.connections.retain_mut(|connection| {
                !is_over && connection.advance(handler, clock, counters) && connection.end > clock.now()
            });
            if list.connections.is_empty() {
                list.has_thread = false;
                return;
            }
        }
    }

    /// Closes all connections at once. Call this if no thread can be started for
    /// [`close_all`](RefusedConnections::close_all).
    pub(super) fn clear(&self) {
        *self.list() = RefusedList::default();
    }

    /// Locks the list. This works even if a thread has panicked while it held the lock.
    fn list(&self) -> MutexGuard<'_, RefusedList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_core::{Request, Response};
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
        sync::Arc,
    };

    #[test]
    fn the_oldest_refused_connection_is_closed_for_one_too_many() {
        let (refused, clock) =
            (RefusedConnections::default(), Clock::new("test", Instant::now(), SystemTime::now()));
        let refuse = || {
            let (server, client) = UnixStream::pair().expect("sockets");
            let conn = Connection::over_limit(Arc::default(), clock.now());
            let handler = |_: &Request<'_>| Response::text("here");
            let connection = RefusedConnection::new(
                Transport::new(server.into(), true),
                conn,
                &handler,
                &clock,
                &Counters::default(),
            );
            (client, refused.push(connection.expect("an open connection")))
        };
        let mut clients: Vec<_> = (0..=MAX_REFUSED).map(|_| refuse()).collect();
        assert_eq!(clients.iter().filter(|(_, needs_thread)| *needs_thread).count(), 1);
        let is_open = |(client, _): &mut (UnixStream, bool)| {
            let mut response = String::new();
            client.read_to_string(&mut response).expect("a response, and its end");
            assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
            client.write_all(b"more").is_ok()
        };
        assert_eq!(
            clients.iter_mut().map(is_open).position(|open| open),
            Some(1),
            "only the oldest is closed"
        );
        refused.clear();
        assert!(!clients.iter_mut().any(|(client, _)| client.write_all(b"more").is_ok()));
    }
}
