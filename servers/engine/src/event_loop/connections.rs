//! The connections of one event loop: each one's socket and state, and the slab that holds them.
//!
//! A key names a connection for as long as the worker lives. Its generation ensures that a late response or event
//! never reaches the next connection in the same slot.

use super::timers::Scheduled;
use crate::{
    admission::{Admission, Permit},
    late::LateReply,
    sys::SourceFd,
    transport::Transport,
};
use http_core::{Buffers, Connection};
use mio::{Interest, Registry, Token};
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::Instant,
};

/// The number of idle connections that one search of [`Connections::longest_idle`] finds: those that have been idle for
/// longest.
const IDLE_CANDIDATES: usize = 64;

/// Identifies a connection of one worker. No later connection of the worker gets the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// The index of the connection's slot in [`Connections`].
    index: u32,
    /// The number of connections that this slot held before.
    generation: u32,
}

impl Key {
    /// The token with which epoll reports events of the connection.
    pub(super) fn token(self) -> Token {
        Token((self.generation as usize) << 32 | self.index as usize)
    }

    /// The key of the connection for which epoll has reported `token`.
    pub(super) fn from_token(token: Token) -> Key {
        Key { index: token.0 as u32, generation: (token.0 >> 32) as u32 }
    }
}

/// The events that epoll reports for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// None: the connection is not registered with epoll, because it has not had to wait yet.
    No,
    /// Bytes have arrived.
    Readable,
    /// Bytes have arrived, or the socket can take more bytes. Set when the connection first waits to send.
    Both,
}

/// One connection of an event loop.
#[derive(Debug)]
pub(super) struct ClientConnection {
    pub(super) transport: Transport,
    pub(super) conn: Connection,
    /// Counts the connection until it closes; `None` if it is refused and does not count.
    permit: Option<Permit>,
    /// The receive buffer and the send queue. `None` while both are empty, and while the worker runs the connection
    /// (the worker then holds them).
    pub(super) buffers: Option<Box<Buffers>>,
    /// The events for which the connection is registered with epoll.
    watched: Watched,
    /// The last receive has emptied the socket. The next receive is useful only after epoll has reported new bytes.
    pub(super) socket_empty: bool,
    /// The client has closed its sending side. epoll reports that only once, so the connection must keep receiving
    /// until it reaches the end of the stream.
    pub(super) half_closed: bool,
    /// Whether the connection is in the worker's queue of connections that have used up their budget.
    pub(super) yielded: bool,
    /// Whether the connection counts as idle.
    pub(super) counts_as_idle: bool,
    /// The number of the second at whose end the worker checks the connection's deadline; `None` if no check is
    /// scheduled.
    pub(super) scheduled: Scheduled,
    /// The reply whose outcome the connection awaits; `None` if it awaits none. The timers hold the job of a
    /// `Reply::After`.
    pub(super) late: Option<Box<LateReply>>,
}

impl ClientConnection {
    /// A connection that was just accepted: without buffers, not registered with epoll.
    pub(super) fn new(transport: Transport, conn: Connection, permit: Option<Permit>) -> ClientConnection {
        ClientConnection {
            transport,
            conn,
            permit,
            buffers: None,
            watched: Watched::No,
            socket_empty: false,
            half_closed: false,
            yielded: false,
            counts_as_idle: false,
            scheduled: None,
            late: None,
        }
    }

    /// Counts the connection for the address that a trusted proxy has announced. Returns false if that address is at
    /// its limit.
    #[cold]
    pub(super) fn admit_address(&mut self, admission: &Admission) -> bool {
        let address = admission.admit_address(self.conn.client_addr());
        if address.is_err() {
            admission.counters().count_refused();
        }
        address.map(|address| self.permit.as_mut().map(|permit| permit.set_address(address))).is_ok()
    }

    /// Takes the connection out of epoll, and makes its socket blocking. Returns its parts: the event loop no longer
    /// serves it.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    #[cold]
    pub(super) fn detach(
        mut self,
        registry: &Registry,
    ) -> io::Result<(Transport, Connection, Option<Permit>)> {
        if self.watched != Watched::No {
            registry.deregister(&mut SourceFd(&self.transport.as_fd().as_raw_fd()))?;
        }
        self.transport.set_blocking(true)?;
        Ok((self.transport, self.conn, self.permit))
    }

    /// Notes an event of epoll: whether bytes have arrived, and whether the client has closed its sending side.
    #[inline]
    pub(super) fn note_event(&mut self, readable: bool, read_closed: bool) {
        self.socket_empty &= !readable;
        self.half_closed |= read_closed;
    }

    /// Whether the connection holds bytes that the client has not taken.
    #[inline]
    pub(super) fn is_sending(&self) -> bool {
        self.buffers.as_ref().is_some_and(|buffers| buffers.out.pending() > 0) || self.transport.wants_send()
    }

    /// Returns when the worker must next look at the connection, if nothing happens before: at its deadline, or within
    /// a second if the client has not taken all bytes.
    ///
    /// epoll reports a writable socket only when a third of its buffer is free, which may be long after the client has
    /// taken the last bytes. Sending shows what it has taken, so that its deadline counts from about the right time.
    #[inline]
    pub(super) fn next_check(&self, now: Instant) -> Instant {
        let deadline = self.conn.deadline();
        if self.is_sending() { deadline.min(now) } else { deadline }
    }

    /// Registers the connection with epoll (edge-triggered) for received bytes. If the client has not taken all bytes
    /// that exist, also registers it for free space in the socket's send buffer. Does nothing if it is registered
    /// already.
    ///
    /// # Errors
    ///
    /// The system has no memory or epoll watches left. The caller must close the connection, because no event would
    /// wake it.
    #[inline]
    pub(super) fn watch(&mut self, registry: &Registry, key: Key) -> io::Result<()> {
        let sending = self.is_sending();
        let wanted = if sending { Watched::Both } else { Watched::Readable };
        let interest = match wanted {
            Watched::Both => Interest::READABLE | Interest::WRITABLE,
            _ => Interest::READABLE,
        };
        let descriptor = self.transport.as_fd().as_raw_fd();
        let mut source = SourceFd(&descriptor);
        match self.watched {
            Watched::No => registry.register(&mut source, key.token(), interest)?,
            Watched::Readable if sending => registry.reregister(&mut source, key.token(), interest)?,
            Watched::Readable | Watched::Both => return Ok(()),
        }
        self.watched = wanted;
        Ok(())
    }
}

/// One entry of the slab [`Connections`].
struct Slot {
    /// The number of connections that were removed from this slot. It distinguishes the keys of successive connections.
    generation: u32,
    /// `None` if the slot is free.
    connection: Option<ClientConnection>,
}

/// The slab (a table whose slots are reused) of all connections of a worker.
#[derive(Default)]
pub(super) struct Connections {
    slots: Vec<Slot>,
    /// The indexes of the free slots.
    free: Vec<u32>,
    /// The number of open connections.
    len: usize,
    /// Idle connections that the last search of [`longest_idle`](Connections::longest_idle) found and has not returned
    /// yet, each with the time since when it was idle. The longest idle connection is last in the list.
    idle: Vec<(Instant, Key)>,
}

impl Connections {
    /// The number of open connections.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a connection, and returns its key.
    pub(super) fn insert(&mut self, connection: ClientConnection) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, connection: None });
            self.slots.len() as u32 - 1
        });
        self.len += 1;
        let slot = &mut self.slots[index as usize];
        slot.connection = Some(connection);
        Key { index, generation: slot.generation }
    }

    /// Returns the connection with this key; `None` if that connection has been removed.
    #[inline]
    pub(super) fn get(&mut self, key: Key) -> Option<&mut ClientConnection> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.connection.as_mut() } else { None }
    }

    /// Removes and returns the connection with this key; `None` if that connection has been removed already. A later
    /// connection may get the slot, but never the key.
    pub(super) fn remove(&mut self, key: Key) -> Option<ClientConnection> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let connection = slot.connection.take()?;
        self.len -= 1;
        slot.generation += 1;
        // A slot without unused generations is abandoned, so that no key is ever reused.
        if slot.generation < u32::MAX {
            self.free.push(key.index);
        }
        Some(connection)
    }

    /// The keys of all connections.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.iter().map(|(key, _)| key).collect()
    }

    /// Returns the key of the connection that has been idle for longest; `None` if no connection is idle. The caller
    /// must close the connection.
    ///
    /// A search goes through all connections and remembers [`IDLE_CANDIDATES`] results, so that the next calls need no
    /// search.
    pub(super) fn longest_idle(&mut self) -> Option<Key> {
        self.next_candidate().or_else(|| {
            let idle = self.iter().filter_map(|(key, client)| Some((client.conn.idle_since()?, key)));
            let mut idle: Vec<_> = idle.collect();
            if idle.len() > IDLE_CANDIDATES {
                idle.select_nth_unstable(IDLE_CANDIDATES);
                idle.truncate(IDLE_CANDIDATES);
            }
            idle.sort_unstable_by(|a, b| b.cmp(a));
            self.idle = idle;
            self.next_candidate()
        })
    }

    /// Takes the longest idle connection from the results of the last search. Skips connections that were closed or
    /// received a request after the search. Returns `None` if no result is left.
    fn next_candidate(&mut self) -> Option<Key> {
        while let Some((since, key)) = self.idle.pop() {
            if self.get(key).is_some_and(|client| client.conn.idle_since() == Some(since)) {
                return Some(key);
            }
        }
        None
    }

    /// All connections with their keys.
    fn iter(&self) -> impl Iterator<Item = (Key, &ClientConnection)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let key = Key { index: index as u32, generation: slot.generation };
            Some((key, slot.connection.as_ref()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_core::{Clock, Step};
    use std::{fs::File, sync::Arc, time::SystemTime};

    fn client() -> ClientConnection {
        let socket = File::open("/dev/null").expect("/dev/null").into();
        let conn = Connection::new(Arc::default(), Instant::now());
        ClientConnection::new(Transport::new(socket, false), conn, None)
    }

    #[test]
    fn a_connection_that_sends_is_checked_before_its_deadline() {
        let now = Instant::now();
        let mut client = client();
        assert!(client.next_check(now) > now);
        let mut buffers = Box::<Buffers>::default();
        buffers.input.extend(b"not a request\r\n\r\n");
        let clock = Clock::new("test", now, SystemTime::UNIX_EPOCH);
        let Step::Reject(reason) = client.conn.poll(&mut buffers.input, &mut buffers.out, now) else {
            panic!("not rejected");
        };
        client.conn.respond(reason.response(), &mut buffers.out, &clock).expect("a response is due");
        client.buffers = Some(buffers);
        assert_eq!((client.is_sending(), client.next_check(now)), (true, now));
    }

    #[test]
    fn a_key_is_invalid_once_its_connection_is_removed() {
        let mut connections = Connections::default();
        let first = connections.insert(client());
        assert!(connections.get(first).is_some());
        assert!(connections.remove(first).is_some());
        let second = connections.insert(client());
        assert_eq!(second.index, first.index, "the slot is reused");
        assert!(connections.get(first).is_none() && connections.remove(first).is_none());
        assert_eq!(Key::from_token(second.token()), second);
        assert_eq!((connections.len(), connections.keys()), (1, vec![second]));
    }
}
