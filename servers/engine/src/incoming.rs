//! Serves requests in a loop: the program takes one exchange after another, and responds when it likes.
//!
//! A handler puts each request, with its responder, into a bounded queue. The engines know nothing of it.

use crate::server::{Running, Server};
use http_core::{Handler, IntoResponse, OwnedRequest, Reply, Request, Responder, Response, Status};
use std::{
    collections::VecDeque,
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

impl Server {
    /// Begins to serve, and returns the requests as an iterator, for programs that are a loop.
    ///
    /// ```no_run
    /// use http_engine::Server;
    ///
    /// for exchange in Server::bind("127.0.0.1:8080")?.incoming()? {
    ///     let greeting = format!("Hello from {}", exchange.request().path());
    ///     exchange.respond(greeting);
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Server`].
    pub fn incoming(self) -> io::Result<Incoming> {
        let queue = Arc::new(Queue { capacity: self.queue_capacity().max(1), ..Queue::default() });
        let running = self.serve_handler(Enqueue(Arc::clone(&queue)))?;
        Ok(Incoming { queue, running })
    }
}

/// The requests that a server receives: see [`Server::incoming`]. Dropping it stops the server at once.
///
/// Any number of threads may take requests at the same time: `&Incoming` is an iterator, too.
///
/// ```
/// use http_engine::Server;
/// use std::{thread, time::Duration};
///
/// let incoming = Server::bind("127.0.0.1:0")?.incoming()?;
/// let stopper = incoming.running().stopper();
/// thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| (&incoming).into_iter().for_each(|exchange| exchange.respond("Hello")));
///     }
///     // Ends the loops.
///     stopper.stop(Duration::from_secs(1));
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Limits
///
/// The content of a request is in memory, up to [`Limits::body_bytes`](crate::Limits::body_bytes). Up to
/// [`Settings::pool_queue`](crate::Settings::pool_queue) requests (at least one) wait in the queue; any other gets 503
/// at once. A request that has no response within [`Timeouts::reply`](crate::Timeouts::reply) gets 503, and leaves the
/// queue.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Incoming {
    queue: Arc<Queue>,
    running: Running,
}

impl Incoming {
    /// Returns the server: its addresses, and what stops it.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Returns the next request if one is in the queue. Does not wait.
    pub fn try_next(&self) -> Option<Exchange> {
        self.queue.lock().take()
    }

    /// Returns the next request, and waits at most the time `timeout` for it. Returns `None` if the time is over, or
    /// the server has stopped.
    pub fn next_timeout(&self, timeout: Duration) -> Option<Exchange> {
        let queue = &self.queue;
        let waited = queue.changed.wait_timeout_while(queue.lock(), timeout, State::must_wait);
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }

    /// Returns the next request, and waits for it. Returns `None` when the server has stopped.
    fn wait_next(&self) -> Option<Exchange> {
        let waited = self.queue.changed.wait_while(self.queue.lock(), State::must_wait);
        waited.unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Waits for each request. Ends when the server has stopped: after [`Stopper::stop`](crate::Stopper::stop) and the
/// requests that were in flight.
impl Iterator for Incoming {
    type Item = Exchange;

    fn next(&mut self) -> Option<Exchange> {
        self.wait_next()
    }
}

/// As the iterator of [`Incoming`], for several threads.
impl Iterator for &Incoming {
    type Item = Exchange;

    fn next(&mut self) -> Option<Exchange> {
        self.wait_next()
    }
}

/// A request, and the way to respond to it. If it is dropped without a response, the client gets 500.
///
/// It can be passed to another thread:
///
/// ```no_run
/// use http_engine::{Exchange, Server, Status};
/// use std::thread;
///
/// fn serve(exchange: Exchange) {
///     match exchange.request().path() {
///         "/" => exchange.respond("Hello"),
///         _ => exchange.respond(Status::NOT_FOUND),
///     }
/// }
///
/// for exchange in Server::bind("127.0.0.1:8080")?.incoming()? {
///     thread::spawn(move || serve(exchange));
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Exchange {
    request: OwnedRequest,
    responder: Responder,
}

impl Exchange {
    /// Returns the request, with its content.
    pub fn request(&self) -> Request<'_> {
        self.request.as_request()
    }

    /// Responds. Does not wait for the client. A response to a client that has left is dropped.
    pub fn respond(self, response: impl IntoResponse) {
        self.responder.respond(response.into_response());
    }

    /// Returns whether the response is no longer wanted: see [`Responder::is_closed`].
    pub fn is_closed(&self) -> bool {
        self.responder.is_closed()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({:?})", self.request())
    }
}

/// The queue of requests, which the handler and the loops share.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// Wakes the loops: one for each request, all of them when the server has stopped.
    changed: Condvar,
    /// The maximum number of waiting requests.
    capacity: usize,
}

/// What the lock of the queue guards.
#[derive(Default)]
struct State {
    exchanges: VecDeque<Exchange>,
    /// Whether the server has stopped: no more requests come.
    is_closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an exchange into the queue, or responds 503 if the queue is full.
    fn push(&self, exchange: Exchange) {
        let mut state = self.lock();
        if state.exchanges.len() >= self.capacity {
            state.exchanges.retain(|waiting| !waiting.is_closed());
        }
        if state.exchanges.len() >= self.capacity {
            drop(state);
            return exchange.respond(Response::error(Status::SERVICE_UNAVAILABLE));
        }
        state.exchanges.push_back(exchange);
        self.changed.notify_one();
    }
}

impl State {
    /// Returns whether a loop must wait: no request is in the queue, and the server has not stopped.
    fn must_wait(&mut self) -> bool {
        !self.is_closed && !self.has_next()
    }

    /// Drops exchanges at the front of the queue whose responses are no longer wanted. Returns whether another one is
    /// left.
    fn has_next(&mut self) -> bool {
        while self.exchanges.front().is_some_and(Exchange::is_closed) {
            self.exchanges.pop_front();
        }
        !self.exchanges.is_empty()
    }

    /// Takes the first exchange whose response is wanted; `None` if there is none.
    fn take(&mut self) -> Option<Exchange> {
        if self.has_next() { self.exchanges.pop_front() } else { None }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} of {})", self.lock().exchanges.len(), self.capacity)
    }
}

/// The handler: puts each request into the queue. The workers own it, so that it is dropped when the last one has
/// ended.
struct Enqueue(Arc<Queue>);

impl Handler for Enqueue {
    fn handle(&self, request: &Request<'_>) -> Reply {
        let (queue, request) = (Arc::clone(&self.0), request.to_owned());
        Reply::deferred(move |responder| queue.push(Exchange { request, responder }))
    }
}

impl Drop for Enqueue {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}
