//! The interface of an application: a handler takes a request and returns a reply, which is a response or a way to get
//! one later.
//!
//! A [`Rejection`] is the reason why the library makes a response itself, in place of the handler's: the request is
//! malformed or over a limit, a timeout has expired, the server is overloaded, or the handler has failed.

use super::cancellation::CancellationToken;
use crate::{
    message::{
        rejection::{Rejected, Rejection},
        request::Request,
        response::Response,
    },
    types::{limits::Admit, panic::catch_panic},
};
use std::{sync::Arc, time::Duration};

/// A function that produces a response after the handler has returned. It may run on another thread. The token tells it
/// whether the response is still wanted.
pub type Job = Box<dyn FnOnce(&CancellationToken) -> Response + Send>;

/// Replies to requests. Every `Fn(&Request) -> Response` and `Fn(&Request) -> Reply` is a handler.
///
/// An engine does the I/O and calls the handler, possibly from several threads at once. On an event loop, a handler
/// must not block: return [`Reply::Offload`] or [`Reply::After`] instead.
pub trait Handler: Send + Sync {
    /// Chooses by the head how the content of a request is taken. The engine calls this method once for each request with
    /// content, when its head is complete and before it sends `100 Continue`. `head` is the request without its body. A
    /// request without content, or with the method CONNECT, is passed to [`handle`](Handler::handle) at once.
    ///
    /// The default implementation returns [`Admit::Buffer`]: content is received into memory, up to
    /// [`Limits::body_bytes`](crate::Limits::body_bytes). A handler that does not use content should return
    /// [`Admit::AtHead`].
    ///
    /// This method never decides whether a request is allowed, because requests without content do not pass through it.
    /// If it panics, the request gets 500, and [`handle`](Handler::handle) is not called.
    fn admit(&self, head: &Request<'_>) -> Admit {
        let _ = head;
        Admit::Buffer
    }

    /// Replies to a request. It is complete, unless [`admit`](Handler::admit) returned [`Admit::AtHead`] for it: then it
    /// has no body.
    fn handle(&self, request: &Request<'_>) -> Reply;

    /// Returns the response to a rejected request. The engine calls this method when the library responds itself: the
    /// request is malformed, the handler has panicked or timed out, or another [`Rejection`] applies. `response` is the
    /// library's response. The default implementation returns `response` unchanged.
    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let _ = rejected;
        response
    }
}

/// What a handler returns: a response, or a way to get one later.
pub enum Reply {
    /// The response.
    Now(Response),
    /// The engine runs the job when this time has passed. Until then, an event loop serves other connections. The job
    /// must not block, because an event loop runs it on its own thread. If the client leaves before, the engine drops the
    /// job. See [`Reply::after`].
    After(Duration, Job),
    /// The engine runs the job on a thread of a pool, where it may block or compute for long. If the client leaves or the
    /// reply times out before the job has started, the engine drops the job; afterwards, the job's
    /// [`CancellationToken`] says so. See [`Reply::offload`] and [`Reply::offload_with`].
    Offload(Job),
    /// The engine calls the function with a [`Responder`], which takes the response later, from any thread. The
    /// function itself must not block: an event loop calls it on its own thread.
    Deferred(Box<dyn FnOnce(Responder) + Send>),
}

impl Reply {
    /// Creates a [`Reply::After`]: calls `respond` when the time `delay` has passed.
    ///
    /// ```
    /// use http_core::{Reply, Response};
    /// use std::time::Duration;
    ///
    /// let reply = Reply::after(Duration::from_secs(1), || Response::text("a second later"));
    /// ```
    pub fn after(delay: Duration, respond: impl FnOnce() -> Response + Send + 'static) -> Reply {
        Reply::After(delay, Box::new(|_| respond()))
    }

    /// Creates a [`Reply::Offload`]: calls `respond` where it may block or compute for long.
    ///
    /// ```
    /// use http_core::{Reply, Response};
    ///
    /// let reply = Reply::offload(|| match std::fs::read("report.txt") {
    ///     Ok(report) => Response::text(report),
    ///     Err(error) => Response::text(error.to_string()),
    /// });
    /// ```
    pub fn offload(respond: impl FnOnce() -> Response + Send + 'static) -> Reply {
        Reply::Offload(Box::new(|_| respond()))
    }

    /// Creates a [`Reply::Offload`]: calls `respond` where it may block or compute for long. The token tells `respond`
    /// when it may return early; [`CancellationToken`] has an example.
    pub fn offload_with(respond: impl FnOnce(&CancellationToken) -> Response + Send + 'static) -> Reply {
        Reply::Offload(Box::new(respond))
    }

    /// Applies `change` to the response: at once if the reply is [`Reply::Now`], otherwise when the job or the
    /// [`Responder`] has produced the response. If the job panics, the responder is dropped without a response, or the
    /// reply times out, `change` is not called.
    pub fn map(self, change: impl FnOnce(Response) -> Response + Send + 'static) -> Reply {
        match self {
            Reply::Now(response) => Reply::Now(change(response)),
            Reply::After(wait, job) => Reply::After(wait, Box::new(move |token| change(job(token)))),
            Reply::Offload(job) => Reply::Offload(Box::new(move |token| change(job(token)))),
            Reply::Deferred(start) => {
                Reply::Deferred(Box::new(move |responder| start(responder.map(change))))
            }
        }
    }

    /// Takes the response from `fallback` if the job of [`Reply::After`] or [`Reply::Offload`] panics, or the
    /// [`Responder`] of [`Reply::Deferred`] is dropped without a response. Passes [`Rejection::HandlerPanicked`] to
    /// `fallback` in both cases. Returns a [`Reply::Now`] unchanged.
    ///
    /// If the handler itself or the function in [`Reply::Deferred`] panics, or the reply times out, the response is
    /// that of [`Handler::rejected`] instead.
    pub fn recover(self, fallback: impl FnOnce(Rejection) -> Response + Send + 'static) -> Reply {
        match self {
            Reply::Now(response) => Reply::Now(response),
            Reply::After(wait, job) => Reply::After(wait, recovering(job, fallback)),
            Reply::Offload(job) => Reply::Offload(recovering(job, fallback)),
            Reply::Deferred(start) => {
                Reply::Deferred(Box::new(move |responder| start(responder.recover(fallback))))
            }
        }
    }
}

/// Returns a job that runs `job`, and takes the response from `fallback` if `job` panics.
fn recovering(job: Job, fallback: impl FnOnce(Rejection) -> Response + Send + 'static) -> Job {
    Box::new(|token| {
        catch_panic(|| job(token)).unwrap_or_else(|panicked| fallback(Rejection::from(panicked)))
    })
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

/// Passes a response to the engine, or the reason why there is none.
type Deliver = Box<dyn FnOnce(Result<Response, Rejection>) + Send>;

/// Takes the response of a [`Reply::Deferred`], once and from any thread. If the responder is dropped without a
/// response, the engine responds with 500.
pub struct Responder {
    /// The function to call with the response; `None` after the call.
    deliver: Option<Deliver>,
    token: CancellationToken,
}

impl Responder {
    /// Creates a responder, for engines. It calls `deliver` once: with the response, or with
    /// [`Rejection::HandlerPanicked`] if it is dropped without a response. The engine cancels a clone of `token` when it no
    /// longer wants the response.
    pub fn new(
        token: CancellationToken,
        deliver: impl FnOnce(Result<Response, Rejection>) + Send + 'static,
    ) -> Responder {
        Responder { deliver: Some(Box::new(deliver)), token }
    }

    /// Returns whether the response is no longer wanted: the client has left, the reply has timed out, or the server has
    /// shut down. The application may then drop the responder. [`CancellationToken`] has the details.
    pub fn is_closed(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Passes the response to the engine. The engine drops the response if the connection has ended or the reply has
    /// timed out.
    pub fn respond(mut self, response: Response) {
        if let Some(deliver) = self.deliver.take() {
            deliver(Ok(response));
        }
    }

    /// Returns a responder that applies `change` to its response, and passes the result to `self`. If the returned
    /// responder is dropped without a response, `self` is dropped too, and `change` is not called.
    fn map(self, change: impl FnOnce(Response) -> Response + Send + 'static) -> Responder {
        Responder::new(self.token.clone(), move |result| match result {
            Ok(response) => self.respond(change(response)),
            // Dropping `self` delivers the rejection.
            Err(_) => drop(self),
        })
    }

    /// Returns a responder that passes its response to `self`. If the returned responder is dropped without a response,
    /// it passes the response of `fallback`.
    fn recover(self, fallback: impl FnOnce(Rejection) -> Response + Send + 'static) -> Responder {
        Responder::new(self.token.clone(), move |result| self.respond(result.unwrap_or_else(fallback)))
    }
}

/// Delivers [`Rejection::HandlerPanicked`] if no response was delivered.
impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(deliver) = self.deliver.take() {
            // `deliver` may contain code of middleware. A panic in a destructor aborts the process if another one unwinds.
            let _ = catch_panic(|| deliver(Err(Rejection::HandlerPanicked)));
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

/// Passes requests to the handler in the `Arc`, which several workers can share.
impl<H: Handler + ?Sized> Handler for Arc<H> {
    fn admit(&self, head: &Request<'_>) -> Admit {
        (**self).admit(head)
    }

    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        (**self).handle(request)
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        (**self).rejected(rejected, response)
    }
}

/// Passes requests to the handler in the box, whose type is chosen when the program runs.
impl Handler for Box<dyn Handler> {
    fn admit(&self, head: &Request<'_>) -> Admit {
        (**self).admit(head)
    }

    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        (**self).handle(request)
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        (**self).rejected(rejected, response)
    }
}
