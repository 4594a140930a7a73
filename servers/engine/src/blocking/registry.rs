//! Which connections there are, and since when each is idle: to let go of one, or of all.

use crate::shutdown::Shutdown;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net,
};
use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How often the end of a drain is looked for when nothing else tells of it.
const LOOK: Duration = Duration::from_millis(250);

/// A connection's place. The socket closes when the last holder lets go.
pub(super) struct Seat {
    pub(super) socket: OwnedFd,
    number: u64,
    idle_since: Mutex<Option<Instant>>,
    /// Whether it has been told to go.
    leaving: AtomicBool,
}

impl Seat {
    /// Says that its thread is about to wait for a next request, or has got one.
    pub(super) fn set_idle(&self, since: Option<Instant>) {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn idle_since(&self) -> Option<Instant> {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what its thread waits for. A request that has just arrived is still read and answered: only what
    /// would come after it is cut off.
    pub(super) fn let_go(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        let _ = net::shutdown(&self.socket, net::Shutdown::Read);
    }
}

#[derive(Default)]
struct Seats {
    taken: HashMap<u64, Arc<Seat>>,
    next: u64,
}

/// All connections of an engine.
#[derive(Default)]
pub(super) struct Registry {
    seats: Mutex<Seats>,
    left: Condvar,
}

impl Registry {
    pub(super) fn len(&self) -> usize {
        self.seats().taken.len()
    }

    /// Gives a connection a place. Its session gives it back with [`leave`](Registry::leave).
    pub(super) fn enter(&self, socket: OwnedFd) -> Arc<Seat> {
        let mut seats = self.seats();
        seats.next += 1;
        let (number, idle_since, leaving) = (seats.next, Mutex::new(None), AtomicBool::new(false));
        let seat = Arc::new(Seat { socket, number, idle_since, leaving });
        seats.taken.insert(number, Arc::clone(&seat));
        seat
    }

    /// Frees a connection's place.
    pub(super) fn leave(&self, seat: &Seat) {
        self.seats().taken.remove(&seat.number);
        self.left.notify_all();
    }

    /// Lets go of the connection that has been idle for longest. Whether there was one.
    pub(super) fn evict(&self) -> bool {
        let seats = self.seats();
        let staying = seats.taken.values().filter(|seat| !seat.leaving.load(Ordering::SeqCst));
        let longest =
            staying.filter_map(|seat| Some((seat.idle_since()?, seat))).min_by_key(|(since, _)| *since);
        match longest {
            Some((_, seat)) => {
                seat.let_go();
                true
            }
            None => false,
        }
    }

    /// Has [`drain`](Registry::drain) look again: a thread has ended.
    pub(super) fn look_again(&self) {
        let _seats = self.seats();
        self.left.notify_all();
    }

    /// Waits for the order to stop; then lets idle connections go, gives the others until the deadline, and
    /// returns when all is `over` or the time is. That connections have gone is not enough: one that has just been
    /// accepted has no place yet.
    pub(super) fn drain(&self, stop: &Shutdown, over: impl Fn() -> bool) {
        let mut events = [PollFd::new(stop, PollFlags::IN)];
        while !stop.is_asked() {
            match poll(&mut events, None::<&Timespec>) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    log::error!("waiting for the order to stop failed: {error}");
                    return;
                }
            }
        }
        let mut seats = self.seats();
        loop {
            // Sessions look at the order after they call themselves idle, so none slips through for good.
            seats.taken.values().filter(|seat| seat.idle_since().is_some()).for_each(|seat| seat.let_go());
            let time_left =
                stop.deadline().map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
            if over() || time_left.is_zero() {
                return;
            }
            let waited = self.left.wait_timeout(seats, time_left.min(LOOK));
            seats = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
