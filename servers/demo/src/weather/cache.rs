//! What is known of places: for how long it counts, what stands in for it when upstream fails, and which failures
//! are too young to try again. It asks no clock: time comes in.

use super::{failure::Failure, forecast::Report, place::Place};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long things count, and how many.
#[derive(Clone, Debug)]
pub(super) struct Lifetimes {
    pub(super) fresh: Duration,
    pub(super) stale: Duration,
    pub(super) pause: Duration,
    pub(super) places: usize,
}

/// What there is to tell about a place.
pub(super) type Finding = Result<Known, Failure>;

/// A report, and how far it is to be trusted.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) report: Arc<Report>,
    pub(super) fetched: Instant,
    /// It stands in for what could not be fetched anew.
    pub(super) stale: bool,
}

/// What is known of places.
#[derive(Debug)]
pub(super) struct Cache {
    lifetimes: Lifetimes,
    entries: HashMap<Place, Entry>,
}

/// What came of the last tries.
#[derive(Debug)]
struct Entry {
    report: Option<(Arc<Report>, Instant)>,
    /// Of the last try, if it failed.
    failure: Option<(Failure, Instant)>,
    tried: Instant,
}

impl Cache {
    pub(super) fn new(lifetimes: Lifetimes) -> Cache {
        Cache { lifetimes, entries: HashMap::new() }
    }

    /// What can be told of a place without asking upstream.
    pub(super) fn find(&self, place: &Place, now: Instant) -> Option<Finding> {
        let entry = self.entries.get(place)?;
        if let Some((failure, failed)) = entry.failure {
            return is_within(self.lifetimes.pause, failed, now).then(|| self.instead(entry, failure, now));
        }
        let (report, fetched) = entry.report.as_ref()?;
        let known = || Known { report: Arc::clone(report), fetched: *fetched, stale: false };
        is_within(self.lifetimes.fresh, *fetched, now).then(|| Ok(known()))
    }

    /// Remembers what came of asking upstream, and says what to tell because of it.
    pub(super) fn keep(&mut self, place: &Place, asked: Result<Report, Failure>, now: Instant) -> Finding {
        if !self.entries.contains_key(place) {
            self.make_room();
        }
        let unknown = || Entry { report: None, failure: None, tried: now };
        let entry = self.entries.entry(place.clone()).or_insert_with(unknown);
        entry.tried = now;
        entry.failure = asked.as_ref().err().map(|&failure| (failure, now));
        match asked {
            Ok(report) => {
                let report = Arc::new(report);
                entry.report = Some((Arc::clone(&report), now));
                Ok(Known { report, fetched: now, stale: false })
            }
            Err(failure) => {
                self.entries.get(place).map_or(Err(failure), |entry| self.instead(entry, failure, now))
            }
        }
    }

    /// The last report, if it may stand in for one that could not be had.
    fn instead(&self, entry: &Entry, failure: Failure, now: Instant) -> Finding {
        match &entry.report {
            Some((report, fetched)) if is_within(self.lifetimes.stale, *fetched, now) => {
                Ok(Known { report: Arc::clone(report), fetched: *fetched, stale: true })
            }
            _ => Err(failure),
        }
    }

    /// Forgets the place that was tried the longest ago, if there is no room for another. Looking at all of them is
    /// nothing beside what has just been fetched.
    fn make_room(&mut self) {
        if self.entries.len() < self.lifetimes.places {
            return;
        }
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.tried).map(|(place, _)| place.clone());
        oldest.and_then(|place| self.entries.remove(&place));
    }
}

fn is_within(lifetime: Duration, since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < lifetime
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::failure::{Fault, Step};

    const DOWN: Failure = Failure::Upstream(Step::Forecast, Fault::Unreachable);

    fn place(name: &str) -> Place {
        Place::City(name.to_owned())
    }

    /// One that keeps two places, reports for 10 s, in need for 100 s, and failures for 2 s.
    fn cache() -> Cache {
        let [fresh, stale, pause] = [10, 100, 2].map(Duration::from_secs);
        Cache::new(Lifetimes { fresh, stale, pause, places: 2 })
    }

    /// The temperature that is told and whether it is stale, or the failure.
    fn told(finding: Finding) -> Result<(String, bool), Failure> {
        finding.map(|known| (known.report.summary(), known.stale))
    }

    #[test]
    fn a_report_counts_until_it_is_old_and_stands_in_until_it_is_ancient() {
        let start = Instant::now();
        let (mut cache, place) = (cache(), place("a"));
        let at = |second| start + Duration::from_secs(second);
        let check = |cache: &Cache, second, expected: Option<Result<(&str, bool), Failure>>| {
            let expected = expected.map(|told| told.map(|(text, stale)| (text.to_owned(), stale)));
            assert_eq!(cache.find(&place, at(second)).map(told), expected, "{second} s");
        };
        let (first, second) = ("1 C, rain", "2 C, rain");
        check(&cache, 0, None);
        assert_eq!(told(cache.keep(&place, Ok(Report::sample(1.0)), at(0))), Ok((first.to_owned(), false)));
        check(&cache, 9, Some(Ok((first, false))));
        check(&cache, 10, None);
        assert_eq!(told(cache.keep(&place, Err(DOWN), at(10))), Ok((first.to_owned(), true)));
        check(&cache, 11, Some(Ok((first, true))));
        check(&cache, 12, None);
        assert_eq!(told(cache.keep(&place, Err(DOWN), at(99))), Ok((first.to_owned(), true)));
        check(&cache, 99, Some(Ok((first, true))));
        check(&cache, 100, Some(Err(DOWN)));
        check(&cache, 101, None);
        assert_eq!(told(cache.keep(&place, Err(DOWN), at(101))), Err(DOWN));
        assert_eq!(
            told(cache.keep(&place, Ok(Report::sample(2.0)), at(103))),
            Ok((second.to_owned(), false))
        );
        check(&cache, 112, Some(Ok((second, false))));
    }

    #[test]
    fn what_was_never_known_is_a_failure_for_a_short_time() {
        let start = Instant::now();
        let (mut cache, place) = (cache(), place("a"));
        assert_eq!(told(cache.keep(&place, Err(DOWN), start)), Err(DOWN));
        assert_eq!(cache.find(&place, start + Duration::from_millis(1999)).map(told), Some(Err(DOWN)));
        assert!(cache.find(&place, start + Duration::from_secs(2)).is_none());
    }

    #[test]
    fn the_place_that_was_tried_the_longest_ago_makes_room() {
        let start = Instant::now();
        let mut cache = cache();
        for (millisecond, name) in [(0, "a"), (1, "b"), (2, "a"), (3, "c")] {
            let now = start + Duration::from_millis(millisecond);
            assert!(cache.keep(&place(name), Ok(Report::sample(1.0)), now).is_ok());
        }
        let known = ["a", "b", "c"].map(|name| cache.find(&place(name), start).is_some());
        assert_eq!(known, [true, false, true]);
    }
}
