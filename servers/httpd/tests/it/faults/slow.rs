//! Slow clients: they do not delay other clients, and the server closes their connections when a timeout expires.

use super::start;
use crate::{
    client::{Client, get, request, wait_for},
    program::{ServerKind, begin_download},
};
use http_engine::{Body, Chunk, ChunkSource, Engine, Request, Response, Settings, Timeouts};
use http_testing::{
    reply::retry_on_eintr,
    server::{InProcessServer, settings},
    server_under_test::raise_descriptor_limit,
};
use std::{
    io::{self, Read},
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};

/// How many clients send requests slowly.
const SLOW: usize = 150;

/// How many clients request a file and do not read it.
const UNREAD: usize = 30;

/// A timeout so short that a test can wait until it expires. An event loop checks deadlines once a second.
const SHORT: Duration = Duration::from_millis(500);

/// The pause between two reads of a slow client: so short that no timeout between reads expires.
const PACE: Duration = Duration::from_millis(20);

/// Opens `count` connections, sends a request on every other one, and leaves all idle. Checks that the server serves
/// other clients meanwhile. A blocking server evicts the connections that have been idle for longest.
fn check_idle(kind: ServerKind, count: usize) {
    let server = start(kind, &[]);
    // A client uses two descriptors.
    let count = raise_descriptor_limit(2 * count) / 2;
    let open = |number| {
        let mut client = server.connect();
        if number % 2 == 0 {
            assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n", "number {number}");
        }
        client
    };
    let idle: Vec<Client> = (0..count).map(open).collect();
    // Connections that send nothing are accepted late (TCP_DEFER_ACCEPT). Others may have been evicted by then.
    wait_for("all connections to be accepted", || {
        let closed = idle.iter().filter(|client| client.is_closed()).count();
        server.has_connections(count - closed).then_some(())
    });
    server.check_responsive("idle connections", || {});
    drop(idle);
    server.check_recovers();
}

two_kinds! {
    fn serves_others_while_heads_arrive_byte_by_byte(kind: ServerKind) {
        let server = start(kind, &[]);
        let begin = |_| {
            let mut client = server.connect();
            client.send("GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ");
            client
        };
        let mut slow: Vec<Client> = (0..SLOW).map(begin).collect();
        server.wait_for_connections(SLOW);
        server.check_responsive("heads that arrive byte by byte", || {
            slow.iter_mut().for_each(|client| client.send("x"));
        });
        drop(slow);
        server.check_recovers();
    }

    fn serves_others_while_downloads_are_not_read(kind: ServerKind) {
        let server = start(kind, &[]);
        let unread: Vec<Client> = (0..UNREAD).map(|_| begin_download(server.address(), "/huge.bin")).collect();
        server.check_responsive("downloads that no client reads", || {});
        drop(unread);
        server.check_recovers();
    }

    /// The clients keep their connections open, so the server must close them.
    fn closes_connections_whose_timeouts_expire(kind: ServerKind) {
        let timeouts = ["--head-timeout", "1", "--body-timeout", "1s", "--write-timeout", "1", "--idle-timeout", "900ms"];
        let server = start(kind, &timeouts);
        let half = request("POST", "/notes.txt", "Content-Length: 10\r\n") + "half";
        let beginnings = [("GET / HTTP/1.1\r\nX-Slow: ", 408), (&half, 405), (&get("/notes.txt"), 200)];
        let begin = |(bytes, status): &(&str, u16)| {
            let mut client = server.connect();
            client.send(bytes);
            (client, *status)
        };
        let mut slow: Vec<_> = beginnings.iter().cycle().take(SLOW).map(begin).collect();
        let _unread: Vec<Client> = (0..UNREAD).map(|_| begin_download(server.address(), "/huge.bin")).collect();
        for (client, status) in &mut slow {
            assert_eq!(client.response().status, *status);
            client.expect_eof();
        }
        server.check_recovers();
    }

    fn serves_others_while_connections_are_idle(kind: ServerKind) {
        check_idle(kind, 500);
    }

    /// A blocking server has 1,024 threads, so it must evict connections.
    #[ignore = "heavy: .ci/deep"]
    fn serves_others_while_thousands_of_connections_are_idle(kind: ServerKind) {
        check_idle(kind, 5_000);
    }
}

/// Returns settings whose timeouts never expire in a test, except those that `shorten` sets.
fn with_timeouts(shorten: impl FnOnce(&mut Timeouts)) -> Settings {
    const NEVER: Duration = Duration::from_secs(3600);
    let mut settings = settings();
    let timeouts = &mut settings.protocol.timeouts;
    (timeouts.head, timeouts.body_idle, timeouts.idle, timeouts.write_stall) = (NEVER, NEVER, NEVER, NEVER);
    shorten(timeouts);
    settings
}

/// A response body without an end. It sends a message when it is dropped, which the server does when it closes the
/// connection.
struct Endless(Sender<()>);

impl ChunkSource for Endless {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        chunk.resize(16 * 1024, b'x');
        Ok(Chunk::Data)
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        // This fails if the test has ended and dropped the receiver.
        let _ = self.0.send(());
    }
}

/// Reads a response slowly but without a long pause, from a server whose minimum rate is `send_rate` bytes a second.
/// Checks that the server closes the connection meanwhile if, and only if, `is_closed`.
fn check_slow_reader(engine: Engine, send_rate: u32, is_closed: bool) {
    let settings = with_timeouts(|timeouts| (timeouts.write_stall, timeouts.send_rate) = (SHORT, send_rate));
    let (sender, was_dropped) = channel();
    let server = InProcessServer::start(engine, settings, move |_: &Request<'_>| {
        Response::bytes(Body::Stream(Box::new(Endless(sender.clone()))))
    });
    let mut client = Client::connect_with_small_buffer(server.address);
    client.send(get("/"));
    let (start, mut buffer) = (Instant::now(), [0; 1024]);
    let mut is_dropped = false;
    while !is_dropped && start.elapsed() < 5 * SHORT {
        let count = retry_on_eintr(|| client.stream.read(&mut buffer)).expect("more of the response");
        assert!(count > 0 || is_closed, "the connection is closed");
        is_dropped = was_dropped.recv_timeout(PACE).is_ok();
    }
    assert_eq!(is_dropped, is_closed, "at {send_rate} bytes a second");
}

http_testing::both_engines! {
    /// It never pauses, but it is slower than the minimum rate.
    fn a_body_that_arrives_too_slowly_gets_408(engine: Engine) {
        let settings = with_timeouts(|timeouts| (timeouts.body_idle, timeouts.body_rate) = (SHORT, 1 << 20));
        let server = InProcessServer::start(engine, settings, |_: &Request<'_>| Response::text("here"));
        let mut client = server.connect();
        client.send(request("POST", "/", "Content-Length: 1000000\r\n"));
        // Sending fails if the server has just closed the connection. Its response is about to arrive then.
        wait_for("a response", || (client.has_received() || client.try_send("x").is_err()).then_some(()));
        let reply = client.response();
        assert_eq!((reply.status, reply.close), (408, true));
        client.expect_eof();
    }

    fn a_response_that_is_read_too_slowly_is_aborted(engine: Engine) {
        check_slow_reader(engine, 1, false);
        check_slow_reader(engine, 1 << 30, true);
    }
}
