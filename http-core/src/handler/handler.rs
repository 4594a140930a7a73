//! The boundary between HTTP and an application: one request in, one reply out, now or later.

use crate::message::{
    rejection::{Rejected, Rejection},
    request::Request,
    response::Response,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

/// Work that produces a response, away from the connection.
pub type Job = Box<dyn FnOnce() -> Response + Send>;

/// Replies to requests. Every `Fn(&Request) -> Response` and `Fn(&Request) -> Reply` is a handler.
///
/// An engine may call it from several threads at once. On an event loop it must not block: return [`Reply::Offload`] or
/// [`Reply::After`] instead.
pub trait Handler: Send + Sync {
    /// Replies to a complete request.
    fn handle(&self, request: &Request<'_>) -> Reply;

    /// Returns the response to a rejected request. `response` is the library's own; the default returns it unchanged.
    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let _ = rejected;
        response
    }
}

/// A response, or how to get it.
pub enum Reply {
    /// The response.
    Now(Response),
    /// Run the job after this time. An event loop blocks no thread while it waits.
    After(Duration, Job),
    /// Run the job where it may block or compute for long: an event loop runs it in its thread pool.
    Offload(Job),
    /// Call the function with a [`Responder`], which takes the response later, from any thread.
    Deferred(Box<dyn FnOnce(Responder) + Send>),
}

impl Reply {
    /// Changes the response once it is there.
    pub fn map(self, change: impl FnOnce(Response) -> Response + Send + 'static) -> Reply {
        match self {
            Reply::Now(response) => Reply::Now(change(response)),
            Reply::After(wait, job) => Reply::After(wait, Box::new(move || change(job()))),
            Reply::Offload(job) => Reply::Offload(Box::new(move || change(job()))),
            Reply::Deferred(start) => {
                Reply::Deferred(Box::new(move |responder| start(responder.map(change))))
            }
        }
    }

    /// Responds with `fallback` if a job panics or a responder is dropped. If the handler itself panics, before it has
    /// replied, the engine calls [`Handler::rejected`].
    pub fn recover(self, fallback: impl FnOnce(Rejection) -> Response + Send + 'static) -> Reply {
        match self {
            Reply::Now(response) => Reply::Now(response),
            Reply::After(wait, job) => {
                Reply::After(wait, Box::new(move || catch_panic(job).unwrap_or_else(fallback)))
            }
            Reply::Offload(job) => {
                Reply::Offload(Box::new(move || catch_panic(job).unwrap_or_else(fallback)))
            }
            Reply::Deferred(start) => {
                Reply::Deferred(Box::new(move |responder| start(responder.recover(fallback))))
            }
        }
    }
}

/// Runs application code and catches its panic, which the panic hook has reported by then.
///
/// # Errors
///
/// [`Rejection::HandlerPanicked`] if it panics.
pub fn catch_panic<T>(run: impl FnOnce() -> T) -> Result<T, Rejection> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| Rejection::HandlerPanicked)
}

impl From<Response> for Reply {
    #[inline]
    fn from(response: Response) -> Reply {
        Reply::Now(response)
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Now(response) => f.debug_tuple("Now").field(response).finish(),
            Reply::After(wait, _) => f.debug_tuple("After").field(wait).finish(),
            Reply::Offload(_) => f.write_str("Offload"),
            Reply::Deferred(_) => f.write_str("Deferred"),
        }
    }
}

type Deliver = Box<dyn FnOnce(Result<Response, Rejection>) + Send>;

/// Takes a deferred response, once and from any thread. If it is dropped without one, the response is a 500.
pub struct Responder {
    deliver: Option<Deliver>,
}

impl Responder {
    /// Creates a responder that passes the response to `deliver`: for engines.
    pub fn new(deliver: impl FnOnce(Result<Response, Rejection>) + Send + 'static) -> Responder {
        Responder { deliver: Some(Box::new(deliver)) }
    }

    /// Delivers the response.
    pub fn respond(mut self, response: Response) {
        if let Some(deliver) = self.deliver.take() {
            deliver(Ok(response));
        }
    }

    fn map(self, change: impl FnOnce(Response) -> Response + Send + 'static) -> Responder {
        Responder::new(move |result| match result {
            Ok(response) => self.respond(change(response)),
            // The drop of this responder delivers the rejection.
            Err(_) => drop(self),
        })
    }

    fn recover(self, fallback: impl FnOnce(Rejection) -> Response + Send + 'static) -> Responder {
        Responder::new(move |result| self.respond(result.unwrap_or_else(fallback)))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(deliver) = self.deliver.take() {
            deliver(Err(Rejection::HandlerPanicked));
        }
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responder")
    }
}

impl<F, R> Handler for F
where
    F: Fn(&Request<'_>) -> R + Send + Sync,
    R: Into<Reply>,
{
    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        self(request).into()
    }
}

impl Handler for Arc<dyn Handler> {
    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        (**self).handle(request)
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        (**self).rejected(rejected, response)
    }
}
