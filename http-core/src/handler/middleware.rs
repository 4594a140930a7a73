//! Middleware: code that wraps a handler. It sees each request before the handler, each reply after it, and each
//! rejection: a response that the library makes itself, in place of the handler's.

use super::{handler::Handler, reply::Reply};
use crate::{
    message::{rejection::Rejected, request::Request, response::Response},
    types::{admit::Admit, panic::drop_caught},
};
use std::sync::Arc;

/// One layer of a [`Stack`], or of some routes of a router ([`RouterBuilder::wrap`](crate::RouterBuilder::wrap)). It
/// wraps the inner layers and the handler, which [`Next`] calls.
///
/// A layer passes values to them, such as the user that it has authenticated, with [`Request::with_extension`].
///
/// ```
/// use http_core::{Middleware, Next, Reply, Request};
///
/// struct ServedBy(&'static str);
///
/// impl Middleware for ServedBy {
///     fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
///         let name = self.0;
///         next.run(request).map(move |response| response.with_header("X-Served-By", name))
///     }
/// }
/// ```
pub trait Middleware: Send + Sync {
    /// Chooses by the head how the content of a request is taken ([`Handler::admit`]). The default implementation
    /// returns what the inner layers and the handler choose.
    ///
    /// A layer that replies itself to some requests returns [`Admit::AtHead`] for them, and so replies before their
    /// content is received. [`handle`](Middleware::handle) must then not call [`Next::run`]: the handler would see a
    /// request without its content.
    fn admit(&self, head: &Request<'_>, next: Next<'_>) -> Admit {
        next.admit(head)
    }

    /// Replies to a request, usually by calling [`Next::run`] and changing the reply.
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply;

    /// Returns the response to a request to which the library responds itself, because the request is malformed, its
    /// handler has panicked, or for another reason in [`Rejection`](crate::Rejection). `response` is the library's
    /// response, after the method [`rejected`](Handler::rejected) of the handler and of the inner layers may have
    /// changed it. The default implementation returns `response` unchanged.
    ///
    /// This method does not see an error response that the handler or an inner layer returns:
    /// [`handle`](Middleware::handle) sees it.
    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let _ = rejected;
        response
    }
}

/// The part of a [`Stack`] that one layer wraps: the inner layers and the handler.
///
/// ```
/// use http_core::{Middleware, Next, Reply, Request, Response, Status};
///
/// /// Lets only requests with a token through.
/// struct Guard;
///
/// impl Middleware for Guard {
///     fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
///         if request.header("Authorization") != Some(b"Bearer secret") {
///             return Response::error(Status::UNAUTHORIZED).with_header("WWW-Authenticate", "Bearer").into();
///         }
///         next.run(request)
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Next<'a> {
    /// Outermost first.
    layers: &'a [Arc<dyn Middleware>],
    handler: &'a dyn Handler,
}

impl Next<'_> {
    /// Returns how the inner layers and the handler take the content of the request ([`Handler::admit`]).
    pub fn admit(self, head: &Request<'_>) -> Admit {
        match self.layers.split_first() {
            Some((layer, layers)) => layer.admit(head, Next { layers, ..self }),
            None => self.handler.admit(head),
        }
    }

    /// Passes the request to the next layer, or to the handler if no layer is left. Returns the reply.
    #[inline]
    pub fn run(self, request: &Request<'_>) -> Reply {
        match self.layers.split_first() {
            Some((layer, layers)) => layer.handle(request, Next { layers, ..self }),
            None => self.handler.handle(request),
        }
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Next({} layers)", self.layers.len())
    }
}

/// A handler with layers of middleware around it.
///
/// ```
/// use http_core::{Middleware, Next, Reply, Request, Stack, testing::TestRequest};
///
/// /// Adds its name to each response.
/// struct Layer(&'static str);
///
/// impl Middleware for Layer {
///     fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
///         let name = self.0;
///         next.run(request).map(move |response| response.append_header("Layer", name))
///     }
/// }
///
/// let stack = Stack::new(|_: &Request<'_>| "Hello").wrap(Layer("inner")).wrap(Layer("outer"));
/// let response = TestRequest::get("/").run(&stack);
/// let headers = String::from_utf8_lossy(response.headers().as_bytes());
/// assert!(headers.contains("Layer: inner\r\nLayer: outer\r\n"));
/// ```
#[must_use = "a stack does nothing until it serves requests"]
pub struct Stack {
    /// Outermost first.
    layers: Vec<Arc<dyn Middleware>>,
    handler: Box<dyn Handler>,
}

impl Stack {
    /// Creates a stack that has no layers yet.
    pub fn new(handler: impl Handler + 'static) -> Stack {
        Stack { layers: Vec::new(), handler: Box::new(handler) }
    }

    /// Adds a layer around those added before. The new layer is the first to see a request, and the last to see its
    /// reply.
    pub fn wrap(mut self, layer: impl Middleware + 'static) -> Stack {
        self.wrap_shared(Arc::new(layer));
        self
    }

    /// Adds a layer as [`wrap`](Stack::wrap) does, which other stacks may have too.
    pub(super) fn wrap_shared(&mut self, layer: Arc<dyn Middleware>) {
        self.layers.insert(0, layer);
    }
}

/// Drops the layers one by one: if two destructors panicked at once, Rust would abort the process.
impl Drop for Stack {
    fn drop(&mut self) {
        self.layers.drain(..).for_each(drop_caught);
    }
}

impl Handler for Stack {
    fn admit(&self, head: &Request<'_>) -> Admit {
        Next { layers: &self.layers, handler: &*self.handler }.admit(head)
    }

    #[inline]
    fn handle(&self, request: &Request<'_>) -> Reply {
        Next { layers: &self.layers, handler: &*self.handler }.run(request)
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let inner = self.handler.rejected(rejected, response);
        self.layers.iter().rev().fold(inner, |response, layer| layer.rejected(rejected, response))
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stack({} layers)", self.layers.len())
    }
}

/// A function or closure is a layer that only replies ([`Middleware::handle`]).
///
/// ```
/// use http_core::{Next, Reply, Request, Router, Status, testing::TestRequest};
///
/// fn users_only(request: &Request<'_>, next: Next<'_>) -> Reply {
///     if request.cookie("user").is_some() { next.run(request) } else { Status::FORBIDDEN.into() }
/// }
///
/// let router = Router::builder().get("/", |_| "Hello").wrap(users_only).build()?;
/// assert_eq!(TestRequest::get("/").run(&router).status(), Status::FORBIDDEN);
/// assert_eq!(TestRequest::get("/").header("Cookie", "user=anna").run(&router).text(), "Hello");
/// # Ok::<(), http_core::RouteError>(())
/// ```
impl<F: Fn(&Request<'_>, Next<'_>) -> Reply + Send + Sync> Middleware for F {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        self(request, next)
    }
}

/// A layer that limits the content of requests to this number of bytes: a request with more gets 413.
///
/// It takes the place of [`Limits::body_bytes`](crate::Limits::body_bytes) and
/// [`Limits::streamed_bytes`](crate::Limits::streamed_bytes), whether it is lower or higher. If the handler or
/// an inner layer chooses a limit of its own ([`Handler::admit`]), the lower one applies.
///
/// ```
/// use http_core::{BodyLimit, Request, Stack};
///
/// let upload = |request: &Request<'_>| format!("{} bytes", request.body().len());
/// let handler = Stack::new(upload).wrap(BodyLimit(10_000_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit(pub u64);

impl Middleware for BodyLimit {
    fn admit(&self, head: &Request<'_>, next: Next<'_>) -> Admit {
        next.admit(head).at_most(self.0)
    }

    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        next.run(request)
    }
}

/// A layer that takes the content of every request in this way. So closures can take content as it comes.
///
/// If the handler or an inner layer chooses a limit of its own ([`Handler::admit`]), the lower one applies, as with
/// [`BodyLimit`]. So routes with different limits need a builder each:
///
/// ```
/// use http_core::{Admit, Reply, Request, Router, Status};
/// use std::io;
///
/// fn upload(_: &Request<'_>) -> Reply {
///     Reply::read(|mut content| match io::copy(&mut content, &mut io::sink()) {
///         Ok(_) => Status::NO_CONTENT,
///         Err(_) => Status::INTERNAL_SERVER_ERROR,
///     })
/// }
///
/// let films = Router::builder().put("/films/{id}", upload).wrap(Admit::AtHeadUpTo(5 << 30));
/// let photos = Router::builder().put("/photos/{id}", upload).wrap(Admit::AtHeadUpTo(20 << 20));
/// let router = Router::builder().nest("", films).nest("", photos).build()?;
/// # Ok::<(), http_core::RouteError>(())
/// ```
impl Middleware for Admit {
    fn admit(&self, head: &Request<'_>, next: Next<'_>) -> Admit {
        match next.admit(head) {
            Admit::Buffer | Admit::AtHead => *self,
            Admit::BufferUpTo(limit) | Admit::AtHeadUpTo(limit) => self.at_most(limit),
        }
    }

    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        next.run(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Sink, Status,
        testing::{ReceivedRequest, TestRequest},
    };
    use std::{panic::resume_unwind, time::Duration};

    /// Adds its name to each response in a header `Layer`, and to each response to a rejected request in a header
    /// `Rejected`. The layer `outer` does not pass on requests for `/short`.
    struct Layer(&'static str);

    impl Middleware for Layer {
        fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
            let name = self.0;
            if request.path() == "/short" && name == "outer" {
                return Response::new(Status::FORBIDDEN).into();
            }
            next.run(request).map(move |response| response.append_header("Layer", name))
        }

        fn rejected(&self, _: &Rejected<'_>, response: Response) -> Response {
            response.append_header("Rejected", self.0)
        }
    }

    /// A layer that chooses nothing passes on the choice of the handler. `Admit` replaces it, and keeps a lower limit.
    #[test]
    fn a_layer_passes_on_how_content_is_taken() {
        struct Upload(Admit);
        impl Handler for Upload {
            fn admit(&self, _: &Request<'_>) -> Admit {
                self.0
            }

            fn handle(&self, _: &Request<'_>) -> Reply {
                Response::new(Status::NO_CONTENT).into()
            }
        }
        let check = |inner: Admit, layer: Admit, expected: Admit| {
            let bytes = b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 2\r\n\r\nab";
            let received = ReceivedRequest::new(bytes, std::time::Instant::now()).expect("a request");
            let stack = Stack::new(Upload(inner)).wrap(Layer("inner")).wrap(Layer("outer"));
            assert_eq!(stack.admit(&received.as_request()), inner);
            assert_eq!(stack.wrap(layer).admit(&received.as_request()), expected);
        };
        check(Admit::Buffer, Admit::AtHead, Admit::AtHead);
        check(Admit::AtHead, Admit::BufferUpTo(2), Admit::BufferUpTo(2));
        check(Admit::BufferUpTo(1), Admit::BufferUpTo(2), Admit::BufferUpTo(1));
        check(Admit::BufferUpTo(2), Admit::AtHeadUpTo(1), Admit::AtHeadUpTo(1));
        check(Admit::AtHeadUpTo(1), Admit::Buffer, Admit::BufferUpTo(1));
        check(Admit::BufferUpTo(1), Admit::AtHead, Admit::AtHeadUpTo(1));
    }

    /// A handler with a path for every kind of reply.
    fn handler(request: &Request<'_>) -> Reply {
        let response = || Response::new(Status::ACCEPTED);
        let panics = || -> Response { resume_unwind(Box::new("on purpose")) };
        let reply = match request.path() {
            "/after" => Reply::after(Duration::ZERO, response),
            "/offload" => Reply::offload(response),
            "/offload-panics" => Reply::offload(panics),
            "/deferred" => Reply::deferred(move |responder| responder.respond(response())),
            "/dropped" => Reply::deferred(drop),
            "/not-recovered" => return Reply::deferred(drop).recover(move |_| panics()),
            "/receive" => Reply::receive(TestSink::Finish),
            "/receive-early" => Reply::receive(TestSink::Reject),
            "/receive-panics" => Reply::receive(TestSink::Panic),
            "/read" => Reply::read(move |_| response()),
            "/read-panics" => Reply::read(move |_| panics()),
            _ => response().into(),
        };
        if request.raw_query() == Some("recover") {
            reply.recover(|reason| Response::new(reason.status()))
        } else {
            reply
        }
    }

    /// What a sink does with content.
    enum TestSink {
        Finish,
        Reject,
        Panic,
    }

    impl Sink for TestSink {
        fn write(&mut self, _: &[u8]) -> Result<(), Response> {
            match self {
                TestSink::Finish => Ok(()),
                TestSink::Reject => Err(Response::new(Status::ACCEPTED)),
                TestSink::Panic => resume_unwind(Box::new("on purpose")),
            }
        }

        fn finish(self: Box<Self>) -> Reply {
            Reply::offload(|| Response::new(Status::ACCEPTED))
        }
    }

    /// Passes a request with content to [`handler`] in two layers. Expects the status, and the headers of the layers.
    fn check(path: &str, expected: &str) {
        let stack = Stack::new(handler).wrap(Layer("inner")).wrap(Layer("outer"));
        let response = TestRequest::post(path).body("content").run(&stack);
        let headers = String::from_utf8_lossy(response.headers().as_bytes());
        let lines = headers.lines().filter(|line| line.starts_with("Layer") || line.starts_with("Rejected"));
        let lines: String = lines.map(|line| format!(" {line}")).collect();
        assert_eq!(format!("{}{lines}", response.status().code()), expected, "{path}");
    }

    #[test]
    fn every_kind_of_reply_passes_through_the_layers_from_the_inside_out() {
        for path in ["/now", "/after", "/offload", "/deferred", "/receive", "/receive-early", "/read"] {
            check(path, "202 Layer: inner Layer: outer");
        }
        for path in ["/dropped", "/offload-panics", "/receive-panics", "/read-panics"] {
            check(path, "500 Rejected: inner Rejected: outer");
            check(&format!("{path}?recover"), "500 Layer: inner Layer: outer");
        }
        check("/not-recovered", "500 Rejected: inner Rejected: outer");
        check("/short", "403");
    }

    #[test]
    fn rejections_pass_through_the_layers() {
        check("/../a", "403 Rejected: inner Rejected: outer");
    }
}
