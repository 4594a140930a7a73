//! Collects the routes of a router and checks them.

use super::{Router, pattern::RouteProblem};
use crate::{
    handler::{
        handler::{Handler, HandlerFn},
        into_reply::IntoReply,
        middleware::{BodyLimit, Middleware, Stack},
    },
    types::{method::Method, panic::drop_caught},
};
use std::{collections::HashSet, fmt, io, sync::Arc};

/// The routes of a [`Router`], which [`build`](RouterBuilder::build) checks. [`Router`] has the rules of paths.
///
/// ```
/// use http_core::{Method, Request, Router, testing::TestRequest};
///
/// let routes = Router::builder()
///     .get("/", |_| "start page")
///     .post("/notes", |request| format!("a note of {} bytes", request.body().len()))
///     .route(Method::Options, "/notes", |_: &Request<'_>| "notes")
///     .prefix("/static", |request: &Request<'_>| format!("the file {}", request.path()));
/// let router = routes.build()?;
/// assert_eq!(TestRequest::get("/static/logo.png").run(&router).text(), "the file /static/logo.png");
/// # Ok::<(), http_core::RouteError>(())
/// ```
#[derive(Default)]
#[must_use = "a router is made by `build`"]
pub struct RouterBuilder {
    routes: Vec<Route>,
}

/// A handler, and the requests that it gets.
struct Route {
    kind: RouteKind,
    path: String,
    handler: Stack,
}

/// Which requests a [`Route`] gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RouteKind {
    /// Those of one method for exactly its path.
    Method(Method),
    /// Those for its path and the paths below it.
    Prefix,
    /// Those that match no other route.
    Fallback,
}

/// Declares a method of the builder for each of these methods of requests.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident $method:ident)*) => {$(
        $(#[$doc])*
        pub fn $name<F, R>(self, path: &str, handler: F) -> RouterBuilder
        where
            F: HandlerFn<R> + Send + Sync + 'static,
            R: IntoReply,
        {
            self.route(Method::$method, path, handler)
        }
    )*};
}

impl RouterBuilder {
    methods! {
        /// Routes GET requests for a path to a function or closure. HEAD requests go there too, unless the path has a
        /// [`route`](RouterBuilder::route) for HEAD.
        get Get
        /// Routes POST requests for a path to a function or closure.
        post Post
        /// Routes PUT requests for a path to a function or closure.
        put Put
        /// Routes DELETE requests for a path to a function or closure.
        delete Delete
        /// Routes PATCH requests for a path to a function or closure.
        patch Patch
    }

    /// Routes the requests of one method for a path to a handler. [`Method::Extension`] stands for all methods that the
    /// library does not know.
    pub fn route(self, method: Method, path: &str, handler: impl Handler + 'static) -> RouterBuilder {
        self.add(RouteKind::Method(method), path, handler)
    }

    /// Routes the requests of all methods for the path `prefix` and for all paths below it to a handler: `/static`
    /// matches `/static`, `/static/` and `/static/x`, but not `/staticx`. With a slash at its end, it matches only the
    /// paths below: `/static/` does not match `/static`. The handler sees the whole path.
    pub fn prefix(self, prefix: &str, handler: impl Handler + 'static) -> RouterBuilder {
        self.add(RouteKind::Prefix, prefix, handler)
    }

    /// Sets the handler of the requests that match no other route. Without one, they get 404.
    pub fn fallback(self, handler: impl Handler + 'static) -> RouterBuilder {
        self.add(RouteKind::Fallback, "", handler)
    }

    fn add(mut self, kind: RouteKind, path: &str, handler: impl Handler + 'static) -> RouterBuilder {
        self.routes.push(Route { kind, path: path.to_owned(), handler: Stack::new(handler) });
        self
    }

    /// Adds all routes of `routes`, with `prefix` in front of their paths: a route `/users` below the prefix `/api` has
    /// the path `/api/users`, which is also what its handler sees. An empty path there means the prefix itself, and a
    /// fallback gets the requests for all other paths at and below the prefix. With an empty prefix, the paths stay as
    /// they are: so [`wrap`](RouterBuilder::wrap) can apply to some routes only.
    ///
    /// ```
    /// use http_core::{Request, Router};
    ///
    /// let books = Router::builder()
    ///     .get("", |_| "all books")
    ///     .get("/{isbn}", |request| request.param("isbn").map(str::to_owned));
    /// let api = Router::builder().nest("/books", books).body_limit(1000);
    /// let router = Router::builder().get("/", |_| "start page").nest("/api", api).build()?;
    /// # Ok::<(), http_core::RouteError>(())
    /// ```
    pub fn nest(mut self, prefix: &str, mut routes: RouterBuilder) -> RouterBuilder {
        for mut route in routes.routes.drain(..) {
            route.path.insert_str(0, prefix);
            if route.kind == RouteKind::Fallback && !prefix.is_empty() {
                route.kind = RouteKind::Prefix;
            }
            self.routes.push(route);
        }
        self
    }

    /// Adds a layer of middleware around the handlers of all routes added so far, the fallback included. It does not
    /// see the requests of routes that are added later, nor those that the router replies to itself, for example with
    /// 404 or 405. It can read the parameters of the path ([`Request::param`](crate::Request::param)).
    ///
    /// ```
    /// use http_core::{Middleware, Next, Reply, Request, Response, Router, Status};
    ///
    /// struct AdminsOnly;
    ///
    /// impl Middleware for AdminsOnly {
    ///     fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
    ///         match request.cookie("admin") {
    ///             Some("secret") => next.run(request),
    ///             _ => Response::error(Status::FORBIDDEN).into(),
    ///         }
    ///     }
    /// }
    ///
    /// let admin = Router::builder().get("/stop", |_| "stopped").wrap(AdminsOnly);
    /// let router = Router::builder().get("/", |_| "for everyone").nest("/admin", admin).build()?;
    /// # Ok::<(), http_core::RouteError>(())
    /// ```
    pub fn wrap(mut self, layer: impl Middleware + 'static) -> RouterBuilder {
        let layer: Arc<dyn Middleware> = Arc::new(layer);
        for route in &mut self.routes {
            route.handler.wrap_shared(Arc::clone(&layer));
        }
        self
    }

    /// Limits the content of requests on all routes added so far to this number of bytes: a request with more gets 413.
    /// [`BodyLimit`] has the details.
    pub fn body_limit(self, bytes: u64) -> RouterBuilder {
        self.wrap(BodyLimit(bytes))
    }

    /// Checks the routes and creates the router.
    ///
    /// # Errors
    ///
    /// The first route that is malformed, contradicts an earlier one, or can get no request:
    ///
    /// * the path does not begin with a slash, has an empty segment or a dot segment, or a malformed parameter;
    /// * two parameters of the path have the same name, or a wildcard is not its last segment;
    /// * an earlier route has the same method and path, or is for the same prefix;
    /// * an earlier route has another name for a parameter at the same place, as in `/a/{x}` and `/a/{y}/b`;
    /// * the method is CONNECT, whose requests have no path;
    /// * other routes match all requests that a prefix or the fallback could get.
    ///
    /// ```
    /// use http_core::Router;
    ///
    /// let router = Router::builder().get("/users/{id}", |_| "").get("/users/{name}/photo", |_| "");
    /// let error = router.build().map(drop).unwrap_err();
    /// assert_eq!(error.route(), "GET /users/{name}/photo");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "cannot add the route GET /users/{name}/photo: an earlier route has the parameter id in place of name: \
    ///      use one name",
    /// );
    /// ```
    pub fn build(mut self) -> Result<Router, RouteError> {
        let paths = |kind: fn(&RouteKind) -> bool| -> HashSet<String> {
            self.routes.iter().filter(|route| kind(&route.kind)).map(|route| route.path.clone()).collect()
        };
        let exact = paths(|kind| matches!(kind, RouteKind::Method(_)));
        let prefixes = paths(|kind| *kind == RouteKind::Prefix);
        let is_hidden = |route: &Route| match route.kind {
            RouteKind::Method(method) => {
                (method == Method::Connect).then_some("a CONNECT request has no path: use the fallback")
            }
            RouteKind::Prefix => {
                let is_hidden = exact.contains(&route.path) && prefixes.contains(&format!("{}/", route.path));
                is_hidden.then_some(
                    "other routes have this path and the prefix below it: remove this prefix or one of them",
                )
            }
            RouteKind::Fallback => prefixes
                .contains("/")
                .then_some("the prefix / matches all paths: remove the fallback or the prefix"),
        };
        let mut router = Router::default();
        self.routes.reverse();
        while let Some(route) = self.routes.pop() {
            let result = is_hidden(&route).map_or(Ok(()), |reason| Err(RouteProblem::Unreachable(reason)));
            let Route { kind, path, handler } = route;
            let added = result.and_then(|()| match kind {
                RouteKind::Method(method) => router.add_route(method, &path, handler),
                RouteKind::Prefix => router.add_prefix(&path, handler),
                RouteKind::Fallback => router.set_fallback(handler),
            });
            added.map_err(|problem| RouteError { route: format!("{kind}{path}"), problem })?;
        }
        Ok(router)
    }
}

impl Router {
    /// Creates a builder without routes.
    pub fn builder() -> RouterBuilder {
        RouterBuilder::default()
    }
}

/// Drops the handlers one by one: if two destructors panicked at once, Rust would abort the process.
impl Drop for RouterBuilder {
    fn drop(&mut self) {
        self.routes.drain(..).for_each(drop_caught);
    }
}

impl fmt::Debug for RouterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.routes.iter().map(|route| format!("{}{}", route.kind, route.path)))
            .finish()
    }
}

impl fmt::Display for RouteKind {
    /// Writes what comes before the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteKind::Method(Method::Extension) => f.write_str("(other method) "),
            RouteKind::Method(method) => write!(f, "{} ", method.as_str()),
            RouteKind::Prefix => f.write_str("(prefix) "),
            RouteKind::Fallback => f.write_str("(fallback)"),
        }
    }
}

/// The error of [`RouterBuilder::build`]: the first route that cannot be added, and why.
///
/// ```
/// use http_core::Router;
///
/// let twice = Router::builder().get("/a", |_| "one").get("/a", |_| "two").build();
/// let error = twice.map(drop).unwrap_err();
/// assert_eq!(error.route(), "GET /a");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    route: String,
    problem: RouteProblem,
}

impl RouteError {
    /// Returns the route: its method and its path, for example `GET /users/{id}`.
    pub fn route(&self) -> &str {
        &self.route
    }
}

impl fmt::Display for RouteError {
    /// Writes which route cannot be added, why, and the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot add the route {}: {}", self.route, self.problem)
    }
}

impl std::error::Error for RouteError {}

/// So that `?` works in a `main` that returns the errors of the server too.
impl From<RouteError> for io::Error {
    fn from(error: RouteError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        handler::{middleware::Next, reply::Reply},
        message::{rejection::Rejected, request::Request, response::Response},
        testing::TestRequest,
        types::{admit::Admit, panic::PanicOnDrop, status::Status},
    };

    /// Does nothing.
    fn handler(_: &Request<'_>) {}

    /// Builds a router of routes such as `GET /a`, `prefix /a` and `fallback`. `expected` is the error; `""` means that
    /// there is none.
    fn check(routes: &str, expected: &str) {
        let add = |builder: RouterBuilder, route: &str| match route.trim().split_once(' ') {
            Some(("prefix", path)) => builder.prefix(path, handler),
            Some((method, path)) => builder.route(Method::of(method.as_bytes()), path, handler),
            None => builder.fallback(handler),
        };
        let built = routes.split(',').fold(Router::builder(), add).build();
        let shown = built.err().map(|error| error.to_string()).unwrap_or_default();
        let expected =
            if expected.is_empty() { String::new() } else { format!("cannot add the route {expected}") };
        assert_eq!(shown, expected, "{routes}");
    }

    #[test]
    fn rejects_malformed_paths() {
        let braces = "a segment with a brace must be {name} or {*name}, with a name of letters, digits and underscores";
        for path in
            ["/{}", "/{*}", "/{a", "/a}", "/x{a}", "/{a}x", "/{a}{b}", "/{a:int}", "/{{a}}", "/{a*}", "/{é}"]
        {
            check(&format!("GET {path}"), &format!("GET {path}: {braces}"));
        }
        for path in ["/:id", "/a/:id/b", "/*", "/*rest"] {
            let problem =
                "a segment must not begin with a colon or an asterisk: a parameter is {name} or {*name}";
            check(&format!("GET {path}"), &format!("GET {path}: {problem}"));
        }
        check("GET /{a_1}/{B}/{*c},GET /a:b/c*", "");
        for path in ["a", "*", "{a}"] {
            check(&format!("GET {path}"), &format!("GET {path}: the path must begin with a slash"));
        }
        for path in ["//", "/a//b", "/a/../b", "/.", "/a\0"] {
            let problem = "no request has such a path: remove empty segments, dot segments and NUL";
            check(&format!("prefix {path}"), &format!("(prefix) {path}: {problem}"));
        }
        for path in ["/{*a}/b", "/{*a}/"] {
            let problem = "a wildcard matches the rest of the path: remove what follows it";
            check(&format!("GET {path}"), &format!("GET {path}: {problem}"));
        }
        check("prefix /{*a}", "(prefix) /{*a}: a prefix includes all paths below it: remove the wildcard");
        check("GET /{a}/{b}/{a}", "GET /{a}/{b}/{a}: two parameters have the name a: rename one");
        check("GET /{a}/{*a}", "GET /{a}/{*a}: two parameters have the name a: rename one");
    }

    #[test]
    fn rejects_routes_that_contradict_each_other() {
        let duplicate = "there is such a route already: remove or change one of them";
        check("GET /a,POST /a,GET /b,prefix /a,GET /a/", "");
        for route in ["GET /a", "POST /{a}", "GET /a/{*b}"] {
            check(&format!("{route},PUT /b,{route}"), &format!("{route}: {duplicate}"));
        }
        check("prefix /a,prefix /a", &format!("(prefix) /a: {duplicate}"));
        check("prefix /a/,prefix /a/", &format!("(prefix) /a/: {duplicate}"));
        check("fallback,fallback", &format!("(fallback): {duplicate}"));
        let other = "an earlier route has the parameter x in place of y: use one name";
        check("GET /a/{x},POST /a/{y}", &format!("POST /a/{{y}}: {other}"));
        check("GET /a/{x}/b,prefix /a/{y}/c", &format!("(prefix) /a/{{y}}/c: {other}"));
        check("GET /a/{*x},POST /a/{*y}", &format!("POST /a/{{*y}}: {other}"));
        check("GET /a/{x},GET /b/{y},GET /a/{x}/{y},GET /a/{*z}", "");
    }

    #[test]
    fn rejects_routes_that_no_request_can_reach() {
        let unreachable = "no request can reach it, because";
        check(
            "CONNECT /a",
            &format!("CONNECT /a: {unreachable} a CONNECT request has no path: use the fallback"),
        );
        let hidden = "other routes have this path and the prefix below it: remove this prefix or one of them";
        check("prefix /a,GET /a,prefix /a/", &format!("(prefix) /a: {unreachable} {hidden}"));
        check(
            "prefix /a/{b}/,GET /a/{b},prefix /a/{b}",
            &format!("(prefix) /a/{{b}}: {unreachable} {hidden}"),
        );
        check("prefix /a,prefix /a/", "");
        check("prefix /a,GET /a,GET /a/,GET /a/{*b}", "");
        let hidden = "the prefix / matches all paths: remove the fallback or the prefix";
        check("fallback,prefix /", &format!("(fallback): {unreachable} {hidden}"));
        check("fallback,prefix /a/", "");
    }

    /// Adds its name to the header `Mark` of each response and of each rejection's.
    struct Label(&'static str);

    impl Middleware for Label {
        fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
            let mark = format!("{}{}", self.0, request.param("id").unwrap_or_default());
            next.run(request).map(move |response| response.append_header("Mark", mark))
        }

        fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
            let id = rejected.request.and_then(|request| request.param("id")).unwrap_or_default();
            response.append_header("Mark", format!("rejected {}{id}", self.0))
        }
    }

    /// Returns the status of the response to a GET request, and its headers `Mark`.
    fn marks(router: &Router, target: &str) -> String {
        let response = TestRequest::get(target).run(router);
        let marks = response.headers().get("Mark").map(|mark| format!(" {}", mark.escape_ascii()));
        let lines = response.headers().as_bytes().split(|&byte| byte == b'\n');
        let lines = lines.filter_map(|line| line.strip_prefix(b"Mark: ")).map(<[u8]>::trim_ascii);
        let lines: Vec<_> = lines.map(|line| line.escape_ascii().to_string()).collect();
        assert_eq!(marks.is_some(), !lines.is_empty());
        format!("{} {}", response.status().code(), lines.join(","))
    }

    #[test]
    fn layers_wrap_the_routes_added_before_them() {
        let users = Router::builder()
            .get("", |_| "all")
            .get("/{id}", |_| "one")
            .get("/{id}/panic", |_| -> Response { panic!("on purpose") })
            .wrap(Label("inner"))
            .get("/{id}/later", |_| "later");
        let router = Router::builder()
            .nest("/users", users.wrap(Label("outer")))
            .nest(
                "",
                Router::builder()
                    .get("/page", |_| "page")
                    .fallback(|_: &Request<'_>| "rest")
                    .wrap(Label("page")),
            )
            .nest("/api", Router::builder().get("/x", |_| "x").fallback(|_: &Request<'_>| Status::GONE))
            .get("/", |_| "start");
        let router = router.build().expect("a router");
        for (target, expected) in [
            ("/users", "200 inner,outer"),
            ("/users/7", "200 inner7,outer7"),
            ("/users/7/later", "200 outer7"),
            ("/users/7/panic", "500 rejected inner7,rejected outer7"),
            ("/page", "200 page"),
            ("/any", "200 page"),
            ("/users/", "200 page"),
            ("/users/7/|", "301 rejected page"),
            ("/api/x", "200 "),
            ("/api", "410 "),
            ("/api/any", "410 "),
            ("/", "200 "),
        ] {
            assert_eq!(marks(&router, target), expected, "{target}");
        }
    }

    #[test]
    fn the_lower_body_limit_applies() {
        struct Limited(Admit);
        impl Handler for Limited {
            fn admit(&self, _: &Request<'_>) -> Admit {
                self.0
            }
            fn handle(&self, request: &Request<'_>) -> Reply {
                match self.0 {
                    Admit::AtHead | Admit::AtHeadUpTo(_) => Reply::read(|mut content| {
                        std::io::copy(&mut content, &mut std::io::sink()).map_or(0, |count| count).to_string()
                    }),
                    _ => request.body().len().to_string().into_reply(),
                }
            }
        }
        let limited = Router::builder()
            .post("/default", |request| request.body().len().to_string())
            .route(Method::Post, "/five", Limited(Admit::BufferUpTo(5)))
            .route(Method::Post, "/nine", Limited(Admit::BufferUpTo(9)))
            .route(Method::Post, "/head", Limited(Admit::AtHead))
            .route(Method::Post, "/head-five", Limited(Admit::AtHeadUpTo(5)))
            .route(Method::Post, "/head-nine", Limited(Admit::AtHeadUpTo(9)))
            .body_limit(8)
            .route(Method::Post, "/none", Limited(Admit::AtHead));
        let router = Router::builder().nest("", limited).build().expect("a router");
        for (target, length, expected) in [
            ("/default", 8, 200),
            ("/default", 9, 413),
            ("/five", 5, 200),
            ("/five", 6, 413),
            ("/nine", 8, 200),
            ("/nine", 9, 413),
            ("/head", 8, 200),
            ("/head", 9, 413),
            ("/head-five", 5, 200),
            ("/head-five", 6, 413),
            ("/head-nine", 8, 200),
            ("/head-nine", 9, 413),
            ("/none", 100, 200),
        ] {
            let response = TestRequest::post(target).body(vec![b'x'; length]).run(&router);
            assert_eq!(response.status().code(), expected, "{target} {length}");
        }
    }

    #[test]
    fn drops_handlers_that_panic_when_dropped() {
        let builder = || {
            let handler = || {
                let held = PanicOnDrop(1);
                move |_: &Request<'_>| {
                    let _ = &held;
                }
            };
            Router::builder().get("/", handler()).get("/a", handler()).fallback(handler())
        };
        drop(builder());
        drop(builder().build());
        drop(builder().get("bad", |_| "").nest("", builder()).build());
    }
}
