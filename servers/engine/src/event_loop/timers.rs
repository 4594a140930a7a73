//! The timers of one event loop: a wheel of one-second slots for deadlines, an ordered map for delayed jobs and for
//! streams that continue at a given time.
//!
//! The wheel is lazy. A connection's deadline moves with every request, but its entry stays where it is; when the
//! entry's second is over, the worker compares the deadline and schedules the connection again if it is later. Only
//! an earlier deadline needs a new entry at once.
//!
//! An entry is the key `K` of a connection, in the slot of one second. Seconds are numbered from the start of the
//! timers. A delayed job is the function that produces the response of a `Reply::After`.

use crate::late::WaitsFor;
use http_core::{CatchDrop, Job};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The number of slots of the wheel, one for each of the next seconds. A slot holds the keys of the connections whose
/// deadlines the worker checks when that second is over.
///
/// A later deadline is first checked in the last slot, and then scheduled again.
const SLOTS: u32 = 16;

/// The number of the second at whose end the worker checks a connection's deadline; `None` if no check is scheduled.
/// Second 0 begins when the [`Timers`] are created.
pub(super) type Scheduled = Option<u32>;

/// What an event loop must do at a given time: check the deadlines of connections, and run delayed jobs.
pub(super) struct Timers<K> {
    /// When second 0 begins.
    start: Instant,
    /// The first second whose entries [`take_second`](Timers::take_second) has not removed yet.
    next: u32,
    /// The keys of the connections whose deadlines must be checked. The entries of second `s` are in slot `s % SLOTS`.
    wheel: [Vec<K>; SLOTS as usize],
    /// The number of entries in the wheel.
    scheduled: usize,
    /// What connections wait for, ordered by the time when it is due. A connection has at most one entry.
    due: BTreeMap<(Instant, K), Due>,
    /// When streams continue. Not a part of the connections: few have a stream that waits for a time.
    resumes_at: BTreeMap<K, Instant>,
}

/// What a connection does at a given time.
pub(super) enum Due {
    /// Runs the job of a `Reply::After`, a function that produces the response.
    Job(CatchDrop<Job>),
    /// Asks the source of its stream for more bytes.
    Stream,
}

impl<K: Copy + Ord> Timers<K> {
    /// Creates timers without entries. Seconds count from `now`.
    pub(super) fn new(now: Instant) -> Timers<K> {
        Timers {
            start: now,
            next: 0,
            wheel: Default::default(),
            scheduled: 0,
            due: BTreeMap::new(),
            resumes_at: BTreeMap::new(),
        }
    }

    /// Schedules a check of the deadline of the connection `key`: at the end of the deadline's second, or earlier if
    /// the deadline is too far away for the wheel. Stores the number of that second in `scheduled`, which belongs to
    /// the connection.
    ///
    /// Does nothing if a check is already scheduled for the same or an earlier second. If one is scheduled for a later
    /// second, its entry stays in the wheel, and the worker ignores it.
    #[inline]
    pub(super) fn schedule(&mut self, key: K, deadline: Instant, scheduled: &mut Scheduled) {
        // `take_second` removes a second when it is over, so that no deadline of that second is checked too early.
        let due = self.second(deadline).clamp(self.next, self.next + SLOTS - 1);
        if scheduled.is_some_and(|second| second <= due) {
            return;
        }
        *scheduled = Some(due);
        self.scheduled += 1;
        self.wheel[(due % SLOTS) as usize].push(key);
    }

    /// Removes all entries of one second that is over: the earliest whose entries are still there. Returns the number
    /// of that second and the keys of the connections. Returns `None` if no such second is over, or no check is
    /// scheduled.
    ///
    /// The caller must compare each connection's `Scheduled` with the returned second: the connection may have been
    /// closed, or scheduled for another second.
    pub(super) fn take_second(&mut self, now: Instant) -> Option<(u32, Vec<K>)> {
        if self.scheduled == 0 {
            self.next = self.next.max(self.second(now));
            return None;
        }
        if self.second(now) <= self.next {
            return None;
        }
        let second = self.next;
        self.next += 1;
        let keys = std::mem::take(&mut self.wheel[(second % SLOTS) as usize]);
        self.scheduled -= keys.len();
        Some((second, keys))
    }

    /// Stores `job` of the connection `key`. From the time `due` on, [`take_due`](Timers::take_due) returns the job.
    pub(super) fn delay(&mut self, due: Instant, key: K, job: Job) {
        self.due.insert((due, key), Due::Job(CatchDrop::new(job)));
    }

    /// Makes [`take_due`](Timers::take_due) return the connection `key` from the time `at` on, and not at another time
    /// that was set before. `None` for never.
    pub(super) fn resume_at(&mut self, at: Option<Instant>, key: K) {
        let before = match at {
            Some(at) => self.resumes_at.insert(key, at),
            None => self.resumes_at.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, key));
        }
        if let Some(at) = at {
            self.due.insert((at, key), Due::Stream);
        }
    }

    /// Drops the job of the connection `key` for which `waits_for` waits. Does nothing if there is no such job.
    pub(super) fn cancel(&mut self, waits_for: &WaitsFor, key: K) {
        if let WaitsFor::Timer(due) = *waits_for {
            self.due.remove(&(due, key));
        }
    }

    /// Removes and returns what is due first, and the key of its connection; `None` if nothing is due at `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(K, Due)> {
        let first = self.due.first_entry().filter(|first| first.key().0 <= now)?;
        let ((_, key), due) = first.remove_entry();
        if let Due::Stream = due {
            self.resumes_at.remove(&key);
        }
        Some((key, due))
    }

    /// The time until the worker must call [`take_second`](Timers::take_second) and [`take_due`](Timers::take_due)
    /// again. Zero if something is due now; `None` if nothing is scheduled.
    pub(super) fn next_due(&self, now: Instant) -> Option<Duration> {
        let wheel = (self.scheduled > 0).then(|| self.start + Duration::from_secs(u64::from(self.next) + 1));
        let first = self.due.first_key_value().map(|((due, _), _)| *due);
        let due = wheel.into_iter().chain(first).min()?;
        Some(due.saturating_duration_since(now))
    }

    /// The number of the second in which `at` lies, counted from the start of the timers.
    fn second(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.start).as_secs() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_core::{Response, Status};

    const KEY: u8 = 7;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// Schedules a deadline `after` seconds from the start; it must come up after `expected` seconds.
    fn check(after: u64, expected: u64) {
        let start = Instant::now();
        let (mut timers, mut scheduled) = (Timers::new(start), None);
        let deadline = start + seconds(after);
        timers.schedule(KEY, deadline, &mut scheduled);
        let mut now = start;
        loop {
            now += timers.next_due(now).expect("an entry");
            let Some((second, keys)) = timers.take_second(now) else { continue };
            for key in keys {
                assert_eq!((key, scheduled.take()), (KEY, Some(second)));
                if deadline <= now {
                    assert_eq!((now - start).as_secs(), expected);
                    return;
                }
                timers.schedule(key, deadline, &mut scheduled);
            }
        }
    }

    #[test]
    fn a_deadline_comes_up_within_a_second_after_it() {
        check(0, 1);
        check(5, 6);
        check(15, 16);
        check(16, 16);
        check(100, 101);
    }

    #[test]
    fn only_an_earlier_deadline_is_scheduled_again() {
        let start = Instant::now();
        let (mut timers, mut scheduled) = (Timers::new(start), None);
        for (after, expected) in [(10, 10), (3, 3), (12, 3)] {
            timers.schedule(KEY, start + seconds(after), &mut scheduled);
            assert_eq!(scheduled, Some(expected));
        }
    }

    #[test]
    fn delayed_jobs_are_due_in_order() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        for (key, after) in [(0, 3), (1, 1), (2, 2)] {
            timers.delay(start + seconds(after), key, Box::new(|_| Response::new(Status::OK)));
        }
        assert_eq!(timers.next_due(start), Some(seconds(1)));
        assert!(timers.take_due(start).is_none());
        timers.cancel(&WaitsFor::Timer(start + seconds(2)), 2);
        let keys: Vec<u8> =
            std::iter::from_fn(|| timers.take_due(start + seconds(9)).map(|(key, _)| key)).collect();
        assert_eq!(keys, [1, 0]);
        assert_eq!(timers.next_due(start), None);
    }

    #[test]
    fn a_stream_continues_at_the_time_that_was_set_last() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        for after in [3, 5, 1, 2] {
            let at = start + seconds(after);
            timers.resume_at(Some(at), KEY);
            assert_eq!(timers.next_due(start), Some(seconds(after)));
        }
        assert!(timers.take_due(start + seconds(1)).is_none());
        assert!(matches!(timers.take_due(start + seconds(2)), Some((KEY, Due::Stream))));
        assert_eq!(timers.next_due(start), None);
        timers.resume_at(Some(start), KEY);
        timers.resume_at(None, KEY);
        assert_eq!(timers.next_due(start), None);
    }
}
