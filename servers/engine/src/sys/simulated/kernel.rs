//! The simulated kernel: its sockets, and the readiness that it reports as edge-triggered epoll does.
//!
//! It decides by a random generator where sends are short, and which calls fail with EAGAIN, EINTR or EMFILE. It never
//! does what Linux does not: a receive that does not fill the buffer has emptied the socket, and what changes after an
//! EAGAIN is reported.

use super::peer::{Peer, Random};
use crate::sys::Event;
use mio::Token;
use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
    net::{RecvFlags, Shutdown, SocketAddrAny},
};
use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::IoSlice,
    net::SocketAddr,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::fs::FileExt,
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What has happened, for the trace of a failure: when, to which connection, what, and how many bytes or things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happening {
    pub(crate) at: Duration,
    pub(crate) connection: Option<usize>,
    pub(crate) what: &'static str,
    pub(crate) count: usize,
}

/// How many [`Happening`]s a kernel keeps.
const KEPT: usize = 10_000;

/// The simulated sockets of one test.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) random: Random,
    /// All connections there have ever been, by their numbers.
    pub(crate) peers: Vec<Peer>,
    /// The numbers of the connections that have a descriptor.
    numbers: HashMap<RawFd, usize>,
    /// The connections that wait to be accepted, with the addresses of their clients.
    queue: VecDeque<(usize, SocketAddr)>,
    /// The listening sockets, with the tokens of those that an epoll watches.
    listeners: Vec<(RawFd, Option<Token>)>,
    /// The eventfd that all descriptors duplicate.
    event: OwnedFd,
    /// How many of the next accepts find no free descriptor.
    pub(crate) shortage: usize,
    /// Connections for which something has changed.
    changed: Vec<usize>,
    /// Connections for which a send has failed although there was room: the kernel had no memory.
    starved: Vec<usize>,
    /// The connections that the server has closed since the simulation took the list.
    pub(crate) closed: Vec<usize>,
    /// The connections for which the server has made calls since the simulation took the list.
    used: Vec<usize>,
    /// The time since the start, for the trace.
    pub(crate) time: Duration,
    pub(crate) trace: VecDeque<Happening>,
    /// A digest of everything that was ever in the trace.
    pub(crate) digest: u64,
}

/// A [`Kernel`], for the threads of one test. Only one of them runs at any time.
pub(crate) type SharedKernel = Arc<Mutex<Kernel>>;

/// Locks the kernel.
pub(crate) fn lock(kernel: &SharedKernel) -> MutexGuard<'_, Kernel> {
    kernel.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kernel {
    pub(crate) fn new(seed: u64) -> SharedKernel {
        let event = eventfd(0, EventfdFlags::CLOEXEC).expect("a descriptor");
        Arc::new(Mutex::new(Kernel {
            random: Random::new(seed),
            peers: Vec::new(),
            numbers: HashMap::new(),
            queue: VecDeque::new(),
            listeners: Vec::new(),
            event,
            shortage: 0,
            changed: Vec::new(),
            starved: Vec::new(),
            closed: Vec::new(),
            used: Vec::new(),
            time: Duration::ZERO,
            trace: VecDeque::new(),
            digest: 0,
        }))
    }

    /// Adds to the trace.
    pub(crate) fn note(&mut self, connection: Option<usize>, what: &'static str, count: usize) {
        if self.trace.len() == KEPT {
            self.trace.pop_front();
        }
        let parts = [self.time.as_nanos() as u64, connection.unwrap_or(usize::MAX) as u64, count as u64];
        for part in what.bytes().map(u64::from).chain(parts) {
            self.digest = (self.digest ^ part).wrapping_mul(0x0100_0000_01b3).rotate_left(7);
        }
        self.trace.push_back(Happening { at: self.time, connection, what, count });
    }

    /// Simulates the accepts from this socket, which the event loop with the same position listens to.
    pub(crate) fn add_listener(&mut self, listener: &impl AsFd) {
        self.listeners.push((listener.as_fd().as_raw_fd(), None));
    }

    /// A client connects. Returns the number of the connection.
    pub(crate) fn connect(&mut self, address: SocketAddr, capacity: usize) -> usize {
        let number = self.peers.len();
        self.peers.push(Peer { capacity, ..Peer::default() });
        self.queue.push_back((number, address));
        number
    }

    /// The number of connections that wait to be accepted.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The number of connections that have a descriptor.
    pub(crate) fn open(&self) -> usize {
        self.numbers.len()
    }

    /// Bytes of the client arrive.
    pub(crate) fn deliver(&mut self, number: usize, bytes: &[u8]) {
        self.note(Some(number), "client sends", bytes.len());
        let peer = &mut self.peers[number];
        if !peer.is_closed && !peer.is_reset {
            peer.arrived.extend(bytes);
            self.change(number);
        }
    }

    /// The client closes its sending side; if `both`, also its receiving side.
    pub(crate) fn close(&mut self, number: usize, both: bool) {
        self.note(Some(number), if both { "client closes" } else { "client half-closes" }, 0);
        let peer = &mut self.peers[number];
        peer.has_fin = true;
        peer.has_hung_up |= both;
        self.change(number);
    }

    /// The client resets the connection. What has arrived is lost.
    pub(crate) fn reset(&mut self, number: usize) {
        self.note(Some(number), "client resets", 0);
        let peer = &mut self.peers[number];
        peer.is_reset = true;
        peer.arrived.clear();
        self.change(number);
    }

    /// The client reads at most `count` bytes.
    pub(crate) fn read(&mut self, number: usize, count: usize) -> Vec<u8> {
        let peer = &mut self.peers[number];
        let rest = peer.sent.split_off(count.min(peer.sent.len()));
        let read = std::mem::replace(&mut peer.sent, rest);
        // As Linux: a third of the buffer must be free.
        if peer.wants_room && peer.room() >= peer.capacity.div_ceil(3) {
            peer.wants_room = false;
            self.change(number);
        }
        self.note(Some(number), "client reads", read.len());
        read
    }

    /// Takes the numbers of the connections for which the server has made calls since the last time.
    pub(crate) fn take_used(&mut self) -> Vec<usize> {
        let used = std::mem::take(&mut self.used);
        used.iter().for_each(|number| self.peers[*number].is_used = false);
        used
    }

    fn change(&mut self, number: usize) {
        let peer = &mut self.peers[number];
        if !std::mem::replace(&mut peer.is_pending, true) {
            self.changed.push(number);
        }
    }

    /// Takes the events of the event loop whose epoll is `epoll`, and whose listening socket was added at the position
    /// `worker`. They are in any order, and some may be left for the next call.
    pub(crate) fn events(&mut self, epoll: RawFd, worker: usize) -> Vec<Event> {
        self.free_memory();
        let mut events = Vec::new();
        for number in std::mem::take(&mut self.changed) {
            match self.peers[number].watch {
                Some((watcher, ..)) if watcher != epoll || self.random.one_in(8) => self.changed.push(number),
                _ => events.extend(self.take_event(number)),
            }
        }
        let listener = self.listeners.get(worker).and_then(|(_, token)| *token);
        if let Some(token) = listener.filter(|_| !self.queue.is_empty()) {
            events.push(Event { token, is_readable: true, is_read_closed: false, is_closed: false });
        }
        for index in (1..events.len()).rev() {
            events.swap(index, self.random.below(index + 1));
        }
        events
    }

    /// Ends the lack of memory for some connections.
    fn free_memory(&mut self) {
        for number in std::mem::take(&mut self.starved) {
            let peer = &mut self.peers[number];
            match peer.wants_room && peer.room() > 0 {
                true if self.random.one_in(2) => self.starved.push(number),
                true => {
                    peer.wants_room = false;
                    self.change(number);
                }
                false => {}
            }
        }
    }

    /// The event of a connection for which something has changed; `None` if nothing that epoll watches is ready.
    fn take_event(&mut self, number: usize) -> Option<Event> {
        let peer = &mut self.peers[number];
        peer.is_pending = false;
        // Without a registration there is no event: the registration reports what has changed before.
        let (_, token, wants_room) = peer.watch?;
        let event = Event {
            token,
            is_readable: !peer.arrived.is_empty() || peer.has_ended() || peer.is_reset,
            is_read_closed: peer.has_ended() || peer.is_reset,
            is_closed: peer.is_reset || (peer.has_ended() && peer.is_shut),
        };
        let is_writable = wants_room && peer.room() > 0;
        if !(event.is_readable || event.is_closed || is_writable) {
            return None;
        }
        self.note(Some(number), "event", 0);
        Some(event)
    }

    /// Whether an event loop has an event.
    pub(crate) fn has_events(&self) -> bool {
        let is_watched = |number: &usize| self.peers[*number].watch.is_some();
        let accepts = self.listeners.iter().any(|(_, token)| token.is_some());
        self.changed.iter().chain(&self.starved).any(is_watched) || (accepts && !self.queue.is_empty())
    }

    /// Whether a socket is simulated and listens.
    pub(super) fn listens(&self, listener: RawFd) -> bool {
        self.listeners.iter().any(|(known, _)| *known == listener)
    }

    /// Sets with what token an epoll watches a listening socket. Returns whether the socket is simulated.
    pub(super) fn watch_listener(&mut self, listener: RawFd, watch: Option<Token>) -> bool {
        let entry = self.listeners.iter_mut().find(|(known, _)| *known == listener);
        entry.map(|(_, token)| *token = watch).is_some()
    }

    /// The number of the connection that has this descriptor.
    pub(super) fn number(&self, socket: RawFd) -> Option<usize> {
        self.numbers.get(&socket).copied()
    }

    /// Sets how an epoll watches a socket.
    pub(super) fn watch(&mut self, number: usize, watch: Option<(RawFd, Token, bool)>) {
        self.peers[number].watch = watch;
        // epoll reports what is ready already.
        self.change(number);
    }

    /// The server closes the socket with this descriptor.
    pub(super) fn close_socket(&mut self, number: usize, socket: RawFd) {
        self.numbers.remove(&socket);
        let peer = &mut self.peers[number];
        peer.is_closed = true;
        peer.watch = None;
        self.closed.push(number);
        self.note(Some(number), "server closes", 0);
    }

    /// The server makes the socket blocking, or not.
    pub(super) fn set_nonblocking(&mut self, number: usize, is_nonblocking: bool) {
        self.peers[number].is_upgraded |= !is_nonblocking;
    }

    /// The server shuts down directions of the socket.
    ///
    /// # Errors
    ///
    /// The client has reset the connection.
    pub(super) fn shut_down(&mut self, number: usize, how: Shutdown) -> Result<(), Errno> {
        let peer = &mut self.peers[number];
        if peer.is_reset {
            return Err(Errno::NOTCONN);
        }
        peer.is_shut |= how != Shutdown::Read;
        peer.is_read_shut |= how != Shutdown::Write;
        self.note(Some(number), "server shuts down", 0);
        self.change(number);
        Ok(())
    }

    pub(super) fn accept(&mut self) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
        let Some((number, address)) = self.queue.front().copied() else { return Err(Errno::AGAIN) };
        if self.shortage > 0 {
            self.shortage -= 1;
            return Err(Errno::MFILE);
        }
        self.queue.pop_front();
        if self.peers[number].is_reset {
            self.peers[number].is_closed = true;
            self.closed.push(number);
            return Err(Errno::CONNABORTED);
        }
        let descriptor = rustix::io::fcntl_dupfd_cloexec(&self.event, 0)?;
        self.numbers.insert(descriptor.as_raw_fd(), number);
        self.note(Some(number), "server accepts", 0);
        Ok((descriptor, Some(address.into())))
    }

    pub(super) fn receive(
        &mut self,
        number: usize,
        buffer: &mut [u8],
        flags: RecvFlags,
    ) -> Result<usize, Errno> {
        let received = self.take_arrived(number, buffer, flags);
        self.note_call(number, "server receives", received);
        received
    }

    fn take_arrived(&mut self, number: usize, buffer: &mut [u8], flags: RecvFlags) -> Result<usize, Errno> {
        let peer = &mut self.peers[number];
        if self.random.one_in(64) {
            return Err(Errno::INTR);
        }
        peer.receives += usize::from(!peer.is_upgraded);
        if peer.is_reset {
            return Err(Errno::CONNRESET);
        }
        let count = buffer.len().min(peer.arrived.len());
        if count == 0 {
            return if peer.has_ended() { Ok(0) } else { Err(Errno::AGAIN) };
        }
        let (first, second) = peer.arrived.as_slices();
        let split = count.min(first.len());
        buffer[..split].copy_from_slice(&first[..split]);
        buffer[split..count].copy_from_slice(&second[..count - split]);
        if !flags.contains(RecvFlags::PEEK) {
            peer.arrived.drain(..count);
            peer.total_received += count;
        }
        Ok(count)
    }

    /// How many of `len` bytes the socket takes now.
    fn begin_send(&mut self, number: usize, len: usize) -> Result<usize, Errno> {
        let room = self.find_room(number, len);
        self.note_call(number, "server sends", room);
        room
    }

    fn find_room(&mut self, number: usize, len: usize) -> Result<usize, Errno> {
        let peer = &mut self.peers[number];
        if peer.is_reset || peer.is_shut {
            return Err(Errno::PIPE);
        }
        if self.random.one_in(64) {
            return Err(Errno::INTR);
        }
        if peer.has_hung_up {
            peer.is_reset = true;
            self.change(number);
            return Ok(len);
        }
        if peer.room() == 0 || self.random.one_in(32) {
            if peer.room() > 0 {
                self.starved.push(number);
            }
            peer.wants_room = true;
            return Err(Errno::AGAIN);
        }
        let most = len.min(peer.room());
        Ok(if self.random.one_in(8) { self.random.up_to(most) } else { most })
    }

    /// Adds a call of the server to the trace.
    fn note_call(&mut self, number: usize, what: &'static str, outcome: Result<usize, Errno>) {
        if !std::mem::replace(&mut self.peers[number].is_used, true) {
            self.used.push(number);
        }
        match outcome {
            Ok(count) => self.note(Some(number), what, count),
            Err(Errno::AGAIN) if self.peers[number].is_upgraded => {}
            Err(Errno::AGAIN) => self.note(Some(number), "EAGAIN", 0),
            Err(Errno::INTR) => self.note(Some(number), "EINTR", 0),
            Err(_) => self.note(Some(number), "error", 0),
        }
    }

    pub(super) fn send(&mut self, number: usize, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        let count = self.begin_send(number, len)?;
        let peer = &mut self.peers[number];
        let mut left = count;
        for slice in slices {
            let part = &slice[..left.min(slice.len())];
            peer.sent.extend_from_slice(part);
            left -= part.len();
        }
        peer.count_sent(count);
        Ok(count)
    }

    pub(super) fn send_file(
        &mut self,
        number: usize,
        file: &impl AsFd,
        offset: u64,
        count: usize,
    ) -> Result<usize, Errno> {
        let count = self.begin_send(number, count)?;
        let file = file.as_fd().try_clone_to_owned().map(File::from).map_err(|_| Errno::IO)?;
        let mut bytes = vec![0; count];
        let count = file.read_at(&mut bytes, offset).map_err(|_| Errno::IO)?;
        let peer = &mut self.peers[number];
        peer.sent.extend_from_slice(&bytes[..count]);
        peer.count_sent(count);
        Ok(count)
    }
}
