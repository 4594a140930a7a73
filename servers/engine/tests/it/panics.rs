//! Code and destructors of the application that panic: each closes at most its own connection.

use crate::{
    app::{TestApp, check_open, settings_with, wait_for_room},
    client::{Client, TIMEOUT, get, request, wait_for},
    faults::{Bomb, Event, faulty},
    server::InProcessServer,
};
use http_engine::{
    Chunk, Engine, Handler, Method, Middleware, Next, Reply, Request, Response, Router, Stack,
};
use std::sync::{Arc, mpsc::channel};

/// The maximum number of connections, and of those from one address. Each way to panic is tried more often than that.
const CONNECTIONS: usize = 3;

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

    fn a_late_response_whose_destructor_panics_closes_no_connection(engine: Engine) {
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
        let make = move |text: &'static str| {
            let events = events.clone();
            move |number| -> Arc<dyn Handler> {
                let part = || Explosive(text, Bomb(events.clone()));
                if number == 0 {
                    return Arc::new(part());
                }
                let router = Router::builder()
                    .route(Method::Get, "/", part())
                    .prefix("/b", part())
                    .wrap(part())
                    .fallback(part())
                    .build()
                    .expect("a router");
                Arc::new(Stack::new(router).wrap(part()).wrap(part()))
            }
        };
        let server = InProcessServer::start_each(engine, settings_with(|_| ()), make("first"));
        let mut kept = server.connect();
        assert_eq!(kept.fetch(get("/")).text(), "first");
        server.running().replace_handlers(make("second"));
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
