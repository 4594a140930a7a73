//! How a server starts and stops: what it refuses to start with, the sockets and stacks that it uses, and that nothing is
//! left of it after the grace period.

use crate::{
    client::{Client, TIMEOUT, get},
    server::{InProcessServer, settings},
};
use http_engine::{
    Body, Chunk, ChunkSource, Engine, Reply, Request, Response, Running, Server, Settings, listener::Sharing,
};
use std::{
    hint::black_box,
    io,
    net::TcpListener,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

const LONG: Duration = Duration::from_secs(3600);

/// Returns the error of a server that does not start.
fn failure(engine: Engine, server: Server) -> String {
    let started = server.start(engine, |_: &Request<'_>| Response::text("here"));
    let error = started.map(|running| running.stop(Duration::ZERO)).expect_err("an error");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    error.to_string()
}

fn bound() -> Server {
    Server::bind("127.0.0.1:0").expect("a free port")
}

/// Stops a server without a grace period. Panics if it does not stop within [`TIMEOUT`].
fn stop(running: Running) {
    let (sender, stopped) = channel();
    thread::spawn(move || {
        running.stop(Duration::ZERO);
        sender.send(())
    });
    stopped.recv_timeout(TIMEOUT).expect("the server stops");
}

/// Uses `kilobytes` of stack.
fn use_stack(kilobytes: usize) -> usize {
    let block = black_box([1_u8; 1024]);
    let rest = if kilobytes == 0 { 0 } else { use_stack(kilobytes - 1) };
    black_box(&block).len() + rest
}

/// A body without an end. The server drops it together with its connection.
struct EndlessBody(Sender<()>);

impl ChunkSource for EndlessBody {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        chunk.resize(64 * 1024, b'x');
        Ok(Chunk::Data)
    }
}

impl Drop for EndlessBody {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

http_testing::both_engines! {
    fn does_not_start_with_a_setting_that_makes_no_sense(engine: Engine) {
        let with = |change: fn(&mut Settings)| {
            let mut settings = settings();
            change(&mut settings);
            failure(engine, bound().with(settings))
        };
        assert_eq!(
            with(|settings| settings.pool_queue = usize::MAX),
            format!("cannot use the setting `pool_queue` of {}: it must be from 0 to 1048576", usize::MAX)
        );
        assert_eq!(
            with(|settings| settings.protocol.timeouts.idle = Duration::MAX),
            format!("cannot use the timeout `idle` of {:?}: it must be above zero and at most 365 days", Duration::MAX)
        );
        with(|settings| settings.protocol.timeouts.write_stall = Duration::ZERO);
        with(|settings| settings.workers = usize::MAX);
        with(|settings| settings.max_connections = Some(usize::MAX));
    }

    fn does_not_start_without_a_listener(engine: Engine) {
        let error = Server::bind(&[][..]).expect_err("no address");
        assert_eq!(error.to_string(), "cannot bind: the list of addresses is empty");
        assert_eq!(failure(engine, Server::on(Vec::new(), Sharing::Shared)), "cannot serve without a listener");
    }

    /// A listener of the standard library is blocking. Each worker would wait in `accept` for ever.
    fn serves_on_a_listener_that_was_blocking(engine: Engine) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = Server::on(vec![listener], Sharing::Shared).with(settings());
        let running = server.start(engine, |_: &Request<'_>| Response::text("here")).expect("a server");
        let mut clients = [(); 4].map(|()| Client::connect(running.addresses()[0]));
        for _ in 0..2 {
            for client in &mut clients {
                assert_eq!(client.fetch(get("/")).text(), "here");
            }
        }
        stop(running);
    }

    /// By default, on both engines and on the threads for jobs, as much as a thread of the standard library has.
    fn handlers_have_the_stack_of_the_settings(engine: Engine) {
        let check = |stack_size: Option<usize>, used: usize| {
            let mut settings = settings();
            settings.stack_size = stack_size.unwrap_or(settings.stack_size);
            let server = InProcessServer::start(engine, settings, move |request: &Request<'_>| -> Reply {
                let work = move || Response::text((use_stack(used) / 1024).to_string());
                if request.path() == "/offload" { Reply::offload(work) } else { work().into() }
            });
            for path in ["/", "/offload"] {
                assert_eq!(server.connect().fetch(get(path)).text(), (used + 1).to_string());
            }
        };
        check(Some(128 * 1024), 1);
        check(None, 512);
        check(Some(16 * 1024 * 1024), 4096);
    }

    fn accepts_any_grace_period(engine: Engine) {
        let running = bound().start(engine, |_: &Request<'_>| Response::text("here")).expect("a server");
        running.handle().shut_down(Duration::MAX);
        stop(running);
    }

    /// After the grace period no connection is left, whether its thread receives, sends or waits for a handler.
    fn stop_closes_all_connections_and_ends_all_threads(engine: Engine) {
        let mut settings = settings();
        let timeouts = &mut settings.protocol.timeouts;
        (timeouts.head, timeouts.idle, timeouts.write_stall) = (LONG, LONG, LONG);
        let (dropped, was_dropped) = channel();
        let server = bound().with(settings).start(engine, move |_: &Request<'_>| {
            Response::bytes(Body::Stream(Box::new(EndlessBody(dropped.clone()))))
        });
        let running = server.expect("a server");
        let connect = || Client::connect(running.addresses()[0]);
        let mut unfinished = connect();
        unfinished.send("GET / HT");
        let mut unread = connect();
        unread.send(get("/"));
        unread.await_status_line();
        stop(running);
        was_dropped.try_recv().expect("the response is dropped when `stop` returns");
        unfinished.expect_eof();
    }

    /// A handler cannot be interrupted.
    fn stop_does_not_wait_for_a_handler_that_does_not_return(engine: Engine) {
        let (release, released) = channel::<()>();
        let (started, has_started) = channel();
        let (released, started) = (Arc::new(Mutex::new(released)), Mutex::new(started));
        let server = bound().start(engine, move |_: &Request<'_>| {
            started.lock().expect("no panic").send(()).expect("the test still runs");
            let released: &Receiver<()> = &released.lock().expect("no panic");
            let _ = released.recv();
            Response::text("here")
        });
        let running = server.expect("a server");
        let mut client = Client::connect(running.addresses()[0]);
        client.send(get("/"));
        has_started.recv_timeout(TIMEOUT).expect("the handler is called");
        stop(running);
        drop(release);
        // The thread then closes the connection, with or without a response.
        let _ = client.try_reply();
        client.expect_eof();
    }
}
