//! Passes new connections from one event loop to another. Never waits: if a queue is full, the connection stays where it
//! is.
//!
//! A connection is passed for one of two reasons:
//!
//! - **Balance.** The kernel chooses a listening socket by a hash of the addresses, so with few connections some event
//!   loops get many and others none. An event loop passes a new connection to the one that has the fewest
//!   ([`Transfers::balance`]).
//! - **Room.** The connection limit is reached, and only another event loop may have an idle connection to close
//!   ([`Transfers::pass_on`]). For this, the event loops form a ring. A connection that each of them has tried in vain is
//!   refused by the last one.

use crate::{admission::AddressPermit, metrics::Counters, transport::Transport};
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
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The maximum number of connections that wait for an event loop to take them.
const QUEUE: usize = 64;

/// The same for connections that are passed for balance. An event loop that does not take them is busy: it keeps the
/// fewest connections, but must not get all new ones for that.
const BALANCE_QUEUE: usize = 16;

/// After no event loop had an idle connection, new connections are refused for so long without asking the others again.
/// So a flood of connections costs little when all are busy.
const RETRY: Duration = Duration::from_millis(100);

/// An event loop passes a new connection to another that has fewer if the difference is more than the other's number
/// divided by this. So those with many connections, which the kernel spreads well enough, pass few.
const TOLERANCE: u64 = 8;

/// A new connection that no event loop serves yet.
pub(super) struct Transfer {
    pub(super) transport: Transport,
    pub(super) client_addr: Option<SocketAddr>,
    /// Counts the connection for its client's address.
    pub(super) address: Option<AddressPermit>,
    /// How many event loops had no room and no idle connection to close.
    pub(super) tried: usize,
}

/// One event loop's queue, and its way to the queues of the others.
pub(super) struct Transfers {
    /// The number of this event loop.
    number: usize,
    shared: Arc<TransferQueues>,
}

/// What all event loops share.
struct TransferQueues {
    /// The queue of each event loop, by its number.
    queues: Vec<TransferQueue>,
    /// The counters of each event loop, by its number. A connection in a queue counts as open.
    counters: Arc<[Arc<Counters>]>,
    start: Instant,
    /// Until when, in milliseconds since `start`, no connection is passed on.
    pause_until: AtomicU64,
}

/// The connections that were passed to one event loop, and that it has not taken yet.
struct TransferQueue {
    /// `None` if the event loop takes none any more.
    connections: Mutex<Option<Vec<Transfer>>>,
    /// Becomes readable when a connection is in the queue.
    event: OwnedFd,
}

impl Transfers {
    /// Creates a queue for each event loop. `counters` are those of the event loops; `now` is the current time.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    pub(super) fn new(counters: &Arc<[Arc<Counters>]>, now: Instant) -> io::Result<Vec<Transfers>> {
        let queue = |_: &Arc<Counters>| {
            let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            Ok(TransferQueue { connections: Mutex::new(Some(Vec::new())), event })
        };
        let queues = counters.iter().map(queue).collect::<io::Result<_>>()?;
        let (counters, pause_until) = (Arc::clone(counters), AtomicU64::new(0));
        let shared = Arc::new(TransferQueues { queues, counters, start: now, pause_until });
        Ok((0..shared.queues.len()).map(|number| Transfers { number, shared: Arc::clone(&shared) }).collect())
    }

    /// Makes `poll` report `token` while connections wait in this event loop's queue.
    ///
    /// # Errors
    ///
    /// The system has no memory or epoll watches left.
    pub(super) fn register(&self, poll: &Poll, token: Token) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.0 as u64);
        Ok(epoll::add(poll.registry(), &self.queue().event, data, epoll::EventFlags::IN)?)
    }

    /// Passes a connection to the event loop that has the fewest, if this one has clearly more ([`TOLERANCE`]).
    ///
    /// # Errors
    ///
    /// Returns the connection, which this event loop must serve.
    pub(super) fn balance(&self, transfer: Transfer) -> Result<(), Transfer> {
        let counters = &self.shared.counters;
        let own = counters[self.number].open_connections();
        // An event loop without connections looks at no memory of others: most connections that close after their first
        // response are gone before the next one comes.
        if own == 0 {
            return Err(transfer);
        }
        let open = counters.iter().map(|counters| counters.open_connections()).enumerate();
        match open.min_by_key(|(_, open)| *open) {
            Some((fewest, open)) if own > open + open / TOLERANCE => {
                self.pass_to(fewest, transfer, BALANCE_QUEUE)
            }
            _ => Err(transfer),
        }
    }

    /// Passes a connection for which this event loop has no room on to the next one.
    ///
    /// # Errors
    ///
    /// Returns the connection, which must be refused: every event loop has tried in vain, or all of them had no idle
    /// connection a moment ago ([`RETRY`]), or the next one has ended or is too busy.
    pub(super) fn pass_on(&self, transfer: Transfer, now: Instant) -> Result<(), Transfer> {
        let TransferQueues { queues, start, pause_until, .. } = &*self.shared;
        let now = now.saturating_duration_since(*start);
        if transfer.tried >= queues.len() {
            pause_until.store((now + RETRY).as_millis() as u64, Ordering::Relaxed);
            return Err(transfer);
        }
        if now.as_millis() < u128::from(pause_until.load(Ordering::Relaxed)) {
            return Err(transfer);
        }
        self.pass_to((self.number + 1) % queues.len(), transfer, QUEUE)
    }

    /// Takes the connections that were passed to this event loop. Does not wait.
    pub(super) fn take(&self) -> Vec<Transfer> {
        // First reset the event: a connection that arrives meanwhile sets it again.
        let _ = read(&self.queue().event, &mut [0; 8]);
        self.uncount(self.queue().lock().as_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Takes the connections that were passed to this event loop, which takes none any more.
    pub(super) fn close(&self) -> Vec<Transfer> {
        self.uncount(self.queue().lock().take().unwrap_or_default())
    }

    /// The queue of this event loop.
    fn queue(&self) -> &TransferQueue {
        &self.shared.queues[self.number]
    }

    /// Puts a connection into the queue of the event loop with this number, and wakes it.
    ///
    /// # Errors
    ///
    /// Returns the connection if the queue has `max` connections already, or is closed.
    fn pass_to(&self, number: usize, transfer: Transfer, max: usize) -> Result<(), Transfer> {
        let queue = &self.shared.queues[number];
        match &mut *queue.lock() {
            Some(connections) if connections.len() < max => {
                // Before another thread can take it and end the count.
                self.shared.counters[number].open();
                connections.push(transfer);
            }
            _ => return Err(transfer),
        }
        // A write fails only if the counter is full, and then the descriptor is readable already.
        let _ = write(&queue.event, &1u64.to_ne_bytes());
        Ok(())
    }

    /// Ends the count of connections that have left the queue.
    fn uncount(&self, taken: Vec<Transfer>) -> Vec<Transfer> {
        taken.iter().for_each(|_| self.shared.counters[self.number].close());
        taken
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.close();
    }
}

impl TransferQueue {
    /// Locks the queue. This works even if a thread has panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Transfer>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// The transfers of this number of event loops, and their counters.
    fn event_loops(len: usize, now: Instant) -> (Vec<Transfers>, Arc<[Arc<Counters>]>) {
        let counters = Counters::of_workers(len, false);
        (Transfers::new(&counters, now).expect("descriptors"), counters)
    }

    fn transfer(tried: usize) -> Transfer {
        let socket = File::open("/dev/null").expect("/dev/null").into();
        Transfer { transport: Transport::new(socket, false), client_addr: None, address: None, tried }
    }

    #[test]
    fn a_connection_goes_round_once_and_is_then_refused() {
        let now = Instant::now();
        let (ring, _) = event_loops(3, now);
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
        let (mut ring, _) = event_loops(2, now);
        assert!((0..QUEUE).all(|_| ring[0].pass_on(transfer(1), now).is_ok()));
        assert!(ring[0].pass_on(transfer(1), now).is_err());
        assert_eq!(ring[1].take().len(), QUEUE);
        assert!(ring[0].pass_on(transfer(1), now).is_ok());
        ring.truncate(1);
        assert!(ring[0].pass_on(transfer(1), now).is_err());
    }

    #[test]
    fn the_event_loop_with_the_fewest_connections_gets_the_next() {
        // The numbers of open connections, the event loop that accepts, and the one that gets the connection.
        let check = |open: &[u64], from: usize, expected: usize| {
            let (transfers, counters) = event_loops(open.len(), Instant::now());
            let all = open.iter().zip(&*counters);
            all.for_each(|(open, counters)| (0..*open).for_each(|_| counters.open()));
            let kept = transfers[from].balance(transfer(0)).is_err();
            let has = |number: &usize| counters[*number].open_connections() > open[*number];
            let to = (0..open.len()).find(has).unwrap_or(from);
            assert_eq!((to, kept), (expected, expected == from), "{open:?} from {from}");
            transfers.iter().for_each(|it| drop(it.close()));
            assert!(counters.iter().map(|it| it.open_connections()).eq(open.iter().copied()));
        };
        check(&[0], 0, 0);
        check(&[7], 0, 0);
        check(&[0, 0], 1, 1);
        check(&[1, 0], 0, 1);
        check(&[1, 1, 1], 2, 2);
        check(&[3, 2, 1], 0, 2);
        check(&[3, 2, 1], 1, 2);
        check(&[90, 80], 0, 0);
        check(&[91, 80], 0, 1);
    }

    #[test]
    fn what_is_in_the_queue_counts() {
        // The number of open connections of the first event loop, and how many of 20 new ones it passes to the second.
        let check = |open: u64, expected: u64| {
            let (transfers, counters) = event_loops(2, Instant::now());
            (0..open).for_each(|_| counters[0].open());
            let passed = (0..20).filter(|_| transfers[0].balance(transfer(0)).is_ok()).count() as u64;
            assert_eq!((passed, counters[1].open_connections()), (expected, expected));
            let taken = transfers[1].take().len() as u64;
            assert_eq!((taken, counters[1].open_connections()), (expected, 0));
            assert!(transfers[1].close().is_empty() && transfers[0].balance(transfer(0)).is_err());
        };
        check(5, 5);
        check(1000, BALANCE_QUEUE as u64);
    }
}
