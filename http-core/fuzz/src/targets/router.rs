//! A router chooses the handler that a scan of all routes chooses.
//!
//! Property: for any routes and any requests, building a router and routing do not panic. Each request goes to the most
//! precise of the accepted routes that match its path: the segments are compared from left to right. Its parameters are
//! the segments of the path at their places. A request without a handler gets 404, 405, 501 or 204, and Allow lists
//! what the route supports.
//!
//! Input: routes, one a line, such as `GET /a/{b}`, `prefix /c` and `fallback`; an empty line; then requests, one a
//! line, such as `GET /a/x`.

use http_core::{
    Body, Handler, Method, Reply, Request, Response, RouteError, Router, Status, testing::ReceivedRequest,
};
use std::time::Instant;

/// The maximum number of routes, and of requests.
const MAX_LINES: usize = 20;

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (routes, requests) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut routes: Vec<Route<'_>> = routes.lines().take(MAX_LINES).filter_map(Route::of).collect();
    let router = loop {
        match build(&routes) {
            Ok(router) => break router,
            Err(error) => {
                let at = routes.iter().rposition(|route| route.name() == error.route());
                routes.remove(at.expect("rejected a route that was not added"));
            }
        }
    };
    for line in requests.lines().take(MAX_LINES) {
        let bytes = format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n");
        let Ok(received) = ReceivedRequest::with_any_target(bytes.as_bytes(), Instant::now()) else {
            continue;
        };
        let request = received.as_request();
        if request.method() != Method::Connect {
            check_request(&routes, &router, &request);
        }
    }
}

/// How precisely a route matches each segment of a path, and the parameters.
type RouteMatch<'a, 'p> = (Vec<u8>, Vec<(&'a str, &'p [u8])>);

/// A route, as it is added to the router.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Route<'a> {
    Method(Method, &'a str),
    Prefix(&'a str),
    Fallback,
}

impl<'a> Route<'a> {
    fn of(line: &'a str) -> Option<Route<'a>> {
        match line.split_once(' ') {
            Some(("prefix", path)) => Some(Route::Prefix(path)),
            Some((method, path)) if !Method::of(method.as_bytes()).as_str().is_empty() => {
                Some(Route::Method(Method::of(method.as_bytes()), path))
            }
            _ => (line == "fallback").then_some(Route::Fallback),
        }
    }

    /// Returns the name of the route in an error.
    fn name(&self) -> String {
        match self {
            Route::Method(method, path) => format!("{} {path}", method.as_str()),
            Route::Prefix(path) => format!("(prefix) {path}"),
            Route::Fallback => "(fallback)".to_owned(),
        }
    }

    fn path(&self) -> &'a str {
        match self {
            Route::Method(_, path) | Route::Prefix(path) => path,
            Route::Fallback => "",
        }
    }

    /// Returns how precisely this route matches each segment, and the parameters; `None` if it does not match.
    fn match_path<'p>(&self, path: &'p [u8]) -> Option<RouteMatch<'a, 'p>> {
        let is_prefix = *self == Route::Fallback || matches!(self, Route::Prefix(_));
        let (mut precision, mut parameters) = (Vec::new(), Vec::new());
        let segments: Vec<&[u8]> = path.split(|&byte| byte == b'/').skip(1).collect();
        let mut patterns: Vec<&str> = self.path().split('/').skip(1).collect();
        let is_below = is_prefix && patterns.last() == Some(&"") && patterns.pop().is_some();
        let mut at = 1;
        for (pattern, segment) in patterns.iter().zip(&segments) {
            let is_text = |value: &[u8]| !value.is_empty() && str::from_utf8(value).is_ok();
            if let Some(name) = name_in(pattern, "{*") {
                parameters.push((name, &path[at..]));
                precision.push(3);
                return is_text(&path[at..]).then_some((precision, parameters));
            } else if let Some(name) = name_in(pattern, "{") {
                is_text(segment).then_some(())?;
                parameters.push((name, segment));
                precision.push(4);
            } else {
                (pattern.as_bytes() == *segment).then_some(())?;
                precision.push(5);
            }
            at += segment.len() + 1;
        }
        let is_match = match (is_prefix, is_below) {
            (false, _) => segments.len() == patterns.len(),
            (true, false) => segments.len() >= patterns.len(),
            (true, true) => segments.len() > patterns.len(),
        };
        precision.push(match (is_prefix, is_below) {
            (false, _) => 6,
            (true, true) => 2,
            (true, false) => u8::from(*self != Route::Fallback),
        });
        is_match.then_some((precision, parameters))
    }
}

fn name_in<'a>(pattern: &'a str, brace: &str) -> Option<&'a str> {
    pattern.strip_prefix(brace)?.strip_suffix('}')
}

/// Builds a router whose handlers reply with the number of their route and the values of its parameters.
fn build(routes: &[Route<'_>]) -> Result<Router, RouteError> {
    let mut builder = Router::builder();
    for (number, route) in routes.iter().enumerate() {
        let names = route.path().split('/').filter_map(|text| name_in(text, "{*").or(name_in(text, "{")));
        let names: Vec<String> = names.map(str::to_owned).collect();
        let handler = move |request: &Request<'_>| {
            let parameters = names.iter().map(|name| format!(" {name}={:?}", request.param(name)));
            Response::text(format!("{number}{}", parameters.collect::<String>()))
        };
        builder = match *route {
            Route::Method(method, path) => builder.route(method, path, handler),
            Route::Prefix(path) => builder.prefix(path, handler),
            Route::Fallback => builder.fallback(handler),
        };
    }
    builder.build()
}

fn check_request(routes: &[Route<'_>], router: &Router, request: &Request<'_>) {
    let Reply::Now(response) = router.handle(request) else { panic!("not a response") };
    let (status, text) = expected(routes, request);
    let allow = |response: &Response| {
        let allow = response.header("Allow").map(|value| String::from_utf8_lossy(value).into_owned());
        let mut names: Vec<_> = allow.iter().flat_map(|names| names.split(", ")).map(str::to_owned).collect();
        names.sort();
        names.join(" ")
    };
    let actual = match (response.status(), response.body()) {
        (Status::OK, Body::Bytes(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => allow(&response),
    };
    assert_eq!((response.status(), actual), (status, text), "{request:?}, {routes:?}");
}

/// Returns the status, and the text of a 200 or the sorted names in Allow.
fn expected(routes: &[Route<'_>], request: &Request<'_>) -> (Status, String) {
    let path = request.path_bytes();
    if path == b"*" {
        return (Status::NO_CONTENT, String::new());
    }
    let matching = routes.iter().filter_map(|route| Some((route.match_path(path)?.0, route)));
    let Some((precision, _)) = matching.clone().max_by(|a, b| a.0.cmp(&b.0)) else {
        return (Status::NOT_FOUND, String::new());
    };
    let best: Vec<_> =
        matching.filter(|matching| matching.0 == precision).map(|matching| matching.1).collect();
    let find = |wanted: Method| {
        best.iter().find(|route| match route {
            Route::Method(method, _) => *method == wanted,
            Route::Prefix(_) | Route::Fallback => true,
        })
    };
    let method = request.method();
    let route = find(method).or_else(|| find(Method::Get).filter(|_| method == Method::Head));
    if let Some(route) = route {
        let number = routes.iter().position(|other| other == *route).expect("a route");
        let parameters = route.match_path(path).map(|matching| matching.1).unwrap_or_default();
        let write = |(name, value): (&str, &[u8])| format!(" {name}={:?}", str::from_utf8(value).ok());
        return (Status::OK, format!("{number}{}", parameters.into_iter().map(write).collect::<String>()));
    }
    let mut names: Vec<_> = ["HEAD"].into_iter().filter(|_| find(Method::Get).is_some()).collect();
    names.push("OPTIONS");
    for route in best {
        let Route::Method(method, _) = route else { unreachable!("a prefix takes any method") };
        names.push(method.as_str());
    }
    names.sort_unstable();
    names.dedup();
    match method {
        Method::Options => (Status::NO_CONTENT, names.join(" ")),
        Method::Extension => (Status::NOT_IMPLEMENTED, String::new()),
        _ => (Status::METHOD_NOT_ALLOWED, names.join(" ")),
    }
}
