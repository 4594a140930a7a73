//! A fixed-size cache of paths that do not exist: the 404 results.
//!
//! There is no end to the paths that clients can invent, so the number of slots is fixed, and a path replaces the one
//! whose slot it shares.

use foldhash::fast::RandomState;
use std::{hash::BuildHasher, time::Instant};

/// Enough for the missing paths that browsers request again and again: icons, pages that have moved.
const SLOTS: usize = 256;

/// The longest path that is cached, in bytes.
const MAX_PATH_LEN: usize = 256;

#[derive(Default)]
pub(super) struct NegativeCache {
    /// Empty before the first insertion, then always [`SLOTS`] long.
    slots: Vec<Option<MissingPath>>,
    /// Its seed is random: no client can tell which paths share a slot.
    hasher: RandomState,
}

struct MissingPath {
    path: Vec<u8>,
    fresh_until: Instant,
}

impl NegativeCache {
    /// Whether a lookup has found `path` missing, and that result is still fresh.
    #[inline]
    pub(super) fn contains(&self, path: &[u8], now: Instant) -> bool {
        let missing = self.slots.get(self.slot(path)).and_then(Option::as_ref);
        missing.is_some_and(|missing| missing.path == path && now < missing.fresh_until)
    }

    pub(super) fn insert(&mut self, path: &[u8], fresh_until: Instant) {
        if path.len() > MAX_PATH_LEN {
            return;
        }
        self.slots.resize_with(SLOTS, || None);
        let slot = self.slot(path);
        let missing = self.slots[slot].get_or_insert_with(|| MissingPath { path: Vec::new(), fresh_until });
        missing.path.clear();
        missing.path.extend_from_slice(path);
        missing.fresh_until = fresh_until;
    }

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
