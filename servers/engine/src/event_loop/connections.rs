//! The connections of one event loop: each one's socket and state, and the slab that holds them.
//!
//! A key names a connection for as long as the worker lives. Its generation ensures that a late response or event
//! never reaches the next connection in the same slot.
//!
//! A turn is what the worker does for one connection without interruption: it receives, calls the handler and sends
//! until the connection must wait, is closed, or has used up its budget and yields to the others.

use super::{
    completions::Completions,
    timers::{Scheduled, Timers},
};
use crate::{
    admission::Permit,
    drive::{Action, Driver, Outcome, RunReply, start_reply},
    pool::Pool,
    transport::{Received, Transmitted, Transport},
};
use http_core::{Buffers, Clock, Connection, Handler, Job, Rejection, Responder, catch_panic};
use mio::{Interest, Registry, Token, unix::SourceFd};
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

/// The maximum number of requests of one connection served in one turn: a client that pipelines must not delay others.
const REQUESTS_PER_TURN: u32 = 64;
/// A connection's turn ends when a send has passed about this many bytes to its socket and more are queued: a fast
/// download must not delay other clients.
const BYTES_PER_TURN: u64 = 1024 * 1024;
/// The longest delay of a [`Reply::After`](http_core::Reply::After) job; a longer one is shortened to it, because
/// adding it to an `Instant` could overflow. That changes nothing for the client: any sensible reply timeout expires
/// earlier.
const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// At the connection limit, the longest idle connection is closed for a new one. A search through all connections
/// keeps this many of the longest idle ones, so that the next new connections need no search.
const IDLE_CANDIDATES: usize = 64;

/// Names a connection of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The token under which epoll reports the connection.
    pub(super) fn token(self) -> Token {
        Token((self.generation as usize) << 32 | self.index as usize)
    }

    /// The key of the connection that epoll has reported under `token`.
    pub(super) fn from_token(token: Token) -> Key {
        Key { index: token.0 as u32, generation: (token.0 >> 32) as u32 }
    }
}

/// What epoll reports for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// Nothing: the connection is not registered with epoll, because it has not had to wait yet.
    No,
    /// That bytes have arrived.
    Readable,
    /// That bytes have arrived, and that the socket can take more. Registered once a send has had to wait.
    Both,
}

/// One connection of an event loop.
#[derive(Debug)]
pub(super) struct ClientConnection {
    transport: Transport,
    pub(super) conn: Connection,
    #[expect(dead_code, reason = "held until the connection closes")]
    permit: Option<Box<Permit>>,
    /// The receive buffer and the send queue, from the worker's `BufferPool`. `None` while both are empty,
    /// and during a turn, which holds them.
    pub(super) buffers: Option<Box<Buffers>>,
    watched: Watched,
    /// The last receive has emptied the socket, so that only an event of epoll makes another receive worthwhile.
    socket_empty: bool,
    /// The client has closed its sending side. epoll reports that only once, so the connection must receive until the
    /// end of the stream.
    half_closed: bool,
    /// Whether the connection waits in the worker's queue for its next turn.
    pub(super) yielded: bool,
    /// The second for which [`Timers`] have an entry to check the connection's deadline; `None` without an entry.
    pub(super) scheduled: Scheduled,
    /// When the job of the handler's [`Reply::After`](http_core::Reply::After) is due, which [`Timers`] hold; `None` if
    /// there is no such job.
    pub(super) job_due: Option<Instant>,
}

impl ClientConnection {
    /// A connection that was just accepted: without buffers, not registered with epoll.
    pub(super) fn new(
        transport: Transport,
        conn: Connection,
        permit: Option<Box<Permit>>,
    ) -> ClientConnection {
        ClientConnection {
            transport,
            conn,
            permit,
            buffers: None,
            watched: Watched::No,
            socket_empty: false,
            half_closed: false,
            yielded: false,
            scheduled: None,
            job_due: None,
        }
    }

    /// Notes an event of epoll: whether bytes have arrived, and whether the client has closed its sending side.
    #[inline]
    pub(super) fn note_event(&mut self, readable: bool, read_closed: bool) {
        self.socket_empty &= !readable;
        self.half_closed |= read_closed;
    }

    /// Registers the connection with epoll, edge-triggered: for received bytes, and if responses are queued also for
    /// room in the socket's send buffer. Does nothing if it is registered for that already.
    ///
    /// # Errors
    ///
    /// The system has no memory or epoll watches left. The connection must be closed: no event would wake it.
    #[inline]
    pub(super) fn watch(&mut self, registry: &Registry, key: Key) -> io::Result<()> {
        let sending = self.buffers.as_ref().is_some_and(|buffers| !buffers.out.is_empty());
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

/// One turn of a connection: what the worker does for it without interruption, until the connection must wait, is
/// closed, or has used up its budget. The fields are what it uses meanwhile.
pub(super) struct Turn<'w> {
    pub(super) key: Key,
    pub(super) client: &'w mut ClientConnection,
    pub(super) buffers: &'w mut Buffers,
    pub(super) handler: &'w dyn Handler,
    pub(super) clock: &'w Clock,
    /// The threads that run [`Reply::Offload`](http_core::Reply::Offload) jobs.
    pub(super) pool: &'w Pool,
    pub(super) timers: &'w mut Timers<Key>,
    pub(super) completions: &'w Completions<Key>,
}

impl Turn<'_> {
    /// Receives, drives the protocol and sends, until the connection must wait. Returns what it waits for
    /// ([`Action::Receive`], [`Action::Send`] or [`Action::AwaitReply`]), or [`Action::Yield`] if its budget is used
    /// up, or [`Action::Close`].
    #[inline]
    pub(super) fn run(&mut self) -> Action {
        let mut budget = REQUESTS_PER_TURN;
        let mut blocked = false;
        loop {
            match self.driver().drive(&mut budget) {
                Action::Receive if self.client.socket_empty => return Action::Receive,
                Action::Receive => match self.client.transport.receive(&mut self.buffers.input) {
                    Ok(Received::Bytes { emptied }) => {
                        self.client.socket_empty = emptied && !self.client.half_closed;
                    }
                    Ok(Received::Eof) => self.client.conn.receive_eof(),
                    Ok(Received::WouldBlock) => self.client.socket_empty = true,
                    Err(_) => return Action::Close,
                },
                Action::Send if blocked => return Action::Send,
                Action::Send => match self.client.transport.transmit(&mut self.buffers.out, BYTES_PER_TURN) {
                    Ok(Transmitted::All) => {}
                    // Drive once more: the protocol must see how many bytes the client has taken.
                    Ok(Transmitted::WouldBlock) => blocked = true,
                    Ok(Transmitted::BudgetSpent) => return Action::Yield,
                    Err(_) => return Action::Close,
                },
                Action::StartReply(reply) => {
                    if let Some(outcome) = start_reply(reply, self) {
                        self.driver().complete(outcome);
                    }
                }
                Action::ShutdownWrite => {
                    if self.client.transport.shutdown_write().is_err() {
                        return Action::Close;
                    }
                }
                action @ (Action::AwaitReply | Action::Yield | Action::Close) => return action,
            }
        }
    }

    /// Queues the response for the outcome of the connection's reply, and then does and returns the same as
    /// [`run`](Turn::run). Ignores the outcome if the connection no longer waits for it.
    pub(super) fn run_completed(&mut self, outcome: Outcome) -> Action {
        self.client.job_due = None;
        self.driver().complete(outcome);
        self.run()
    }

    /// Handles the connection's deadline, which has passed: queues a rejection or marks the connection for closing
    /// ([`Driver::expire`]), and then does and returns the same as [`run`](Turn::run).
    ///
    /// If responses are queued, first tries to send them. If that moves the deadline, nothing expires.
    pub(super) fn run_expired(&mut self) -> Action {
        // epoll reports a writable socket only when a third of its buffer is free, which a slow client may reach
        // later than its timeout. Sending shows whether it has taken anything.
        if !self.buffers.out.is_empty() {
            let action = self.run();
            let is_over = matches!(action, Action::Close | Action::Yield);
            if is_over || self.client.conn.deadline() > self.clock.now() {
                return action;
            }
        }
        self.driver().expire();
        self.run()
    }

    /// Borrows what [`Driver`] needs to advance the protocol: connection, buffers, handler and clock.
    #[inline]
    fn driver(&mut self) -> Driver<'_> {
        Driver {
            conn: &mut self.client.conn,
            buffers: self.buffers,
            handler: self.handler,
            clock: self.clock,
        }
    }
}

/// No reply blocks the event loop: timers, pool threads and responders deliver the outcomes later.
impl RunReply for Turn<'_> {
    fn run_after(&mut self, delay: Duration, job: Job) -> Option<Outcome> {
        let due = self.clock.now() + delay.min(MAX_DELAY);
        self.client.job_due = Some(due);
        self.timers.delay(due, self.key, job);
        None
    }

    fn offload(&mut self, job: Job) -> Option<Outcome> {
        let (sender, key) = (self.completions.sender(), self.key);
        let task = Box::new(move || sender.send(key, catch_panic(job)));
        self.pool.submit(task).err().map(|_| Err(Rejection::Overloaded))
    }

    fn responder(&mut self) -> Responder {
        let (sender, key) = (self.completions.sender(), self.key);
        Responder::new(move |outcome| sender.send(key, outcome))
    }
}

/// One entry of the slab [`Connections`].
struct Slot {
    /// Incremented when a connection is removed, so that its key does not fit the next connection in this slot.
    generation: u32,
    /// `None` if the slot is free.
    connection: Option<ClientConnection>,
}

/// The slab of all connections of a worker.
#[derive(Default)]
pub(super) struct Connections {
    slots: Vec<Slot>,
    /// The indexes of the free slots.
    free: Vec<u32>,
    /// The number of open connections.
    len: usize,
    /// The result of the last search by [`longest_idle`](Connections::longest_idle): the connections that had been idle
    /// for longest, and since when each was idle. The longest idle one is the last. Those returned are removed.
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

    /// Returns the connection with this key; `None` if it has been removed.
    #[inline]
    pub(super) fn get(&mut self, key: Key) -> Option<&mut ClientConnection> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.connection.as_mut() } else { None }
    }

    /// Removes and returns the connection with this key; `None` if it has been removed already. Its slot is reused, but
    /// not its key.
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

    /// Returns the connection that has been idle for longest, which the worker then closes to make room for a new one.
    /// Returns `None` if no connection is idle.
    ///
    /// A search through all connections keeps [`IDLE_CANDIDATES`] of the longest idle ones for the next calls. So a
    /// burst of new connections does not cost a search for each new connection.
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

    /// Takes the next result of the last search for idle connections: the longest idle one that has been idle ever
    /// since. Drops those that were closed or had a request meanwhile. Returns `None` if none is left: a new search is
    /// needed.
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
    use std::{fs::File, sync::Arc};

    fn client() -> ClientConnection {
        let socket = File::open("/dev/null").expect("/dev/null").into();
        let conn = Connection::new(Arc::default(), Instant::now());
        ClientConnection::new(Transport::new(socket), conn, None)
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
