//! Passes new connections from one event loop to the next, when the connection limit is reached and only another event
//! loop may have an idle connection to close.
//!
//! The event loops form a ring. A connection that each of them has tried in vain is refused by the last one. Never
//! waits: if the next queue is full, the connection stays where it is.

use crate::{admission::AddressPermit, transport::Transport};
use mio::{Poll, Token};
use rustix::{
    event::{EventfdFlags, epoll, eventfd},
    io::{read, write},
};
use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

/// The maximum number of connections that wait for an event loop to take them.
const QUEUE: usize = 64;

/// After no event loop had an idle connection, new connections are refused for so long without asking the others again.
/// So a flood of connections costs little when all are busy.
const RETRY: Duration = Duration::from_millis(100);

/// A new connection for which the event loops that have tried had no room and no idle connection to close.
pub(super) struct Transfer {
    pub(super) transport: Transport,
    pub(super) client_addr: Option<SocketAddr>,
    /// Counts the connection for its client's address.
    pub(super) address: Option<AddressPermit>,
    /// How many event loops have tried to make room.
    pub(super) tried: usize,
}

/// One event loop's place in the ring.
pub(super) struct Transfers {
    queue: Receiver<Transfer>,
    /// Becomes readable when a connection is in `queue`.
    event: Arc<OwnedFd>,
    next: TransferSender,
    shared: Arc<Ring>,
}

/// The way to the next event loop.
#[derive(Clone)]
struct TransferSender {
    queue: SyncSender<Transfer>,
    event: Arc<OwnedFd>,
}

/// What all event loops of the ring share.
struct Ring {
    /// The number of event loops.
    len: usize,
    start: Instant,
    /// Until when, in milliseconds since `start`, no connection is passed on.
    pause_until: AtomicU64,
}

impl Transfers {
    /// Creates a ring of `len` event loops, and returns the place of each. `now` is the current time.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    pub(super) fn ring(len: usize, now: Instant) -> io::Result<Vec<Transfers>> {
        let shared = Arc::new(Ring { len, start: now, pause_until: AtomicU64::new(0) });
        let (mut senders, mut ends) = (Vec::with_capacity(len), Vec::with_capacity(len));
        for _ in 0..len {
            let event = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
            let (sender, queue) = sync_channel(QUEUE);
            senders.push(TransferSender { queue: sender, event: Arc::clone(&event) });
            ends.push((queue, event));
        }
        senders.rotate_left(1);
        let places = ends.into_iter().zip(senders);
        let place = |((queue, event), next)| Transfers { queue, event, next, shared: Arc::clone(&shared) };
        Ok(places.map(place).collect())
    }

    /// Makes `poll` report `token` while connections wait in this event loop's queue.
    ///
    /// # Errors
    ///
    /// The system has no memory or epoll watches left.
    pub(super) fn register(&self, poll: &Poll, token: Token) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.0 as u64);
        Ok(epoll::add(poll.registry(), &*self.event, data, epoll::EventFlags::IN)?)
    }

    /// Passes a connection on to the next event loop.
    ///
    /// # Errors
    ///
    /// Returns the connection, which must be refused: every event loop has tried in vain, or all of them had no idle
    /// connection a moment ago ([`RETRY`]), or the next one has ended or is too busy.
    pub(super) fn pass_on(&self, transfer: Transfer, now: Instant) -> Result<(), Transfer> {
        let Ring { len, start, pause_until } = &*self.shared;
        let now = now.saturating_duration_since(*start);
        if transfer.tried >= *len {
            pause_until.store((now + RETRY).as_millis() as u64, Ordering::Relaxed);
            return Err(transfer);
        }
        if now.as_millis() < u128::from(pause_until.load(Ordering::Relaxed)) {
            return Err(transfer);
        }
        self.next.queue.try_send(transfer).map_err(|error| match error {
            TrySendError::Full(transfer) | TrySendError::Disconnected(transfer) => transfer,
        })?;
        // A write fails only if the counter is full, and then the descriptor is readable already.
        let _ = write(&*self.next.event, &1u64.to_ne_bytes());
        Ok(())
    }

    /// Takes the connections that were passed to this event loop. Does not wait.
    pub(super) fn take(&self) -> Vec<Transfer> {
        // First reset the event: a connection that arrives meanwhile sets it again.
        let _ = read(&*self.event, &mut [0; 8]);
        self.queue.try_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn transfer(tried: usize) -> Transfer {
        let socket = File::open("/dev/null").expect("/dev/null").into();
        Transfer { transport: Transport::new(socket, false), client_addr: None, address: None, tried }
    }

    #[test]
    fn a_connection_goes_round_once_and_is_then_refused() {
        let now = Instant::now();
        let ring = Transfers::ring(3, now).expect("descriptors");
        let pass = |from: usize, tried| ring[from].pass_on(transfer(tried), now).is_ok();
        assert!(pass(0, 1) && pass(1, 2) && pass(2, 1));
        let tried: Vec<Vec<_>> =
            ring.iter().map(|place| place.take().iter().map(|it| it.tried).collect()).collect();
        assert_eq!(tried, [[1], [1], [2]]);
        assert!(!pass(2, 3), "all three have tried");
        assert!(!pass(0, 1), "all were busy a moment ago");
        assert!(ring[0].pass_on(transfer(1), now + RETRY * 2).is_ok());
    }

    #[test]
    fn a_full_queue_and_an_ended_event_loop_return_the_connection() {
        let now = Instant::now();
        let mut ring = Transfers::ring(2, now).expect("descriptors");
        assert!((0..QUEUE).all(|_| ring[0].pass_on(transfer(1), now).is_ok()));
        assert!(ring[0].pass_on(transfer(1), now).is_err());
        assert_eq!(ring[1].take().len(), QUEUE);
        assert!(ring[0].pass_on(transfer(1), now).is_ok());
        ring.truncate(1);
        assert!(ring[0].pass_on(transfer(1), now).is_err());
    }
}
