//! How a server starts and stops: what it refuses to start with, the sockets and stacks that it uses, and that nothing
//! is left of it after the grace period.

use crate::{
    app::{LONG, TestApp, settings_with},
    client::{Client, TIMEOUT, get, request, wait_for},
    faults::Event,
    server::{InProcessServer, settings},
};
use http_engine::{Engine, Handler, Reply, Request, Response, Server};
use std::{
    hint::black_box,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::{Mutex, mpsc::channel},
    time::Duration,
};

/// Starts a server that waits this long for the last requests on idle connections.
fn start_with_idle_grace(engine: Engine, idle_grace: Duration) -> InProcessServer {
    let settings = settings_with(|settings| settings.protocol.timeouts.idle_grace = idle_grace);
    InProcessServer::start(engine, settings, here())
}

/// Opens two idle connections: one after its first response, and one without a request.
fn connect_idle(server: &InProcessServer) -> [Client; 2] {
    let mut clients = [(); 2].map(|()| server.connect());
    assert!(clients[0].fetch(get("/")).keeps_alive);
    wait_for("idle connections", || {
        let idle: u64 = server.running().metrics().iter().map(|worker| worker.idle_connections).sum();
        (idle == 2).then_some(())
    });
    clients
}

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
        let error = Server::bind("127.0.0.1").expect_err("no port");
        let expected = "cannot resolve the address to bind: invalid socket address (write host:port, such as 127.0.0.1:8080)";
        assert_eq!(error.to_string(), expected);
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

    /// A client may have sent its request before it could see that the connection closes. A new connection counts as
    /// idle.
    fn a_stopping_server_answers_one_more_request_on_each_idle_connection(engine: Engine) {
        let server = start_with_idle_grace(engine, LONG);
        let mut clients = connect_idle(&server);
        server.running().stopper().stop(LONG);
        wait_for("a refused connection", || TcpStream::connect(server.address).err());
        for client in &mut clients {
            let response = client.fetch(get("/"));
            assert_eq!((&*response.text(), response.keeps_alive), ("here", false));
            client.expect_eof();
        }
        server.running().wait().expect("no connection is left");
    }

    /// Also if the kernel has queued more connections than a worker accepts in one turn.
    fn a_stopping_server_serves_all_clients_that_have_connected(engine: Engine) {
        let (started, starts) = channel();
        let (end, ended) = channel();
        let ended = Mutex::new(ended);
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().expect("an address"));
        let server = Server::listen_all(listeners).expect("listeners").settings(settings()).workers(1);
        let server = InProcessServer::run(engine, server, move |request: &Request<'_>| {
            if request.path() == "/busy" {
                started.send(()).expect("the test waits");
                let _ = ended.lock().expect("no panic").recv_timeout(TIMEOUT);
            }
            "served"
        });
        let connect = |path, address| Client::connect_and_send(address, get(path));
        let mut clients = vec![connect("/busy", addresses[0])];
        starts.recv_timeout(TIMEOUT).expect("a request");
        clients.extend((0..100).map(|number: usize| connect("/", addresses[number % 2])));
        server.running().stopper().stop(LONG);
        end.send(()).expect("the handler waits");
        for client in &mut clients {
            assert_eq!(client.response().text(), "served");
        }
    }

    fn a_stopping_server_closes_idle_connections_after_the_idle_grace(engine: Engine) {
        let server = start_with_idle_grace(engine, Duration::from_millis(1));
        let mut clients = connect_idle(&server);
        server.running().stopper().stop(LONG);
        clients.iter_mut().for_each(Client::expect_eof);
        server.running().wait().expect("no connection is left");
    }

    /// The kernel does not pass the receive timeout of a listening Unix socket on to those that it accepts.
    fn serves_on_a_unix_socket(engine: Engine) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let settings = settings_with(|settings| {
            settings.protocol.timeouts.idle = Duration::from_millis(1);
            // The only client has no address.
            settings.max_connections_per_address = Some(1);
        });
        let server = Server::bind_unix(&path).expect("a free path").settings(settings).engine(engine);
        let running = server.serve(|request: &Request<'_>| format!("{:?}", request.client_addr())).expect("an engine");
        assert_eq!(running.addresses()[0].to_string(), format!("unix:{}", path.display()));
        let mut clients = [(); 2].map(|()| UnixStream::connect(&path).expect("a server"));
        clients[0].write_all(request("GET", "/", "Connection: close\r\n").as_bytes()).expect("a server");
        for (client, body) in clients.iter_mut().zip(["\r\n\r\nNone", ""]) {
            client.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
            let mut response = String::new();
            client.read_to_string(&mut response).expect("the end");
            assert!(response.ends_with(body) && response.is_empty() == body.is_empty(), "{response:?}");
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
