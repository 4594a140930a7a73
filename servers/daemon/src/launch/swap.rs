//! Replaces the handlers of a running engine. A request that has begun is finished by the handler that received it.

use http_engine::{Handler, MakeHandler, Rejected, Reply, Request, Response};
use std::sync::{Arc, PoisonError, RwLock};

/// The current handler of each worker of an engine.
pub(super) struct HandlerSwap {
    /// One lock for each worker: only [`HandlerSwap::replace`] ever makes a worker wait for it.
    handlers: Vec<Arc<CurrentHandler>>,
}

impl HandlerSwap {
    /// Makes the handlers of this number of workers.
    pub(super) fn new(workers: usize, make: &MakeHandler) -> HandlerSwap {
        let handlers = (0..workers).map(|number| Arc::new(CurrentHandler(RwLock::new(make(number)))));
        HandlerSwap { handlers: handlers.collect() }
    }

    /// Makes a new handler for each worker. The worker uses it from its next request on.
    pub(super) fn replace(&self, make: &MakeHandler) {
        for (number, current) in self.handlers.iter().enumerate() {
            *current.0.write().unwrap_or_else(PoisonError::into_inner) = make(number);
        }
    }

    /// A handler that delegates to the worker's current handler.
    pub(super) fn handler(&self, worker: usize) -> Arc<dyn Handler> {
        Arc::clone(&self.handlers[worker]) as Arc<dyn Handler>
    }
}

struct CurrentHandler(RwLock<Arc<dyn Handler>>);

impl CurrentHandler {
    /// Releases the lock before the handler runs.
    #[inline]
    fn get(&self) -> Arc<dyn Handler> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Handler for CurrentHandler {
    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        self.get().handle(request)
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        self.get().rejected(rejected, response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::{HeadIndex, Status};
    use std::time::Instant;

    fn responding(statuses: [Status; 2]) -> MakeHandler {
        Arc::new(move |number| Arc::new(move |_: &Request<'_>| Response::new(statuses[number])))
    }

    fn check(handlers: &[Arc<dyn Handler>], expected: [Status; 2]) {
        let mut index = HeadIndex::default();
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let request = Request::parse(bytes, &mut index, Instant::now()).expect("a request");
        for (handler, expected) in handlers.iter().zip(expected) {
            let Reply::Now(response) = handler.handle(&request) else { panic!("a reply at once") };
            assert_eq!(response.status(), expected);
        }
    }

    #[test]
    fn replaces_the_handler_of_each_worker() {
        let (old, new) = ([Status::OK, Status::CREATED], [Status::ACCEPTED, Status::NOT_FOUND]);
        let swap = HandlerSwap::new(2, &responding(old));
        let handlers = [swap.handler(0), swap.handler(1)];
        check(&handlers, old);
        swap.replace(&responding(new));
        check(&handlers, new);
    }
}
