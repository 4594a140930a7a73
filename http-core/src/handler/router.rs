//! The router: chooses a handler by the path and the method of a request.

use super::{handler::Handler, reply::Reply};
use crate::{
    message::{request::Request, response::Response},
    types::{limits::Admit, method::Method, panic::drop_caught, path, status::Status},
};
use std::collections::HashMap;

/// The handler of one method of an exact path.
type MethodHandler = (Method, Box<dyn Handler>);

/// A handler that passes each request to another handler, chosen by path and method.
///
/// An exact path takes precedence over prefixes, a longer prefix over a shorter one, and any of them over the fallback.
/// [`Request::path`] is compared, so the spelling of the path does not matter: `/%68ello` is `/hello`. A path without a
/// handler gets 404.
///
/// If a path has exact routes, but none for the method of the request:
/// * A HEAD request goes to the handler of GET, if there is one.
/// * An OPTIONS request gets 204 with an Allow header, which lists the methods of the path.
/// * A request with a method that the library does not know ([`Method::Extension`]) gets 501.
/// * Any other request gets 405 with Allow.
///
/// `OPTIONS *` gets 204.
///
/// ```
/// use http_core::{Method, Request, Response, Router};
///
/// let router = Router::new()
///     .route(Method::Get, "/hello", |_: &Request<'_>| Response::text("Hello"))
///     .prefix("/static", |request: &Request<'_>| Response::text(request.path().to_owned()));
/// ```
#[derive(Default)]
pub struct Router {
    /// By normalised path.
    exact: HashMap<Vec<u8>, Vec<MethodHandler>>,
    /// By normalised path, the longest first.
    prefixes: Vec<(Vec<u8>, Box<dyn Handler>)>,
    /// The handler of requests whose path no route and no prefix matches. Without one, they get 404.
    fallback: Option<Box<dyn Handler>>,
}

impl Router {
    /// Creates a router without routes: it replies 404 to every request.
    pub fn new() -> Router {
        Router::default()
    }

    /// Sets the handler of one method of exactly this path. `path` is decoded: a `%` in it is just that character. It is
    /// normalised as [`from_decoded`](crate::path::from_decoded) says: `hello` is `/hello`. Replaces the handler of an
    /// earlier call for the same method and path.
    pub fn route(mut self, method: Method, path: &str, handler: impl Handler + 'static) -> Router {
        let methods = self.exact.entry(path::from_decoded(path)).or_default();
        methods.retain(|(known, _)| *known != method);
        methods.push((method, Box::new(handler)));
        self
    }

    /// Sets the handler of all methods of the path `prefix` and of all paths below it: `/static` matches `/static`,
    /// `/static/` and `/static/x`, but not `/staticx`. With a slash at its end, it matches only the paths below: `/static/`
    /// does not match `/static`. `prefix` is normalised as the path of a [`route`](Router::route) is. Replaces the handler of
    /// an earlier call for the same prefix.
    pub fn prefix(mut self, prefix: &str, handler: impl Handler + 'static) -> Router {
        let prefix = path::from_decoded(prefix);
        self.prefixes.retain(|(known, _)| *known != prefix);
        self.prefixes.push((prefix, Box::new(handler)));
        self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self
    }

    /// Sets the handler of requests whose path no route and no prefix matches.
    pub fn fallback(mut self, handler: impl Handler + 'static) -> Router {
        self.fallback = Some(Box::new(handler));
        self
    }

    /// Returns the methods of a path: those that have a handler in `methods`, then those that the router adds: HEAD if
    /// GET is among them, and OPTIONS.
    fn allowed(methods: &[MethodHandler]) -> Vec<Method> {
        let mut allowed: Vec<Method> = methods.iter().map(|(method, _)| *method).collect();
        for (implied, by) in [(Method::Head, Some(Method::Get)), (Method::Options, None)] {
            if !allowed.contains(&implied) && by.is_none_or(|by| allowed.contains(&by)) {
                allowed.push(implied);
            }
        }
        allowed
    }

    /// Returns the handler of a request, or the response of the router itself if the request has none.
    fn select(&self, request: &Request<'_>) -> Result<&dyn Handler, Response> {
        let path = request.path_bytes();
        if path == b"*" {
            // RFC 9110 §9.3.7: OPTIONS for the server as a whole.
            return Err(Response::new(Status::NO_CONTENT));
        }
        if let Some(methods) = self.exact.get(path) {
            return Router::select_method(methods, request.method());
        }
        let prefixed = self.prefixes.iter().find(|(prefix, _)| is_below(path, prefix));
        match prefixed.map(|(_, handler)| handler).or(self.fallback.as_ref()) {
            Some(handler) => Ok(&**handler),
            None => Err(Response::error(Status::NOT_FOUND)),
        }
    }

    /// Returns the handler of `method` in `methods`, the handlers of the request's path. A HEAD request goes to the handler
    /// of GET if HEAD has none. Without a handler, the response is 204 with Allow to OPTIONS, 501 to a method that the
    /// library does not know, and 405 with Allow to any other.
    fn select_method(methods: &[MethodHandler], method: Method) -> Result<&dyn Handler, Response> {
        let find =
            |wanted| methods.iter().find(|(method, _)| *method == wanted).map(|(_, handler)| &**handler);
        let handler = find(method).or_else(|| find(Method::Get).filter(|_| method == Method::Head));
        handler.ok_or_else(|| match method {
            Method::Options => Response::new(Status::NO_CONTENT).with_allow(&Router::allowed(methods)),
            _ => Response::method_not_allowed(method, &Router::allowed(methods)),
        })
    }
}

/// Returns whether `path` is `prefix` or below it, by whole segments. If `prefix` ends in a slash, `path` must be below it.
fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || prefix.ends_with(b"/"))
}

/// Drops the handlers one by one: if two destructors panicked at once, Rust would abort the process.
impl Drop for Router {
    fn drop(&mut self) {
        let exact = self.exact.drain().flat_map(|(_, methods)| methods).map(|(_, handler)| handler);
        let prefixed = self.prefixes.drain(..).map(|(_, handler)| handler);
        exact.chain(prefixed).chain(self.fallback.take()).for_each(drop_caught);
    }
}

impl Handler for Router {
    /// Passes the choice to the handler of the request. If the router responds itself, no content is received before the
    /// response.
    fn admit(&self, head: &Request<'_>) -> Admit {
        self.select(head).map_or(Admit::AtHead, |handler| handler.admit(head))
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        self.select(request).map_or_else(Reply::from, |handler| handler.handle(request))
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Router({} paths, {} prefixes)", self.exact.len(), self.prefixes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ReceivedRequest;
    use std::time::Instant;

    /// Returns a handler that responds with a header `Says`.
    fn says(text: &'static str) -> impl Handler {
        move |_: &Request<'_>| Response::new(Status::OK).with_header("Says", text)
    }

    /// Returns the router of the tests.
    fn router() -> Router {
        Router::new()
            .route(Method::Get, "/hello", says("hello"))
            .route(Method::Post, "/hello", says("posted"))
            .route(Method::Get, "/", says("index"))
            .route(Method::Get, "50%//x", says("normalised"))
            .prefix("/s", says("replaced"))
            .prefix("/s", says("short"))
            .prefix("s/./long", says("long"))
            .prefix("/below/", says("below"))
    }

    /// Passes a request with this method and target to `router`. `expected` are the status code of the response and its
    /// headers Says and Allow, if present.
    fn check(router: &Router, line: &str, expected: &str) {
        let bytes = format!("{line} HTTP/1.0\r\n\r\n");
        let received = ReceivedRequest::new(bytes.as_bytes(), Instant::now()).expect("a request");
        let Reply::Now(response) = router.handle(&received.as_request()) else { panic!("now") };
        let headers = ["Says", "Allow"].into_iter().filter_map(|name| response.header(name));
        let headers: String = headers.map(|value| format!(" {}", value.escape_ascii())).collect();
        assert_eq!(format!("{}{headers}", response.status().code()), expected, "{line}");
    }

    #[test]
    fn chooses_by_path_and_method() {
        let router = &router();
        check(router, "GET /hello", "200 hello");
        check(router, "GET /hello?q", "200 hello");
        check(router, "GET /%68ell%6F", "200 hello");
        check(router, "GET /x/../hello", "200 hello");
        check(router, "HEAD /hello", "200 hello");
        check(router, "POST /hello", "200 posted");
        check(router, "GET /", "200 index");
        check(router, "GET /50%25/%78", "200 normalised");
        check(router, "GET /s/long/a", "200 long");
        check(router, "POST /s/long", "200 long");
        for path in ["/s", "/s/", "/s/a", "/s/longer", "//s/a", "/x/../s/a", "/%73/a", "/s%2Fa", "/s/../s"] {
            check(router, &format!("GET {path}"), "200 short");
        }
        for path in ["/sx", "/S", "/x/s", "/below", "/s/..%2f", "/%FF"] {
            check(
                router,
                &format!("DELETE {path}"),
                if path == "/s/..%2f" { "405 GET, HEAD, OPTIONS" } else { "404" },
            );
        }
        check(router, "GET /below/", "200 below");
        check(router, "GET /hello/", "404");
        check(router, "GET /hell", "404");
        check(router, "PUT /hello", "405 GET, POST, HEAD, OPTIONS");
        check(router, "OPTIONS /hello", "204 GET, POST, HEAD, OPTIONS");
        check(router, "OPTIONS *", "204");
        check(router, "BREW /hello", "501");
        check(&Router::new().fallback(says("rest")), "GET /any", "200 rest");
        check(&Router::new().prefix("", says("all")), "GET /any", "200 all");
    }
}
