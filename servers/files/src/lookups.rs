//! One worker's lookups: their results in a cache, and the requests that wait for those that threads make.
//!
//! Requests for one path share a lookup. It never makes a call to a file system itself.

use crate::{
    cache::{Cache, Cached},
    disk::{ClientKey, Pool, Task},
    files::{Outcome, respond},
    lookup::{Found, Wanted, lookup},
    root::Root,
};
use foldhash::fast::RandomState;
use http_core::{OwnedRequest, Responder, Status, catch_panic};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The maximum number of requests of one worker that wait for lookups. A connection waits with one request at most, so that
/// this is enough for the default limit of connections.
const MAX_WAITING: usize = 16 * 1024;

/// The results of lookups, and the lookups in progress.
#[derive(Default)]
pub(super) struct Lookups {
    cache: Mutex<Cache>,
    waiting: Mutex<Waiting>,
}

/// The requests that wait for lookups.
#[derive(Default)]
struct Waiting {
    /// By the path that is looked up.
    requests: HashMap<Box<[u8]>, Vec<WaitingRequest>, RandomState>,
    len: usize,
}

struct WaitingRequest {
    request: OwnedRequest,
    responder: Responder,
}

impl Lookups {
    /// Locks the cache. A panic in another thread that held the lock is ignored: the cache is valid at all times.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is cached for `path` at the time `now`.
    #[inline]
    pub(super) fn cached(&self, path: &[u8], now: Instant) -> Cached {
        self.cache().get(path, now)
    }

    /// Caches what a lookup of `path` at the time `now` has found.
    pub(super) fn insert(&self, path: &[u8], found: &Found, now: Instant) {
        self.cache().insert(path, found, now);
    }
}

impl Waiting {
    /// Takes the requests for `path`.
    fn take(&mut self, path: &[u8]) -> Vec<WaitingRequest> {
        let requests = self.requests.remove(path).unwrap_or_default();
        self.len -= requests.len();
        requests
    }
}

/// A lookup that threads make.
pub(super) struct LateLookup {
    pub(super) lookups: Arc<Lookups>,
    pub(super) root: Arc<Root>,
    pub(super) wanted: Wanted,
    /// The requested path, which is the key in the cache.
    pub(super) path: Box<[u8]>,
    /// Who has sent the first request.
    pub(super) client: ClientKey,
}

impl LateLookup {
    /// Responds to `request` when the file is found: begins a lookup on a thread of `pool`, unless one for the same path is
    /// in progress.
    pub(super) fn begin(self, pool: &Arc<Pool>, request: OwnedRequest, responder: Responder) {
        let mut waiting = self.lookups.waiting();
        if waiting.len >= MAX_WAITING {
            drop(waiting);
            let busy = Outcome::Error(Status::SERVICE_UNAVAILABLE);
            return responder.respond(respond(&request.as_request(), busy));
        }
        waiting.len += 1;
        let requests = waiting.requests.entry(self.path.clone()).or_default();
        requests.push(WaitingRequest { request, responder });
        let is_first = requests.len() == 1;
        drop(waiting);
        if is_first {
            Arc::new(self).submit(pool);
        }
    }

    fn submit(self: Arc<LateLookup>, pool: &Arc<Pool>) {
        let task = LookupTask { lookup: Arc::clone(&self), pool: Arc::clone(pool) };
        if pool.submit(self.client, Arc::new(task)).is_err() {
            self.complete(&Found::Error(Status::SERVICE_UNAVAILABLE));
        }
    }

    /// Returns whether a client still waits for the result. Otherwise forgets the requests: the next one for this path begins
    /// another lookup.
    fn is_wanted(&self) -> bool {
        let mut waiting = self.lookups.waiting();
        let requests = waiting.requests.get(&self.path);
        if requests.is_some_and(|requests| requests.iter().any(|waiting| !waiting.responder.is_closed())) {
            return true;
        }
        let forgotten = waiting.take(&self.path);
        drop(waiting);
        drop(forgotten);
        false
    }

    /// Responds to the requests that wait for the lookup.
    fn complete(&self, found: &Found) {
        let requests = self.lookups.waiting().take(&self.path);
        for WaitingRequest { request, responder } in requests {
            responder.respond(respond(&request.as_request(), Outcome::from(found.clone())));
        }
    }
}

/// A lookup in the queue of a mount.
struct LookupTask {
    lookup: Arc<LateLookup>,
    pool: Arc<Pool>,
}

impl Task for LookupTask {
    fn run(&self) {
        if !self.lookup.is_wanted() {
            return;
        }
        let LateLookup { lookups, root, wanted, path, .. } = &*self.lookup;
        match catch_panic(|| lookup(root, wanted, Some(&self.pool))) {
            Ok(Ok(found)) => {
                lookups.insert(path, &found, Instant::now());
                self.lookup.complete(&found);
            }
            Ok(Err(pool)) => Arc::clone(&self.lookup).submit(&pool),
            Err(_) => self.lookup.complete(&Found::Error(Status::INTERNAL_SERVER_ERROR)),
        }
    }

    fn expire(&self) {
        self.lookup.complete(&Found::Error(Status::GATEWAY_TIMEOUT));
    }
}
