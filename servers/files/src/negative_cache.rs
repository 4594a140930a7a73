//! A worker's memory of paths that lead nowhere. Of these there are endlessly many, so it has a few places, and each
//! goes to whoever came last.

use foldhash::fast::RandomState;
use std::{hash::BuildHasher, time::Instant};

/// What is asked for again and again and is not there: some icons, some paths of a page that has moved.
const PLACES: usize = 256;

/// The longest path that is remembered.
const PATH: usize = 256;

struct Miss {
    path: Vec<u8>,
    fresh_until: Instant,
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
    /// Whether `path` is known to lead nowhere.
    #[inline]
    pub(super) fn hold(&self, path: &[u8], now: Instant) -> bool {
        let miss = self.places.get(self.place(path)).and_then(Option::as_ref);
        miss.is_some_and(|miss| miss.path == path && now < miss.fresh_until)
    }

    /// Remembers what a lookup has just not found.
    pub(super) fn keep(&mut self, path: &[u8], fresh_until: Instant) {
        if path.len() > PATH {
            return;
        }
        self.places.resize_with(PLACES, || None);
        let place = self.place(path);
        let miss = self.places[place].get_or_insert_with(|| Miss { path: Vec::new(), fresh_until });
        miss.path.clear();
        miss.path.extend_from_slice(path);
        miss.fresh_until = fresh_until;
    }

    #[inline]
    fn place(&self, path: &[u8]) -> usize {
        self.hasher.hash_one(path) as usize % PLACES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_miss_holds_for_its_own_path_and_its_time() {
        let mut misses = Misses::default();
        let now = Instant::now();
        let after = |millis| now + Duration::from_millis(millis);
        assert!(!misses.hold(b"/a", now));
        misses.keep(b"/a", after(1000));
        assert!(misses.hold(b"/a", after(999)) && !misses.hold(b"/a", after(1000)));
        assert!(!misses.hold(b"/A", now));
        misses.keep(b"/a", after(1500));
        assert!(misses.hold(b"/a", after(1499)));
    }

    #[test]
    fn endlessly_many_misses_take_no_more_room() {
        let mut misses = Misses::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let long = "x".repeat(PATH + 1);
        misses.keep(long.as_bytes(), later);
        assert!(!misses.hold(long.as_bytes(), now));
        (0..10_000).for_each(|number| misses.keep(format!("/{number}").as_bytes(), later));
        assert_eq!(misses.places.len(), PLACES);
        assert!(misses.hold(b"/9999", now));
    }
}
