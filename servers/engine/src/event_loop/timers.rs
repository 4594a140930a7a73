//! The timers of one event loop: a wheel of one-second slots for deadlines, an ordered map for delayed jobs.
//!
//! The wheel is lazy. A connection's deadline moves with every request, but its entry stays where it is; when the
//! entry's second is over, the worker compares the deadline and schedules the connection again if it is later. Only
//! an earlier deadline needs a new entry at once. `K` is the key of a connection.

use http_core::Job;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Slots of the wheel, one second each. A deadline further away gets an entry in the last slot and is scheduled again from
/// there, so that the entry of a closed connection never stays longer than this.
const SLOTS: u32 = 16;

/// The second under which a connection is scheduled; `None` if it is not.
pub(super) type Scheduled = Option<u32>;

/// Everything that an event loop must do at a given time.
pub(super) struct Timers<K> {
    start: Instant,
    /// The first second whose slot has not been taken.
    next: u32,
    wheel: [Vec<K>; SLOTS as usize],
    scheduled: usize,
    /// At most one job per connection.
    jobs: BTreeMap<(Instant, K), Job>,
}

impl<K: Copy + Ord> Timers<K> {
    /// Creates timers without entries. Seconds count from `now`.
    pub(super) fn new(now: Instant) -> Timers<K> {
        Timers { start: now, next: 0, wheel: Default::default(), scheduled: 0, jobs: BTreeMap::new() }
    }

    /// Schedules the connection `key` for its deadline, unless it is `scheduled` for an earlier second already.
    #[inline]
    pub(super) fn schedule(&mut self, key: K, deadline: Instant, scheduled: &mut Scheduled) {
        // A second that has begun is taken when it is over, so that no deadline is looked at too early.
        let due = self.second(deadline).clamp(self.next, self.next + SLOTS - 1);
        if scheduled.is_some_and(|second| second <= due) {
            return;
        }
        *scheduled = Some(due);
        self.scheduled += 1;
        self.wheel[(due % SLOTS) as usize].push(key);
    }

    /// Takes the next second that is over, and the keys scheduled for it. Some of them may be closed or scheduled for
    /// another second by now.
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

    /// Runs `job` at `due`, for the connection `key`.
    pub(super) fn delay(&mut self, due: Instant, key: K, job: Job) {
        self.jobs.insert((due, key), job);
    }

    /// Drops a delayed job whose connection has closed.
    pub(super) fn cancel(&mut self, due: Instant, key: K) {
        self.jobs.remove(&(due, key));
    }

    /// Takes the next delayed job that is due.
    pub(super) fn take_job(&mut self, now: Instant) -> Option<(K, Job)> {
        let first = self.jobs.first_entry().filter(|first| first.key().0 <= now)?;
        let ((_, key), job) = first.remove_entry();
        Some((key, job))
    }

    /// How long nothing is due; `None` if nothing is scheduled.
    pub(super) fn next_due(&self, now: Instant) -> Option<Duration> {
        let wheel = (self.scheduled > 0).then(|| self.start + Duration::from_secs(u64::from(self.next) + 1));
        let job = self.jobs.first_key_value().map(|((due, _), _)| *due);
        let due = wheel.into_iter().chain(job).min()?;
        Some(due.saturating_duration_since(now))
    }

    /// The second, counted from the start, in which `at` lies.
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
            timers.delay(start + seconds(after), key, Box::new(|| Response::new(Status::OK)));
        }
        assert_eq!(timers.next_due(start), Some(seconds(1)));
        assert!(timers.take_job(start).is_none());
        timers.cancel(start + seconds(2), 2);
        let keys: Vec<u8> =
            std::iter::from_fn(|| timers.take_job(start + seconds(9)).map(|(key, _)| key)).collect();
        assert_eq!(keys, [1, 0]);
        assert_eq!(timers.next_due(start), None);
    }
}
