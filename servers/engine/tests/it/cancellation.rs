//! Work for a client that has left, and work that takes too long: it is dropped, or learns that nothing waits for it.
//! Each value of the application panics when it is dropped ([`Bomb`]).

use crate::{
    app::{TestApp, settings_with, wait_for_room, with_reply_timeout},
    client::{Client, TIMEOUT, get, wait_for},
    faults::{Bomb, Event, fail},
    server::{InProcessServer, settings},
};
use http_engine::{Engine, Reply, Request, Responder, Response};
use std::{
    mem,
    sync::{
        Mutex,
        mpsc::{RecvTimeoutError, channel},
    },
    time::Duration,
};

http_testing::both_engines! {
    fn work_ends_when_its_client_leaves(engine: Engine) {
        let app = TestApp::start(engine, settings());
        app.request("/never").reset();
        app.expect(&[Event::Dropped]);
        let client = app.request("/running");
        app.expect(&[Event::Started]);
        client.reset();
        app.expect(&[Event::Cancelled, Event::Dropped]);
        let (client, responder) = app.hold();
        assert!(!responder.is_closed());
        client.reset();
        wait_for("a closed responder", || responder.is_closed().then_some(()));
        responder.respond(Response::text("too late"));
    }

    /// The functions run once, after a reset and when the server stops, and not after a response or for a half-closed
    /// client.
    fn a_callback_runs_only_if_the_response_is_not_wanted(engine: Engine) {
        let app = TestApp::start(engine, settings());
        let on_closed = |responder: &Responder| {
            let (closed, is_closed) = channel();
            responder.on_closed(move || {
                let _ = closed.send(());
                fail();
            });
            is_closed
        };
        let (client, responder) = app.hold();
        let closed = on_closed(&responder);
        client.reset();
        assert_eq!(closed.recv_timeout(TIMEOUT), Ok(()));
        assert_eq!(on_closed(&responder).recv_timeout(TIMEOUT), Ok(()), "it runs at once");
        let (mut client, responder) = app.hold();
        client.shutdown_write();
        let closed = on_closed(&responder);
        responder.respond(Response::text("held"));
        assert_eq!(client.response().text(), "held");
        client.expect_eof();
        assert_eq!(closed.recv_timeout(TIMEOUT), Err(RecvTimeoutError::Disconnected));
        let (_client, responder) = app.hold();
        let closed = on_closed(&responder);
        drop(app);
        assert_eq!(closed.recv_timeout(TIMEOUT), Ok(()));
    }

    /// All clients wait at the same time.
    fn a_reply_that_takes_too_long_becomes_503(engine: Engine) {
        let app = TestApp::start(engine, with_reply_timeout());
        let mut clients = ["/never", "/running", "/held", "/forgotten"].map(|path| app.request(path));
        app.expect(&[Event::Started]);
        let responder = app.responder();
        for client in &mut clients {
            client.send(get("/next"));
            let response = client.response();
            assert_eq!((response.status, response.header("Retry-After"), response.keeps_alive), (503, Some("1"), false));
            client.expect_eof();
        }
        app.expect(&[Event::Dropped, Event::Cancelled, Event::Dropped]);
        wait_for("a closed responder", || responder.is_closed().then_some(()));
        responder.respond(Response::text("too late"));
        wait_for_room(&app.server).finish();
    }

    /// With one connection allowed, the next client gets 503 until the connection of the first is closed.
    fn a_client_that_leaves_makes_room_for_another(engine: Engine) {
        let one = settings_with(|settings| (settings.workers, settings.max_connections) = (1, Some(1)));
        let app = TestApp::start(engine, one);
        for path in ["/never", "/running", "/held", "/stream", "/endless"] {
            for _ in 0..3 {
                let mut client = wait_for_room(&app.server);
                app.request_on(&mut client, path);
                client.reset();
            }
        }
        wait_for_room(&app.server);
    }

    /// A client that has closed only its sending side has not left.
    fn a_half_closed_client_receives_its_late_response(engine: Engine) {
        let app = TestApp::start(engine, settings());
        for path in ["/after", "/offload", "/held"] {
            let mut client = app.send(get(path));
            client.shutdown_write();
            if path == "/held" {
                app.responder().respond(Response::text("held"));
            }
            assert_eq!(client.response().text(), &path[1..]);
            client.expect_eof();
        }
    }
}

/// A job in the queue belongs to a client that leaves or waits too long: it is dropped while the only thread is busy.
/// While the queue is full, other clients get 503. The blocking engine has no such queue: it starts a thread for each
/// job.
#[test]
fn a_queued_job_is_dropped_when_its_client_leaves_or_waits_too_long() {
    for reply_timeout in [None, Some(Duration::from_millis(600))] {
        let settings = settings_with(|settings| {
            (settings.workers, settings.pool_threads, settings.pool_queue) = (1, 1, 1);
            let timeout = &mut settings.protocol.timeouts.reply;
            *timeout = reply_timeout.unwrap_or(*timeout);
        });
        let (release, released) = channel::<()>();
        let (events, seen) = channel();
        let released = Mutex::new(Some(released));
        let server = InProcessServer::start(Engine::EventLoop, settings, move |request: &Request<'_>| {
            let bomb = Bomb(events.clone());
            let released = (request.path() == "/busy").then(|| released.lock().unwrap().take()).flatten();
            Reply::offload(move || {
                bomb.send(Event::Started);
                if let Some(released) = released {
                    let _ = released.recv_timeout(TIMEOUT);
                }
                // Its drop would be a panic of the job.
                mem::forget(bomb);
                Response::text("done")
            })
        });
        let ask = |path| Client::connect_and_send(server.address, get(path));
        let mut busy = ask("/busy");
        assert_eq!(seen.recv_timeout(TIMEOUT), Ok(Event::Started));
        // The queue has room for one job: each of these finds it free, and leaves it free.
        if reply_timeout.is_some() {
            assert_eq!(ask("/queued").response().header("Retry-After"), Some("1"));
            assert_eq!(seen.recv_timeout(TIMEOUT), Ok(Event::Dropped));
        } else {
            for _ in 0..3 {
                let queued = ask("/queued");
                // The job is in the queue when another request on a later connection has been rejected.
                let rejected = wait_for("a full queue", || {
                    Some(ask("/rejected").response()).filter(|response| response.status == 503)
                });
                assert_eq!((rejected.header("Retry-After"), rejected.keeps_alive), (Some("1"), false));
                while let Ok(event) = seen.try_recv() {
                    assert_eq!(event, Event::Dropped, "of a rejected request");
                }
                queued.reset();
                assert_eq!(seen.recv_timeout(TIMEOUT), Ok(Event::Dropped));
            }
        }
        drop(release);
        let status = busy.try_response().map(|response| response.status);
        assert_eq!(status, Ok(if reply_timeout.is_some() { 503 } else { 200 }));
        let started = seen.try_iter().any(|event| event == Event::Started);
        assert!(!started, "a job ran for a client that has left");
    }
}
