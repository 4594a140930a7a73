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

/// Work that yields an answer, away from the connection it is for.
pub type Job = Box<dyn FnOnce() -> Response + Send>;

/// Answers requests. Any `Fn(&Request) -> Response`, or `-> Reply`, is one.
///
/// An engine may call it from several threads at once. On an event loop it must not block: what would, goes
/// into [`Reply::Offload`] or [`Reply::After`].
pub trait Handler: Send + Sync {
    /// Answers a complete request.
    fn handle(&self, request: &Request<'_>) -> Reply;

    /// Sees the library's own answer to what no handler saw or answered, and may change it.
    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let _ = rejected;
        response
    }
}

/// An answer, or how it will come about.
pub enum Reply {
    /// Here it is.
    Now(Response),
    /// After a wait that holds no thread on an event loop.
    After(Duration, Job),
    /// From work that blocks or computes; an event loop gives it to its pool.
    Offload(Job),
    /// From anywhere, by way of the [`Responder`].
    Deferred(Box<dyn FnOnce(Responder) + Send>),
}

impl Reply {
    /// Changes the answer, now or when it is there.
    pub fn map(self, change: impl FnOnce(Response) -> Response + Send + 'static) -> Reply {
        match self {
            Reply::Now(response) => Reply::Now(change(response)),
            Reply::After(wait, job) => Reply::After(wait, Box::new(move || change(job()))),
            Reply::Offload(job) => Reply::Offload(Box::new(move || change(job()))),
            Reply::Deferred(start) => {
                Reply::Deferred(Box::new(move |responder| start(responder.mapped(change))))
            }
        }
    }

    /// Answers in the place of a job that panics, or of a responder that is dropped. Of a handler that panics
    /// before it has replied, [`Handler::rejected`] hears.
    pub fn recover(self, instead: impl FnOnce(Rejection) -> Response + Send + 'static) -> Reply {
        match self {
            Reply::Now(response) => Reply::Now(response),
            Reply::After(wait, job) => Reply::After(wait, recovering(job, instead)),
            Reply::Offload(job) => Reply::Offload(recovering(job, instead)),
            Reply::Deferred(start) => {
                Reply::Deferred(Box::new(move |responder| start(responder.recovering(instead))))
            }
        }
    }
}

fn recovering(job: Job, instead: impl FnOnce(Rejection) -> Response + Send + 'static) -> Job {
    let fenced = || catch_unwind(AssertUnwindSafe(job));
    Box::new(move || fenced().unwrap_or_else(|_| instead(Rejection::Panicked)))
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

/// Takes a deferred answer, once and from any thread. Dropped without one, it answers 500.
pub struct Responder {
    deliver: Option<Deliver>,
}

impl Responder {
    /// A responder that hands its answer to `deliver`: for engines.
    pub fn new(deliver: impl FnOnce(Result<Response, Rejection>) + Send + 'static) -> Responder {
        Responder { deliver: Some(Box::new(deliver)) }
    }

    /// Answers.
    pub fn respond(mut self, response: Response) {
        if let Some(deliver) = self.deliver.take() {
            deliver(Ok(response));
        }
    }

    fn mapped(self, change: impl FnOnce(Response) -> Response + Send + 'static) -> Responder {
        Responder::new(move |answer| match answer {
            Ok(response) => self.respond(change(response)),
            // Dropped in its turn, it rejects.
            Err(_) => drop(self),
        })
    }

    fn recovering(self, instead: impl FnOnce(Rejection) -> Response + Send + 'static) -> Responder {
        Responder::new(move |answer| self.respond(answer.unwrap_or_else(instead)))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(deliver) = self.deliver.take() {
            deliver(Err(Rejection::Panicked));
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
