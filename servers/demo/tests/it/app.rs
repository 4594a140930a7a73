//! The demo application: every route, status and error, and what stands on every answer.

use crate::{
    client::{get, request},
    demo::Demo,
    reply::{Asked, Reply},
    server::Kind,
};
use serde_json::{Value, json};

const HTML: &str = "Accept: text/html\r\n";

/// Asks on a connection of its own, and looks at what every answer must have.
fn ask(kind: Kind, request: &str) -> Reply {
    let demo = Demo::shared(kind);
    let reply = demo.connect().ask(request);
    let served_by = reply.field("X-Served-By").expect("X-Served-By");
    let worker = served_by.strip_prefix(&format!("{}; worker=", demo.name)).map(str::parse::<usize>);
    assert!(matches!(worker, Some(Ok(0 | 1))), "{request}: {served_by}");
    let timing = reply.field("Server-Timing").expect("Server-Timing");
    let took = timing.strip_prefix("app;dur=").and_then(|took| took.parse::<f64>().ok());
    assert!(took.is_some_and(|took| took >= 0.0), "{request}: {timing}");
    reply
}

fn check(kind: Kind, target: &str, status: u16, media_type: &str, content: &str) {
    let reply = ask(kind, &get(target));
    let seen = (reply.status, reply.field("Content-Type"), reply.text());
    assert_eq!(seen, (status, Some(media_type), content.to_owned()), "{target}");
}

/// The members that an error is told with, besides its status and title.
fn check_problem(kind: Kind, request: &str, status: u16, title: &str, others: &Value) {
    let reply = ask(kind, request);
    assert_eq!(
        (reply.status, reply.field("Content-Type"), reply.field("Vary")),
        (status, Some("application/problem+json"), Some("Accept")),
        "{request}"
    );
    let mut wanted = json!({ "title": title, "status": status });
    wanted.as_object_mut().expect("an object").extend(others.as_object().expect("an object").clone());
    assert_eq!(serde_json::from_slice::<Value>(&reply.content).expect("JSON"), wanted, "{request}");
}

http_testing::both_engines! {
    fn it_greets(kind: Kind) {
        check(kind, "/hello", 200, "text/plain; charset=utf-8", "Hello, World!");
        assert_eq!(ask(kind, &request("HEAD", "/hello", "")).field("Content-Length"), Some("13"));
    }

    fn a_wait_ends_with_an_answer(kind: Kind) {
        check(kind, "/io_task?ms=1", 200, "application/json", "{\"task\":\"io\",\"waited_ms\":1}\n");
        check(kind, "/io_task?ms=0", 200, "application/json", "{\"task\":\"io\",\"waited_ms\":0}\n");
    }

    fn primes_are_counted_wherever_it_is_done(kind: Kind) {
        let counted = "{\"task\":\"cpu\",\"n\":1000,\"primes_below_n\":168}\n";
        for place in ["", "&place=offload", "&place=inline"] {
            check(kind, &format!("/cpu_task?n=1000{place}"), 200, "application/json", counted);
        }
    }

    fn parameters_are_checked(kind: Kind) {
        let wrong = |target: &str, others: &Value| check_problem(kind, &get(target), 400, "Bad Request", others);
        let ms = json!({ "field": "ms", "detail": "must be a number from 0 to 60000" });
        for text in ["-1", "60001", "1.5", "", "a", "%00", "99999999999999999999999"] {
            wrong(&format!("/io_task?ms={text}"), &ms);
        }
        wrong("/io_task?ms=1&ms=1", &json!({ "field": "ms", "detail": "given more than once" }));
        wrong("/io_task?s=1", &json!({ "detail": "there is no parameter \"s\" here; known: ms" }));
        let n = json!({ "field": "n", "detail": "must be a number from 0 to 5000000" });
        wrong("/cpu_task?n=5000001", &n);
        wrong("/cpu_task?place=there", &json!({ "field": "place", "detail": "must be offload or inline" }));
        let kinds = json!({ "field": "kind", "detail": "must be panic, panic-offload, dropped or fail" });
        wrong("/error_task?kind=other", &kinds);
    }

    fn whatever_fails_is_a_clean_500(kind: Kind) {
        for (query, detail) in [
            ("", "the handler panicked"),
            ("?kind=panic-offload", "the handler panicked"),
            ("?kind=dropped", "the handler panicked"),
            ("?kind=fail", "this task fails on purpose"),
        ] {
            let target = format!("/error_task{query}");
            check_problem(kind, &get(&target), 500, "Internal Server Error", &json!({ "detail": detail }));
            let page = ask(kind, &request("GET", &target, HTML));
            assert_eq!((page.status, page.field("Content-Type")), (500, Some("text/html; charset=utf-8")));
            assert!(page.text().contains(detail), "{}", page.text());
            assert_eq!(page.close, query != "?kind=fail", "{target}");
        }
        check(kind, "/hello", 200, "text/plain; charset=utf-8", "Hello, World!");
    }

    fn every_error_is_told_as_the_peer_prefers(kind: Kind) {
        let lost = json!({ "detail": "nothing is here; / lists what there is" });
        let allowed = |allowed: &str| json!({ "detail": format!("allowed here: {allowed}") });
        let large = "Content-Length: 1048577\r\n";
        for (method, target, fields, status, title, others) in [
            ("GET", "/nowhere", "", 404, "Not Found", lost),
            ("GET", "/static/nowhere", "", 404, "Not Found", json!({})),
            ("GET", "/echo", "", 405, "Method Not Allowed", allowed("POST, OPTIONS")),
            ("DELETE", "/hello", "", 405, "Method Not Allowed", allowed("GET, HEAD, OPTIONS")),
            ("POST", "/static/index.html", "", 405, "Method Not Allowed", allowed("GET, HEAD")),
            ("BREW", "/hello", "", 501, "Not Implemented", json!({})),
            ("POST", "/echo", large, 413, "Content Too Large", json!({ "detail": "content too large" })),
        ] {
            check_problem(kind, &request(method, target, fields), status, title, &others);
            let page = ask(kind, &request(method, target, &format!("{fields}{HTML}")));
            let seen = (page.status, page.field("Content-Type"), page.field("Vary"));
            assert_eq!(seen, (status, Some("text/html; charset=utf-8"), Some("Accept")), "{method} {target}");
            assert!(page.text().contains(&format!("<h1>{status} {title}</h1>")), "{}", page.text());
        }
    }

    fn what_is_no_request_is_told_in_json(kind: Kind) {
        for (wrong, status, title, detail) in [
            ("garbage\r\n\r\n", 400, "Bad Request", "malformed method"),
            ("GET / HTTP/1.1\r\n\r\n", 400, "Bad Request", "Host missing"),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP Version Not Supported", "unsupported major version"),
        ] {
            check_problem(kind, wrong, status, title, &json!({ "detail": detail }));
        }
    }

    fn the_index_lists_what_there_is(kind: Kind) {
        let reply = ask(kind, &get("/"));
        let routes: Value = serde_json::from_slice(&reply.content).expect("JSON");
        assert!(routes.as_array().is_some_and(|routes| routes.iter().any(|route| route["target"] == "/hello")));
        let page = ask(kind, &request("GET", "/", HTML));
        assert_eq!((page.status, page.field("Vary")), (200, Some("Accept")));
        assert!(page.text().contains("<a href=\"/cpu_task?n=100000&amp;place=inline\">"), "{}", page.text());
    }

    fn files_are_served_beneath_static(kind: Kind) {
        let demo = Demo::shared(kind);
        let index = std::fs::read(demo.site.root().join("index.html")).expect("a file");
        for target in ["/static/", "/static/index.html", "/%73tatic/./index.html"] {
            let mut client = demo.connect();
            assert_eq!(client.ask(get(target)).content, index, "{target}");
        }
        for (from, to) in [("/static", "/static/"), ("/static/dir?q", "/static/dir/?q")] {
            let reply = ask(kind, &get(from));
            assert_eq!((reply.status, reply.field("Location")), (301, Some(to)), "{from}");
        }
        // Above /static/ is the site and not the file system.
        assert_eq!(ask(kind, &get("/static/../hello")).text(), "Hello, World!");
        assert_eq!(ask(kind, &get("/static/../../etc/passwd")).status, 400);
    }

    fn one_connection_asks_for_everything(kind: Kind) {
        let demo = Demo::shared(kind);
        let mut client = demo.connect();
        let targets = ["/hello", "/io_task?ms=1", "/cpu_task?n=10", "/nowhere", "/static/", "/error_task?kind=fail"];
        client.send(targets.map(get).concat());
        let statuses = targets.map(|_| client.reply(Asked::Http11).status);
        assert_eq!(statuses, [200, 200, 200, 404, 200, 500]);
        client.finish();
    }
}
