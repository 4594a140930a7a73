//! An application that can be replaced while it serves: what has been asked of the old one, it still answers.

use http_engine::{Handler, Rejected, Reply, Request, Response};
use std::sync::{Arc, PoisonError, RwLock};

/// What each worker serves just now.
pub(super) struct Apps {
    // A lock for each: a worker's own is never waited for, but at the moment of a renewal.
    current: Vec<RwLock<Arc<dyn Handler>>>,
}

impl Apps {
    /// The applications of this many workers.
    pub(super) fn new(workers: usize, make: impl Fn(usize) -> Arc<dyn Handler>) -> Arc<Apps> {
        Arc::new(Apps { current: (0..workers).map(|number| RwLock::new(make(number))).collect() })
    }

    /// Replaces all of them.
    pub(super) fn renew(&self, make: impl Fn(usize) -> Arc<dyn Handler>) {
        for (number, current) in self.current.iter().enumerate() {
            *current.write().unwrap_or_else(PoisonError::into_inner) = make(number);
        }
    }

    /// What always answers as the worker with this number does just then.
    pub(super) fn of_worker(self: &Arc<Apps>, number: usize) -> Arc<dyn Handler> {
        Arc::new(Current { apps: Arc::clone(self), number })
    }
}

/// One worker's.
struct Current {
    apps: Arc<Apps>,
    number: usize,
}

impl Current {
    /// The lock is free again while the application works.
    #[inline]
    fn app(&self) -> Arc<dyn Handler> {
        Arc::clone(&self.apps.current[self.number].read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Handler for Current {
    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        self.app().handle(request)
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        self.app().rejected(rejected, response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::{HeadIndex, Status};
    use std::time::Instant;

    fn answering(statuses: [Status; 2]) -> impl Fn(usize) -> Arc<dyn Handler> {
        move |number| Arc::new(move |_: &Request<'_>| Response::new(statuses[number]))
    }

    fn check(app: &dyn Handler, expected: Status) {
        let mut index = HeadIndex::default();
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let request = Request::parse(bytes, &mut index, Instant::now()).expect("a request");
        let Reply::Now(response) = app.handle(&request) else { panic!("it answers at once") };
        assert_eq!(response.status(), expected);
    }

    #[test]
    fn each_worker_goes_over_to_its_own_new_application() {
        let apps = Apps::new(2, answering([Status::OK, Status::CREATED]));
        let workers = [apps.of_worker(0), apps.of_worker(1)];
        check(&*workers[0], Status::OK);
        check(&*workers[1], Status::CREATED);
        apps.renew(answering([Status::ACCEPTED, Status::NOT_FOUND]));
        check(&*workers[0], Status::ACCEPTED);
        check(&*workers[1], Status::NOT_FOUND);
    }
}
