//! What a handler returns: a response, or a way to get one later.

use super::{
    content_reader::ContentReader,
    into_reply::IntoResponse,
    responder::Responder,
    sink::{MappedSink, RecoveringSink, Sink},
};
use crate::{
    message::{rejection::Rejection, response::Response, upgrade::Upgraded},
    types::{cancellation::CancellationToken, panic::catch_panic},
};
use std::time::Duration;

/// A function that produces a response after the handler has returned. It may run on another thread. The token tells it
/// whether the response is still wanted.
///
/// ```
/// use http_core::{Job, Reply, Response};
///
/// /// Runs `job` on a thread of the pool, and sets a header of its response.
/// fn offload(job: Job) -> Reply {
///     Reply::Offload(Box::new(|token| job(token).with_header("Cache-Control", "no-store")))
/// }
///
/// let reply = offload(Box::new(|_| Response::text("Hello")));
/// ```
pub type Job = Box<dyn FnOnce(&CancellationToken) -> Response + Send>;

/// A function that reads the content of a request as it comes, and produces the response. It runs on another thread,
/// where it may wait.
///
/// ```
/// use http_core::{ReadJob, Reply};
///
/// /// Runs `job`, and sets a header of its response.
/// fn read(job: ReadJob) -> Reply {
///     Reply::Read(Box::new(|content| job(content).with_header("Cache-Control", "no-store")))
/// }
/// ```
pub type ReadJob = Box<dyn FnOnce(ContentReader) -> Response + Send>;

/// What a handler returns: a response, or a way to get one later.
///
/// ```
/// use http_core::{Reply, Request, Response, Status, testing::TestRequest};
/// use std::time::Duration;
///
/// fn handler(request: &Request<'_>) -> Reply {
///     match request.path() {
///         "/now" => Response::text("at once").into(),
///         "/later" => Reply::after(Duration::from_secs(1), || "a second later"),
///         "/file" => Reply::offload(|| std::fs::read("data").map_err(|_| Status::NOT_FOUND)),
///         _ => Status::NOT_FOUND.into(),
///     }
/// }
///
/// assert_eq!(TestRequest::get("/later").run(&handler).text(), "a second later");
/// assert_eq!(TestRequest::get("/other").run(&handler).status(), Status::NOT_FOUND);
/// ```
#[non_exhaustive]
#[must_use = "a reply takes effect only if the handler returns it"]
pub enum Reply {
    /// The response.
    Now(Response),
    /// The engine runs the job when this time has passed. Until then, an event loop serves other connections. The job
    /// must not block, because an event loop runs it on its own thread. If the client leaves before, the engine drops
    /// the job. See [`Reply::after`].
    After(Duration, Job),
    /// The engine runs the job on a thread of a pool, where it may block or compute for long. If the client leaves or
    /// the reply times out before the job has started, the engine drops the job; afterwards, the job's
    /// [`CancellationToken`] says so. See [`Reply::offload`] and [`Reply::offload_with`].
    Offload(Job),
    /// The engine calls the function with a [`Responder`], which takes the response later, from any thread. The
    /// function itself must not block: an event loop calls it on its own thread.
    Deferred(Box<dyn FnOnce(Responder) + Send>),
    /// The engine pushes the content to the sink as it comes, and then replies as [`Sink::finish`] says. See
    /// [`Reply::receive`].
    Receive(Box<dyn Sink>),
    /// The engine runs the job on a thread that is only for jobs that wait for their clients. There it reads the
    /// content as it comes. See [`Reply::read`].
    Read(ReadJob),
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
    pub fn after<R: IntoResponse>(delay: Duration, respond: impl FnOnce() -> R + Send + 'static) -> Reply {
        Reply::After(delay, Box::new(|_| respond().into_response()))
    }

    /// Creates a [`Reply::Offload`]: calls `respond` where it may block or compute for long.
    ///
    /// ```
    /// use http_core::{Reply, Response, Status};
    ///
    /// let reply = Reply::offload(|| match std::fs::read("report.txt") {
    ///     Ok(report) => Response::text(report),
    ///     Err(_) => Response::error(Status::NOT_FOUND),
    /// });
    /// ```
    pub fn offload<R: IntoResponse>(respond: impl FnOnce() -> R + Send + 'static) -> Reply {
        Reply::Offload(Box::new(|_| respond().into_response()))
    }

    /// Creates a [`Reply::Offload`]: calls `respond` where it may block or compute for long. The token tells `respond`
    /// when it may return early; [`CancellationToken`] has an example.
    pub fn offload_with<R: IntoResponse>(
        respond: impl FnOnce(&CancellationToken) -> R + Send + 'static,
    ) -> Reply {
        Reply::Offload(Box::new(|token| respond(token).into_response()))
    }

    /// Creates a [`Reply::Deferred`]: calls `start` with the responder, which takes the response later.
    ///
    /// ```
    /// use http_core::{Reply, Response};
    ///
    /// let reply = Reply::deferred(|responder| {
    ///     std::thread::spawn(move || responder.respond(Response::text("from another thread")));
    /// });
    /// ```
    pub fn deferred(start: impl FnOnce(Responder) + Send + 'static) -> Reply {
        Reply::Deferred(Box::new(start))
    }

    /// Creates a [`Reply::Receive`]: pushes the content to `sink` as it comes. [`Sink`] has an example.
    ///
    /// The handler must have chosen [`Admit::AtHead`](crate::Admit::AtHead) or
    /// [`Admit::AtHeadUpTo`](crate::Admit::AtHeadUpTo) for the request. Otherwise the content was buffered, and the
    /// sink gets it at once. Without content, only [`Sink::finish`] is called.
    pub fn receive(sink: impl Sink + 'static) -> Reply {
        Reply::Receive(Box::new(sink))
    }

    /// Creates a [`Reply::Read`]: calls `respond` with a reader of the content, where it may wait for the client and
    /// for a disk. It may return before the end of the content; the rest is then dropped, as
    /// [`Admit::AtHead`](crate::Admit::AtHead) says.
    ///
    /// The handler must have chosen [`Admit::AtHead`](crate::Admit::AtHead) or
    /// [`Admit::AtHeadUpTo`](crate::Admit::AtHeadUpTo) for the request. Otherwise the content was buffered. Without
    /// content, the reader is at its end.
    ///
    /// If all threads for such jobs are busy, the request gets 503.
    ///
    /// ```
    /// use http_core::{Admit, Handler, Reply, Request, Status};
    /// use std::{fs::File, io};
    ///
    /// /// Writes the content into a file.
    /// struct Save;
    ///
    /// impl Handler for Save {
    ///     fn admit(&self, _: &Request<'_>) -> Admit {
    ///         Admit::AtHeadUpTo(5 << 30)
    ///     }
    ///
    ///     fn handle(&self, _: &Request<'_>) -> Reply {
    ///         Reply::read(|mut content| {
    ///             let saved = File::create("upload").and_then(|mut file| io::copy(&mut content, &mut file));
    ///             saved.map_or(Status::INTERNAL_SERVER_ERROR, |_| Status::CREATED)
    ///         })
    ///     }
    /// }
    /// ```
    pub fn read<R: IntoResponse>(respond: impl FnOnce(ContentReader) -> R + Send + 'static) -> Reply {
        Reply::Read(Box::new(|content| respond(content).into_response()))
    }

    /// Creates a [`Reply::Now`] with a 101, such as [`Response::switching_protocols`], and the function that takes over
    /// the connection ([`Response::on_upgrade`]). A response can carry the function in every other kind of reply too.
    ///
    /// ```
    /// use http_core::{Reply, Response};
    /// use std::io::Write;
    ///
    /// let reply = Reply::upgrade(Response::switching_protocols("greeting"), |mut upgraded| {
    ///     let _ = upgraded.write_all(b"hello\n");
    /// });
    /// ```
    pub fn upgrade(response: Response, take: impl FnOnce(Upgraded) + Send + 'static) -> Reply {
        Reply::Now(response.on_upgrade(take))
    }

    /// Applies `change` to the response: at once if the reply is [`Reply::Now`], otherwise when the job, the
    /// [`Responder`] or the [`Sink`] has produced the response. `change` is not called if the job or the sink panics,
    /// the responder is dropped without a response, or the reply times out.
    pub fn map(self, change: impl FnOnce(Response) -> Response + Send + 'static) -> Reply {
        match self {
            Reply::Now(response) => Reply::Now(change(response)),
            Reply::After(wait, job) => Reply::After(wait, Box::new(move |token| change(job(token)))),
            Reply::Offload(job) => Reply::Offload(Box::new(move |token| change(job(token)))),
            Reply::Deferred(start) => {
                Reply::Deferred(Box::new(move |responder| start(responder.map(change))))
            }
            Reply::Receive(sink) => Reply::receive(MappedSink { sink, change: Some(change) }),
            Reply::Read(job) => Reply::Read(Box::new(move |content| change(job(content)))),
        }
    }

    /// Takes the response from `fallback` if the job of [`Reply::After`], [`Reply::Offload`] or [`Reply::Read`] or the
    /// [`Sink`] of [`Reply::Receive`] panics, or the [`Responder`] of [`Reply::Deferred`] is dropped without a
    /// response. Passes [`Rejection::HandlerPanicked`] to `fallback` in each case. Returns a [`Reply::Now`] unchanged.
    ///
    /// If the handler itself or the function in [`Reply::Deferred`] panics, or the reply times out, the response is
    /// that of [`Handler::rejected`](crate::Handler::rejected) instead.
    pub fn recover(self, fallback: impl FnOnce(Rejection) -> Response + Send + 'static) -> Reply {
        match self {
            Reply::Now(response) => Reply::Now(response),
            Reply::After(wait, job) => Reply::After(wait, recovering(job, fallback)),
            Reply::Offload(job) => Reply::Offload(recovering(job, fallback)),
            Reply::Deferred(start) => {
                Reply::Deferred(Box::new(move |responder| start(responder.recover(fallback))))
            }
            Reply::Receive(sink) => Reply::receive(RecoveringSink { sink, fallback: Some(fallback) }),
            Reply::Read(job) => Reply::Read(Box::new(|content| recovered(|| job(content), fallback))),
        }
    }
}

/// Returns a job that runs `job`, and takes the response from `fallback` if `job` panics.
fn recovering(job: Job, fallback: impl FnOnce(Rejection) -> Response + Send + 'static) -> Job {
    Box::new(|token| recovered(|| job(token), fallback))
}

/// Returns the response of `run`, or that of `fallback` if `run` panics.
fn recovered(run: impl FnOnce() -> Response, fallback: impl FnOnce(Rejection) -> Response) -> Response {
    catch_panic(run).unwrap_or_else(|panicked| fallback(panicked.into()))
}

impl<T: IntoResponse> From<T> for Reply {
    #[inline]
    fn from(response: T) -> Reply {
        Reply::Now(response.into_response())
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Now(response) => f.debug_tuple("Now").field(response).finish(),
            Reply::After(wait, _) => f.debug_tuple("After").field(wait).finish(),
            Reply::Offload(_) => f.write_str("Offload"),
            Reply::Deferred(_) => f.write_str("Deferred"),
            Reply::Receive(_) => f.write_str("Receive"),
            Reply::Read(_) => f.write_str("Read"),
        }
    }
}
