//! One event loop: waits in epoll, then lets every connection that can go on do so.
//!
//! A new connection is read at once. Only one that has to wait is registered with epoll, edge-triggered; a receive
//! that does not fill the buffer has emptied the socket, so no second receive is needed to find that out.

use super::{
    completions::{Completion, Completions, ConnectionWaker},
    connections::{ClientConnection, Connections, Key},
    listeners::{Listeners, MAX_LISTENERS},
    timers::{Due, Timers},
    transfers::{Transfer, Transfers},
    turn::Turn,
    upgraded::UpgradedConnections,
};
use crate::{
    admission::{AddressPermit, Admission, MAX_REFUSED, Permit, REFUSED_LINGER, SHORTAGE_EVICTIONS},
    drive::Action,
    handlers::WorkerHandler,
    late::{Outcome, run_job},
    listener::{Accepted, Listener},
    pool::Pools,
    settings::Settings,
    shutdown::Shutdown,
    sys::Event,
    transport::Transport,
    upgrade,
};
use http_core::{BufferPool, Buffers, Clock, catch_panic, drop_caught, io_cause};
use mio::{Events, Poll, Token};
use rustix::event::epoll;
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// The epoll token of the shutdown signal. No connection has this token, because the upper half of a connection's token
/// (the generation of its key) is never `u32::MAX`.
const SHUTDOWN: Token = Token(usize::MAX);
/// The epoll token of [`Completions`], the queue through which other threads deliver responses to this event loop.
const COMPLETIONS: Token = Token(usize::MAX - 1);
/// The epoll token of [`Transfers`], the queue through which another event loop passes new connections to this one.
const TRANSFERS: Token = Token(usize::MAX - 2);
/// The epoll token of the first listening socket. The next sockets have the next tokens.
const FIRST_LISTENER: usize = TRANSFERS.0 - MAX_LISTENERS;

/// The maximum number of events that one `epoll_wait` returns.
const EVENTS: usize = 512;
/// The maximum number of connections that one call of [`Worker::accept`] accepts, so that new clients do not delay the
/// others.
const ACCEPTS_PER_TURN: usize = 64;
/// The maximum number of connections that the worker accepts from each listening socket after the shutdown has begun:
/// enough for every queued connection, but not for a flood.
const LAST_ACCEPTS: usize = 4096;
/// The maximum number of completions that the worker handles before it handles other events. So a connection whose
/// replies complete at once does not delay the others.
const COMPLETIONS_PER_TURN: usize = 64;
/// The maximum number of delayed jobs that the worker runs, and of delayed streams that it continues, before it handles
/// other events.
const DUE_PER_TURN: usize = 64;
/// The maximum number of unused buffers that the worker keeps for later use.
const FREE_BUFFERS: usize = 64;

/// Why the worker runs a connection.
enum Wakeup {
    /// The connection's socket is ready, the connection is new, or it used up its budget in its last turn.
    Ready,
    /// The outcome of the connection's reply is known.
    Completed(Outcome),
    /// The connection's deadline has passed.
    Expired,
    /// The client that the proxy has announced is at its limit of connections.
    Refused,
}

/// One event loop and everything it owns.
pub(super) struct Worker {
    handler: WorkerHandler,
    admission: Admission,
    pools: Pools,
    shutdown: Arc<Shutdown>,
    poll: Poll,
    listeners: Listeners,
    connections: Connections,
    /// The connections that threads of the application serve.
    upgraded: UpgradedConnections,
    buffers: BufferPool,
    clock: Clock,
    timers: Timers<Key>,
    completions: Completions,
    transfers: Transfers,
    /// Refused connections, the oldest first, and when each is closed at the latest. Some may be closed already.
    refused: VecDeque<(Instant, Key)>,
    /// The maximum length of `refused`. When it is reached, the oldest connection is closed for a new one.
    max_refused: usize,
    /// The time of the last turn in which no connection was idle. No second search in the same turn: each goes through
    /// all connections.
    none_idle_at: Option<Instant>,
    /// Connections that have used up their budget, in the order of their next turns.
    yielded: VecDeque<Key>,
    /// Whether this event loop has begun its shutdown, and closed its listening sockets.
    draining: bool,
}

impl Worker {
    /// Creates an event loop that accepts connections from `listeners`.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left, or there are too many listeners.
    pub(super) fn new(
        listeners: Vec<Listener>,
        transfers: Transfers,
        settings: &Settings,
        handler: WorkerHandler,
        admission: Admission,
        pools: Pools,
        shutdown: &Arc<Shutdown>,
    ) -> io::Result<Worker> {
        let poll = Poll::new()?;
        let now = Instant::now();
        // Level-triggered and never read, so that every worker sees it.
        let data = epoll::EventData::new_u64(SHUTDOWN.0 as u64);
        epoll::add(poll.registry(), &**shutdown, data, epoll::EventFlags::IN)?;
        transfers.register(&poll, TRANSFERS)?;
        Ok(Worker {
            handler,
            buffers: admission.buffer_pool(FREE_BUFFERS),
            listeners: Listeners::new(&poll, listeners, FIRST_LISTENER, admission.reserve())?,
            admission,
            pools,
            shutdown: Arc::clone(shutdown),
            connections: Connections::default(),
            upgraded: UpgradedConnections::default(),
            clock: Clock::new(&settings.server, now, SystemTime::now()),
            timers: Timers::new(now),
            completions: Completions::new(&poll, COMPLETIONS)?,
            transfers,
            refused: VecDeque::new(),
            max_refused: MAX_REFUSED.div_ceil(settings.workers),
            none_idle_at: None,
            yielded: VecDeque::new(),
            draining: false,
            poll,
        })
    }

    /// Serves connections until a shutdown has begun and all connections have closed, or the grace period is over.
    ///
    /// # Errors
    ///
    /// epoll fails. All connections are closed.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.is_finished() {
            match self.poll.poll(&mut events, self.poll_timeout()) {
                Ok(()) => self.turn(events.iter().map(Event::from), Instant::now()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // epoll itself fails only if its descriptor is invalid.
                Err(error) => {
                    return Err(io::Error::new(
                        error.kind(),
                        format!("cannot wait for events: {}", io_cause(&error)),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Does the work of one wake-up: handles the timers that are due and then `events`, and runs the connections that
    /// used up their budget before.
    fn turn(&mut self, events: impl Iterator<Item = Event>, now: Instant) {
        self.clock.update(now, SystemTime::now);
        self.handler.refresh();
        self.run_timers(now);
        for event in events {
            match event.token {
                SHUTDOWN => self.drain(),
                COMPLETIONS => self.run_completions(),
                TRANSFERS => self.take_transfers(),
                Token(token) if token >= FIRST_LISTENER => self.accept(token - FIRST_LISTENER),
                token => self.handle_event(Key::from_token(token), &event),
            }
        }
        for _ in 0..self.yielded.len() {
            let Some(key) = self.yielded.pop_front() else { break };
            if let Some(client) = self.connections.get(key) {
                client.yielded = false;
                self.resume(key, Wakeup::Ready);
            }
        }
    }

    /// The maximum time that the loop may wait for events; `None` if it may wait without a limit.
    fn poll_timeout(&self) -> Option<Duration> {
        let now = self.clock.now();
        let yielded = (!self.yielded.is_empty()).then_some(Duration::ZERO);
        let grace = self.draining.then(|| self.shutdown.deadline()).flatten();
        let grace = grace.map(|deadline| deadline.saturating_duration_since(now));
        let refused = self.refused.front().map(|(end, _)| end.saturating_duration_since(now));
        [yielded, grace, refused, self.listeners.pause_left(now), self.timers.next_due(now)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether a shutdown has begun and all connections have closed, or the grace period is over.
    fn is_finished(&self) -> bool {
        let late = || self.shutdown.deadline().is_some_and(|deadline| deadline <= self.clock.now());
        let is_empty = self.connections.len() == 0 && self.upgraded.is_empty();
        self.draining && (is_empty || late())
    }

    /// Handles an event of epoll for a connection.
    fn handle_event(&mut self, key: Key, event: &Event) {
        let Some(client) = self.connections.get(key) else { return };
        client.note_event(event.is_readable, event.is_read_closed);
        if event.is_closed {
            self.close(key);
        } else {
            self.resume(key, Wakeup::Ready);
        }
    }

    /// Accepts connections from the listening socket with the index `listener`, at most [`ACCEPTS_PER_TURN`], and fewer
    /// if some stay open and other workers share the socket.
    fn accept(&mut self, listener: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let open = self.connections.len();
            if !self.accept_one(listener) {
                return;
            }
            let stays_open = self.connections.len() > open;
            if stays_open && self.listeners.leave_to_others(listener, self.clock.now()) {
                return;
            }
        }
    }

    /// Accepts a connection from the listening socket with the index `listener`, and serves it until it must wait.
    /// Returns false if no connection is queued or the accept fails.
    fn accept_one(&mut self, listener: usize) -> bool {
        let now = self.clock.now();
        let Some(Accepted { transport, client_addr, took_reserve }) = self.listeners.accept(listener, now)
        else {
            return false;
        };
        match self.admission.admit_address(client_addr) {
            Err(_) => self.refuse(transport, client_addr, took_reserve),
            Ok(_) if took_reserve && !self.end_shortage() => self.refuse(transport, client_addr, true),
            Ok(address) => {
                let new = Transfer { transport, client_addr, address, tried: 0 };
                if let Err(new) = self.transfers.balance(new) {
                    self.admit(new);
                }
            }
        }
        if took_reserve {
            self.listeners.restore_reserve();
        }
        true
    }

    /// Closes idle connections because no descriptor is left. Returns false if no connection is idle.
    fn end_shortage(&mut self) -> bool {
        (0..SHORTAGE_EVICTIONS).take_while(|_| self.evict_idle()).count() > 0
    }

    /// Takes the connections that another event loop has passed to this one.
    fn take_transfers(&mut self) {
        for transfer in self.transfers.take() {
            self.admit(transfer);
        }
    }

    /// Serves a new connection until it must wait. If there is no room for it, passes it to another event loop, and if
    /// that is in vain, refuses it.
    fn admit(&mut self, new: Transfer) {
        let Transfer { transport, client_addr, address, tried } = new;
        match self.make_room(address) {
            Ok(permit) => drop(self.insert(transport, client_addr, Some(permit))),
            Err(address) => {
                let transfer = Transfer { transport, client_addr, address, tried: tried + 1 };
                if let Err(Transfer { transport, client_addr, .. }) =
                    self.transfers.pass_on(transfer, self.clock.now())
                {
                    self.refuse(transport, client_addr, false);
                }
            }
        }
    }

    /// Counts a new connection. At the connection limit, first closes idle connections. Returns `address` if there is
    /// no room and no connection is idle.
    fn make_room(&mut self, mut address: Option<AddressPermit>) -> Result<Permit, Option<AddressPermit>> {
        loop {
            address = match self.admission.admit(address) {
                Err(address) if self.evict_idle() => address,
                result => return result,
            };
        }
    }

    /// Sends 503 on a new connection. It stays open for [`REFUSED_LINGER`] at most, or until [`Worker::max_refused`]
    /// newer ones are refused; not at all if `closes_at_once`. A connection with TLS closes at once without the 503.
    fn refuse(&mut self, transport: Transport, client_addr: Option<SocketAddr>, closes_at_once: bool) {
        self.admission.counters().count_refused();
        // A handshake takes more of the processor than the 503 is worth.
        if transport.is_secure() {
            return;
        }
        let key = self.insert(transport, client_addr, None);
        if closes_at_once {
            self.close(key);
            return;
        }
        if self.refused.len() >= self.max_refused
            && let Some((_, oldest)) = self.refused.pop_front()
        {
            self.close(oldest);
        }
        self.refused.push_back((self.clock.now() + REFUSED_LINGER, key));
    }

    /// Adds a new connection, and serves it until it must wait. Without a `permit` it only gets 503.
    fn insert(
        &mut self,
        transport: Transport,
        client_addr: Option<SocketAddr>,
        permit: Option<Permit>,
    ) -> Key {
        let (tls, now) = (transport.tls_info(), self.clock.now());
        let mut conn = self.admission.connection(client_addr, tls, permit.is_none(), now);
        if self.draining {
            conn.drain(self.clock.now());
        }
        let key = self.connections.insert(ClientConnection::new(transport, conn, permit));
        self.resume(key, Wakeup::Ready);
        key
    }

    /// Closes the connection that has been idle for longest. Returns false if no connection is idle.
    fn evict_idle(&mut self) -> bool {
        let now = self.clock.now();
        if self.none_idle_at == Some(now) {
            return false;
        }
        let idle = self.connections.longest_idle();
        match idle {
            Some(key) => self.close(key),
            None => self.none_idle_at = Some(now),
        }
        idle.is_some()
    }

    /// Runs one turn of the connection `key`; `wakeup` is the reason. Afterwards closes the connection, or queues it
    /// for another turn, or makes it wait: schedules its deadline and registers it with epoll. Does nothing if the
    /// connection has closed.
    ///
    /// Closes the connection if application code panics in a place where nothing else catches the panic.
    fn resume(&mut self, key: Key, wakeup: Wakeup) {
        let Some(client) = self.connections.get(key) else { return drop_caught(wakeup) };
        let mut buffers = client.buffers.take().unwrap_or_else(|| self.buffers.take());
        let mut turn = Turn {
            client,
            buffers: &mut buffers,
            handler: self.handler.get(),
            clock: &self.clock,
            pools: &self.pools,
            timers: &mut self.timers,
            counters: self.admission.counters(),
            waker: ConnectionWaker { key, completions: &self.completions, streaming: &self.pools.streaming },
        };
        let action = catch_panic(|| match wakeup {
            Wakeup::Ready => turn.run(),
            Wakeup::Completed(outcome) => turn.run_completed(outcome),
            Wakeup::Expired => turn.run_expired(),
            Wakeup::Refused => turn.run_refused(),
        });
        let Ok(action) = action else {
            drop_caught(buffers);
            return self.close(key);
        };
        client.counts_as_idle =
            self.admission.counters().change_idle(client.counts_as_idle, client.conn.idle_since().is_some());
        match action {
            Action::Close => {
                self.buffers.put(buffers);
                self.close(key);
            }
            Action::Upgrade => self.hand_over(key, buffers),
            Action::AdmitAddress => {
                client.buffers = Some(buffers);
                let is_admitted = client.admit_address(&self.admission);
                // The header is read once, so this does not repeat.
                self.resume(key, if is_admitted { Wakeup::Ready } else { Wakeup::Refused });
            }
            Action::Yield => {
                client.buffers = Some(buffers);
                if !std::mem::replace(&mut client.yielded, true) {
                    self.yielded.push_back(key);
                }
            }
            _ => {
                if buffers.is_empty() {
                    self.buffers.put(buffers);
                } else {
                    buffers.shrink_while_streaming();
                    client.buffers = Some(buffers);
                }
                self.timers.schedule(key, client.next_check(self.clock.now()), &mut client.scheduled);
                if client.watch(self.poll.registry(), key).is_err() {
                    self.close(key);
                }
            }
        }
    }

    /// Passes an upgraded connection to the function that takes it over. The function runs on a streaming thread.
    #[cold]
    fn hand_over(&mut self, key: Key, buffers: Box<Buffers>) {
        let Some(client) = self.connections.remove(key) else { return };
        self.admission.counters().change_idle(client.counts_as_idle, false);
        let received = buffers.input.unread().to_vec();
        self.buffers.put(buffers);
        if let Ok((transport, mut conn, permit)) = client.detach(self.poll.registry()) {
            let (socket, token) = self.upgraded.insert(key, transport, permit, self.completions.sender());
            if self.draining {
                token.cancel();
            }
            upgrade::hand_over(&mut conn, socket, received, token);
        }
    }

    /// Closes a connection, cancels its late reply, and drops its buffers. Does nothing if the connection has closed
    /// already.
    fn close(&mut self, key: Key) {
        // Closing the socket also removes it from epoll.
        let Some(client) = self.connections.remove(key) else { return };
        self.admission.counters().change_idle(client.counts_as_idle, false);
        if let Some(late) = &client.late {
            self.timers.cancel(&late.waits_for, key);
        }
        self.timers.resume_at(None, key);
        if let Some(buffers) = client.buffers {
            self.buffers.put(buffers);
        }
    }

    /// Takes completions from the queue, and runs the connections that wait for them. Leaves those beyond
    /// [`COMPLETIONS_PER_TURN`] for the next turn.
    fn run_completions(&mut self) {
        for _ in 0..COMPLETIONS_PER_TURN {
            match self.completions.next() {
                Some((key, Completion::Reply(outcome))) => self.resume(key, Wakeup::Completed(outcome)),
                Some((key, Completion::Stream)) => self.resume(key, Wakeup::Ready),
                Some((key, Completion::UpgradedEnd)) => self.upgraded.remove(key),
                None => return,
            }
        }
        self.completions.wake();
    }

    /// Handles deadlines that have passed, delayed jobs that are due, refused connections that have been open for long
    /// enough, and the end of a pause in accepting.
    fn run_timers(&mut self, now: Instant) {
        while let Some((second, keys)) = self.timers.take_second(now) {
            for key in keys {
                self.check_deadline(key, second);
            }
        }
        for _ in 0..DUE_PER_TURN {
            let Some((key, due)) = self.timers.take_due(now) else { break };
            self.run_due(key, due);
        }
        while let Some((_, key)) = self.refused.front().copied().filter(|(end, _)| *end <= now) {
            self.refused.pop_front();
            self.close(key);
        }
        self.listeners.end_pause(now);
    }

    /// Does what the connection `key` has waited for.
    fn run_due(&mut self, key: Key, due: Due) {
        let Some(client) = self.connections.get(key) else { return };
        match due {
            Due::Stream => self.resume(key, Wakeup::Ready),
            Due::Job(job) => {
                let token = client.late.as_ref().map(|late| late.token.clone()).unwrap_or_default();
                if let Some(job) = job.into_inner() {
                    self.resume(key, Wakeup::Completed(run_job(job, &token)));
                }
            }
        }
    }

    /// Checks the deadline of the connection `key`, which was scheduled for `second` ([`Timers::take_second`]). If the
    /// deadline has passed, runs the connection with [`Wakeup::Expired`]. Otherwise sends if bytes are queued, and
    /// schedules the next check.
    ///
    /// Does nothing if the connection has closed, or is now scheduled for another second.
    fn check_deadline(&mut self, key: Key, second: u32) {
        let Some(client) = self.connections.get(key).filter(|client| client.scheduled == Some(second)) else {
            return;
        };
        client.scheduled = None;
        let deadline = client.conn.deadline();
        if deadline <= self.clock.now() {
            self.resume(key, Wakeup::Expired);
        } else if client.is_sending() {
            self.resume(key, Wakeup::Ready);
        } else {
            self.timers.schedule(key, deadline, &mut client.scheduled);
        }
    }

    /// Begins the shutdown of this event loop. First accepts the connections that the kernel has queued, and responds
    /// to the requests that have arrived on them. Then closes the listening sockets. Connections close after their
    /// current response, and idle ones after one more request ([`Connection::drain`](http_core::Connection::drain)).
    fn drain(&mut self) {
        let _ = epoll::delete(self.poll.registry(), &*self.shutdown);
        for listener in 0..self.listeners.len() {
            let _ = (0..LAST_ACCEPTS).all(|_| self.accept_one(listener));
        }
        for transfer in self.transfers.close() {
            self.admit(transfer);
        }
        self.listeners.close();
        self.draining = true;
        self.upgraded.begin_shutdown();
        for key in self.connections.keys() {
            if let Some(client) = self.connections.get(key) {
                client.conn.drain(self.clock.now());
                self.resume(key, Wakeup::Ready);
            }
        }
    }
}

/// Closes the connections that are left when the grace period is over, so that they no longer count as idle.
impl Drop for Worker {
    fn drop(&mut self) {
        for key in self.connections.keys() {
            self.close(key);
        }
    }
}

#[cfg(test)]
mod simulation;
