//! Single flight: of all requests for one place, one fetches the weather. The others wait for its result, and hold no
//! thread meanwhile.
//!
//! One lock guards the cache and the fetches in flight, so a request finds the fetch or its result. It must never start
//! a second fetch for the same place.

use super::{
    cache::{Cache, WeatherResult},
    open_meteo::Report,
    place::Place,
    settings::WeatherSettings,
};
use crate::problem::Problem;
use http_engine::Status;
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

const BUSY: &str = "the server is busy; try again";

/// The cache and the fetches in flight, shared by all requests.
#[derive(Clone)]
pub(super) struct SingleFlight(Arc<Mutex<Places>>);

struct Places {
    cache: Cache,
    in_flight: HashMap<Place, Arc<InFlight>>,
}

/// How a request gets its result.
pub(super) enum Role {
    /// The result is in the cache.
    Cached(WeatherResult),
    /// This request must fetch the weather and call [`Leader::finish`].
    Leader(Leader),
    /// Another request fetches the weather. This one must call [`InFlight::wait`].
    Follower(Arc<InFlight>),
}

impl SingleFlight {
    pub(super) fn new(settings: WeatherSettings) -> SingleFlight {
        let places = Places { cache: Cache::new(settings), in_flight: HashMap::new() };
        SingleFlight(Arc::new(Mutex::new(places)))
    }

    /// Assigns a role to a request for `place`.
    pub(super) fn join(&self, place: Place, now: Instant) -> Role {
        let mut places = lock(&self.0);
        if let Some(result) = places.cache.get(&place, now) {
            return Role::Cached(result);
        }
        if let Some(in_flight) = places.in_flight.get(&place) {
            return Role::Follower(Arc::clone(in_flight));
        }
        let in_flight = Arc::<InFlight>::default();
        places.in_flight.insert(place.clone(), Arc::clone(&in_flight));
        Role::Leader(Leader { single_flight: self.clone(), place, in_flight })
    }
}

/// The request that fetches the weather of a place. If the leader is dropped before [`finish`](Leader::finish), because
/// the thread pool is full or the job panics, the followers get a 503, and the next request becomes the leader.
pub(super) struct Leader {
    single_flight: SingleFlight,
    place: Place,
    in_flight: Arc<InFlight>,
}

impl Leader {
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Stores the result of the fetch in the cache, delivers it to the followers, and returns it.
    pub(super) fn finish(self, fetched: Result<Report, Problem>, now: Instant) -> WeatherResult {
        let result = lock(&self.single_flight.0).cache.insert(&self.place, fetched, now);
        self.in_flight.complete(&result);
        result
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        lock(&self.single_flight.0).in_flight.remove(&self.place);
        let busy = Problem::new(Status::SERVICE_UNAVAILABLE, BUSY);
        // Has no effect after `finish`.
        self.in_flight.complete(&Err(busy));
    }
}

/// A fetch in flight, and the followers that wait for its result.
#[derive(Default)]
pub(super) struct InFlight(Mutex<Progress>);

#[derive(Default)]
struct Progress {
    result: Option<WeatherResult>,
    waiters: Vec<Box<dyn FnOnce(WeatherResult) + Send>>,
}

impl InFlight {
    /// Calls `deliver` with the result: at once if the fetch is complete, else from the leader's thread.
    pub(super) fn wait(&self, deliver: impl FnOnce(WeatherResult) + Send + 'static) {
        let result = {
            let mut progress = lock(&self.0);
            match &progress.result {
                Some(result) => result.clone(),
                None => return progress.waiters.push(Box::new(deliver)),
            }
        };
        deliver(result);
    }

    /// Delivers the result to all followers. Only the first call has an effect.
    fn complete(&self, result: &WeatherResult) {
        let waiters = {
            let mut progress = lock(&self.0);
            progress.result.get_or_insert_with(|| result.clone());
            mem::take(&mut progress.waiters)
        };
        waiters.into_iter().for_each(|deliver| deliver(result.clone()));
    }
}

/// Locks a mutex, even after a panic: no panic leaves an update under these locks incomplete.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
        sync::mpsc::{Receiver, channel},
    };

    fn join(single_flight: &SingleFlight) -> Role {
        single_flight.join(Place::City("a".to_owned()), Instant::now())
    }

    fn lead(single_flight: &SingleFlight) -> Leader {
        let Role::Leader(leader) = join(single_flight) else { panic!("the request does not lead") };
        leader
    }

    fn follow(single_flight: &SingleFlight) -> Arc<InFlight> {
        let Role::Follower(in_flight) = join(single_flight) else { panic!("the request does not follow") };
        in_flight
    }

    fn wait(in_flight: &InFlight) -> Receiver<WeatherResult> {
        let (sender, delivered) = channel();
        in_flight.wait(move |result| sender.send(result).expect("a receiver"));
        delivered
    }

    fn check(delivered: &Receiver<WeatherResult>, expected: Result<&str, &str>) {
        let summary = delivered.try_recv().expect("a result").map(|cached| cached.report.summary());
        assert_eq!(summary.as_deref().map_err(Problem::detail), expected);
        assert!(delivered.try_recv().is_err(), "delivered twice");
    }

    #[test]
    fn delivers_the_leaders_result_to_all_followers() {
        let single_flight = SingleFlight::new(WeatherSettings::default());
        let leader = lead(&single_flight);
        let waiting = [(); 2].map(|()| wait(&follow(&single_flight)));
        let late = follow(&single_flight);
        assert!(waiting.iter().all(|delivered| delivered.try_recv().is_err()), "delivered too early");
        assert!(leader.finish(Ok(Report::sample(1.0)), Instant::now()).is_ok());
        waiting.iter().for_each(|delivered| check(delivered, Ok("1 C, light snowfall")));
        check(&wait(&late), Ok("1 C, light snowfall"));
        assert!(matches!(join(&single_flight), Role::Cached(Ok(_))));
    }

    #[test]
    fn an_abandoned_fetch_fails_its_followers_and_is_replaced() {
        let single_flight = SingleFlight::new(WeatherSettings::default());
        let panic = |leader| {
            let result = catch_unwind(AssertUnwindSafe(move || {
                let _leader = leader;
                resume_unwind(Box::new("on purpose"))
            }));
            assert!(result.is_err());
        };
        for abandon in [drop, panic] {
            let leader = lead(&single_flight);
            let delivered = wait(&follow(&single_flight));
            abandon(leader);
            check(&delivered, Err(BUSY));
        }
        assert!(lead(&single_flight).finish(Ok(Report::sample(2.0)), Instant::now()).is_ok());
    }

    #[test]
    fn places_are_independent() {
        let single_flight = SingleFlight::new(WeatherSettings::default());
        let _leader = lead(&single_flight);
        let other = single_flight.join(Place::City("b".to_owned()), Instant::now());
        assert!(matches!(other, Role::Leader(_)));
    }
}
