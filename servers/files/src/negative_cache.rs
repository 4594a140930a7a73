//! A cache of 404 results: of paths for which a lookup found no file.
//!
//! It never grows: clients can invent any number of paths, so the number of slots is fixed. The hash of a path selects
//! its slot, and a new path replaces the one in that slot.

use foldhash::fast::RandomState;
use std::{hash::BuildHasher, time::Instant};

/// The number of slots. A slot holds one path; the hash of a path selects its slot. There are enough slots for the
/// missing paths that browsers request again and again, such as icons.
const SLOTS: usize = 256;

/// The maximum length in bytes of a path that is cached.
const MAX_PATH_LEN: usize = 256;

/// A cache of at most [`SLOTS`] paths that do not exist.
#[derive(Default)]
pub(super) struct NegativeCache {
    /// Empty before the first insertion, then always [`SLOTS`] long. The hash of a path selects its slot.
    slots: Vec<Option<MissingPath>>,
    /// Hashes the paths. The seed is random, so that clients cannot find out which paths share a slot.
    hasher: RandomState,
}

/// A path that did not exist when it was looked up.
struct MissingPath {
    path: Vec<u8>,
    /// When the path must be looked up again.
    fresh_until: Instant,
}

impl NegativeCache {
    /// Returns whether the cache contains `path`, and `now` is before the time until which it was cached.
    #[inline]
    pub(super) fn contains(&self, path: &[u8], now: Instant) -> bool {
        let missing = self.slots.get(self.slot(path)).and_then(Option::as_ref);
        missing.is_some_and(|missing| missing.path == path && now < missing.fresh_until)
    }

    /// Caches until `fresh_until` that `path` does not exist. Paths whose hashes select the same slot replace each
    /// other. Does nothing if `path` is longer than [`MAX_PATH_LEN`].
    pub(super) fn insert(&mut self, path: &[u8], fresh_until: Instant) {
        if path.len() > MAX_PATH_LEN {
            return;
        }
        self.slots.resize_with(SLOTS, || None);
        let slot = self.slot(path);
        let missing = self.slots[slot].get_or_insert_with(|| MissingPath { path: Vec::new(), fresh_until });
        path.clone_into(&mut missing.path);
        missing.fresh_until = fresh_until;
    }

    /// Returns the index of the slot for `path`, which its hash selects.
    #[inline]
    fn slot(&self, path: &[u8]) -> usize {
        self.hasher.hash_one(path) as usize % SLOTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn contains_a_path_until_it_expires() {
        let mut cache = NegativeCache::default();
        let now = Instant::now();
        let after = |millis| now + Duration::from_millis(millis);
        assert!(!cache.contains(b"/a", now));
        cache.insert(b"/a", after(1000));
        assert!(cache.contains(b"/a", after(999)) && !cache.contains(b"/a", after(1000)));
        assert!(!cache.contains(b"/A", now));
        cache.insert(b"/a", after(1500));
        assert!(cache.contains(b"/a", after(1499)));
    }

    #[test]
    fn has_a_fixed_size() {
        let mut cache = NegativeCache::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let long = "x".repeat(MAX_PATH_LEN + 1);
        cache.insert(long.as_bytes(), later);
        assert!(!cache.contains(long.as_bytes(), now));
        (0..10_000).for_each(|number| cache.insert(format!("/{number}").as_bytes(), later));
        assert_eq!(cache.slots.len(), SLOTS);
        assert!(cache.contains(b"/9999", now));
    }
}
