//! Every route, status and error of the demo application, and the headers of every response.

use crate::{
    client::{Response, get, request},
    demo::Demo,
    server::ServerKind,
};
use serde_json::{Value, json};
use std::fs;

const HTML: &str = "Accept: text/html\r\n";

/// Sends a request on a new connection, and checks the headers that every response must have.
fn ask(demo: &Demo, request: impl AsRef<[u8]>) -> Response {
    let response = demo.connect().fetch(request);
    let served_by = response.header("X-Served-By").expect("X-Served-By");
    let worker = served_by.strip_prefix(&format!("{}; worker=", demo.name)).map(str::parse::<usize>);
    assert!(matches!(worker, Some(Ok(0 | 1))), "{served_by}");
    let timing = response.header("Server-Timing").expect("Server-Timing");
    let took = timing.strip_prefix("app;dur=").and_then(|took| took.parse::<f64>().ok());
    assert!(took.is_some_and(|took| took >= 0.0), "{timing}");
    response
}

/// Checks the JSON of an error. `members` are those besides its status and title.
fn check_problem(demo: &Demo, request: impl AsRef<[u8]>, status: u16, title: &str, members: &Value) {
    let request = request.as_ref();
    let start = request[..request.len().min(200)].escape_ascii();
    let response = ask(demo, request);
    assert_eq!(
        (response.status, response.header("Content-Type"), response.header("Vary")),
        (status, Some("application/problem+json"), Some("Accept")),
        "{start}"
    );
    let mut expected = json!({ "title": title, "status": status });
    expected.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    assert_eq!(serde_json::from_slice::<Value>(&response.body).expect("JSON"), expected, "{start}");
}

/// Checks an error as a page.
fn check_page(demo: &Demo, request: &str, status: u16, text: &str) {
    let page = ask(demo, request);
    let seen = (page.status, page.header("Content-Type"), page.header("Vary"));
    assert_eq!(seen, (status, Some("text/html; charset=utf-8"), Some("Accept")), "{request}");
    assert!(page.text().contains(text), "{}", page.text());
}

http_testing::both_engines! {
    fn every_route_replies(kind: ServerKind) {
        let demo = &Demo::shared(kind);
        let (text, json) = ("text/plain; charset=utf-8", "application/json");
        let echo = request("POST", "/echo", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n");
        let long = "x".repeat(500_000);
        let head = format!("Content-Type: text/plain\r\nContent-Length: {}\r\n", long.len());
        let (quoted, long) = (format!("\"{long}\"\n"), request("POST", "/echo", &head) + &long);
        let counted = "{\"task\":\"cpu\",\"n\":1000,\"primes_below_n\":168}\n";
        for (request, media_type, body) in [
            (get("/hello"), text, "Hello, World!"),
            (get("/static/../hello"), text, "Hello, World!"),
            (get("/io_task?ms=1"), json, "{\"task\":\"io\",\"waited_ms\":1}\n"),
            (get("/io_task?ms=0"), json, "{\"task\":\"io\",\"waited_ms\":0}\n"),
            (get("/cpu_task?n=1000"), json, counted),
            (get("/cpu_task?n=1000&place=offload"), json, counted),
            (get("/cpu_task?n=1000&place=inline"), json, counted),
            (echo + "2\r\n[1\r\n3\r\n, 2\r\n1\r\n]\r\n0\r\n\r\n", json, "[1, 2]\n"),
            (long, json, &*quoted),
        ] {
            let response = ask(demo, &request);
            let seen = (response.status, response.header("Content-Type"), &*response.text());
            assert!(seen == (200, Some(media_type), body), "{}", &request[..request.len().min(200)]);
        }
        let targets = ["/hello", "/io_task?ms=1", "/cpu_task?n=10", "/nowhere", "/static/", "/error_task?kind=fail"];
        let mut client = demo.connect();
        client.send(targets.map(get).concat());
        assert_eq!(targets.map(|_| client.response().status), [200, 200, 200, 404, 200, 500]);
    }

    fn every_failure_is_a_500(kind: ServerKind) {
        let demo = &Demo::shared(kind);
        for (query, detail) in [
            ("", "the handler panicked"),
            ("?kind=panic-offload", "the handler panicked"),
            ("?kind=dropped", "the handler panicked"),
            ("?kind=fail", "this task fails on purpose"),
        ] {
            let target = format!("/error_task{query}");
            check_problem(demo, get(&target), 500, "Internal Server Error", &json!({ "detail": detail }));
            check_page(demo, &request("GET", &target, HTML), 500, detail);
            assert_eq!(ask(demo, get(&target)).keeps_alive, query == "?kind=fail", "{target}");
        }
    }

    fn rejections_of_the_library_are_problems(kind: ServerKind) {
        let demo = &Demo::shared(kind);
        let large = request("POST", "/echo", "Content-Length: 1048577\r\n");
        for (request, status, title, detail) in [
            ("garbage\r\n\r\n", 400, "Bad Request", "malformed method"),
            ("GET / HTTP/1.1\r\n\r\n", 400, "Bad Request", "Host missing"),
            ("POST /echo| HTTP/1.1\r\nHost: a\r\n\r\n", 400, "Bad Request", "malformed request target"),
            ("GET /../hello HTTP/1.1\r\nHost: a\r\n\r\n", 403, "Forbidden", "path leads above the root"),
            (&*large, 413, "Content Too Large", "body too large"),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP Version Not Supported", "unsupported major version"),
        ] {
            check_problem(demo, request, status, title, &json!({ "detail": detail }));
        }
    }
}

#[test]
fn rejects_invalid_parameters() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    let ms = json!({ "field": "ms", "detail": "must be a number from 0 to 60000" });
    let n = json!({ "field": "n", "detail": "must be a number from 0 to 5000000" });
    let kinds = json!({ "field": "kind", "detail": "must be panic, panic-offload, dropped or fail" });
    for (targets, members) in [
        ("/io_task?ms=-1 /io_task?ms=60001 /io_task?ms=1.5 /io_task?ms= /io_task?ms=a /io_task?ms=%00", ms),
        ("/io_task?ms=1&ms=1", json!({ "field": "ms", "detail": "given more than once" })),
        ("/io_task?s=1", json!({ "detail": "unknown parameter \"s\"; known: ms" })),
        ("/cpu_task?n=5000001 /cpu_task?n=99999999999999999999999", n),
        ("/cpu_task?place=there", json!({ "field": "place", "detail": "must be offload or inline" })),
        ("/error_task?kind=other", kinds),
    ] {
        for target in targets.split(' ') {
            check_problem(demo, get(target), 400, "Bad Request", &members);
        }
    }
    let untyped = json!({ "field": "Content-Type", "detail": "must be one media type" });
    let twice = "Content-Type: text/plain\r\ncontent-type: text/plain\r\nContent-Length: 2\r\n";
    check_problem(demo, request("POST", "/echo", twice) + "{}", 400, "Bad Request", &untyped);
    let none = json!({ "detail": "there is no body to echo" });
    check_problem(demo, request("POST", "/echo", ""), 400, "Bad Request", &none);
}

#[test]
fn reports_errors_in_the_preferred_format() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    let no_route = json!({ "detail": "no such route; / lists all routes" });
    let allowed = |methods: &str| json!({ "detail": format!("allowed methods: {methods}") });
    for (method, target, status, title, members) in [
        ("GET", "/nowhere", 404, "Not Found", no_route),
        ("GET", "/static/nowhere", 404, "Not Found", json!({})),
        ("GET", "/echo", 405, "Method Not Allowed", allowed("POST, OPTIONS")),
        ("DELETE", "/hello", 405, "Method Not Allowed", allowed("GET, HEAD, OPTIONS")),
        ("POST", "/static/index.html", 405, "Method Not Allowed", allowed("GET, HEAD")),
        ("BREW", "/hello", 501, "Not Implemented", json!({})),
    ] {
        check_problem(demo, request(method, target, ""), status, title, &members);
        check_page(demo, &request(method, target, HTML), status, &format!("<h1>{status} {title}</h1>"));
    }
}

#[test]
fn index_lists_the_routes() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    let routes: Value = serde_json::from_slice(&ask(demo, get("/")).body).expect("JSON");
    assert!(routes.as_array().is_some_and(|routes| routes.iter().any(|route| route["target"] == "/hello")));
    let link = "<a href=\"/cpu_task?n=100000&amp;place=inline\">";
    check_page(demo, &request("GET", "/", HTML), 200, link);
}

#[test]
fn serves_files_below_static() {
    let demo = &Demo::shared(ServerKind::EventLoop);
    let index = fs::read(demo.site.root().join("index.html")).expect("a file");
    for target in ["/static/", "/static/index.html", "/%73tatic/./index.html"] {
        assert_eq!(ask(demo, get(target)).body, index, "{target}");
    }
    for (from, to) in [("/static", "static/"), ("/static/dir?q", "dir/?q"), ("/static/a|b?\"", "a%7Cb?%22")] {
        let response = ask(demo, get(from));
        assert_eq!((response.status, response.header("Location")), (301, Some(to)), "{from}");
        assert_eq!(response.header("Content-Type"), Some("text/html; charset=utf-8"), "{from}");
    }
}
