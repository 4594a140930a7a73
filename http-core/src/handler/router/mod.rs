//! The router: chooses a handler by the path and the method of a request.

pub mod builder;
mod pattern;
mod tree;

use super::{handler::Handler, middleware::Stack, reply::Reply};
use crate::{
    message::{extensions::PathParameters, rejection::Rejected, request::Request, response::Response},
    types::{admit::Admit, method::Method, panic::drop_caught, status::Status},
};
use pattern::RouteProblem;
use tree::{Target, Tree};

/// A handler that passes each request to another handler, chosen by path and method.
///
/// ```
/// use http_core::{Router, testing::TestRequest};
///
/// let router = Router::builder()
///     .get("/users", |_| "all users")
///     .get("/users/{id}", |request| request.param("id").map(|id| format!("user {id}")))
///     .get("/notes/{*path}", |request| request.param("path").map(|path| format!("note {path}")))
///     .build()?;
/// assert_eq!(TestRequest::get("/users/7").run(&router).text(), "user 7");
/// assert_eq!(TestRequest::get("/notes/2024/a%20b").run(&router).text(), "note 2024/a b");
/// # Ok::<(), http_core::RouteError>(())
/// ```
///
/// The path of a route is compared with [`Request::path`], segment by segment:
///
/// | segment | matches |
/// |---|---|
/// | `text` | this text, however the client has encoded it. `%` has no special meaning in it. It must not begin with `:` or `*`, as parameters of other routers do |
/// | `{name}` | one segment that is not empty |
/// | `{*name}`, as the last one | the rest of the path, if it is not empty |
///
/// A slash at the end counts: `/users` and `/users/` are two paths. Bytes that are not UTF-8 match no parameter, so the
/// value of a parameter is always text; a [`prefix`](builder::RouterBuilder::prefix) matches them.
///
/// If several routes match, they are compared from left to right, and the first segment that differs decides: text
/// comes before a parameter, a parameter before a wildcard, a wildcard before a prefix. So `/users/new` comes before
/// `/users/{id}`, a longer prefix before a shorter one, and the order in which routes are added does not matter. If no
/// route matches, the fallback handles the request; without one, it gets 404.
///
/// The path alone chooses the route, then the method the handler. If the route has none for the method:
/// * A HEAD request goes to the handler of GET, if there is one.
/// * An OPTIONS request gets 204 with an Allow header, which lists the methods of the route.
/// * A request with a method that the library does not know ([`Method::Extension`]) gets 501.
/// * Any other request gets 405 with Allow.
///
/// `OPTIONS *` gets 204.
///
/// A look-up allocates nothing. For the same path it takes as long among 10,000 routes as among 10. If all 10,000 are
/// used in turn, it takes about 1.5 times as long, because they no longer fit into the processor's nearest cache (the
/// benchmark `router`). A route takes 230 bytes of memory, or 710 with a parameter, besides its handler.
#[derive(Default)]
pub struct Router {
    tree: Tree,
    /// By number.
    handlers: Vec<Stack>,
    /// The number of the handler of requests that match no route. Without one, they get 404.
    fallback: Option<usize>,
}

/// The handler of a request, and the parameters of its route.
struct RouteMatch<'r> {
    handler: &'r Stack,
    parameters: Option<&'r PathParameters>,
}

impl Router {
    /// Adds the handler of one method of a path.
    fn add_route(&mut self, method: Method, path: &str, handler: Stack) -> Result<(), RouteProblem> {
        self.handlers.push(handler);
        self.tree.add_route(method, path, self.handlers.len() - 1)
    }

    /// Adds the handler of a path and the paths below it.
    fn add_prefix(&mut self, path: &str, handler: Stack) -> Result<(), RouteProblem> {
        self.handlers.push(handler);
        self.tree.add_prefix(path, self.handlers.len() - 1)
    }

    /// Sets the handler of requests that match no route. Fails if there is one already.
    fn set_fallback(&mut self, handler: Stack) -> Result<(), RouteProblem> {
        self.handlers.push(handler);
        match self.fallback.replace(self.handlers.len() - 1) {
            Some(_) => Err(RouteProblem::Duplicate),
            None => Ok(()),
        }
    }

    /// Returns the handler of a request, or the response of the router itself if the request has none.
    fn select(&self, request: &Request<'_>) -> Result<RouteMatch<'_>, Response> {
        let path = request.path_bytes();
        if path == b"*" {
            // RFC 9110 §9.3.7: OPTIONS for the server as a whole.
            return Err(Response::new(Status::NO_CONTENT));
        }
        let resource = self.tree.find(path);
        let number = match resource.map(|resource| &resource.target) {
            Some(Target::Methods(methods)) => select_method(methods, request.method())?,
            Some(Target::AnyMethod(number)) => *number,
            None => self.fallback.ok_or_else(|| Response::error(Status::NOT_FOUND))?,
        };
        let parameters = resource.and_then(|resource| resource.parameters.as_ref());
        Ok(RouteMatch { handler: &self.handlers[number], parameters })
    }
}

/// Returns the number of the handler of `method` in `methods`, those of the request's route. A HEAD request goes to the
/// handler of GET if HEAD has none. Without a handler, the response is 204 with Allow to OPTIONS, 501 to a method that
/// the library does not know, and 405 with Allow to any other.
fn select_method(methods: &[(Method, usize)], method: Method) -> Result<usize, Response> {
    let find = |wanted| methods.iter().find(|(method, _)| *method == wanted).map(|(_, number)| *number);
    let number = find(method).or_else(|| find(Method::Get).filter(|_| method == Method::Head));
    number.ok_or_else(|| match method {
        Method::Options => Response::new(Status::NO_CONTENT).with_allow(&allowed(methods)),
        _ => Response::method_not_allowed(method, &allowed(methods)),
    })
}

/// Returns the methods of a route: those that have a handler in `methods`, then those that the router adds: HEAD if GET
/// is among them, and OPTIONS.
#[cold]
fn allowed(methods: &[(Method, usize)]) -> Vec<Method> {
    let mut allowed: Vec<Method> = methods.iter().map(|(method, _)| *method).collect();
    for (implied, by) in [(Method::Head, Some(Method::Get)), (Method::Options, None)] {
        if !allowed.contains(&implied) && by.is_none_or(|by| allowed.contains(&by)) {
            allowed.push(implied);
        }
    }
    allowed
}

impl RouteMatch<'_> {
    /// Passes the request with its parameters to `call`.
    fn with<T>(self, request: &Request<'_>, call: impl FnOnce(&Stack, &Request<'_>) -> T) -> T {
        match self.parameters {
            Some(parameters) => call(self.handler, &request.with_extension(parameters).as_request()),
            None => call(self.handler, request),
        }
    }
}

impl Handler for Router {
    /// Passes the choice to the handler of the request. If the router responds itself, no content is received before
    /// the response.
    fn admit(&self, head: &Request<'_>) -> Admit {
        self.select(head).map_or(Admit::AtHead, |selected| selected.with(head, Stack::admit))
    }

    fn handle(&self, request: &Request<'_>) -> Reply {
        match self.select(request) {
            Ok(selected) => selected.with(request, Stack::handle),
            Err(response) => response.into(),
        }
    }

    /// Passes the rejection to the handler of the request, if its head was understood.
    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let Some(request) = rejected.request else { return response };
        let Ok(selected) = self.select(&request) else { return response };
        selected.with(&request, |handler, request| {
            handler.rejected(&Rejected { request: Some(*request), ..*rejected }, response)
        })
    }
}

/// Drops the handlers one by one: if two destructors panicked at once, Rust would abort the process.
impl Drop for Router {
    fn drop(&mut self) {
        self.handlers.drain(..).for_each(drop_caught);
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Router({} handlers)", self.handlers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestRequest;

    /// Returns a handler that responds with this text, then the parameters `a`, `b` and `rest` of the path.
    fn says(text: &'static str) -> impl Fn(&Request<'_>) -> String + Send + Sync + 'static {
        move |request| {
            let parameters = ["a", "b", "rest"].into_iter().filter_map(|name| request.param(name));
            [text].into_iter().chain(parameters).collect::<Vec<_>>().join(" ")
        }
    }

    /// Returns the router of the tests.
    fn router() -> Router {
        let router = Router::builder()
            .get("/hello", says("hello"))
            .post("/hello", says("posted"))
            .get("/", says("index"))
            .get("/50%/x", says("literal percent"))
            .prefix("/s", says("short"))
            .prefix("/s/long", says("long"))
            .prefix("/below/", says("below"))
            .get("/u/{a}", says("user"))
            .get("/u/{a}/", says("user, slash"))
            .get("/u/new", says("new user"))
            .put("/u/{a}", says("put user"))
            .post("/u/{a}/{b}", says("two"))
            .get("/u/{a}/photo", says("photo"))
            .get("/u/new/{b}/x", says("new x"))
            .get("/u/{a}/{b}/{*rest}", says("rest of user"))
            .prefix("/u/{a}/{b}/files", says("files"))
            .get("/w/{*rest}", says("wildcard"))
            .get("/w/{a}/", says("one segment"))
            .prefix("/w", says("prefix"));
        router.build().expect("a router")
    }

    /// Passes a request with this method and target to `router`. `expected` are the status code of the response and, if
    /// it has them, Allow and the text of [`says`].
    fn check(router: &Router, line: &str, expected: &str) {
        let (method, target) = line.split_once(' ').expect("a method and a target");
        let response = TestRequest::new(method, target).run(router);
        let mut shown = response.status().code().to_string();
        for value in [response.header("Allow"), Some(response.body()).filter(|_| shown == "200")] {
            shown += &value.map(|value| format!(" {}", String::from_utf8_lossy(value))).unwrap_or_default();
        }
        assert_eq!(shown, expected, "{line}");
    }

    #[test]
    fn chooses_by_path_and_method() {
        let router = &router();
        check(router, "GET /hello", "200 hello");
        check(router, "GET /hello?q", "200 hello");
        check(router, "GET /%68ell%6F", "200 hello");
        check(router, "GET /x/../hello", "200 hello");
        check(router, "HEAD /hello", "200 ");
        check(router, "POST /hello", "200 posted");
        check(router, "GET /", "200 index");
        check(router, "GET /50%25/%78", "200 literal percent");
        check(router, "GET /s/long/a", "200 long");
        check(router, "POST /s/long", "200 long");
        for path in ["/s", "/s/", "/s/a", "/s/longer", "//s/a", "/x/../s/a", "/%73/a", "/s%2Fa", "/s/../s"] {
            check(router, &format!("GET {path}"), "200 short");
        }
        for path in ["/sx", "/S", "/x/s", "/below", "/%FF", "/hello/", "/hell"] {
            check(router, &format!("DELETE {path}"), "404");
        }
        check(router, "DELETE /s/..%2f", "405 GET, HEAD, OPTIONS");
        check(router, "GET /below/", "200 below");
        check(router, "PUT /hello", "405 GET, POST, HEAD, OPTIONS");
        check(router, "OPTIONS /hello", "204 GET, POST, HEAD, OPTIONS");
        check(router, "OPTIONS *", "204");
        check(router, "BREW /hello", "501");
        check(router, "CONNECT h:80", "404");
    }

    #[test]
    fn parameters_match_whole_segments_of_text() {
        let router = &router();
        check(router, "GET /u/7", "200 user 7");
        check(router, "GET /%75/a%20b%2B%C3%A9", "200 user a b+é");
        check(router, "GET /u/x/../%37/.", "200 user, slash 7");
        check(router, "PUT /u/7", "200 put user 7");
        check(router, "POST /u/7/8", "200 two 7 8");
        check(router, "GET /u/7/8/9/10/", "200 rest of user 7 8 9/10/");
        check(router, "GET /u/7/8/files/9", "200 files 7 8");
        check(router, "GET /w/a/b", "200 wildcard a/b");
        for path in ["/u", "/u/", "/u/%FF", "/u/7/%FF/files/%FF", "/u/7/8/%FF"] {
            check(router, &format!("GET {path}"), "404");
        }
        check(router, "GET /u/7/8/files/%FF", "200 files 7 8");
        for path in ["/w", "/w/", "/w/a%FF"] {
            check(router, &format!("GET {path}"), "200 prefix");
        }
    }

    #[test]
    fn the_first_segment_that_differs_decides() {
        let router = &router();
        check(router, "GET /u/new", "200 new user");
        check(router, "GET /u/news", "200 user news");
        check(router, "GET /u/new/photo", "200 photo new");
        check(router, "GET /u/new/7/x", "200 new x 7");
        check(router, "GET /u/new/7/y", "200 rest of user new 7 y");
        check(router, "GET /w/a/", "200 one segment a");
        // The path alone chooses the route, then the method its handler.
        check(router, "PUT /u/new", "405 GET, HEAD, OPTIONS");
        check(router, "POST /w/a", "405 GET, HEAD, OPTIONS");
        check(router, "OPTIONS /u/7", "204 GET, PUT, HEAD, OPTIONS");
        check(router, "GET /u/7/8", "405 POST, OPTIONS");
    }

    #[test]
    fn the_fallback_takes_what_is_left() {
        let router = Router::builder().get("/a", says("a")).fallback(says("rest")).build().expect("a router");
        check(&router, "GET /any", "200 rest");
        check(&router, "POST /a", "405 GET, HEAD, OPTIONS");
        let router = Router::builder().prefix("/", says("all")).build().expect("a router");
        for path in ["/", "/any", "/any/%FF"] {
            check(&router, &format!("GET {path}"), "200 all");
        }
    }

    #[test]
    fn a_router_in_a_router_knows_the_parameters_of_both() {
        let inner = Router::builder().get("/{a}/{b}/{a2}", says("inner")).build().expect("a router");
        let outer = Router::builder().prefix("/{rest}", inner).build().expect("a router");
        check(&outer, "GET /x/y/z", "200 inner x y x");
        check(&outer, "GET /x/y", "404");
    }
}
