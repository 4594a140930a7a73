//! One event loop: waits in epoll, wakes, and takes each connection that can go on as far as it goes.
//!
//! A connection is accepted and read at once. Only one that has to wait is registered with epoll, edge-triggered;
//! a receive that does not fill its buffer has emptied the socket, so no second one is needed to find that out.

use super::{
    completions::{self, Letter, Sending},
    connections::{Key, Peer, Peers, Registered},
    listeners::Doors,
    timers::Timers,
    turn::{Exchange, Rest},
};
use crate::{
    admission::Addresses,
    drive::{self, fenced},
    pool::Pool,
    shutdown::Shutdown,
};
use http_core::{BufPool, Clock, Config, Connection, Handler, Rejection, Response};
use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use rustix::event::epoll;
use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant, SystemTime},
};

/// Tokens that are no connection's: a connection's place never comes near them.
const STOP: Token = Token(usize::MAX);
const MAILBOX: Token = Token(usize::MAX - 1);
const FIRST_DOOR: usize = usize::MAX - 1024;

/// Events taken from one wait.
const EVENTS: usize = 512;
/// Connections accepted before others have their turn again.
const ACCEPTS_A_TURN: usize = 64;
/// Connections beyond the limit that are being told so; further ones wait in the kernel's queue.
const REFUSED_AT_ONCE: usize = 64;
/// Turns of accepting that are left when the order to stop has come.
const LAST_CALL: usize = 64;
/// Free buffers kept for the next connections that become busy.
const FREE_BUFFERS: usize = 64;

/// What a worker is given.
pub(super) struct Surroundings {
    pub(super) config: Arc<Config>,
    pub(super) app: Arc<dyn Handler>,
    pub(super) pool: Pool,
    pub(super) stop: Arc<Shutdown>,
    pub(super) max_connections: usize,
    /// How many each address may hold, if that is limited.
    pub(super) addresses: Option<Arc<Addresses>>,
}

/// One event loop with all that is its own.
pub(super) struct Worker {
    around: Surroundings,
    poll: Poll,
    doors: Doors,
    peers: Peers,
    buffers: BufPool,
    clock: Clock,
    timers: Timers,
    sending: Sending,
    inbox: Receiver<Letter>,
    /// Those that used up their share, in the order in which they go on.
    queue: VecDeque<Key>,
    draining: bool,
}

impl Worker {
    /// Sets up a loop on these sockets.
    ///
    /// # Errors
    ///
    /// When the system lacks descriptors.
    pub(super) fn new(listeners: Vec<TcpListener>, server: &str, around: Surroundings) -> io::Result<Worker> {
        let poll = Poll::new()?;
        let now = Instant::now();
        let (sending, inbox) = completions::open(&poll, MAILBOX)?;
        let worker = Worker {
            doors: Doors::open(&poll, listeners, FIRST_DOOR)?,
            poll,
            peers: Peers::default(),
            buffers: BufPool::new(FREE_BUFFERS),
            clock: Clock::new(server, now, SystemTime::now()),
            timers: Timers::new(now),
            sending,
            inbox,
            queue: VecDeque::new(),
            draining: false,
            around,
        };
        // Level-triggered and never read: whoever comes late sees it too.
        let data = epoll::EventData::new_u64(STOP.0 as u64);
        epoll::add(worker.poll.registry(), &*worker.around.stop, data, epoll::EventFlags::IN)?;
        Ok(worker)
    }

    /// Serves until it is told to stop and everything has ended, or the time for that is over.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !self.is_over() {
            match self.poll.poll(&mut events, self.patience()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // epoll itself fails only when its descriptor is not one: nothing could be served any more.
                Err(error) => {
                    log::error!("event loop ends: {error}");
                    return;
                }
            }
            self.clock.advance(Instant::now(), SystemTime::now);
            self.look_at_deadlines();
            for event in &events {
                match event.token() {
                    STOP => self.drain(),
                    MAILBOX => self.read_mail(),
                    Token(token) if token >= FIRST_DOOR => drop(self.let_in(token - FIRST_DOOR)),
                    token => {
                        let key = Key::of(token);
                        let Some(peer) = self.peers.find(key) else { continue };
                        peer.drained &= !event.is_readable();
                        peer.hangup |= event.is_read_closed();
                        // Both directions are dead. A half-closed peer still gets its answers.
                        if event.is_error() || event.is_write_closed() {
                            self.close(key);
                        } else {
                            self.go_on(key);
                        }
                    }
                }
            }
            for _ in 0..self.queue.len() {
                let Some(key) = self.queue.pop_front() else { break };
                if let Some(peer) = self.peers.find(key) {
                    peer.queued = false;
                    self.go_on(key);
                }
            }
        }
    }

    /// How long nothing has to be done but what epoll reports.
    fn patience(&self) -> Option<Duration> {
        let now = self.clock.now();
        let queue = (!self.queue.is_empty()).then_some(Duration::ZERO);
        let stop = self.draining.then(|| self.around.stop.deadline()).flatten();
        let stop = stop.map(|deadline| deadline.saturating_duration_since(now));
        queue.into_iter().chain(stop).chain(self.doors.closed_for(now)).chain(self.timers.idle_for(now)).min()
    }

    fn is_over(&self) -> bool {
        let late = || self.around.stop.deadline().is_some_and(|deadline| deadline <= self.clock.now());
        self.draining && (self.peers.len() == 0 || late())
    }

    /// Takes what waits at this door, and goes on with each at once. Whether there may be more.
    fn let_in(&mut self, door: usize) -> bool {
        for _ in 0..ACCEPTS_A_TURN {
            let now = self.clock.now();
            let room = self.peers.len() < self.around.max_connections + REFUSED_AT_ONCE;
            let Some((socket, address)) = self.doors.accept(door, room, now) else { return false };
            let peer = self.receive(socket, address);
            let key = self.peers.insert(peer);
            self.go_on(key);
        }
        true
    }

    /// Gives a newcomer a place, be it that of the longest-idle connection; or has it told that there is none.
    fn receive(&mut self, socket: OwnedFd, address: Option<SocketAddr>) -> Peer {
        let counted = self.around.addresses.as_ref().zip(address);
        let visit = counted.map(|(addresses, address)| addresses.enter(address.ip())).transpose();
        let full = self.peers.len() >= self.around.max_connections && !self.evict();
        let config = Arc::clone(&self.around.config);
        let make = if full || visit.is_err() { Connection::refused } else { Connection::new };
        let mut conn = make(config, self.clock.now());
        if let Some(address) = address {
            conn = conn.with_peer(address);
        }
        Peer { visit: visit.ok().flatten().map(Box::new), ..Peer::new(socket, conn) }
    }

    /// Lets go of the connection that has been idle for longest. Whether there was one.
    fn evict(&mut self) -> bool {
        let idlest = self.peers.idlest();
        if let Some(key) = idlest {
            self.close(key);
        }
        idlest.is_some()
    }

    /// Takes a connection as far as it goes now, and sees to it that it is woken when it can go on.
    fn go_on(&mut self, key: Key) {
        let Some(peer) = self.peers.find(key) else { return };
        let mut buffers = peer.buffers.take().unwrap_or_else(|| self.buffers.take());
        let mut exchange = Exchange {
            key,
            peer,
            buffers: &mut buffers,
            app: &*self.around.app,
            pool: &self.around.pool,
            clock: &self.clock,
            timers: &mut self.timers,
            sending: &self.sending,
        };
        let rest = exchange.run();
        match rest {
            Rest::Over => {
                self.buffers.put(buffers);
                self.close(key);
            }
            Rest::Waiting => {
                if buffers.is_empty() {
                    self.buffers.put(buffers);
                } else {
                    peer.buffers = Some(buffers);
                }
                self.timers.file(key, peer);
                if register(&self.poll, key, peer).is_err() {
                    self.close(key);
                }
            }
            Rest::Share => {
                peer.buffers = Some(buffers);
                if !std::mem::replace(&mut peer.queued, true) {
                    self.queue.push_back(key);
                }
            }
        }
    }

    fn close(&mut self, key: Key) {
        // Closing the socket takes it out of epoll.
        let Some(peer) = self.peers.remove(key) else { return };
        self.timers.forget(key, &peer);
        if let Some(buffers) = peer.buffers {
            self.buffers.put(buffers);
        }
        self.doors.room();
    }

    /// Hands a connection the answer that it waits for, if it still does.
    fn settle(&mut self, key: Key, answer: Result<Response, Rejection>) {
        let Some(peer) = self.peers.find(key) else { return };
        let mut buffers = peer.buffers.take().unwrap_or_else(|| self.buffers.take());
        peer.waits_until = None;
        drive::settle(&mut peer.conn, &mut buffers, &*self.around.app, &self.clock, answer);
        peer.buffers = Some(buffers);
        self.go_on(key);
    }

    fn read_mail(&mut self) {
        while let Ok((key, answer)) = self.inbox.try_recv() {
            self.settle(key, answer);
        }
    }

    fn look_at_deadlines(&mut self) {
        let now = self.clock.now();
        while let Some((second, keys)) = self.timers.turn(now) {
            for key in keys {
                self.look_at_deadline(key, second);
            }
        }
        while let Some((key, job)) = self.timers.over(now) {
            self.settle(key, fenced(job));
        }
        self.doors.reopen(now);
    }

    fn look_at_deadline(&mut self, key: Key, second: u32) {
        let Some(peer) = self.peers.find(key).filter(|peer| peer.filed == Some(second)) else { return };
        peer.filed = None;
        if peer.conn.deadline() > self.clock.now() {
            return self.timers.file(key, peer);
        }
        // epoll tells of room once a third of the socket's buffer is free, which takes a slow peer longer than it may
        // stall: whether it has taken anything, only sending tells.
        if peer.buffers.as_ref().is_some_and(|buffers| !buffers.out.is_empty()) {
            self.go_on(key);
        }
        let Some(peer) = self.peers.find(key) else { return };
        if peer.queued || peer.conn.deadline() > self.clock.now() {
            return;
        }
        let mut buffers = peer.buffers.take().unwrap_or_else(|| self.buffers.take());
        drive::expire(&mut peer.conn, &mut buffers, &*self.around.app, &self.clock);
        peer.buffers = Some(buffers);
        self.go_on(key);
    }

    /// Stops accepting, lets idle connections go, and tells busy ones that this answer is their last.
    fn drain(&mut self) {
        let _ = epoll::delete(self.poll.registry(), &*self.around.stop);
        // Who has been let in by the kernel before the order came is still served.
        for door in 0..self.doors.count() {
            // As many as may have been waiting, and not all that go on coming.
            let _ = (0..LAST_CALL).all(|_| self.let_in(door));
        }
        self.doors.shut();
        self.draining = true;
        for key in self.peers.keys() {
            if let Some(peer) = self.peers.find(key) {
                peer.conn.close_after_this();
                self.go_on(key);
            }
        }
    }
}

/// Asks epoll for what the connection waits for, as far as it has not been asked already.
fn register(poll: &Poll, key: Key, peer: &mut Peer) -> io::Result<()> {
    let blocked = peer.buffers.as_ref().is_some_and(|buffers| !buffers.out.is_empty());
    let descriptor = peer.socket.as_raw_fd();
    let mut source = SourceFd(&descriptor);
    let both = Interest::READABLE | Interest::WRITABLE;
    match peer.registered {
        Registered::No => {
            let interest = if blocked { both } else { Interest::READABLE };
            poll.registry().register(&mut source, key.token(), interest)?;
            peer.registered = if blocked { Registered::Both } else { Registered::Readable };
        }
        Registered::Readable if blocked => {
            poll.registry().reregister(&mut source, key.token(), both)?;
            peer.registered = Registered::Both;
        }
        Registered::Readable | Registered::Both => {}
    }
    Ok(())
}
