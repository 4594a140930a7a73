//! The connections of one event loop: each one's socket and state, and the slab that holds them.
//!
//! A key names a connection for as long as the worker lives. Its generation ensures that a late response or event
//! never reaches the next connection in the same slot.
//!
//! A turn is what the worker does for one connection without interruption: it receives, calls the handler and sends
//! until the connection must wait, is closed, or has used up its budget and yields to the others.

use super::{
    completions::ConnectionWaker,
    timers::{Scheduled, Timers},
};
use crate::{
    admission::Permit,
    drive::{Action, Driver, Outcome, RunReply, report_file, start_reply},
    late::{LateReply, WaitsFor},
    pool::{Pool, PoolFull, Pools},
    transport::{Received, Transmitted, Transport},
};
use http_core::{
    Buffers, Clock, Connection, Handler, Job, Rejection, Reply, Responder, catch_panic, drop_caught,
};
use mio::{Interest, Registry, Token, unix::SourceFd};
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

/// The maximum number of requests of one connection that the worker serves before it continues with other connections.
/// So a client that pipelines does not delay the others.
const REQUESTS_PER_TURN: u32 = 64;
/// When the worker has sent about this many bytes for one connection and more are queued, it continues with other
/// connections. So a fast download does not delay other clients.
const BYTES_PER_TURN: u64 = 1024 * 1024;
/// The maximum number of receives for one connection before the worker continues with other connections. So a client that
/// sends without pause (whose bytes are dropped after the last response) does not delay the others.
const RECEIVES_PER_TURN: u32 = 64;
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
    transport: Transport,
    pub(super) conn: Connection,
    /// Counts the connection until it closes; `None` if it is refused and does not count.
    permit: Option<Permit>,
    /// The receive buffer and the send queue. `None` while both are empty, and while the worker runs the connection
    /// (the worker then holds them).
    pub(super) buffers: Option<Box<Buffers>>,
    /// The events for which the connection is registered with epoll.
    watched: Watched,
    /// The last receive has emptied the socket. The next receive is useful only after epoll has reported new bytes.
    socket_empty: bool,
    /// The client has closed its sending side. epoll reports that only once, so the connection must keep receiving
    /// until it reaches the end of the stream.
    half_closed: bool,
    /// Whether the connection is in the worker's queue of connections that have used up their budget.
    pub(super) yielded: bool,
    /// The number of the second at whose end the worker checks the connection's deadline ([`Timers`]); `None` if no
    /// check is scheduled.
    pub(super) scheduled: Scheduled,
    /// The reply whose outcome the connection awaits; `None` if it awaits none. [`Timers`] hold the job of a
    /// [`Reply::After`].
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
            scheduled: None,
            late: None,
        }
    }

    /// Takes the connection out of epoll, and makes its socket blocking. Returns its parts: the event loop no longer serves
    /// it.
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
        self.buffers.as_ref().is_some_and(|buffers| buffers.out.pending() > 0)
    }

    /// Returns when the worker must next look at the connection, if nothing happens before: at its deadline, or within a
    /// second if the client has not taken all bytes.
    ///
    /// epoll reports a writable socket only when a third of its buffer is free, which may be long after the client has taken
    /// the last bytes. Sending shows what it has taken, so that its deadline counts from about the right time.
    #[inline]
    pub(super) fn next_check(&self, now: Instant) -> Instant {
        let deadline = self.conn.deadline();
        if self.is_sending() { deadline.min(now) } else { deadline }
    }

    /// Registers the connection with epoll (edge-triggered) for received bytes. If the client has not taken all bytes that
    /// exist, also registers it for free space in the socket's send buffer. Does nothing if it is registered already.
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

/// One turn of a connection: the worker receives, calls the handler and sends, until the connection must wait or close,
/// or has used up its budget of requests ([`REQUESTS_PER_TURN`]) or bytes ([`BYTES_PER_TURN`]). The fields are what the
/// worker needs for that.
pub(super) struct Turn<'w> {
    pub(super) client: &'w mut ClientConnection,
    pub(super) buffers: &'w mut Buffers,
    pub(super) handler: &'w dyn Handler,
    pub(super) clock: &'w Clock,
    /// The threads for what would block the event loop.
    pub(super) pools: &'w Pools,
    pub(super) timers: &'w mut Timers<Key>,
    /// The connection's key, and where other threads send completions for it.
    pub(super) waker: ConnectionWaker<'w, Key>,
}

impl Turn<'_> {
    /// Receives, calls the handler and sends, until the connection must wait. Returns what the connection waits for
    /// ([`Action::Receive`], [`Action::Send`] or [`Action::AwaitReply`]), or [`Action::Yield`] if its budget of
    /// requests, receives or bytes is used up, or [`Action::Close`] if it must be closed.
    #[inline]
    pub(super) fn run(&mut self) -> Action {
        let (mut budget, mut receives) = (REQUESTS_PER_TURN, RECEIVES_PER_TURN);
        let mut blocked = false;
        loop {
            match self.driver().drive(&mut budget) {
                Action::Receive if self.client.socket_empty => return Action::Receive,
                Action::Receive if receives == 0 => return Action::Yield,
                Action::Receive => match self.client.transport.receive(&mut self.buffers.input) {
                    Ok(Received::Bytes { emptied }) => {
                        receives -= 1;
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
                    Ok(Transmitted::WouldBlock | Transmitted::Pending) => blocked = true,
                    Ok(Transmitted::BudgetSpent) => return Action::Yield,
                    Ok(Transmitted::FileFailed(error)) => {
                        report_file(&self.client.conn, error);
                        return Action::Close;
                    }
                    Err(_) => return Action::Close,
                },
                Action::StartReply(reply) => {
                    if self.start(reply) {
                        budget = budget.saturating_sub(1);
                        if budget == 0 {
                            return Action::Yield;
                        }
                    }
                }
                Action::ShutdownWrite => {
                    if self.client.transport.shutdown_write().is_err() {
                        return Action::Close;
                    }
                }
                action @ (Action::AwaitReply | Action::Yield | Action::Upgrade | Action::Close) => {
                    return action;
                }
            }
        }
    }

    /// Queues the response for `outcome`, the outcome of the connection's reply. Then continues as [`run`](Turn::run),
    /// and returns what that returns. Ignores `outcome` if the connection no longer waits for it.
    pub(super) fn run_completed(&mut self, outcome: Outcome) -> Action {
        self.driver().complete(outcome);
        self.run()
    }

    /// Starts a late reply. Returns whether its outcome was known at once; then queues the response.
    #[cold]
    fn start(&mut self, reply: Reply) -> bool {
        let Some(mut late) = self.client.late.take() else {
            drop_caught(reply);
            return false;
        };
        let outcome = start_reply(reply, &mut late, self);
        self.client.late = Some(late);
        let is_known = outcome.is_some();
        if let Some(outcome) = outcome {
            self.driver().complete(outcome);
        }
        is_known
    }

    /// Handles a deadline that has passed: queues an error response or marks the connection for closing
    /// ([`Driver::expire`]). Then continues as [`run`](Turn::run), and returns what that returns.
    ///
    /// If responses are queued, first tries to send them. If the client takes enough bytes to extend the deadline,
    /// nothing expires.
    pub(super) fn run_expired(&mut self) -> Action {
        // See `ClientConnection::next_check`.
        if !self.buffers.out.is_empty() {
            let action = self.run();
            let is_over = matches!(action, Action::Close | Action::Yield);
            if is_over || self.client.conn.deadline() > self.clock.now() {
                return action;
            }
        }
        if let Some(late) = self.driver().expire() {
            self.timers.cancel(&late.waits_for, self.waker.key);
        }
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
            streams: &self.waker,
            late: &mut self.client.late,
        }
    }

    /// Runs a job on a thread of `pool`.
    fn run_job(&mut self, pool: &Pool, job: Job, late: &mut LateReply) -> Result<(), Rejection> {
        let (sender, key, token) = (self.waker.completions.sender(), self.waker.key, late.token.clone());
        let task = Box::new(move || sender.send(key, catch_panic(|| job(&token)).map_err(Rejection::from)));
        let task = pool.submit(task).map_err(|PoolFull| Rejection::Overloaded)?;
        late.waits_for = WaitsFor::Task(task);
        Ok(())
    }
}

/// No reply blocks the event loop: timers, pool threads and responders deliver the outcomes later.
impl RunReply for Turn<'_> {
    fn run_after(&mut self, delay: Duration, job: Job, late: &mut LateReply) {
        let due = late.set_timer(self.clock.now(), delay);
        self.timers.delay(due, self.waker.key, job);
    }

    fn offload(&mut self, job: Job, late: &mut LateReply) -> Result<(), Rejection> {
        self.run_job(&self.pools.jobs, job, late)
    }

    fn stream(&mut self, job: Job, late: &mut LateReply) -> Result<(), Rejection> {
        self.run_job(&self.pools.streaming, job, late)
    }

    fn responder(&mut self, late: &mut LateReply) -> Result<Responder, Rejection> {
        let (sender, key) = (self.waker.completions.sender(), self.waker.key);
        late.waits_for = WaitsFor::Responder;
        Ok(Responder::new(late.token.clone(), move |outcome| sender.send(key, outcome)))
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
    use crate::{event_loop::completions::Completions, pool::Pool, shutdown::Shutdown, threads::Threads};
    use http_core::{Request, Response, Step};
    use http_testing::client::wait_for;
    use std::{
        fs::File,
        io::{Read, Write},
        os::unix::net::UnixStream,
        sync::Arc,
        thread,
        time::SystemTime,
    };

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

    /// The server drops what a refused client sends, and there may be no end of it.
    #[test]
    fn a_client_that_sends_without_pause_uses_up_its_turn() {
        let (server, mut client) = UnixStream::pair().expect("sockets");
        server.set_nonblocking(true).expect("a socket");
        let (clock, poll) =
            (Clock::new("test", Instant::now(), SystemTime::now()), mio::Poll::new().expect("epoll"));
        let conn = Connection::over_limit(Arc::default(), clock.now());
        let mut connection = ClientConnection::new(Transport::new(server.into(), false), conn, None);
        let threads = Threads::new(256 * 1024, &Arc::new(Shutdown::new().expect("a descriptor")));
        let completions = Completions::new(&poll, Token(0)).expect("a descriptor");
        let pool = Pool::new("pool", 1, 1, &threads);
        let mut turn = Turn {
            client: &mut connection,
            buffers: &mut Buffers::default(),
            handler: &|_: &Request<'_>| Response::text("here"),
            clock: &clock,
            pools: &Pools { jobs: pool.clone(), streaming: pool.clone() },
            timers: &mut Timers::new(clock.now()),
            waker: ConnectionWaker {
                key: Key { index: 0, generation: 0 },
                completions: &completions,
                streaming: &pool,
            },
        };
        assert!(matches!(turn.run(), Action::Receive));
        let mut response = String::new();
        client.read_to_string(&mut response).expect("a response, and its end");
        assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
        thread::spawn(move || while client.write_all(&[b'x'; 100_000]).is_ok() {});
        wait_for("the end of a turn", || {
            turn.client.socket_empty = false;
            matches!(turn.run(), Action::Yield).then_some(())
        });
    }
}
