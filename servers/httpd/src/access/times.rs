//! A bounded table that keeps a time for each key. It never grows: a new key replaces the one whose time is earliest.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The number of entries of a set. A new key replaces one of its set.
const ENTRIES_PER_SET: usize = 8;

/// A key with its time. [`Duration::ZERO`] marks a free entry.
type Entry<K> = (K, Duration);

/// A table of keys and their times, which count from a moment that the user of the table chooses.
///
/// The hash of a key selects a set of eight entries. Each set has a lock of its own, so that threads rarely wait for
/// each other.
pub struct Times<K> {
    /// Chooses the set of a key. Its seed is random, so that clients cannot fill the set of another one.
    hasher: RandomState,
    sets: Box<[Mutex<[Entry<K>; ENTRIES_PER_SET]>]>,
}

impl<K: Copy + Default + Eq + Hash> Times<K> {
    /// Creates an empty table for this number of keys.
    pub fn new(capacity: usize) -> Times<K> {
        let sets = (0..capacity.div_ceil(ENTRIES_PER_SET)).map(|_| Mutex::default()).collect();
        Times { hasher: RandomState::new(), sets }
    }

    /// Calls `change` with the time of `key`, or with zero if the table does not contain it, and keeps the changed
    /// time.
    pub fn update<R>(&self, key: K, change: impl FnOnce(&mut Duration) -> R) -> R {
        let index = self.hasher.hash_one(key) % self.sets.len() as u64;
        let mut set = self.sets[index as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter_mut().find(|(other, time)| *other == key && !time.is_zero());
        if let Some((_, time)) = known {
            return change(time);
        }
        let mut time = Duration::ZERO;
        let result = change(&mut time);
        if let Some(earliest) = set.iter_mut().min_by_key(|(_, time)| *time).filter(|_| !time.is_zero()) {
            *earliest = (key, time);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_replaces_the_one_with_the_earliest_time() {
        let times = Times::new(1);
        let time = |key: u64| times.update(key, |time| time.as_secs());
        for key in 0..9 {
            // Key 3 has the earliest time.
            let secs = if key == 3 { 1 } else { 10 + key };
            times.update(key, |time| *time = Duration::from_secs(secs));
        }
        assert_eq!((0..9).map(time).collect::<Vec<_>>(), [10, 11, 12, 0, 14, 15, 16, 17, 18]);
        // Looking does not insert a key.
        assert_eq!((time(100), time(0)), (0, 10));
    }
}
