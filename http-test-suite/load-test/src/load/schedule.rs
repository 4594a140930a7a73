//! The schedule of requests: which request is due at which time. A thread asks here when it has an idle connection.
//!
//! In a closed loop the next request is always due at once. In an open loop each request has a fixed time, determined
//! by its number. A late request keeps its original time, so the latencies include the server's delay (they avoid
//! "coordinated omission"). No queue is needed: the backlog is the difference of two numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::plan::{Load, Until};

/// The state that all threads of one load share.
#[derive(Debug)]
pub(super) struct Outset {
    pub(super) start: Instant,
    /// How many requests the threads have taken. A closed loop with a number of requests counts here, so that no thread
    /// stops while requests are left.
    taken: AtomicU64,
}

/// The schedule of one thread.
#[derive(Debug)]
pub(super) struct Agenda<'a> {
    outset: &'a Outset,
    until: Until,
    rate: Option<f64>,
    /// The number of the thread's next request, unless `Outset` counts. The requests are dealt out in turn: each thread
    /// has every `threads`th.
    number: u64,
    threads: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Request `number` has been due since `since`.
    Due { number: u64, since: Instant },
    /// The next request is due at that time.
    At(Instant),
    /// No further request is due.
    Over,
}

impl Outset {
    pub(super) fn now() -> Outset {
        Outset { start: Instant::now(), taken: AtomicU64::new(0) }
    }
}

impl<'a> Agenda<'a> {
    /// The schedule of thread `index`.
    pub(super) fn new(load: &Load, outset: &'a Outset, index: usize, threads: usize) -> Agenda<'a> {
        let (number, threads) = (index as u64, threads as u64);
        Agenda { outset, until: load.until, rate: load.rate, number, threads }
    }

    /// Takes the next request if it is due at `now`. Each request is returned once.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        match (self.rate, self.until) {
            (Some(rate), _) => self.next_of_rate(rate, now),
            (None, Until::Requests(count)) => match self.outset.taken.fetch_add(1, Ordering::Relaxed) {
                number if number < count => Next::Due { number, since: now },
                _ => Next::Over,
            },
            (None, Until::Time(time)) if now.saturating_duration_since(self.outset.start) < time => {
                Next::Due { number: self.take(), since: now }
            }
            (None, Until::Time(_)) => Next::Over,
        }
    }

    fn next_of_rate(&mut self, rate: f64, now: Instant) -> Next {
        // A time too late for the clock is never reached.
        let Ok(offset) = Duration::try_from_secs_f64(self.number as f64 / rate) else { return Next::Over };
        let Some(since) = self.outset.start.checked_add(offset) else { return Next::Over };
        let over = match self.until {
            Until::Requests(count) => self.number >= count,
            Until::Time(time) => offset >= time,
        };
        match over {
            true => Next::Over,
            false if since > now => Next::At(since),
            false => Next::Due { number: self.take(), since },
        }
    }

    fn take(&mut self) -> u64 {
        let number = self.number;
        self.number += self.threads;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Ask;

    const SECOND: Duration = Duration::from_secs(1);

    /// Asks the schedules of two threads in turn at these times, until both are over. Compares the request numbers and
    /// due times. All times are in milliseconds from the start.
    fn check(until: Until, rate: Option<f64>, asked_ms: &[u64], expected: &[(u64, u64)]) {
        let load = Load { until, rate, ..Load::new(([127, 0, 0, 1], 1).into(), Ask::new("")) };
        let outset = Outset::now();
        let mut agendas = [0, 1].map(|index| Agenda::new(&load, &outset, index, 2));
        let mut actual = Vec::new();
        for &ms in asked_ms {
            for agenda in &mut agendas {
                while let Next::Due { number, since } = agenda.next(outset.start + Duration::from_millis(ms))
                {
                    actual.push((number, (since - outset.start).as_millis() as u64));
                    if rate.is_none() {
                        break;
                    }
                }
            }
        }
        assert_eq!(actual, expected);
    }

    #[test]
    fn a_closed_loop_always_has_something_due() {
        check(Until::Requests(3), None, &[0, 9, 10], &[(0, 0), (1, 0), (2, 9)]);
        check(Until::Time(SECOND), None, &[0, 999, 1000], &[(0, 0), (1, 0), (2, 999), (3, 999)]);
    }

    #[test]
    fn an_open_loop_keeps_the_time_of_late_requests() {
        let all = [(0, 0), (1, 250), (2, 500), (3, 750)];
        for until in [Until::Requests(4), Until::Time(SECOND)] {
            check(until, Some(4.0), &[0, 250, 500, 750, 9000], &all);
            // A late caller gets all requests with their original times: here all of the first thread, then of the
            // second.
            check(until, Some(4.0), &[9000], &[all[0], all[2], all[1], all[3]]);
        }
    }

    #[test]
    fn tells_when_to_ask_again() {
        let load = Load { rate: Some(4.0), ..Load::new(([127, 0, 0, 1], 1).into(), Ask::new("")) };
        let outset = Outset::now();
        let mut agenda = Agenda::new(&load, &outset, 1, 2);
        assert_eq!(agenda.next(outset.start), Next::At(outset.start + SECOND / 4));
        assert_eq!(
            agenda.next(outset.start + 100 * SECOND),
            Next::Due { number: 1, since: outset.start + SECOND / 4 }
        );
        assert_eq!(agenda.next(outset.start), Next::At(outset.start + SECOND * 3 / 4));
    }
}
