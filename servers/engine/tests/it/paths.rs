//! The path of a request: handlers, middleware and routers see it normalised, and no handler sees an invalid target.

use crate::{
    client::{get, request},
    server::{InProcessServer, settings},
};
use http_engine::{Engine, Method, Middleware, Next, Reply, Request, Response, Router, Stack, Status};

/// Rejects requests for paths below `/admin/`, as an application's authentication does.
struct Guard;

impl Middleware for Guard {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        if request.path().starts_with("/admin/") {
            return Response::error(Status::UNAUTHORIZED).into();
        }
        next.run(request)
    }
}

/// Starts a server whose handler [`Guard`] wraps. It replies `secret` below `/admin`, `static` below `/static`, and to
/// any other request with its path.
fn start(engine: Engine) -> InProcessServer {
    let text = |text: &'static str| move |_: &Request<'_>| Response::text(text);
    let router = Router::new()
        .route(Method::Get, "/hello", text("hello"))
        .prefix("/admin", text("secret"))
        .prefix("/static", text("static"))
        .fallback(|request: &Request<'_>| Response::text(request.path().to_owned()));
    InProcessServer::start(engine, settings(), Stack::new(router).wrap(Guard))
}

/// Sends a request for each of the targets, which spaces separate, and then another request. The response must have this
/// status and, if it is 200, this text, or otherwise this Location. A client's error closes the connection.
fn check(server: &InProcessServer, method: &str, targets: &str, status: u16, expected: Option<&str>) {
    for target in targets.split(' ') {
        let mut client = server.connect();
        let reply = client.fetch(request(method, target, ""));
        let text = reply.text();
        let actual = if status == 200 { Some(&*text) } else { reply.header("Location") };
        assert_eq!((reply.status, actual), (status, expected), "{method} {target}");
        assert_eq!(reply.close, matches!(status, 400 | 403), "{method} {target}");
        if reply.close {
            client.expect_eof();
        } else {
            assert_eq!(client.fetch(get("/hello")).text(), "hello", "after {method} {target}");
            client.finish();
        }
    }
}

http_testing::both_engines! {
    fn a_guard_by_path_is_not_bypassed(engine: Engine) {
        let server = start(engine);
        let spellings = "/admin/x /%61dmin/x /%61%64%6D%69%6e/x /x/../admin/x /x/%2e%2e/admin/x /x/.%2E/admin/x //admin/x \
            ///admin//x /admin%2Fx /admin%2fx /%2fadmin/x /./admin/x /%2e/admin/x /.//admin/./x http://test//admin/x \
            /admin/x/.. /admin/. /admin%2f /admin/x?/.. /%2e%2f..%2fx/../admin/x";
        let (inside, above) = spellings.rsplit_once(' ').expect("several");
        check(&server, "GET", inside, 401, None);
        check(&server, "POST", inside, 401, None);
        check(&server, "GET", above, 403, None);
        for (target, path) in [("/admin/..", "/"), ("/%2561dmin/x", "/%61dmin/x"), ("/x//admin/y", "/x/admin/y")] {
            check(&server, "GET", target, 200, Some(path));
        }
    }

    fn every_spelling_of_a_path_is_the_same_path(engine: Engine) {
        let server = start(engine);
        check(&server, "GET", "/hello /%68ello //hello /x/../hello /hello?a=b /./hello http://test/hello", 200, Some("hello"));
        check(&server, "GET", "/@acme/thing /@acme%2fthing /%40acme%2Fthing /@acme//thing", 200, Some("/@acme/thing"));
        check(&server, "GET", "/caf%c3%a9/./a%20b /caf%C3%A9//a%20b", 200, Some("/caf\u{e9}/a b"));
        check(&server, "GET", "/%ff/%00%", 400, None);
        check(&server, "GET", "/%ff/a", 200, Some("/%FF/a"));
        check(&server, "GET", "/a%2525 /./a%2525", 200, Some("/a%25"));
    }

    fn a_prefix_matches_whole_segments(engine: Engine) {
        let server = start(engine);
        check(&server, "GET", "/static /static/ /static/x /static%2fx /static//x /%73tatic", 200, Some("static"));
        check(&server, "GET", "/staticky", 200, Some("/staticky"));
        check(&server, "GET", "/static/../x", 200, Some("/x"));
    }

    /// RFC 9112 §3.
    fn no_handler_sees_an_invalid_target(engine: Engine) {
        let server = start(engine);
        for (targets, location) in [
            ("/hello| http://test/hello| /./hello|", "hello%7C"),
            ("/hello?%zz", "hello?%25zz"),
            ("/hello?\"", "hello?%22"),
            ("/echo?a[]=%20&b=100%", "echo?a%5B%5D=%20&b=100%25"),
            ("/a|b/c", "../a%7Cb/c"),
            ("/?<", "./?%3C"),
            ("http://test?<", "./?%3C"),
            ("//evil.example\\", "../evil.example%5C"),
            ("/\\evil.example", "%5Cevil.example"),
            ("/javascript:alert(1)^", "./javascript:alert(1)%5E"),
        ] {
            check(&server, "GET", targets, 301, Some(location));
            check(&server, "HEAD", targets, 301, Some(location));
            for method in ["POST", "PUT", "OPTIONS", "BREW"] {
                check(&server, method, targets, 400, None);
            }
        }
        for method in ["GET", "HEAD", "POST", "BREW"] {
            check(&server, method, "/%zz /a%00b /a%00|/../x /% /%4 /hello/%2", 400, None);
            check(&server, method, "/.. /../x /%2e%2e/x /a/..%2f..%2fx /../| http://test/../x", 403, None);
        }
        // The body of such a request is not received, so the connection must close.
        for (method, status) in [("GET", 301), ("POST", 400)] {
            let mut client = server.connect();
            let headers = "Content-Length: 1000000\r\nExpect: 100-continue\r\n";
            let reply = client.fetch(request(method, "/hello|", headers));
            assert_eq!((reply.status, reply.close), (status, true), "{method}");
            client.expect_eof();
        }
    }
}
