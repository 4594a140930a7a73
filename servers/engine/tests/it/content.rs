//! How content is taken: at the head or into memory, up to the limit of the request, of the connection and of the
//! process.

use crate::{
    app::{TestApp, check_open, settings_with},
    client::{Client, get, request, wait_for},
    server::settings,
};
use http_engine::{
    Admit, Engine, Handler, Middleware, Next, Reply, Request, Response, Router, Settings, Stack, Status,
};
use std::sync::Arc;

/// Rejects requests for `/private` before their content is received.
struct Guard;

impl Middleware for Guard {
    fn admit(&self, head: &Request<'_>, next: Next<'_>) -> Admit {
        if head.path() == "/private" { Admit::AtHead } else { next.admit(head) }
    }

    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        match request.path() {
            "/private" => Response::error(Status::UNAUTHORIZED).into(),
            _ => next.run(request),
        }
    }
}

/// Starts a server whose application is behind everything that forwards [`Handler::admit`].
fn start(engine: Engine, settings: Settings) -> TestApp {
    TestApp::start_with(engine, settings, |app| {
        let app: Arc<dyn Handler> = Arc::new(app);
        let router = Router::builder().get("/get", |_| "get").fallback(Stack::new(app));
        Stack::new(router.build().expect("a router")).wrap(Guard)
    })
}

pub fn post(path: &str, headers: &str) -> String {
    request("POST", path, headers)
}

pub const FIVE: &str = "Content-Length: 5\r\n";
pub const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
pub const EXPECT: &str = "Expect: 100-continue\r\nContent-Length: 5\r\n";

http_testing::both_engines! {
    fn responds_at_the_head_and_then_drops_the_content(engine: Engine) {
        let app = start(engine, settings());
        // A handler, a middleware, and the router itself respond.
        for (path, status) in [("/early", 200), ("/private", 401), ("/get", 405)] {
            let mut client = app.connect();
            for (headers, content) in [(FIVE, "abcde"), (FIVE, "abcde"), (CHUNKED, "5\r\nabcde\r\n0\r\n\r\n")] {
                client.send(post(path, headers));
                let response = client.response();
                assert_eq!((response.status, response.keeps_alive), (status, true), "{path}");
                client.send(content);
            }
            check_open(&mut client, "/a");
            // It does not send 100 before, and closes: the content may never come.
            client.send(post(path, EXPECT));
            let response = client.response();
            assert_eq!((response.status, response.keeps_alive), (status, false), "{path}");
            client.finish();
        }
        for headers in [FIVE, CHUNKED, EXPECT] {
            let mut client = app.send(request("CONNECT", "a:1", headers));
            let response = client.response();
            assert_eq!((response.status, response.keeps_alive), (501, false), "{headers}");
            client.finish();
        }
    }

    /// Each request needs more than half of the memory, and takes it with its first byte beyond 16 KiB.
    fn a_request_beyond_the_memory_of_the_process_gets_503(engine: Engine) {
        let app = start(engine, settings_with(|settings| settings.max_buffered_bytes = 20_000));
        let whole = post("/a", "Content-Length: 30000\r\n") + &"x".repeat(30_000);
        let mut clients = [(); 2].map(|()| app.send(&whole[..whole.len() - 1]));
        let rejected = wait_for("a response", || clients.iter().position(Client::has_received));
        let response = clients[rejected].response();
        assert_eq!((response.status, response.header("Retry-After"), response.keeps_alive), (503, Some("1"), false));
        // Small requests need none of that memory.
        check_open(&mut app.connect(), "/b");
        let accepted = &mut clients[1 - rejected];
        accepted.send("x");
        assert_eq!(accepted.response().text(), "/a 30000");
        // Its memory is free again, although the connection stays open.
        assert_eq!(app.connect().fetch(&whole).text(), "/a 30000");
        assert_eq!(accepted.fetch(&whole).text(), "/a 30000");
    }

    /// The thread of an idle connection frees its buffers after a quarter of a second.
    fn serves_a_connection_that_was_idle_for_long(engine: Engine) {
        let app = start(engine, settings());
        let mut idle = [app.connect(), app.connect()];
        idle[0].send("\r\n\r");
        check_open(&mut idle[1], "/a");
        idle[1].send("\r");
        for _ in 0..2 {
            assert_eq!(app.connect().fetch(get("/after")).text(), "after");
        }
        for client in &mut idle {
            client.send("\n");
            check_open(client, "/b");
        }
    }
}
