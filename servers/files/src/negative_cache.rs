//! A cache of 404 results: of paths for which a lookup found no file.
//!
//! It never grows: clients can invent any number of paths, so the number of slots is fixed. The hash of a path selects
//! its slot, and a new path replaces the one in that slot.

use crate::pages::ErrorDocument;
use foldhash::fast::RandomState;
use std::{hash::BuildHasher, sync::Arc, time::Instant};

/// The number of slots: enough for the missing paths that browsers request again and again, such as icons.
const SLOTS: usize = 256;

/// The maximum length in bytes of a path that is cached.
const MAX_PATH_LEN: usize = 256;

/// A cache of at most [`SLOTS`] paths that do not exist.
#[derive(Default)]
pub(super) struct NegativeCache {
    /// Empty before the first insertion, then always [`SLOTS`] long.
    slots: Vec<Option<MissingPath>>,
    /// Hashes the paths. The seed is random, so that clients cannot find out which paths share a slot.
    hasher: RandomState,
}

/// A path that did not exist when it was looked up.
struct MissingPath {
    path: Vec<u8>,
    /// What the site sends for it, if that is not the library's page.
    page: Option<Arc<ErrorDocument>>,
    /// When the path must be looked up again.
    fresh_until: Instant,
}

impl NegativeCache {
    /// Returns what was cached for `path`, if `now` is before the time until which it was cached. The inner `None`
    /// stands for the library's page.
    #[inline]
    #[expect(clippy::option_option, reason = "not cached, or cached without a page")]
    pub(super) fn get(&self, path: &[u8], now: Instant) -> Option<Option<Arc<ErrorDocument>>> {
        let missing = self.slots.get(self.slot(path))?.as_ref()?;
        (missing.path == path && now < missing.fresh_until).then(|| missing.page.clone())
    }

    /// Caches until `fresh_until` that `path` does not exist, and what the site sends for it. Does nothing if `path` is
    /// longer than [`MAX_PATH_LEN`].
    pub(super) fn insert(&mut self, path: &[u8], page: Option<Arc<ErrorDocument>>, fresh_until: Instant) {
        if path.len() > MAX_PATH_LEN {
            return;
        }
        self.slots.resize_with(SLOTS, || None);
        let slot = self.slot(path);
        let missing =
            self.slots[slot].get_or_insert_with(|| MissingPath { path: Vec::new(), page: None, fresh_until });
        path.clone_into(&mut missing.path);
        missing.page = page;
        missing.fresh_until = fresh_until;
    }

    /// Returns the index of the slot for `path`.
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
        assert!(cache.get(b"/a", now).is_none());
        cache.insert(b"/a", None, after(1000));
        assert!(cache.get(b"/a", after(999)).is_some() && cache.get(b"/a", after(1000)).is_none());
        assert!(cache.get(b"/A", now).is_none());
        cache.insert(b"/a", None, after(1500));
        assert!(cache.get(b"/a", after(1499)).is_some());
    }

    #[test]
    fn has_a_fixed_size() {
        let mut cache = NegativeCache::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let long = "x".repeat(MAX_PATH_LEN + 1);
        cache.insert(long.as_bytes(), None, later);
        assert!(cache.get(long.as_bytes(), now).is_none());
        (0..10_000).for_each(|number| cache.insert(format!("/{number}").as_bytes(), None, later));
        assert_eq!(cache.slots.len(), SLOTS);
        assert!(cache.get(b"/9999", now).is_some());
    }
}
