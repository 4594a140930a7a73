//! Code and destructors of the application that panic: each costs at most its own connection.
//!
//! The payload of every panic panics too when it is dropped. Panics leave no message on standard error: they are part of the
//! test.

use crate::{
    app::{Bomb, Event, TestApp, check_open, settings_with, wait_for_room},
    client::{Client, TIMEOUT, get, request, wait_for},
    server::InProcessServer,
};
use http_engine::{
    Body, Chunk, ChunkSource, Engine, Handler, MakeHandler, Method, Middleware, Next, Reply, Request,
    Response, Router, Stack,
};
use std::{
    io, mem,
    panic::resume_unwind,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    task::Waker,
    time::Duration,
};

/// The maximum number of connections, and of those from one address. Each way to panic is tried more often than that.
const CONNECTIONS: usize = 3;

/// Panics with a payload that panics when it is dropped.
pub fn fail() -> ! {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            resume_unwind(Box::new("the payload of a panic was dropped"));
        }
    }
    resume_unwind(Box::new(Payload))
}

/// A source whose destructor panics.
struct FaultySource {
    start: fn(),
    /// What it does after its first chunk.
    then: fn() -> io::Result<Chunk>,
    has_sent: bool,
    _bomb: Bomb,
}

impl ChunkSource for FaultySource {
    fn start(&mut self, _: Waker) {
        (self.start)();
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        if mem::replace(&mut self.has_sent, true) {
            return (self.then)();
        }
        chunk.extend_from_slice(b"some");
        Ok(Chunk::Data)
    }
}

/// Returns a stream whose source goes on with `then` after its first chunk, and reports its end.
fn faulty(events: &Sender<Event>, then: fn() -> io::Result<Chunk>) -> Body {
    Body::Stream(Box::new(FaultySource { start: || (), then, has_sent: false, _bomb: Bomb(events.clone()) }))
}

/// Panics in the way that the path names, at once or later. Returns `None` for other paths.
pub fn reply(path: &str, events: &Sender<Event>) -> Option<Reply> {
    let stream = |then| Some(Response::text(faulty(events, then)).into());
    let ends = || Ok(Chunk::End);
    match path {
        "/panics" | "/rejected" => fail(),
        "/panics-after" => Some(Reply::after(Duration::ZERO, || fail())),
        "/panics-offload" => Some(Reply::offload(|| fail())),
        "/panics-deferred" => Some(Reply::Deferred(Box::new(|_| fail()))),
        "/bomb-sent" => Some(Response::text("sent").on_sent(|_| fail()).into()),
        "/bomb" => stream(ends),
        "/bomb-fails" => stream(|| Err(io::ErrorKind::Other.into())),
        "/bomb-panics" => stream(|| fail()),
        "/bomb-never-starts" => {
            let source =
                FaultySource { start: || fail(), then: ends, has_sent: false, _bomb: Bomb(events.clone()) };
            Some(Response::text(Body::Stream(Box::new(source))).into())
        }
        "/bomb-parts" => {
            Some(Response::text(Body::Parts(vec![faulty(events, ends), faulty(events, ends)])).into())
        }
        _ => None,
    }
}

/// A handler and a middleware whose destructor panics.
struct Explosive(&'static str, #[allow(dead_code, reason = "it is dropped")] Bomb);

impl Handler for Explosive {
    fn handle(&self, _: &Request<'_>) -> Reply {
        Response::text(self.0).into()
    }
}

impl Middleware for Explosive {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        next.run(request)
    }
}

/// Calls `attempt` with new connections, more often than the server may have connections. Another connection must
/// survive that.
fn check(engine: Engine, mut attempt: impl FnMut(&TestApp, Client)) {
    let app = TestApp::start(
        engine,
        settings_with(|settings| {
            settings.workers = 1;
            (settings.max_connections, settings.max_connections_per_address) =
                (Some(CONNECTIONS), Some(CONNECTIONS));
        }),
    );
    let mut bystander = wait_for_room(&app.server);
    for _ in 0..2 * CONNECTIONS {
        attempt(&app, wait_for_room(&app.server));
        check_open(&mut bystander, "/ok");
    }
}

http_testing::both_engines! {
    fn a_panic_becomes_500(engine: Engine) {
        for (method, path, headers) in [
            ("GET", "/panics", ""),
            ("GET", "/rejected", ""),
            ("POST", "/panics-early", "Content-Length: 2\r\n"),
            ("GET", "/panics-after", ""),
            ("GET", "/panics-offload", ""),
            ("GET", "/panics-deferred", ""),
        ] {
            check(engine, |_, mut client| {
                client.send(request(method, path, headers) + &get("/next"));
                let response = client.response();
                assert_eq!((response.status, response.keeps_alive), (500, false), "{path}");
                client.expect_eof();
            });
        }
    }

    fn a_callback_or_a_destructor_that_panics_does_not_harm_its_connection(engine: Engine) {
        check(engine, |app, mut client| {
            assert_eq!(client.fetch(get("/bomb-sent")).text(), "sent");
            assert_eq!(client.fetch(get("/bomb")).text(), "some");
            assert_eq!(client.fetch(request("HEAD", "/bomb", "")).status, 200);
            app.expect(&[Event::Dropped; 2]);
            check_open(&mut client, "/ok");
            assert_eq!(client.fetch(get("/bomb-parts")).status, 500);
            app.expect(&[Event::Dropped; 2]);
            client.expect_eof();
        });
        check(engine, |app, mut client| {
            client.send("CONNECT tunnel:1 HTTP/1.1\r\nHost: tunnel:1\r\n\r\n");
            assert_eq!(client.response().status, 501);
            app.expect(&[Event::Dropped]);
        });
    }

    fn a_source_that_panics_closes_its_own_connection_only(engine: Engine) {
        for path in ["/bomb-fails", "/bomb-panics", "/bomb-never-starts"] {
            check(engine, |app, mut client| {
                client.send(get(path));
                client.try_response().expect_err("the last chunk is missing");
                app.expect(&[Event::Dropped]);
            });
        }
    }

    fn a_late_response_whose_destructor_panics_harms_no_other(engine: Engine) {
        let (events, dropped) = channel();
        check(engine, |app, mut client| {
            app.request_on(&mut client, "/held");
            client.reset();
            let responder = app.responder();
            wait_for("a closed responder", || responder.is_closed().then_some(()));
            responder.respond(Response::text(faulty(&events, || Ok(Chunk::End))));
            assert_eq!(dropped.recv_timeout(TIMEOUT), Ok(Event::Dropped));
        });
    }

    fn a_handler_whose_destructor_panics_is_replaced(engine: Engine) {
        let (events, dropped) = channel();
        let make = move |text: &'static str| -> MakeHandler {
            let events = events.clone();
            Arc::new(move |number| -> Arc<dyn Handler> {
                let part = || Explosive(text, Bomb(events.clone()));
                if number == 0 {
                    return Arc::new(part());
                }
                let router = Router::new().route(Method::Get, "/", part()).prefix("/b", part()).fallback(part());
                Arc::new(Stack::new(router).wrap(part()).wrap(part()))
            })
        };
        let server = InProcessServer::start_each(engine, settings_with(|_| ()), &make("first"));
        let mut kept = server.connect();
        assert_eq!(kept.fetch(get("/")).text(), "first");
        server.handle().replace_handlers(&make("second"));
        // The other worker has no connection, or only this one. A connection may still see the old handler once.
        for _ in 0..20 {
            let mut client = server.connect();
            client.fetch(get("/"));
            assert_eq!(client.fetch(get("/")).text(), "second");
            client.finish();
        }
        kept.fetch(get("/"));
        assert_eq!(kept.fetch(get("/")).text(), "second");
        kept.finish();
        drop(server);
        // Two workers had two handlers each, of one part and of five parts.
        for _ in 0..2 * (1 + 5) {
            assert_eq!(dropped.recv_timeout(TIMEOUT), Ok(Event::Dropped));
        }
    }
}
