//! The schedule of requests: which request is due at which time. A driver thread takes its next request here when it
//! has an idle connection. It does no I/O and reads no clock.
//!
//! In a closed loop the next request is always due at once. In an open loop each request has a fixed time, determined
//! by its number. A late request keeps its original time, so the latencies include the server's delay (they avoid
//! "coordinated omission"). No queue is needed: the backlog is the difference of two numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::plan::{Load, Until};

/// The schedule of one driver thread: which request it has to send next, and when.
#[derive(Debug)]
pub(super) struct Schedule<'a> {
    /// When the load started.
    start: Instant,
    /// After which number of requests, or after which time, the load ends.
    until: Until,
    /// Requests per second of all threads together; `None` in a closed loop.
    rate: Option<f64>,
    /// How many requests all threads have taken. A closed loop with a number of requests counts here, so that no thread
    /// stops while requests are left.
    taken: &'a AtomicU64,
    /// The number of this thread's next request, counted from 0; unused if `taken` counts. Of `threads` threads, each
    /// sends every `threads`th request.
    next: u64,
    /// The number of driver threads.
    threads: u64,
}

/// What [`Schedule::next`] returns: a request that is due, the time of the next request, or that none is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The request with this number, counted from 0, is due, and has been since `since`.
    Due { number: u64, since: Instant },
    /// No request is due; the next will be at this time.
    At(Instant),
    /// The load has no further request for this thread.
    Finished,
}

impl<'a> Schedule<'a> {
    /// The schedule of thread `index` of `threads`, for a load that starts at `start`. All threads share `taken`, which
    /// starts at 0.
    pub(super) fn new(
        load: &Load,
        start: Instant,
        taken: &'a AtomicU64,
        index: usize,
        threads: usize,
    ) -> Schedule<'a> {
        let (next, threads) = (index as u64, threads as u64);
        Schedule { start, until: load.until, rate: load.rate, taken, next, threads }
    }

    /// Takes the next request if it is due at `now`. Each request is returned once.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        match (self.rate, self.until) {
            (Some(rate), _) => self.next_of_rate(rate, now),
            (None, Until::Requests(count)) => match self.taken.fetch_add(1, Ordering::Relaxed) {
                number if number < count => Next::Due { number, since: now },
                _ => Next::Finished,
            },
            (None, Until::Time(time)) if now.saturating_duration_since(self.start) < time => {
                Next::Due { number: self.take(), since: now }
            }
            (None, Until::Time(_)) => Next::Finished,
        }
    }

    /// [`next`](Schedule::next) in an open loop: request `n` is due `n / rate` seconds after the start.
    fn next_of_rate(&mut self, rate: f64, now: Instant) -> Next {
        // A time too late for the clock is never reached.
        let Ok(offset) = Duration::try_from_secs_f64(self.next as f64 / rate) else { return Next::Finished };
        let Some(since) = self.start.checked_add(offset) else { return Next::Finished };
        let finished = match self.until {
            Until::Requests(count) => self.next >= count,
            Until::Time(time) => offset >= time,
        };
        match finished {
            true => Next::Finished,
            false if since > now => Next::At(since),
            false => Next::Due { number: self.take(), since },
        }
    }

    /// Returns the number of this thread's next request, and moves on to the one after it.
    fn take(&mut self) -> u64 {
        let number = self.next;
        self.next += self.threads;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Exchange;

    const SECOND: Duration = Duration::from_secs(1);

    /// At each of these times, takes all due requests from the schedules of two threads; in a closed loop, where a
    /// request is always due, one from each. Compares `(request number, due time)`. All times are in milliseconds from
    /// the start.
    fn check(until: Until, rate: Option<f64>, times_ms: &[u64], expected: &[(u64, u64)]) {
        let load = Load { until, rate, ..Load::new(([127, 0, 0, 1], 1).into(), Exchange::new("")) };
        let (start, taken) = (Instant::now(), AtomicU64::new(0));
        let mut schedules = [0, 1].map(|index| Schedule::new(&load, start, &taken, index, 2));
        let mut actual = Vec::new();
        for &ms in times_ms {
            for schedule in &mut schedules {
                while let Next::Due { number, since } = schedule.next(start + Duration::from_millis(ms)) {
                    actual.push((number, (since - start).as_millis() as u64));
                    if rate.is_none() {
                        break;
                    }
                }
            }
        }
        assert_eq!(actual, expected);
    }

    #[test]
    fn a_closed_loop_always_has_a_request_due() {
        check(Until::Requests(3), None, &[0, 9, 10], &[(0, 0), (1, 0), (2, 9)]);
        check(Until::Time(SECOND), None, &[0, 999, 1000], &[(0, 0), (1, 0), (2, 999), (3, 999)]);
    }

    #[test]
    fn an_open_loop_keeps_the_time_of_late_requests() {
        let all = [(0, 0), (1, 250), (2, 500), (3, 750)];
        for until in [Until::Requests(4), Until::Time(SECOND)] {
            check(until, Some(4.0), &[0, 250, 500, 750, 9000], &all);
            // A late caller gets all requests with their original times: first those of the first thread.
            check(until, Some(4.0), &[9000], &[all[0], all[2], all[1], all[3]]);
        }
    }

    #[test]
    fn an_open_loop_returns_when_the_next_request_is_due() {
        let load = Load { rate: Some(4.0), ..Load::new(([127, 0, 0, 1], 1).into(), Exchange::new("")) };
        let (start, taken) = (Instant::now(), AtomicU64::new(0));
        let mut schedule = Schedule::new(&load, start, &taken, 1, 2);
        assert_eq!(schedule.next(start), Next::At(start + SECOND / 4));
        assert_eq!(schedule.next(start + 100 * SECOND), Next::Due { number: 1, since: start + SECOND / 4 });
        assert_eq!(schedule.next(start), Next::At(start + SECOND * 3 / 4));
    }
}
