//! The handlers of a server's workers, and how they are replaced while the server runs.

use http_core::{Handler, Request, Response, Status, drop_caught};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// The current handler of each worker.
pub(crate) struct Handlers {
    /// Incremented when the handlers are replaced. A worker that finds a new value on a wake-up takes its new handler.
    generation: AtomicUsize,
    /// The handler of each worker, by the worker's number.
    current: Mutex<Vec<Arc<dyn Handler>>>,
}

impl Handlers {
    /// Makes a handler for each of `workers` workers.
    pub(crate) fn new(workers: usize, make: impl FnMut(usize) -> Arc<dyn Handler>) -> Arc<Handlers> {
        let current = Mutex::new((0..workers).map(make).collect());
        Arc::new(Handlers { generation: AtomicUsize::new(0), current })
    }

    /// Replaces all handlers. A request that an old handler has received still gets the response of that handler.
    pub(crate) fn replace(&self, make: impl FnMut(usize) -> Arc<dyn Handler>) {
        let workers = self.current().len();
        let replacement = (0..workers).map(make).collect();
        let replaced = std::mem::replace(&mut *self.current(), replacement);
        self.generation.fetch_add(1, Ordering::Release);
        replaced.into_iter().for_each(drop_caught);
    }

    /// The handler of the worker with this number. Numbers beyond the last worker start again at worker 0.
    pub(crate) fn of_worker(self: &Arc<Handlers>, number: usize) -> WorkerHandler {
        let generation = self.generation.load(Ordering::Acquire);
        let current = self.current();
        let number = number % current.len();
        WorkerHandler {
            handler: Arc::clone(&current[number]),
            handlers: Arc::clone(self),
            number,
            generation,
        }
    }

    /// Locks and returns the list of handlers, whose index is the number of the worker.
    fn current(&self) -> MutexGuard<'_, Vec<Arc<dyn Handler>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the handlers one by one: if two destructors panicked at once, Rust would abort the process.
impl Drop for Handlers {
    fn drop(&mut self) {
        self.current().drain(..).for_each(drop_caught);
    }
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handlers").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// One worker's own reference to its current handler.
pub(crate) struct WorkerHandler {
    handlers: Arc<Handlers>,
    /// The number of the worker.
    number: usize,
    /// The generation of [`Handlers`] from which `handler` was taken.
    generation: usize,
    handler: Arc<dyn Handler>,
}

impl WorkerHandler {
    /// Takes the worker's new handler if the handlers were replaced. Workers call this when they wake up, not for each
    /// request.
    #[inline]
    pub(crate) fn refresh(&mut self) {
        if self.generation != self.handlers.generation.load(Ordering::Acquire) {
            *self = self.handlers.of_worker(self.number);
        }
    }

    /// The handler, as of the last [`refresh`](WorkerHandler::refresh).
    #[inline]
    pub(crate) fn get(&self) -> &dyn Handler {
        &*self.handler
    }
}

/// Catches a panic of the handler's destructor, which runs here if this is the last reference to the handler.
impl Drop for WorkerHandler {
    fn drop(&mut self) {
        let none: Arc<dyn Handler> = Arc::new(|_: &Request<'_>| Response::error(Status::SERVICE_UNAVAILABLE));
        drop_caught(std::mem::replace(&mut self.handler, none));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_core::testing::TestRequest;

    fn responding(statuses: [Status; 2]) -> impl FnMut(usize) -> Arc<dyn Handler> {
        move |number| Arc::new(move |_: &Request<'_>| Response::new(statuses[number]))
    }

    fn check(worker: &mut WorkerHandler, expected: Status) {
        worker.refresh();
        let response = TestRequest::get("/").run(worker.get());
        assert_eq!(response.status(), expected);
    }

    #[test]
    fn each_worker_switches_to_its_own_new_handler() {
        let handlers = Handlers::new(2, responding([Status::OK, Status::CREATED]));
        let (mut first, mut second, mut third) =
            (handlers.of_worker(0), handlers.of_worker(1), handlers.of_worker(2));
        check(&mut first, Status::OK);
        check(&mut second, Status::CREATED);
        check(&mut third, Status::OK);
        handlers.replace(responding([Status::ACCEPTED, Status::NOT_FOUND]));
        check(&mut first, Status::ACCEPTED);
        check(&mut second, Status::NOT_FOUND);
        check(&mut third, Status::ACCEPTED);
    }
}
