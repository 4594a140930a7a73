//! Every route, status and error of the demo application, and the headers of every response.

use crate::{
    client::{get, request},
    demo::Demo,
    reply::Reply,
    server::ServerKind,
};
use serde_json::{Value, json};

const HTML: &str = "Accept: text/html\r\n";

/// Sends a request on a new connection, and checks the headers that every response must have.
fn ask(kind: ServerKind, request: &str) -> Reply {
    let demo = Demo::shared(kind);
    let reply = demo.connect().fetch(request);
    let served_by = reply.header("X-Served-By").expect("X-Served-By");
    let worker = served_by.strip_prefix(&format!("{}; worker=", demo.name)).map(str::parse::<usize>);
    assert!(matches!(worker, Some(Ok(0 | 1))), "{request}: {served_by}");
    let timing = reply.header("Server-Timing").expect("Server-Timing");
    let took = timing.strip_prefix("app;dur=").and_then(|took| took.parse::<f64>().ok());
    assert!(took.is_some_and(|took| took >= 0.0), "{request}: {timing}");
    reply
}

fn check(kind: ServerKind, target: &str, status: u16, media_type: &str, body: &str) {
    let reply = ask(kind, &get(target));
    let seen = (reply.status, reply.header("Content-Type"), reply.text());
    assert_eq!(seen, (status, Some(media_type), body.to_owned()), "{target}");
}

/// Checks the JSON of an error. `members` are those besides its status and title.
fn check_problem(kind: ServerKind, request: &str, status: u16, title: &str, members: &Value) {
    let reply = ask(kind, request);
    assert_eq!(
        (reply.status, reply.header("Content-Type"), reply.header("Vary")),
        (status, Some("application/problem+json"), Some("Accept")),
        "{request}"
    );
    let mut expected = json!({ "title": title, "status": status });
    expected.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    assert_eq!(serde_json::from_slice::<Value>(&reply.body).expect("JSON"), expected, "{request}");
}

http_testing::both_engines! {
    fn hello_responds_with_a_greeting(kind: ServerKind) {
        check(kind, "/hello", 200, "text/plain; charset=utf-8", "Hello, World!");
        assert_eq!(ask(kind, &request("HEAD", "/hello", "")).header("Content-Length"), Some("13"));
    }

    fn io_task_responds_after_the_delay(kind: ServerKind) {
        check(kind, "/io_task?ms=1", 200, "application/json", "{\"task\":\"io\",\"waited_ms\":1}\n");
        check(kind, "/io_task?ms=0", 200, "application/json", "{\"task\":\"io\",\"waited_ms\":0}\n");
    }

    fn cpu_task_counts_primes_inline_and_offloaded(kind: ServerKind) {
        let counted = "{\"task\":\"cpu\",\"n\":1000,\"primes_below_n\":168}\n";
        for place in ["", "&place=offload", "&place=inline"] {
            check(kind, &format!("/cpu_task?n=1000{place}"), 200, "application/json", counted);
        }
    }

    fn rejects_invalid_parameters(kind: ServerKind) {
        let check = |target: &str, members: &Value| {
            check_problem(kind, &get(target), 400, "Bad Request", members);
        };
        let ms = json!({ "field": "ms", "detail": "must be a number from 0 to 60000" });
        for text in ["-1", "60001", "1.5", "", "a", "%00", "99999999999999999999999"] {
            check(&format!("/io_task?ms={text}"), &ms);
        }
        check("/io_task?ms=1&ms=1", &json!({ "field": "ms", "detail": "given more than once" }));
        check("/io_task?s=1", &json!({ "detail": "unknown parameter \"s\"; known: ms" }));
        let n = json!({ "field": "n", "detail": "must be a number from 0 to 5000000" });
        check("/cpu_task?n=5000001", &n);
        check("/cpu_task?place=there", &json!({ "field": "place", "detail": "must be offload or inline" }));
        let kinds = json!({ "field": "kind", "detail": "must be panic, panic-offload, dropped or fail" });
        check("/error_task?kind=other", &kinds);
    }

    fn every_failure_is_a_500(kind: ServerKind) {
        for (query, detail) in [
            ("", "the handler panicked"),
            ("?kind=panic-offload", "the handler panicked"),
            ("?kind=dropped", "the handler panicked"),
            ("?kind=fail", "this task fails on purpose"),
        ] {
            let target = format!("/error_task{query}");
            check_problem(kind, &get(&target), 500, "Internal Server Error", &json!({ "detail": detail }));
            let page = ask(kind, &request("GET", &target, HTML));
            assert_eq!((page.status, page.header("Content-Type")), (500, Some("text/html; charset=utf-8")));
            assert!(page.text().contains(detail), "{}", page.text());
            assert_eq!(page.close, query != "?kind=fail", "{target}");
        }
        check(kind, "/hello", 200, "text/plain; charset=utf-8", "Hello, World!");
    }

    fn reports_errors_in_the_preferred_format(kind: ServerKind) {
        let no_route = json!({ "detail": "no such route; / lists all routes" });
        let allowed = |methods: &str| json!({ "detail": format!("allowed methods: {methods}") });
        let large = "Content-Length: 1048577\r\n";
        for (method, target, headers, status, title, members) in [
            ("GET", "/nowhere", "", 404, "Not Found", no_route),
            ("GET", "/static/nowhere", "", 404, "Not Found", json!({})),
            ("GET", "/echo", "", 405, "Method Not Allowed", allowed("POST, OPTIONS")),
            ("DELETE", "/hello", "", 405, "Method Not Allowed", allowed("GET, HEAD, OPTIONS")),
            ("POST", "/static/index.html", "", 405, "Method Not Allowed", allowed("GET, HEAD")),
            ("BREW", "/hello", "", 501, "Not Implemented", json!({})),
            ("POST", "/echo", large, 413, "Content Too Large", json!({ "detail": "body too large" })),
        ] {
            check_problem(kind, &request(method, target, headers), status, title, &members);
            let page = ask(kind, &request(method, target, &format!("{headers}{HTML}")));
            let seen = (page.status, page.header("Content-Type"), page.header("Vary"));
            assert_eq!(seen, (status, Some("text/html; charset=utf-8"), Some("Accept")), "{method} {target}");
            assert!(page.text().contains(&format!("<h1>{status} {title}</h1>")), "{}", page.text());
        }
    }

    fn reports_malformed_requests_as_json(kind: ServerKind) {
        for (request, status, title, detail) in [
            ("garbage\r\n\r\n", 400, "Bad Request", "malformed method"),
            ("GET / HTTP/1.1\r\n\r\n", 400, "Bad Request", "Host missing"),
            ("POST /echo| HTTP/1.1\r\nHost: a\r\n\r\n", 400, "Bad Request", "malformed request target"),
            ("GET /../hello HTTP/1.1\r\nHost: a\r\n\r\n", 403, "Forbidden", "path leads above the root"),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP Version Not Supported", "unsupported major version"),
        ] {
            check_problem(kind, request, status, title, &json!({ "detail": detail }));
        }
    }

    fn index_lists_the_routes(kind: ServerKind) {
        let reply = ask(kind, &get("/"));
        let routes: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert!(routes.as_array().is_some_and(|routes| routes.iter().any(|route| route["target"] == "/hello")));
        let page = ask(kind, &request("GET", "/", HTML));
        assert_eq!((page.status, page.header("Vary")), (200, Some("Accept")));
        assert!(page.text().contains("<a href=\"/cpu_task?n=100000&amp;place=inline\">"), "{}", page.text());
    }

    fn serves_files_below_static(kind: ServerKind) {
        let demo = Demo::shared(kind);
        let index = std::fs::read(demo.site.root().join("index.html")).expect("a file");
        for target in ["/static/", "/static/index.html", "/%73tatic/./index.html"] {
            let mut client = demo.connect();
            assert_eq!(client.fetch(get(target)).body, index, "{target}");
        }
        for (from, to) in [("/static", "static/"), ("/static/dir?q", "dir/?q"), ("/static/a|b?\"", "a%7Cb?%22")] {
            let reply = ask(kind, &get(from));
            assert_eq!((reply.status, reply.header("Location")), (301, Some(to)), "{from}");
            assert_eq!(reply.header("Content-Type"), Some("text/html; charset=utf-8"), "{from}");
        }
        // Dot segments stay within the site: they never reach the file system.
        assert_eq!(ask(kind, &get("/static/../hello")).text(), "Hello, World!");
        assert_eq!(ask(kind, &get("/static/../../etc/passwd")).status, 403);
    }

    fn responds_to_pipelined_requests_in_order(kind: ServerKind) {
        let demo = Demo::shared(kind);
        let mut client = demo.connect();
        let targets = ["/hello", "/io_task?ms=1", "/cpu_task?n=10", "/nowhere", "/static/", "/error_task?kind=fail"];
        client.send(targets.map(get).concat());
        let statuses = targets.map(|_| client.response().status);
        assert_eq!(statuses, [200, 200, 200, 404, 200, 500]);
        client.finish();
    }
}
