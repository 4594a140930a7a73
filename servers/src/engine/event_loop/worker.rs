//! One event loop: waits in epoll, wakes, and takes each connection that can go on as far as it goes.
//!
//! A connection is accepted and read at once. Only one that has to wait is registered with epoll, edge-triggered;
//! a receive that does not fill its buffer has emptied the socket, so no second one is needed to find that out.

use super::{
    mailbox::{self, Letter, Sending},
    peers::{Key, Peer, Peers, Registered},
    timers::Timers,
};
use crate::{
    engine::{
        exchange::{self, Turn, advance, fenced},
        transmit::{Sent, transmit},
    },
    pool::Pool,
    stop::Stop,
};
use http_core::{BufPool, Buffers, Clock, Config, Connection, Handler, Rejection, Reply, Responder};
use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use rustix::{
    event::epoll,
    io::Errno,
    net::{RecvFlags, Shutdown, SocketFlags, accept_with, recv, shutdown},
};
use std::{
    collections::VecDeque,
    io,
    net::TcpListener,
    os::fd::{AsFd, AsRawFd},
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant, SystemTime},
};

/// Tokens that are no connection's: a connection's place never comes near them.
const STOP: Token = Token(usize::MAX);
const MAILBOX: Token = Token(usize::MAX - 1);
const LISTENERS: usize = usize::MAX - 1024;

/// Events taken from one wait.
const EVENTS: usize = 512;
/// Connections accepted before others have their turn again.
const ACCEPTS_A_TURN: usize = 64;
/// Requests answered for one connection before others have their turn: pipelining is no way to the front.
const REQUESTS_A_TURN: u32 = 64;
/// Bytes sent to one connection before others have their turn.
const BYTES_A_TURN: u64 = 1024 * 1024;
/// How long a worker that ran out of descriptors or of memory leaves new connections in the queue.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Beyond any timeout, and well within what an `Instant` can hold.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Free buffers kept for the next connections that become busy.
const FREE_BUFFERS: usize = 64;

/// What a worker is given.
pub(super) struct Surroundings {
    pub(super) config: Arc<Config>,
    pub(super) app: Arc<dyn Handler>,
    pub(super) pool: Pool,
    pub(super) stop: Arc<Stop>,
    pub(super) max_connections: usize,
}

/// Whether new connections are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    Yes,
    /// At the connection limit, until one ends.
    Full,
    /// The system lacks something, until then.
    Paused(Instant),
}

/// One event loop with all that is its own.
pub(super) struct Worker {
    around: Surroundings,
    poll: Poll,
    listeners: Vec<TcpListener>,
    accepting: Accepting,
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
        let (sending, inbox) = mailbox::open(&poll, MAILBOX)?;
        let worker = Worker {
            poll,
            listeners,
            accepting: Accepting::Yes,
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
        worker.watch_listeners()?;
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
                Err(error) => return eprintln!("event loop ends: {error}"),
            }
            self.clock.advance(Instant::now(), SystemTime::now);
            self.look_at_deadlines();
            for event in &events {
                match event.token() {
                    STOP => self.drain(),
                    MAILBOX => self.read_mail(),
                    Token(token) if token >= LISTENERS => self.accept(token - LISTENERS),
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
        let pause = match self.accepting {
            _ if !self.queue.is_empty() => Some(Duration::ZERO),
            Accepting::Paused(until) => Some(until.saturating_duration_since(now)),
            _ => None,
        };
        let stop = self.draining.then(|| self.around.stop.deadline()).flatten();
        let stop = stop.map(|deadline| deadline.saturating_duration_since(now));
        pause.into_iter().chain(stop).chain(self.timers.idle_for(now)).min()
    }

    fn is_over(&self) -> bool {
        let late = || self.around.stop.deadline().is_some_and(|deadline| deadline <= self.clock.now());
        self.draining && (self.peers.len() == 0 || late())
    }

    // --- listening ---------------------------------------------------------------------------------------------

    /// Level-triggered, so that a connection left in the queue is reported again; exclusive, so that of several
    /// workers at one queue not all are woken for it.
    fn watch_listeners(&self) -> io::Result<()> {
        for (number, listener) in self.listeners.iter().enumerate() {
            let data = epoll::EventData::new_u64((LISTENERS + number) as u64);
            let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
            epoll::add(self.poll.registry(), listener, data, flags)?;
        }
        Ok(())
    }

    fn stop_accepting(&mut self, accepting: Accepting) {
        if self.accepting == Accepting::Yes {
            for listener in &self.listeners {
                let _ = epoll::delete(self.poll.registry(), listener);
            }
        }
        self.accepting = accepting;
    }

    fn accept_again(&mut self) {
        self.accepting = Accepting::Yes;
        if let Err(error) = self.watch_listeners() {
            eprintln!("cannot watch a listening socket: {error}");
            self.stop_accepting(Accepting::Paused(self.clock.now() + ACCEPT_PAUSE));
        }
    }

    fn accept(&mut self, number: usize) {
        for _ in 0..ACCEPTS_A_TURN {
            if self.peers.len() >= self.around.max_connections {
                return self.stop_accepting(Accepting::Full);
            }
            let Some(listener) = self.listeners.get(number) else { return };
            match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    let conn = Connection::new(Arc::clone(&self.around.config), self.clock.now());
                    let key = self.peers.insert(Peer::new(socket, conn));
                    self.go_on(key);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    return self.stop_accepting(Accepting::Paused(self.clock.now() + ACCEPT_PAUSE));
                }
                // The peer has gone again, or the network has: the next one may be fine.
                Err(_) => {}
            }
        }
    }

    // --- connections -------------------------------------------------------------------------------------------

    /// Takes a connection as far as it goes now, and sees to it that it is woken when it can go on.
    fn go_on(&mut self, key: Key) {
        let Some(peer) = self.peers.find(key) else { return };
        let mut buffers = peer.buffers.take().unwrap_or_else(|| self.buffers.take());
        let mut exchange = Exchange {
            key,
            peer,
            buffers: &mut buffers,
            around: &self.around,
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
        if self.accepting == Accepting::Full && !self.draining {
            self.accept_again();
        }
    }

    /// Hands a connection the answer that it waits for, if it still does.
    fn settle(&mut self, key: Key, answer: Result<http_core::Response, Rejection>) {
        let Some(peer) = self.peers.find(key) else { return };
        let mut buffers = peer.buffers.take().unwrap_or_else(|| self.buffers.take());
        peer.waits_until = None;
        exchange::settle(&mut peer.conn, &mut buffers, &*self.around.app, &self.clock, answer);
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
        if let Accepting::Paused(until) = self.accepting
            && until <= now
            && !self.draining
        {
            self.accept_again();
        }
    }

    fn look_at_deadline(&mut self, key: Key, second: u32) {
        let Some(peer) = self.peers.find(key).filter(|peer| peer.filed == Some(second)) else { return };
        peer.filed = None;
        if peer.conn.deadline() > self.clock.now() {
            return self.timers.file(key, peer);
        }
        let mut buffers = peer.buffers.take().unwrap_or_else(|| self.buffers.take());
        exchange::expire(&mut peer.conn, &mut buffers, &*self.around.app, &self.clock);
        peer.buffers = Some(buffers);
        self.go_on(key);
    }

    /// Stops accepting, lets idle connections go, and tells busy ones that this answer is their last.
    fn drain(&mut self) {
        let _ = epoll::delete(self.poll.registry(), &*self.around.stop);
        // Who has been let in by the kernel before the order came is still served.
        for number in 0..self.listeners.len() {
            self.accept(number);
        }
        self.draining = true;
        self.listeners.clear();
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

/// How a connection's turn ended.
enum Rest {
    /// It waits for its peer, or for its answer.
    Waiting,
    /// It could go on, but others come first.
    Share,
    /// It is to be closed.
    Over,
}

/// A connection's turn, and what it may use.
struct Exchange<'w> {
    key: Key,
    peer: &'w mut Peer,
    buffers: &'w mut Buffers,
    around: &'w Surroundings,
    clock: &'w Clock,
    timers: &'w mut Timers,
    sending: &'w Sending,
}

impl Exchange<'_> {
    #[inline]
    fn run(&mut self) -> Rest {
        let mut share = REQUESTS_A_TURN;
        let mut blocked = false;
        loop {
            match advance(&mut self.peer.conn, self.buffers, &*self.around.app, self.clock, &mut share) {
                Turn::Receive if self.peer.drained => return Rest::Waiting,
                Turn::Receive => {
                    if !self.receive() {
                        return Rest::Over;
                    }
                }
                Turn::Send if blocked => return Rest::Waiting,
                Turn::Send => match transmit(self.peer.socket.as_fd(), &mut self.buffers.out, BYTES_A_TURN) {
                    Ok(Sent::All) => {}
                    // Around once more: the protocol sees how far it came, and so tells slow from stalled.
                    Ok(Sent::Blocked) => blocked = true,
                    Ok(Sent::Share) => return Rest::Share,
                    Err(_) => return Rest::Over,
                },
                Turn::Yield => return Rest::Share,
                Turn::Later(reply) => self.bring_about(reply),
                Turn::AwaitAnswer => return Rest::Waiting,
                Turn::ShutdownWrite => {
                    if shutdown(&self.peer.socket, Shutdown::Write).is_err() {
                        return Rest::Over;
                    }
                }
                Turn::Close(_) => return Rest::Over,
            }
        }
    }

    /// Receives once. Whether the connection still stands.
    #[inline]
    fn receive(&mut self) -> bool {
        let room = self.buffers.input.spare();
        let size = room.len();
        match recv(&self.peer.socket, room, RecvFlags::empty()) {
            Ok((0, _)) => self.peer.conn.peer_closed(),
            Ok((count, _)) => {
                self.buffers.input.filled(count);
                self.peer.drained = count < size && !self.peer.hangup;
            }
            Err(Errno::AGAIN) => self.peer.drained = true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
        true
    }

    /// Files a reply where its answer will come from. None of these places blocks.
    fn bring_about(&mut self, reply: Reply) {
        let key = self.key;
        let refused = match reply {
            Reply::Now(response) => Some(Ok(response)),
            Reply::After(wait, job) => {
                self.timers.wait(self.clock.now() + wait.min(LONGEST_WAIT), key, self.peer, job);
                None
            }
            Reply::Offload(job) => {
                let sending = self.sending.clone();
                let task = Box::new(move || sending.send(key, fenced(job)));
                self.around.pool.submit(task).err().map(|_| Err(Rejection::Overloaded))
            }
            Reply::Deferred(start) => {
                let sending = self.sending.clone();
                let responder = Responder::new(move |answer| sending.send(key, answer));
                fenced(|| start(responder)).err().map(Err)
            }
        };
        if let Some(answer) = refused {
            exchange::settle(&mut self.peer.conn, self.buffers, &*self.around.app, self.clock, answer);
        }
    }
}
