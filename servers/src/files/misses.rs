//! A worker's memory of paths that lead nowhere. Of these there are endlessly many, so it has a few places, and each
//! goes to whoever came last.

use foldhash::fast::RandomState;
use std::{
    hash::BuildHasher,
    time::{Duration, Instant},
};

/// What is asked for again and again and is not there: some icons, some paths of a page that has moved.
const PLACES: usize = 256;

/// The longest path that is remembered.
const PATH: usize = 256;

struct Miss {
    path: String,
    looked_up: Instant,
}

/// Paths that led nowhere.
#[derive(Default)]
pub(super) struct Misses {
    /// None before the first miss, then always all of them.
    places: Vec<Option<Miss>>,
    /// Seeded at random: nobody can tell which paths share a place.
    hasher: RandomState,
}

impl Misses {
    /// Whether `path` was looked up less than `fresh` ago, and led nowhere.
    pub(super) fn hold(&self, path: &str, now: Instant, fresh: Duration) -> bool {
        let miss = self.places.get(self.place(path)).and_then(Option::as_ref);
        miss.is_some_and(|miss| miss.path == path && now.saturating_duration_since(miss.looked_up) < fresh)
    }

    /// Remembers what a lookup has just not found.
    pub(super) fn keep(&mut self, path: &str, now: Instant) {
        if path.len() > PATH {
            return;
        }
        self.places.resize_with(PLACES, || None);
        let place = self.place(path);
        let miss = self.places[place].get_or_insert_with(|| Miss { path: String::new(), looked_up: now });
        miss.path.clear();
        miss.path.push_str(path);
        miss.looked_up = now;
    }

    fn place(&self, path: &str) -> usize {
        self.hasher.hash_one(path) as usize % PLACES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Duration = Duration::from_secs(1);

    #[test]
    fn a_miss_holds_for_its_own_path_and_its_time() {
        let mut misses = Misses::default();
        let now = Instant::now();
        assert!(!misses.hold("/a", now, FRESH));
        misses.keep("/a", now);
        let after = |millis| now + Duration::from_millis(millis);
        assert!(misses.hold("/a", after(999), FRESH) && !misses.hold("/a", after(1000), FRESH));
        assert!(!misses.hold("/A", now, FRESH));
        misses.keep("/a", after(500));
        assert!(misses.hold("/a", after(1499), FRESH));
    }

    #[test]
    fn endlessly_many_misses_take_no_more_room() {
        let mut misses = Misses::default();
        let now = Instant::now();
        let long = "x".repeat(PATH + 1);
        misses.keep(&long, now);
        assert!(!misses.hold(&long, now, FRESH));
        (0..10_000).for_each(|number| misses.keep(&format!("/{number}"), now));
        assert_eq!(misses.places.len(), PLACES);
        assert!(misses.hold("/9999", now, FRESH));
    }
}
