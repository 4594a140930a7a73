//! What wraps a handler: sees each request before it and each reply after it, and rejections too.

use super::handler::{Handler, Reply};
use crate::message::{rejection::Rejected, request::Request, response::Response};

/// Wraps whatever comes next.
///
/// ```
/// use http_core::{Middleware, Next, Reply, Request};
///
/// struct ServedBy(&'static str);
///
/// impl Middleware for ServedBy {
///     fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
///         let name = self.0;
///         next.run(request).map(move |response| response.header("X-Served-By", name))
///     }
/// }
/// ```
pub trait Middleware: Send + Sync {
    /// Answers the request, usually by way of [`Next::run`].
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply;

    /// Sees the library's own answer to what no handler saw or answered, and may change it.
    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let _ = rejected;
        response
    }
}

/// The rest of a stack: the middleware further in, and the handler at its bottom.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    layers: &'a [Box<dyn Middleware>],
    handler: &'a dyn Handler,
}

impl Next<'_> {
    /// Answers with what comes next.
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

/// A handler with middleware around it.
pub struct Stack {
    /// Outermost first.
    layers: Vec<Box<dyn Middleware>>,
    handler: Box<dyn Handler>,
}

impl Stack {
    /// A bare handler.
    pub fn new(handler: impl Handler + 'static) -> Stack {
        Stack { layers: Vec::new(), handler: Box::new(handler) }
    }

    /// Wraps another layer around all there is.
    pub fn wrapped_in(mut self, layer: impl Middleware + 'static) -> Stack {
        self.layers.insert(0, Box::new(layer));
        self
    }
}

impl Handler for Stack {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeadIndex, Rejection, Responder, Status};
    use std::{
        sync::mpsc,
        time::{Duration, Instant},
    };

    struct Mark(&'static str);

    impl Middleware for Mark {
        fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
            let name = self.0;
            if request.path() == "/short" && name == "outer" {
                return Response::new(Status::FORBIDDEN).into();
            }
            next.run(request).map(move |response| response.header("Mark", name))
        }

        fn rejected(&self, _: &Rejected<'_>, response: Response) -> Response {
            response.header("Mark", self.0)
        }
    }

    fn deferred(request: &Request<'_>) -> Reply {
        let answer = || Response::new(Status::ACCEPTED);
        match request.path() {
            "/after" => Reply::After(Duration::ZERO, Box::new(answer)),
            "/offload" => Reply::Offload(Box::new(answer)),
            "/deferred" => Reply::Deferred(Box::new(move |responder: Responder| responder.respond(answer()))),
            "/dropped" => Reply::Deferred(Box::new(drop)),
            "/recovered" => Reply::Deferred(Box::new(drop)).recover(|why| Response::new(why.status())),
            "/fenced" => {
                Reply::Offload(Box::new(|| panic!("on purpose"))).recover(|why| Response::new(why.status()))
            }
            _ => answer().into(),
        }
    }

    fn stack() -> Stack {
        Stack::new(deferred).wrapped_in(Mark("inner")).wrapped_in(Mark("outer"))
    }

    fn settle(reply: Reply) -> Result<Response, Rejection> {
        match reply {
            Reply::Now(response) => Ok(response),
            Reply::After(_, job) | Reply::Offload(job) => Ok(job()),
            Reply::Deferred(start) => {
                let (sender, receiver) = mpsc::channel();
                start(Responder::new(move |answer| sender.send(answer).expect("a receiver")));
                receiver.recv().expect("an answer")
            }
        }
    }

    fn check(path: &str, expected: Result<(Status, &[u8]), Rejection>) {
        let mut index = HeadIndex::default();
        let bytes = format!("GET {path} HTTP/1.0\r\n\r\n");
        let request = Request::parse(bytes.as_bytes(), &mut index, Instant::now()).expect("a request");
        let answer = settle(stack().handle(&request));
        let seen = answer.map(|response| (response.status(), response.fields.as_bytes().to_vec()));
        assert_eq!(seen, expected.map(|(status, fields)| (status, fields.to_vec())), "{path}");
    }

    #[test]
    fn every_kind_of_reply_passes_the_layers_from_the_inside_out() {
        for path in ["/now", "/after", "/offload", "/deferred"] {
            check(path, Ok((Status::ACCEPTED, b"Mark: inner\r\nMark: outer\r\n")));
        }
        check("/dropped", Err(Rejection::Panicked));
        for path in ["/recovered", "/fenced"] {
            check(path, Ok((Status::INTERNAL_SERVER_ERROR, b"Mark: inner\r\nMark: outer\r\n")));
        }
        check("/short", Ok((Status::FORBIDDEN, b"")));
    }

    #[test]
    fn rejections_pass_them_too() {
        let rejected = Rejected { why: Rejection::TooSlow, peer: None, request: None };
        let response = stack().rejected(&rejected, Response::new(Status::REQUEST_TIMEOUT));
        assert_eq!(response.fields.as_bytes(), b"Mark: inner\r\nMark: outer\r\n");
    }
}
