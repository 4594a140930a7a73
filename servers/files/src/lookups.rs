//! One worker's lookups: their results in a cache, and the requests that wait for those that threads make.
//!
//! Requests for one path share a lookup. It never makes a call to a file system itself.

use crate::{
    cache::{Cache, CacheCounts, Cached},
    disk::{ClientKey, Pool, Task},
    files::{Outcome, reply, respond},
    lookup::{Found, Wanted, lookup},
    root::Root,
};
use foldhash::fast::RandomState;
use http_core::{OwnedRequest, Reply, Responder, Status, catch_panic};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The maximum number of requests of one worker that wait for lookups. A connection waits with one request at most, so
/// that this is enough for the default limit of connections.
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
    /// By the key of the lookup in the cache.
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

    /// Returns how often the cache was asked.
    pub(super) fn counts(&self) -> CacheCounts {
        self.cache().counts()
    }

    /// Caches what a lookup of `path` at the time `now` has found.
    pub(super) fn insert(&self, path: &[u8], found: &Found, now: Instant) {
        self.cache().insert(path, found, now);
    }
}

impl Waiting {
    /// Takes the requests that wait for the lookup with this key.
    fn take(&mut self, key: &[u8]) -> Vec<WaitingRequest> {
        let requests = self.requests.remove(key).unwrap_or_default();
        self.len -= requests.len();
        requests
    }
}

/// A lookup that threads make.
pub(super) struct LateLookup {
    pub(super) lookups: Arc<Lookups>,
    pub(super) root: Arc<Root>,
    pub(super) wanted: Wanted,
    /// The key of the result in the cache.
    pub(super) key: Box<[u8]>,
    /// The client that has sent the first request.
    pub(super) client: ClientKey,
}

impl LateLookup {
    /// Responds to `request` when the file is found: begins a lookup on a thread of `pool`, unless one with the same
    /// key is in progress.
    pub(super) fn begin(self, pool: &Arc<Pool>, request: OwnedRequest, responder: Responder) {
        let mut waiting = self.lookups.waiting();
        if waiting.len >= MAX_WAITING {
            drop(waiting);
            let busy = Outcome::Error(Status::SERVICE_UNAVAILABLE);
            return responder.respond(respond(&request.as_request(), busy, self.wanted.options()));
        }
        waiting.len += 1;
        let requests = waiting.requests.entry(self.key.clone()).or_default();
        requests.push(WaitingRequest { request, responder });
        let is_first = requests.len() == 1;
        drop(waiting);
        if is_first {
            Arc::new(self).submit(pool, Instant::now());
        }
    }

    /// Queues the lookup for clients that have waited since `since`.
    fn submit(self: Arc<LateLookup>, pool: &Arc<Pool>, since: Instant) {
        let task = LookupTask { lookup: Arc::clone(&self), pool: Arc::clone(pool), since };
        if pool.submit_since(self.client, Arc::new(task), since).is_err() {
            self.complete(&Found::Error(Status::SERVICE_UNAVAILABLE));
        }
    }

    /// Returns whether a client still waits for the result. Otherwise forgets the requests: the next one for this path
    /// begins another lookup.
    fn is_wanted(&self) -> bool {
        let mut waiting = self.lookups.waiting();
        let requests = waiting.requests.get(&self.key);
        if requests.is_some_and(|requests| requests.iter().any(|waiting| !waiting.responder.is_closed())) {
            return true;
        }
        let forgotten = waiting.take(&self.key);
        drop(waiting);
        drop(forgotten);
        false
    }

    /// Responds to the requests that wait for the lookup.
    fn complete(&self, found: &Found) {
        let requests = self.lookups.waiting().take(&self.key);
        for WaitingRequest { request, responder } in requests {
            let outcome = Outcome::from(found.clone());
            match reply(&self.root, &request.as_request(), outcome, self.wanted.options()) {
                Reply::Now(response) => responder.respond(response),
                Reply::Deferred(start) => start(responder),
                _ => unreachable!("no other kind of reply"),
            }
        }
    }
}

/// A lookup in the queue of a mount.
struct LookupTask {
    lookup: Arc<LateLookup>,
    pool: Arc<Pool>,
    /// When the lookup was first queued: one timeout covers the calls to all mounts.
    since: Instant,
}

impl Task for LookupTask {
    fn run(&self) {
        if !self.lookup.is_wanted() {
            return;
        }
        let LateLookup { lookups, root, wanted, key, .. } = &*self.lookup;
        match catch_panic(|| lookup(root, wanted, Some(&self.pool))) {
            Ok(Ok(found)) => {
                lookups.insert(key, &found, Instant::now());
                self.lookup.complete(&found);
            }
            Ok(Err(pool)) => Arc::clone(&self.lookup).submit(&pool, self.since),
            Err(_) => self.lookup.complete(&Found::Error(Status::INTERNAL_SERVER_ERROR)),
        }
    }

    fn expire(&self) {
        self.lookup.complete(&Found::Error(Status::GATEWAY_TIMEOUT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{
        FileSystem,
        testing::{TIMEOUT, Tasks, expire},
    };
    use http_core::{CancellationToken, Rejection, Response, path::RelativePath, testing::ReceivedRequest};
    use std::{
        fs,
        sync::mpsc::{self, Receiver},
        time::{Duration, SystemTime},
    };

    /// A root with the file `page`, whose lookups threads make. They expire when the test says so.
    struct LateSite {
        _directory: tempfile::TempDir,
        root: Arc<Root>,
        lookups: Arc<Lookups>,
        tasks: Tasks,
    }

    /// A client that waits for a response.
    struct Client {
        token: CancellationToken,
        response: Receiver<Result<Response, Rejection>>,
    }

    impl LateSite {
        fn new() -> LateSite {
            let directory = tempfile::tempdir().expect("a directory");
            fs::write(directory.path().join("page"), "page").expect("a file");
            let root = Root::open(directory.path()).expect("a root");
            let root = root.with_file_system(FileSystem::Slow).with_file_timeout(Duration::MAX);
            let (root, lookups) = (Arc::new(root), Arc::default());
            LateSite { _directory: directory, root, lookups, tasks: Tasks::new() }
        }

        fn pool(&self) -> &Arc<Pool> {
            &self.root.mounts.root
        }

        /// Begins a request for the page.
        fn request(&self) -> Client {
            let head = b"GET /page HTTP/1.1\r\nHost: test\r\n\r\n";
            let received = ReceivedRequest::new(head, Instant::now()).expect("a request");
            let request = received.as_request();
            let path = RelativePath::new(request.path_bytes()).expect("a path");
            let times = (request.received_at(), SystemTime::now());
            let late = LateLookup {
                lookups: Arc::clone(&self.lookups),
                root: Arc::clone(&self.root),
                wanted: Wanted::new(path, None, Arc::default(), times),
                key: request.path_bytes().into(),
                client: request.client_addr().into(),
            };
            let (token, (sender, response)) = (CancellationToken::default(), mpsc::channel());
            // Fails if the test has ended.
            let deliver = move |result| drop(sender.send(result));
            late.begin(self.pool(), request.to_owned(), Responder::new(token.clone(), deliver));
            Client { token, response }
        }
    }

    impl Client {
        /// Checks the status of the response; `None` if the responder is dropped without one.
        #[track_caller]
        fn check(&self, expected: Option<u16>) {
            let result = self.response.recv_timeout(TIMEOUT).expect("a result");
            assert_eq!(result.ok().map(|response| response.status().code()), expected);
        }
    }

    #[test]
    fn requests_for_one_path_share_a_lookup() {
        let site = LateSite::new();
        let gates = site.tasks.occupy_all(site.pool());
        let clients = [site.request(), site.request()];
        // The test and one lookup have a reference.
        assert_eq!(Arc::strong_count(&site.lookups), 2);
        site.tasks.release(gates);
        clients.iter().for_each(|client| client.check(Some(200)));
        assert!(matches!(site.lookups.cached(b"/page", Instant::now()), Cached::Fresh(_)));
    }

    #[test]
    fn a_lookup_is_made_only_while_a_client_waits_for_it() {
        for (leaving, expected) in [(1, Some(200)), (2, None)] {
            let site = LateSite::new();
            let gates = site.tasks.occupy_all(site.pool());
            let clients = [site.request(), site.request()];
            clients[..leaving].iter().for_each(|client| client.token.cancel());
            site.tasks.release(gates);
            clients.iter().for_each(|client| client.check(expected));
            let cached = site.lookups.cached(b"/page", Instant::now());
            assert_eq!(matches!(cached, Cached::Fresh(_)), expected.is_some());
            assert_eq!(site.lookups.waiting().len, 0);
        }
    }

    #[test]
    fn a_path_is_looked_up_again_after_a_lookup_has_expired() {
        let site = LateSite::new();
        let gates = site.tasks.occupy_all(site.pool());
        let clients = [site.request(), site.request()];
        expire(site.pool());
        clients.iter().for_each(|client| client.check(Some(504)));
        // The threads hang.
        site.request().check(Some(503));
        site.tasks.check(&vec!["hanging expires"; gates.len()]);
        site.tasks.release(gates);
        site.request().check(Some(200));
    }

    #[test]
    fn the_number_of_requests_that_wait_is_limited() {
        let site = LateSite::new();
        let gates = site.tasks.occupy_all(site.pool());
        let clients: Vec<_> = (0..MAX_WAITING).map(|_| site.request()).collect();
        site.request().check(Some(503));
        site.tasks.release(gates);
        clients.iter().for_each(|client| client.check(Some(200)));
        assert_eq!(site.lookups.waiting().len, 0);
    }
}
