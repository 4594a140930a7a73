//! The reports of all places: a cache, and single flight. If several requests need the same report while it is missing
//! or too old, one of them, the leader, fetches it. The others, its followers, wait for the result and hold no thread
//! meanwhile.
//!
//! The cache serves a stale report while upstream fails, and remembers failures for a short time. One lock guards both
//! the cache and the fetches in flight: every request finds either the fetch or its result. Two fetches for the same
//! place must never run at once. Nothing here reads the clock: callers pass the time.

use super::{open_meteo::Report, place::Place, settings::WeatherSettings};
use crate::problem::Problem;
use http_engine::Status;
use serde::Serialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The result of a request for the weather at a place: a report, or the error to send to the client.
pub(super) type WeatherResult = Result<CachedReport, Problem>;

/// A function that passes the result of a fetch to one follower: a request that waits for another request's fetch.
pub(super) type Deliver = Box<dyn FnOnce(WeatherResult) + Send>;

/// A report and the time when its fetch ended. It serializes as the JSON body of a response of `/weather`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CachedReport {
    #[serde(flatten)]
    pub(super) report: Arc<Report>,
    #[serde(skip)]
    pub(super) fetched_at: Instant,
    /// True if the last fetch failed, and this report of an earlier fetch is served instead.
    pub(super) stale: bool,
}

/// The cache of reports, and the fetches that are running. All clones share both.
#[derive(Clone)]
pub(super) struct Reports(Arc<Mutex<ReportsState>>);

/// What all clones of a [`Reports`] share.
struct ReportsState {
    settings: WeatherSettings,
    cache: HashMap<Place, CacheEntry>,
    /// The running fetches, by place. Each has the functions that deliver its result to its followers, the requests
    /// that wait for it: none at first. A place has no entry if no fetch is running.
    in_flight: HashMap<Place, Vec<Deliver>>,
}

/// The last fetch for a place.
struct CacheEntry {
    ended_at: Instant,
    result: WeatherResult,
    /// The report of the last successful fetch before this one, or `None` if the cache had none. If `result` is an
    /// error, this report is served in its place, marked as stale.
    earlier_report: Option<CachedReport>,
}

/// How a request gets its result.
pub(super) enum Role {
    /// The cache had this result. There is nothing to do.
    Cached(WeatherResult),
    /// No other request fetches this report: fetch the weather at [`Leader::place`], then call [`Leader::finish`].
    Leader(Leader),
    /// Another request is fetching the weather at this place: call [`Reports::wait`] with the place.
    Follower(Place),
}

impl Reports {
    pub(super) fn new(settings: WeatherSettings) -> Reports {
        let state = ReportsState { settings, cache: HashMap::new(), in_flight: HashMap::new() };
        Reports(Arc::new(Mutex::new(state)))
    }

    /// Tells a request for `place`, received at `now`, how to get its result.
    ///
    /// The role is `Cached` if the last fetch for the place is recent: it succeeded less than the setting `max_age`
    /// ago, or failed less than `retry_delay` ago. Otherwise it is `Follower` if another request is fetching this
    /// report. Otherwise it is `Leader`: this request must fetch the report.
    pub(super) fn join(&self, place: Place, now: Instant) -> Role {
        let mut state = self.lock();
        if let Some(result) = state.get(&place, now) {
            return Role::Cached(result);
        }
        if state.in_flight.contains_key(&place) {
            return Role::Follower(place);
        }
        state.in_flight.insert(place.clone(), Vec::new());
        Role::Leader(Leader { reports: self.clone(), place, result: Err(busy()) })
    }

    /// Makes a request for `place`, received at `now`, wait for the fetch of another request, the leader. `deliver` is
    /// called with the result when the fetch ends, on the thread that ends it.
    ///
    /// If the fetch has ended since [`join`](Reports::join), `wait` itself calls `deliver` at once: with the result in
    /// the cache if that is recent at `now`, otherwise with a 503.
    pub(super) fn wait(&self, place: &Place, now: Instant, deliver: Deliver) {
        let mut state = self.lock();
        if let Some(followers) = state.in_flight.get_mut(place) {
            return followers.push(deliver);
        }
        let result = state.get(place, now);
        drop(state);
        // There is no result if the leader was dropped, or if the cache has removed the entry since.
        deliver(result.unwrap_or_else(|| Err(busy())));
    }

    /// Locks the state, even after a panic of another thread: no panic leaves an update under this lock incomplete.
    fn lock(&self) -> MutexGuard<'_, ReportsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReportsState {
    /// Returns the result for a request received at `now`, if the last fetch for `place` is recent: it succeeded less
    /// than `max_age` ago, or failed less than `retry_delay` ago. After a failure, this may be a stale report. Returns
    /// `None` if a new fetch is needed.
    fn get(&self, place: &Place, now: Instant) -> Option<WeatherResult> {
        let entry = self.cache.get(place)?;
        let lifetime = if entry.result.is_ok() { self.settings.max_age } else { self.settings.retry_delay };
        is_within(lifetime, entry.ended_at, now).then(|| self.result_or_stale(entry, now))
    }

    /// Returns the result of the fetch in `entry`. If that is an error, and `entry` has an earlier report that is
    /// younger than `stale_if_error` at `now`, returns that report instead, marked as stale.
    fn result_or_stale(&self, entry: &CacheEntry, now: Instant) -> WeatherResult {
        entry.result.clone().or_else(|problem| match &entry.earlier_report {
            Some(last) if is_within(self.settings.stale_if_error, last.fetched_at, now) => {
                Ok(CachedReport { stale: true, ..last.clone() })
            }
            _ => Err(problem),
        })
    }

    /// Stores the result of a fetch that ended at `now`. Returns the result to send to clients: `fetched`, or a stale
    /// report if `fetched` is an error and the cache has such a report.
    fn insert(&mut self, place: &Place, fetched: Result<Report, Problem>, now: Instant) -> WeatherResult {
        let earlier_report = self.cache.remove(place).and_then(|old| old.result.ok().or(old.earlier_report));
        let result =
            fetched.map(|report| CachedReport { report: Arc::new(report), fetched_at: now, stale: false });
        let entry = CacheEntry { ended_at: now, result, earlier_report };
        let result = self.result_or_stale(&entry, now);
        self.make_room();
        self.cache.insert(place.clone(), entry);
        result
    }

    /// If the cache is full, removes the entry whose fetch ended first. Otherwise does nothing.
    fn make_room(&mut self) {
        if self.cache.len() >= self.settings.max_places {
            let oldest = self.cache.iter().min_by_key(|(_, entry)| entry.ended_at);
            oldest.map(|(place, _)| place.clone()).and_then(|place| self.cache.remove(&place));
        }
    }
}

/// Returns whether less than `lifetime` has passed from `since` to `now`. Also returns true if `now` is before
/// `since`.
fn is_within(lifetime: Duration, since: Instant, now: Instant) -> bool {
    now.checked_duration_since(since).is_none_or(|age| age < lifetime)
}

/// Creates the 503 for requests that wait for another request's fetch, if there is no result: the thread pool was full,
/// the fetch panicked, or the cache has removed the result since.
fn busy() -> Problem {
    Problem::new(Status::SERVICE_UNAVAILABLE, "the server is busy; try again")
}

/// The leader of a running fetch: the request that fetches the weather at `place`. Its followers are the other requests
/// for the place, which wait for the result. Dropping the leader ends the fetch and delivers `result` to the followers.
///
/// A leader is dropped before [`finish`](Leader::finish) if the thread pool is full or the fetch panics. Then the
/// followers get a 503, and the next request for the place becomes the leader of a new fetch.
pub(super) struct Leader {
    reports: Reports,
    pub(super) place: Place,
    /// The result for the followers: a 503 until [`finish`](Leader::finish) replaces it.
    result: WeatherResult,
}

impl Leader {
    /// Ends the fetch at `ended_at`: stores its result in the cache, delivers it to the followers (the requests that
    /// wait for this fetch), and returns it for the leader's own request.
    ///
    /// The result is `fetched`. But if `fetched` is an error, and the cache has an earlier report that is younger than
    /// `stale_if_error`, the result is that report, marked as stale.
    pub(super) fn finish(mut self, fetched: Result<Report, Problem>, ended_at: Instant) -> WeatherResult {
        self.result = self.reports.lock().insert(&self.place, fetched, ended_at);
        self.result.clone()
    }
}

impl Drop for Leader {
    /// Removes the fetch from those in flight, and delivers the result to its followers.
    fn drop(&mut self) {
        let followers = self.reports.lock().in_flight.remove(&self.place);
        followers.into_iter().flatten().for_each(|deliver| deliver(self.result.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
        sync::mpsc::{Receiver, channel},
    };

    /// Creates an empty cache with short lifetimes and room for two places.
    fn reports() -> Reports {
        let [max_age, stale_if_error, retry_delay] = [10, 100, 2].map(Duration::from_secs);
        let settings = WeatherSettings::default();
        Reports::new(WeatherSettings { max_age, stale_if_error, retry_delay, max_places: 2, ..settings })
    }

    fn city(name: &str) -> Place {
        Place::City(name.to_owned())
    }

    /// Returns the summary of a report, with `, stale` if it is stale, or the detail of an error.
    fn summary(result: WeatherResult) -> String {
        match result {
            Ok(cached) => cached.report.summary() + if cached.stale { ", stale" } else { "" },
            Err(problem) => problem.detail.into_owned(),
        }
    }

    /// Joins as the leader for the city `a`, and panics if the role is another.
    fn lead(reports: &Reports) -> Leader {
        let role = reports.join(city("a"), Instant::now());
        let Role::Leader(leader) = role else { panic!("the request does not lead") };
        leader
    }

    /// Joins as a follower for the city `a`, and panics if the role is another.
    fn follow(reports: &Reports) -> Place {
        let role = reports.join(city("a"), Instant::now());
        let Role::Follower(place) = role else { panic!("the request does not follow") };
        place
    }

    /// Makes a follower wait. Returns the receiver of the summary of each result that is delivered to it.
    fn wait(reports: &Reports, place: &Place) -> Receiver<String> {
        let (sender, delivered) = channel();
        let deliver = move |result| sender.send(summary(result)).expect("a receiver");
        reports.wait(place, Instant::now(), Box::new(deliver));
        delivered
    }

    /// Checks the summaries that were delivered to a follower since the last check.
    fn check(delivered: &Receiver<String>, expected: &[&str]) {
        assert_eq!(delivered.try_iter().collect::<Vec<_>>(), expected);
    }

    /// A request: its time in milliseconds since the start; what it must fetch, a temperature or an error, or `None`
    /// if the result must be in the cache; and the expected summary of its result.
    type Step = (u64, Option<Result<f64, &'static str>>, &'static str);

    /// Makes these requests for one city, and checks their results.
    fn check_steps(steps: &[Step]) {
        let (start, reports) = (Instant::now(), reports());
        for &(ms, fetched, expected) in steps {
            let now = start + Duration::from_millis(ms);
            let result = match (reports.join(city("a"), now), fetched) {
                (Role::Cached(result), None) => result,
                (Role::Leader(leader), Some(fetched)) => {
                    let fetched = fetched.map(Report::sample);
                    leader.finish(fetched.map_err(|detail| Problem::new(Status::BAD_GATEWAY, detail)), now)
                }
                _ => panic!("another role after {ms} ms"),
            };
            assert_eq!(summary(result), expected, "after {ms} ms");
        }
    }

    #[test]
    fn serves_a_stale_report_while_upstream_fails() {
        check_steps(&[
            (0, Some(Ok(1.0)), "1 C, light snowfall"),
            (9_000, None, "1 C, light snowfall"),
            (10_000, Some(Err("down")), "1 C, light snowfall, stale"),
            (11_000, None, "1 C, light snowfall, stale"),
            (12_000, Some(Err("down")), "1 C, light snowfall, stale"),
            (99_000, Some(Err("down")), "1 C, light snowfall, stale"),
            (99_000, None, "1 C, light snowfall, stale"),
            (100_000, None, "down"),
            (101_000, Some(Err("down")), "down"),
            (103_000, Some(Ok(2.0)), "2 C, light snowfall"),
            (112_000, None, "2 C, light snowfall"),
        ]);
    }

    #[test]
    fn remembers_a_failure_for_the_retry_delay() {
        check_steps(&[(0, Some(Err("down")), "down"), (1_999, None, "down"), (2_000, Some(Err("x")), "x")]);
    }

    #[test]
    fn evicts_the_oldest_entry() {
        let (start, reports) = (Instant::now(), reports());
        for (ms, name) in [(0, "a"), (1, "b"), (2, "a"), (3, "c")] {
            let now = start + Duration::from_millis(ms);
            assert!(reports.lock().insert(&city(name), Ok(Report::sample(1.0)), now).is_ok());
        }
        let cached = ["a", "b", "c"].map(|name| reports.lock().get(&city(name), start).is_some());
        assert_eq!(cached, [true, false, true]);
    }

    #[test]
    fn delivers_the_leaders_result_to_all_followers_of_its_place() {
        let reports = reports();
        let leader = lead(&reports);
        assert!(matches!(reports.join(city("b"), Instant::now()), Role::Leader(_)));
        let waiting = [(); 2].map(|()| wait(&reports, &follow(&reports)));
        let late = follow(&reports);
        waiting.iter().for_each(|delivered| check(delivered, &[]));
        assert!(leader.finish(Ok(Report::sample(1.0)), Instant::now()).is_ok());
        waiting.iter().for_each(|delivered| check(delivered, &["1 C, light snowfall"]));
        check(&wait(&reports, &late), &["1 C, light snowfall"]);
        assert!(matches!(reports.join(late, Instant::now()), Role::Cached(Ok(_))));
    }

    #[test]
    fn an_abandoned_fetch_fails_its_followers_and_is_replaced() {
        let reports = reports();
        let panic = |leader| {
            let result = catch_unwind(AssertUnwindSafe(move || {
                let _leader = leader;
                resume_unwind(Box::new("on purpose"))
            }));
            assert!(result.is_err());
        };
        for abandon in [drop, panic] {
            let leader = lead(&reports);
            let (delivered, late) = (wait(&reports, &follow(&reports)), follow(&reports));
            abandon(leader);
            check(&delivered, &["the server is busy; try again"]);
            check(&wait(&reports, &late), &["the server is busy; try again"]);
        }
        assert!(lead(&reports).finish(Ok(Report::sample(2.0)), Instant::now()).is_ok());
    }
}
