//! When which request is due. A thread that has a connection to spare asks here what to do with it.
//!
//! In a closed loop that is always the next request. In an open loop each request has a time of its own, fixed before
//! the first is sent: what is late stays due for when it was, so the server's delay is not lost from the latencies
//! ("coordinated omission"). Nothing is queued for that: the backlog is the distance between two numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::plan::{Load, Until};

/// What is shared by all threads of one load.
#[derive(Debug)]
pub(super) struct Outset {
    pub(super) start: Instant,
    /// Closed loops with a number of requests take them from here, so that no thread stops while there are some left.
    taken: AtomicU64,
}

/// The requests that are one thread's.
#[derive(Debug)]
pub(super) struct Agenda<'a> {
    outset: &'a Outset,
    until: Until,
    rate: Option<f64>,
    /// The number of the next request, where it is not taken from `Outset`. Threads take turns: each has every
    /// `threads`th.
    number: u64,
    threads: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Request `number`, due since then.
    Due { number: u64, since: Instant },
    /// Nothing before that time.
    At(Instant),
    /// Nothing any more.
    Over,
}

impl Outset {
    pub(super) fn now() -> Outset {
        Outset { start: Instant::now(), taken: AtomicU64::new(0) }
    }
}

impl<'a> Agenda<'a> {
    /// That of thread `index`.
    pub(super) fn new(load: &Load, outset: &'a Outset, index: usize, threads: usize) -> Agenda<'a> {
        let (number, threads) = (index as u64, threads as u64);
        Agenda { outset, until: load.until, rate: load.rate, number, threads }
    }

    /// What is due at `now`. A request that is told of is taken: it will not be told of again.
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
        // What lies beyond the end of time is not reached.
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

    /// Asks two threads in turn, at these times (in milliseconds from the start), until both say that it is over; compares
    /// the numbers of the requests with the times (likewise) for which they were due.
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
    fn an_open_loop_keeps_its_times() {
        let all = [(0, 0), (1, 250), (2, 500), (3, 750)];
        for until in [Until::Requests(4), Until::Time(SECOND)] {
            check(until, Some(4.0), &[0, 250, 500, 750, 9000], &all);
            // Whoever comes late finds all of them, due when they were: here first one thread's, then the other's.
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
