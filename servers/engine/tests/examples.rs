//! Runs the examples on both engines: routes, uploads, and ports of programs written for other libraries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

macro_rules! examples {
    ($($name:ident = $path:literal),+ $(,)?) => {$(
        #[path = $path]
        #[allow(dead_code, reason = "its main is not called here")]
        mod $name;
    )+};
}

examples! {
    build_server = "../examples/build_server.rs",
    cgi = "../examples/cgi.rs",
    incoming = "../examples/incoming.rs",
    live_reload = "../examples/live_reload.rs",
    login = "../examples/login.rs",
    metrics = "../examples/metrics.rs",
    oauth = "../examples/oauth.rs",
    routes = "../examples/routes.rs",
    upload = "../examples/upload.rs",
}

use http_engine::{Engine, Handler, Incoming, Request, Response, Server};
use http_files::Files;
use http_testing::{
    client::{Client, get, request, wait_for},
    server::{InProcessServer, settings},
};
use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

/// Content that cannot be read to its end.
struct FailingContent<F: FnMut()>(F);

impl<F: FnMut()> Read for FailingContent<F> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        (self.0)();
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn upload_reports_the_first_error_and_leaves_no_partial_file() {
    let directory = tempfile::tempdir().unwrap();
    let part = directory.path().join(".name.part");
    let check = |before_error: fn(&Path)| {
        let content = FailingContent(|| before_error(&part));
        let saved = upload::save(directory.path(), "name", content);
        let Err(upload::Failure::Io(error)) = saved else { panic!("{saved:?}") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    };
    check(|part| assert!(part.exists()));
    // Then it cannot be removed again.
    check(|part| fs::remove_file(part).unwrap());
}

fn post(path: &str, headers: &str, content: &str) -> String {
    request("POST", path, &format!("{headers}Content-Length: {}\r\n", content.len())) + content
}

/// Starts a server for a program that takes its requests in a loop.
fn listen(engine: Engine) -> Incoming {
    Server::bind("127.0.0.1:0").unwrap().engine(engine).settings(settings()).incoming().unwrap()
}

http_testing::both_engines! {
    fn incoming_responds_on_several_threads_until_it_is_stopped(engine: Engine) {
        let server = listen(engine);
        let address = server.running().local_addr().unwrap();
        thread::scope(|scope| {
            let threads = [(); 2].map(|()| scope.spawn(|| incoming::respond_to_all(&server)));
            for path in ["/a", "/b"] {
                assert_eq!(Client::connect(address).fetch(get(path)).text(), "hello world");
            }
            server.running().stopper().stop(Duration::ZERO);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    fn oauth_takes_the_code_that_comes_with_its_state(engine: Engine) {
        for (query, expected) in [("code=abc&state=s", Ok("abc")), ("error=access_denied&state=s", Err("access_denied"))] {
            let server = listen(engine);
            let mut client = Client::connect(server.running().local_addr().unwrap());
            client.send(get("/favicon.ico") + &get("/callback?code=stolen&state=x") + &get(&format!("/callback?{query}")));
            let code = oauth::await_code(&server, "s").map_err(|error| error.to_string());
            assert_eq!(code.as_deref().map_err(|error| &**error), expected);
            assert_eq!([(); 3].map(|()| client.response().status), [404, 404, 200]);
        }
    }

    fn metrics_exports_what_the_program_counts(engine: Engine) {
        let metrics = Arc::new(metrics::Metrics::default());
        let server = InProcessServer::start(engine, settings(), metrics::app(&metrics).unwrap());
        metrics.done.fetch_add(2, Relaxed);
        let response = server.connect().fetch(get("/metrics"));
        assert_eq!(response.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        assert!(response.text().contains("\njobs_total{result=\"done\"} 2\njobs_total{result=\"failed\"} 0\n"));
    }

    fn live_reload_tells_open_pages_that_a_file_has_changed(engine: Engine) {
        let (root, pages) = (tempfile::tempdir().unwrap(), live_reload::Pages::default());
        fs::write(root.path().join("index.html"), "<p>old").unwrap();
        let known = live_reload::state(root.path());
        let app = live_reload::app(Files::new(root.path()).unwrap(), &pages).unwrap();
        let server = InProcessServer::start(engine, settings(), app);
        let page = server.connect().fetch(get("/")).text();
        assert!(page.starts_with("<p>old<script>"), "{page}");

        let client = Client::connect_and_send(server.address, get("/live-reload"));
        let mut lines = BufReader::new(&client.stream).lines().map(Result::unwrap);
        lines.find(String::is_empty).unwrap();
        fs::create_dir(root.path().join("below")).unwrap();
        fs::write(root.path().join("below/new.txt"), "new").unwrap();
        assert_ne!(live_reload::state(root.path()), known);
        pages.reload();
        assert_eq!(lines.find(|line| line.starts_with("data")).as_deref(), Some("data: reload"));
    }

    fn live_reload_appends_its_script_to_whole_pages_only(engine: Engine) {
        let root = tempfile::tempdir().unwrap();
        for name in ["page.html", "page.txt"] {
            fs::write(root.path().join(name), "<p>page").unwrap();
        }
        let files = Files::new(root.path()).unwrap();
        let handler = move |request: &Request<'_>| match request.path() {
            "/coded" => Response::html("<p>page").with_header("Content-Encoding", "gzip").into(),
            _ => files.handle(request),
        };
        let app = live_reload::app(handler, &live_reload::Pages::default()).unwrap();
        let server = InProcessServer::start(engine, settings(), app);
        let mut client = server.connect();
        let page = client.fetch(get("/page.html"));
        assert!(page.text().starts_with("<p>page<script>"), "{}", page.text());
        let length = page.header("Content-Length").unwrap();
        let tag = format!("If-None-Match: {}\r\n", page.header("ETag").unwrap());
        // The headers of a response to HEAD are those of the response to GET.
        for (method, path, headers, status, body, stated) in [
            ("GET", "/coded", "", 200, "<p>page", Some("7")),
            ("GET", "/page.txt", "", 200, "<p>page", Some("7")),
            ("GET", "/page.html", "Range: bytes=3-\r\n", 206, "page", Some("4")),
            ("GET", "/page.html", &*tag, 304, "", None),
            ("HEAD", "/page.html", "", 200, "", Some(length)),
        ] {
            let response = client.fetch(request(method, path, headers));
            let seen = (response.status, response.text(), response.header("Content-Length"));
            assert_eq!(seen, (status, body.into(), stated), "{method} {path} {headers}");
        }
    }

    fn build_server_streams_the_log_of_a_build(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), build_server::app("sh".to_owned()).unwrap());
        let mut client = server.connect();
        let started = client.fetch(post("/builds", "", "echo one; echo two >&2; exit 3"));
        assert_eq!((started.status, started.header("Location")), (201, Some("/builds/1")));
        assert_eq!(client.fetch(get("/builds/1/log")).text(), "one\ntwo\n");
        assert_eq!(client.fetch(get("/builds/1")).text(), "exit status: 3");
        // Its log is remembered.
        assert_eq!(client.fetch(get("/builds/1/log")).text(), "one\ntwo\n");
        assert_eq!(client.fetch(get("/builds/2/log")).status, 404);
        assert_eq!(client.fetch(post("/builds", "Origin: https://example.org\r\n", "echo three")).status, 403);
        assert_eq!(client.fetch(request("POST", "/builds", "Content-Length: 16777217\r\n")).status, 413);
    }

    fn login_shows_the_private_page_to_users_only(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), login::app().unwrap());
        let mut client = server.connect();
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let at = |client: &mut Client, path, cookie: &str| client.fetch(request("GET", path, cookie));
        assert!(at(&mut client, "/", "").text().contains("<form action=/login"));
        assert_eq!(at(&mut client, "/private/", "").header("Location"), Some("/"));
        for (content, status) in [("name=a", 400), ("name=a&password=x", 403)] {
            assert_eq!(client.fetch(post("/login", form, content)).status, status, "{content}");
        }
        assert_eq!(client.fetch(post("/login", "", "name=a&password=b")).status, 415);

        let response = client.fetch(post("/login", form, "name=%3Cann%3E&password=bbb"));
        assert_eq!((response.status, response.header("Location")), (303, Some("/")));
        let cookie = response.header("Set-Cookie").unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
        assert!(at(&mut client, "/private/", &cookie).text().contains("&lt;ann>"));
        assert_eq!(client.fetch(post("/logout", &cookie, "")).status, 303);
        assert_eq!(at(&mut client, "/private/", &cookie).status, 303);
    }

    fn routes_shows_contacts_to_their_user_only(engine: Engine) {
        let server = InProcessServer::start(engine, settings(), routes::router(&routes::Contacts::default()).unwrap());
        let mut client = server.connect();
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let response = client.fetch(post("/login", form, "name=anna"));
        assert_eq!(response.header("Set-Cookie"), Some("user=anna; Path=/; HttpOnly"));
        let anna = "Cookie: user=anna\r\n";
        for (request, status) in [
            (post("/login", form, "name="), 400),
            (get("/contacts/Bob"), 401),
            (request("GET", "/contacts/Bob", anna), 404),
            (post("/contacts/Bob", &format!("{form}{anna}"), "phone=555+0123"), 201),
            (post("/contacts/Bob", &format!("{form}{anna}"), "phone=555+0124"), 200),
            (request("GET", "/contacts/Bob", "Cookie: user=bea\r\n"), 404),
            (post("/contacts/Bob", &format!("{form}{anna}"), &"x".repeat(1_001)), 413),
        ] {
            assert_eq!(server.connect().fetch(&request).status, status, "{request}");
        }
        assert_eq!(client.fetch(request("GET", "/contacts/Bob", anna)).text(), "555 0124\n");
    }

    fn upload_saves_complete_files_only(engine: Engine) {
        let directory = tempfile::tempdir().unwrap();
        let server = InProcessServer::start(engine, settings(), upload::app(directory.path().to_owned()).unwrap());
        let mut client = server.connect();
        assert!(client.fetch(get("/")).text().contains("<input type=\"file\""));
        // More than a request may hold in memory.
        let content = "x".repeat(3_000_000);
        let put = |path: &str| request("PUT", path, &format!("Content-Length: {}\r\n", content.len()));
        assert_eq!(client.fetch(put("/large") + &content).status, 201);
        assert_eq!(fs::read_to_string(directory.path().join("large")).unwrap(), content);

        let mut cut = Client::connect_and_send(server.address, put("/cut") + &content[..1_000_000]);
        cut.shutdown_write();
        cut.expect_eof();
        wait_for("only the complete file", || {
            (fs::read_dir(directory.path()).unwrap().count() == 1).then_some(())
        });
        assert!(!directory.path().join("cut").exists());
        assert_eq!(Client::connect(server.address).fetch(put("/.hidden")).status, 403);
    }

    fn cgi_runs_a_script(engine: Engine) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cgi.sh");
        let server = InProcessServer::start(engine, settings(), |request: &Request<'_>| cgi::run(script, request));
        let mut client = server.connect();
        let response = client.fetch(post("/a/b?c=d", "", "content"));
        assert_eq!((response.status, response.header("X-Served-By")), (200, Some("cgi.sh")));
        assert_eq!(response.text(), "POST /a/b?c=d\nCONTENT");
        assert_eq!(client.fetch(get("/missing")).status, 404);
        // More than a pipe holds.
        let long = "x".repeat(1_000_000);
        assert_eq!(client.fetch(post("/", "", &long)).body.len(), "POST /?\n".len() + long.len());
    }

    fn cgi_limits_the_headers_of_a_script(engine: Engine) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cgi.sh");
        let server = InProcessServer::start(engine, settings(), |request: &Request<'_>| cgi::run(script, request));
        let mut client = server.connect();
        for (path, status) in [
            ("/lines?99", 200),
            ("/lines?100", 502),
            // `X-A: `, and the two line ends.
            ("/bytes?16377", 200),
            ("/bytes?16378", 502),
            ("/endless", 502),
            ("/incomplete", 502),
            ("/nothing", 502),
        ] {
            assert_eq!(client.fetch(get(path)).status, status, "{path}");
        }
    }

    fn cgi_kills_a_script_whose_client_has_left(engine: Engine) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cgi.sh");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("numbers");
        let check = |path: &str, timeout: Option<Duration>| {
            let mut settings = settings();
            if let Some(timeout) = timeout {
                settings.protocol.timeouts.reply = timeout;
            }
            let server = InProcessServer::start(engine, settings, |request: &Request<'_>| cgi::run(script, request));
            let request = get(&format!("{path}?{}", file.display()));
            let mut client = Client::connect_and_send(server.address, &request);
            let numbers = wait_for("the numbers of the processes", || {
                fs::read_to_string(&file).ok().filter(|numbers| numbers.ends_with('\n'))
            });
            let (script, child) = numbers.trim().split_once(' ').unwrap();
            if path == "/stream" {
                client.await_bytes("\r\n4\r\nbody\r\n");
            }
            match timeout {
                Some(_) => assert_eq!(client.response().status, 503),
                None => client.reset(),
            }
            let state = |number| {
                let status = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
                status.rsplit_once(") ").map(|(_, fields)| fields[..1].to_owned())
            };
            wait_for("the end of the script", || state(script).is_none().then_some(()));
            // Whether its parent, init, waits for it depends on the system.
            wait_for("the end of its child", || state(child).is_none_or(|state| state == "Z").then_some(()));
            fs::remove_file(&file).unwrap();
        };
        check("/silent", None);
        check("/silent", Some(Duration::from_millis(100)));
        check("/stream", None);
    }
}
