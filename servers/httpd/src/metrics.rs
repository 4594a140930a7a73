//! The metrics of the file caches, which `/metrics` shows beside those of the engine.

use http_daemon::Metric;
use http_files::CacheCounter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The metrics of each worker.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "file_cache_hits_total",
        is_counter: true,
        help: "Requests for files that the cache has answered.",
    },
    Metric {
        name: "file_cache_misses_total",
        is_counter: true,
        help: "Requests for files that needed a look at the file system.",
    },
];

/// The caches of all handlers of a process, with the numbers of their workers.
#[derive(Clone, Debug, Default)]
pub struct CacheCounters(Arc<Mutex<Vec<(usize, CacheCounter)>>>);

impl CacheCounters {
    /// Adds a cache, and forgets those of the handlers that were replaced.
    pub fn add(&self, worker: usize, cache: CacheCounter) {
        let mut caches = self.lock();
        caches.retain(|(_, cache)| cache.read().is_some());
        caches.push((worker, cache));
    }

    /// Returns the values of [`METRICS`]: the sums over the present caches of a worker.
    pub fn measure(&self, worker: usize) -> Vec<u64> {
        let caches = self.lock();
        let of_worker = caches.iter().filter(|(number, _)| *number == worker);
        let counts = of_worker.filter_map(|(_, cache)| cache.read());
        let (hits, misses) =
            counts.fold((0, 0), |(hits, misses), counts| (hits + counts.hits, misses + counts.misses));
        vec![hits, misses]
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(usize, CacheCounter)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
