//! How a server starts and stops: what it refuses to start with, the sockets and stacks that it uses, and that nothing
//! is left of it after the grace period.

use crate::{
    app::{LONG, TestApp, settings_with},
    client::{Client, get},
    faults::Event,
    server::{InProcessServer, settings},
};
use http_engine::{Engine, Handler, Reply, Request, Response, Server};
use std::{hint::black_box, io, net::TcpListener, time::Duration};

fn here() -> impl Handler {
    |_: &Request<'_>| Response::text("here")
}

/// Checks that a server does not start, with an error that begins like this.
fn check_error(engine: Engine, server: Server, expected: &str) {
    let started = server.engine(engine).serve_handler(here());
    let error = started.map(|running| running.stop(Duration::ZERO)).expect_err("an error");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with(expected), "{error}");
}

/// Uses `kilobytes` of stack.
fn use_stack(kilobytes: usize) -> usize {
    let block = black_box([1_u8; 1024]);
    let rest = if kilobytes == 0 { 0 } else { use_stack(kilobytes - 1) };
    black_box(&block).len() + rest
}

http_testing::both_engines! {
    fn does_not_start_without_a_listener_or_with_a_setting_that_makes_no_sense(engine: Engine) {
        let bound = || Server::bind("127.0.0.1:0").expect("a free port");
        let error = Server::bind(&[][..]).expect_err("no address");
        assert_eq!(error.to_string(), "cannot bind: the list of addresses is empty");
        check_error(engine, Server::listen_all::<TcpListener>([]).expect("no error"), "cannot serve without a listener");
        let invalid = settings_with(|settings| settings.workers = usize::MAX);
        check_error(engine, bound().settings(invalid), "cannot use the setting `workers` of 1844");
        let invalid = settings_with(|settings| settings.protocol.timeouts.idle = Duration::MAX);
        check_error(engine, bound().settings(invalid), "cannot use the timeout `idle` of 1844");
    }

    /// A listener of the standard library is blocking. Each worker would wait in `accept` for ever.
    fn serves_on_a_listener_that_was_blocking(engine: Engine) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = Server::listen(listener).expect("a TCP socket").settings(settings());
        let server = InProcessServer::run(engine, server, here());
        let mut clients = [(); 4].map(|()| server.connect());
        for _ in 0..2 {
            for client in &mut clients {
                assert_eq!(client.fetch(get("/")).text(), "here");
            }
        }
    }

    /// By default, on both engines and on the threads for jobs, as much as a thread of the standard library has.
    fn handlers_have_the_stack_of_the_settings(engine: Engine) {
        for (stack_size, used) in [(Some(128 * 1024), 1), (None, 512), (Some(16 * 1024 * 1024), 4096)] {
            let settings = settings_with(|settings| settings.stack_size = stack_size.unwrap_or(settings.stack_size));
            let server = InProcessServer::start(engine, settings, move |request: &Request<'_>| -> Reply {
                let work = move || Response::text((use_stack(used) / 1024).to_string());
                if request.path() == "/offload" { Reply::offload(work) } else { work().into() }
            });
            for path in ["/", "/offload"] {
                assert_eq!(server.connect().fetch(get(path)).text(), (used + 1).to_string());
            }
        }
    }

    /// After the grace period no connection is left, whether its thread receives, sends, or waits for a job or a
    /// source.
    fn stop_closes_all_connections_and_ends_all_threads(engine: Engine) {
        let settings = settings_with(|settings| {
            let timeouts = &mut settings.protocol.timeouts;
            (timeouts.head, timeouts.idle, timeouts.write_stall) = (LONG, LONG, LONG);
        });
        let app = TestApp::start(engine, settings);
        let mut unfinished = app.send("GET / HT");
        let _working = app.request("/running");
        app.expect(&[Event::Started]);
        let [unread, started] = ["/endless", "/stream"].map(|path| app.request(path));
        let mut feed = app.feed();
        feed.send("one");
        [unread, started].iter().for_each(Client::await_status_line);
        let TestApp { server, events, .. } = app;
        drop(server);
        assert!(feed.is_dropped(), "the response is dropped when `stop` returns");
        let mut seen: Vec<Event> = events.iter().take(3).collect();
        seen.sort_unstable();
        assert_eq!(seen, [Event::Cancelled, Event::Dropped, Event::Dropped]);
        unfinished.expect_eof();
    }

    /// A handler cannot be interrupted. Any grace period is accepted.
    fn stop_does_not_wait_for_a_handler_that_does_not_return(engine: Engine) {
        let app = TestApp::start(engine, settings());
        let mut client = app.send(get("/blocks"));
        app.expect(&[Event::Started]);
        app.server.running().stopper().stop(Duration::MAX);
        let TestApp { server, unblock, .. } = app;
        drop((server, unblock));
        // The thread then closes the connection, with or without a response.
        let _ = client.try_response();
        client.expect_eof();
    }
}
