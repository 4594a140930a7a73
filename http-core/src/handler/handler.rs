//! The interface of an application: a handler takes a request and returns a reply, which is a response or a way to get
//! one later.

use super::{into_reply::IntoReply, reply::Reply};
use crate::{
    message::{rejection::Rejected, request::Request, response::Response},
    types::admit::Admit,
};
use std::sync::Arc;

/// Replies to requests. Every `Fn(&Request) -> R` is a handler if `R` becomes a reply ([`IntoReply`]): a [`Response`],
/// a [`Reply`], text, a [`Status`](crate::Status), and an `Option` or `Result` of them. So are an `Arc` of a handler
/// and a `Box<dyn Handler>`.
///
/// The compiler infers the argument of a closure only where a method takes a [`HandlerFn`], such as
/// [`RouterBuilder::get`](crate::RouterBuilder::get). Elsewhere, name its type: `|request: &Request<'_>| ...`.
///
/// An engine does the I/O and calls the handler, possibly from several threads at once. On an event loop, a handler
/// must not block: return [`Reply::Offload`] or [`Reply::After`] instead.
///
/// ```
/// use http_core::{Handler, Reply, Request, Response, testing::TestRequest};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// /// Counts its requests.
/// #[derive(Default)]
/// struct Counter(AtomicU64);
///
/// impl Handler for Counter {
///     fn handle(&self, _: &Request<'_>) -> Reply {
///         let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
///         Response::text(format!("request number {number}")).into()
///     }
/// }
///
/// let counter = Counter::default();
/// TestRequest::get("/").run(&counter);
/// assert_eq!(TestRequest::get("/").run(&counter).text(), "request number 2");
/// ```
pub trait Handler: Send + Sync {
    /// Chooses by the head how the content of a request is taken. The engine calls this method once for each request
    /// with content, when its head is complete and before it sends `100 Continue`. `head` is the request without its
    /// body. A request without content, or with the method CONNECT, is passed to [`handle`](Handler::handle) at once.
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

    /// Replies to a request. It is complete, unless [`admit`](Handler::admit) returned [`Admit::AtHead`] or
    /// [`Admit::AtHeadUpTo`] for it: then it has no body. The handler can reply at once, or take the content as it
    /// comes ([`Reply::Receive`], [`Reply::Read`]).
    fn handle(&self, request: &Request<'_>) -> Reply;

    /// Returns the response to a rejected request. The engine calls this method when the library responds itself: the
    /// request is malformed, the handler has panicked or timed out, or another [`Rejection`](crate::Rejection) applies.
    /// `response` is the library's response. The default implementation returns `response` unchanged.
    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let _ = rejected;
        response
    }
}

/// Every `Fn(&Request) -> R`, and nothing else. A method that takes a `HandlerFn` lets the compiler infer the argument
/// of a closure. For another [`Handler`], the compiler's message names the methods that take one:
/// [`RouterBuilder::route`](crate::RouterBuilder::route), and `Server::serve_handler` of the engines.
///
/// ```
/// use http_core::{HandlerFn, IntoReply, Status, testing::TestRequest};
///
/// fn status<R: IntoReply>(handler: impl HandlerFn<R> + Send + Sync) -> Status {
///     TestRequest::get("/").run(&handler).status()
/// }
///
/// assert_eq!(status(|request| request.header("Cookie").map(<[u8]>::to_vec)), Status::NOT_FOUND);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function or closure that takes a `&Request`",
    label = "expected a function or closure, such as `|request| ...`",
    note = "to pass a `Handler`, use `route` instead of `get`, `post` and so on, and `serve_handler` instead of `serve`"
)]
pub trait HandlerFn<R>: Fn(&Request<'_>) -> R {}

#[diagnostic::do_not_recommend]
impl<F, R> HandlerFn<R> for F where F: Fn(&Request<'_>) -> R {}

impl<F, R> Handler for F
where
    F: Fn(&Request<'_>) -> R + Send + Sync,
    R: IntoReply,
{
    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        self(request).into_reply()
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
