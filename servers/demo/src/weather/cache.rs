//! The cache of weather reports. It serves a stale report while upstream fails, and remembers failures for a short
//! time. It never reads the clock: callers pass the time.

use super::{open_meteo::Report, place::Place, settings::WeatherSettings};
use crate::problem::Problem;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// The response to a request for a place: a report or an error.
pub(super) type WeatherResult = Result<CachedReport, Problem>;

/// A report and the time of its fetch.
#[derive(Clone, Debug)]
pub(super) struct CachedReport {
    pub(super) report: Arc<Report>,
    pub(super) fetched_at: Instant,
    /// Whether the last fetch failed, so that this report of an earlier one is served instead.
    pub(super) stale: bool,
}

/// The last fetch of each place.
pub(super) struct Cache {
    settings: WeatherSettings,
    entries: HashMap<Place, Entry>,
}

/// The last fetch of a place.
struct Entry {
    ended_at: Instant,
    /// The report, or the error with the report of the last successful fetch.
    result: Result<CachedReport, (Problem, Option<CachedReport>)>,
}

impl Cache {
    pub(super) fn new(settings: WeatherSettings) -> Cache {
        Cache { settings, entries: HashMap::new() }
    }

    /// Returns what to respond for a place, or `None` if upstream has to be asked.
    pub(super) fn get(&self, place: &Place, now: Instant) -> Option<WeatherResult> {
        let entry = self.entries.get(place)?;
        let settings = &self.settings;
        let lifetime = if entry.result.is_ok() { settings.max_age } else { settings.retry_delay };
        is_within(lifetime, entry.ended_at, now).then(|| self.response(entry, now))
    }

    /// Stores the result of a fetch, and returns what to respond because of it.
    pub(super) fn insert(
        &mut self,
        place: &Place,
        fetched: Result<Report, Problem>,
        now: Instant,
    ) -> WeatherResult {
        let last_report = self.entries.remove(place).and_then(|last| match last.result {
            Ok(report) => Some(report),
            Err((_, report)) => report,
        });
        let fetched =
            fetched.map(|report| CachedReport { report: Arc::new(report), fetched_at: now, stale: false });
        let entry = Entry { ended_at: now, result: fetched.map_err(|problem| (problem, last_report)) };
        let response = self.response(&entry, now);
        self.make_room();
        self.entries.insert(place.clone(), entry);
        response
    }

    fn response(&self, entry: &Entry, now: Instant) -> WeatherResult {
        match &entry.result {
            Ok(report) => Ok(report.clone()),
            Err((_, Some(last))) if is_within(self.settings.stale_if_error, last.fetched_at, now) => {
                Ok(CachedReport { stale: true, ..last.clone() })
            }
            Err((problem, _)) => Err(problem.clone()),
        }
    }

    /// Removes the oldest entry if the cache is full. The search through all entries is cheap beside the fetch.
    fn make_room(&mut self) {
        if self.entries.len() >= self.settings.max_places {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.ended_at);
            let oldest = oldest.map(|(place, _)| place.clone());
            oldest.and_then(|place| self.entries.remove(&place));
        }
    }
}

fn is_within(lifetime: Duration, since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < lifetime
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::Status;

    fn city(name: &str) -> Place {
        Place::City(name.to_owned())
    }

    fn cache() -> Cache {
        let [max_age, stale_if_error, retry_delay] = [10, 100, 2].map(Duration::from_secs);
        let settings = WeatherSettings::default();
        Cache::new(WeatherSettings { max_age, stale_if_error, retry_delay, max_places: 2, ..settings })
    }

    /// What a step inserts: a report of this temperature, or an error with this detail. `None` looks the place up.
    type Inserted = Option<Result<f64, &'static str>>;

    /// Each step has a time in milliseconds and the response that the cache returns then.
    fn check(steps: &[(u64, Inserted, &str)]) {
        let (start, mut cache, place) = (Instant::now(), cache(), city("a"));
        for (ms, inserted, expected) in steps {
            let now = start + Duration::from_millis(*ms);
            let response = match *inserted {
                None => cache.get(&place, now),
                Some(fetched) => {
                    let fetched = fetched.map(Report::sample);
                    let fetched = fetched.map_err(|detail| Problem::new(Status::BAD_GATEWAY, detail));
                    Some(cache.insert(&place, fetched, now))
                }
            };
            let summary = match response {
                None => "none".to_owned(),
                Some(Err(problem)) => problem.detail().to_owned(),
                Some(Ok(cached)) => cached.report.summary() + if cached.stale { ", stale" } else { "" },
            };
            assert_eq!(summary, *expected, "after {ms} ms");
        }
    }

    #[test]
    fn serves_a_stale_report_while_upstream_fails() {
        check(&[
            (0, None, "none"),
            (0, Some(Ok(1.0)), "1 C, light snowfall"),
            (9_000, None, "1 C, light snowfall"),
            (10_000, None, "none"),
            (10_000, Some(Err("down")), "1 C, light snowfall, stale"),
            (11_000, None, "1 C, light snowfall, stale"),
            (12_000, None, "none"),
            (99_000, Some(Err("down")), "1 C, light snowfall, stale"),
            (99_000, None, "1 C, light snowfall, stale"),
            (100_000, None, "down"),
            (101_000, None, "none"),
            (101_000, Some(Err("down")), "down"),
            (103_000, Some(Ok(2.0)), "2 C, light snowfall"),
            (112_000, None, "2 C, light snowfall"),
        ]);
    }

    #[test]
    fn remembers_a_failure_for_the_retry_delay() {
        check(&[(0, Some(Err("down")), "down"), (1_999, None, "down"), (2_000, None, "none")]);
    }

    #[test]
    fn evicts_the_oldest_entry() {
        let (start, mut cache) = (Instant::now(), cache());
        for (ms, name) in [(0, "a"), (1, "b"), (2, "a"), (3, "c")] {
            let now = start + Duration::from_millis(ms);
            assert!(cache.insert(&city(name), Ok(Report::sample(1.0)), now).is_ok());
        }
        let cached = ["a", "b", "c"].map(|name| cache.get(&city(name), start).is_some());
        assert_eq!(cached, [true, false, true]);
    }
}
