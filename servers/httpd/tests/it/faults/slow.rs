//! Slow clients: they do not delay other clients, and the server closes their connections when a timeout expires.

use crate::{
    client::{Client, TIMEOUT, get, request, wait_for},
    faults::start,
    program,
    reply::retry_on_eintr,
    server::{InProcessServer, settings},
    server_under_test::{
        ServerUnderTest, connect_and_send, is_closed, raise_descriptor_limit, receives_notes,
    },
};
use http_engine::{Body, Chunk, ChunkSource, Engine, Request, Response, Settings, Timeouts};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};

/// How many clients send requests slowly.
const SLOW: usize = 400;

/// How many clients request a file and do not read it.
const UNREAD: usize = 100;

/// How many connections are idle.
const IDLE: usize = 5_000;

/// A timeout so short that a test can wait until it expires. An event loop checks deadlines once a second.
const SHORT: Duration = Duration::from_millis(500);
/// The pause between two reads of a slow client: so short that no timeout between reads expires.
const PACE: Duration = Duration::from_millis(20);

http_testing::both_engines! {
    fn serves_others_while_heads_arrive_byte_by_byte(kind: ServerKind) {
        let server = start(kind);
        let begin = |_| connect_and_send(server.address(), "GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ");
        let mut slow: Vec<TcpStream> = (0..SLOW).map(begin).collect();
        server.wait_for_connections(SLOW);
        server.check_responsive("400 heads that arrive byte by byte", || {
            for stream in &mut slow {
                stream.write_all(b"x").expect("the connection is still open");
            }
        });
        drop(slow);
        server.check_recovers();
    }

    fn serves_others_while_downloads_are_not_read(kind: ServerKind) {
        let server = start(kind);
        let connect = |_| Client::connect_with_small_buffer(server.address());
        let mut unread: Vec<Client> = (0..UNREAD).map(connect).collect();
        for client in &mut unread {
            client.send(get("/huge.bin"));
        }
        server.wait_for_connections(UNREAD);
        server.check_responsive("100 downloads that no client reads", || {});
        drop(unread);
        server.check_recovers();
    }

    /// The clients keep their connections open, so the server must close them.
    fn closes_connections_whose_timeouts_expire(kind: ServerKind) {
        let short = ["--head-timeout", "--body-timeout", "--write-timeout", "--idle-timeout"];
        let short = short.map(|option| [option, "1"]).concat();
        let arguments = [kind.arguments(), &short].concat();
        let server = ServerUnderTest::start(kind, "/notes.txt", || program::serve(&arguments));
        let half = request("POST", "/notes.txt", "Content-Length: 10\r\n") + "half";
        let beginnings = ["GET / HTTP/1.1\r\nX-Slow: ".to_owned(), half, get("/notes.txt")];
        let slow = beginnings.iter().cycle().take(SLOW);
        let begin = |beginning| connect_and_send(server.address(), beginning);
        let slow: Vec<TcpStream> = slow.map(begin).collect();
        let connect = |_| Client::connect_with_small_buffer(server.address());
        let mut unread: Vec<Client> = (0..UNREAD).map(connect).collect();
        for client in &mut unread {
            client.send(get("/huge.bin"));
        }
        server.wait_for_connections(UNREAD);
        server.check_recovers();
        drop((slow, unread));
    }

    /// Half of the clients have sent a request. A blocking server evicts the connections that have been idle for
    /// longest.
    fn serves_others_while_connections_are_idle(kind: ServerKind) {
        let server = start(kind);
        let count = raise_descriptor_limit(IDLE);
        let idle: Vec<TcpStream> = (0..count)
            .map(|number| {
                let sends = number % 2 == 0;
                let request = if sends { get("/notes.txt") } else { String::new() };
                let stream = connect_and_send(server.address(), request);
                assert!(!sends || receives_notes(&stream), "number {number}");
                stream
            })
            .collect();
        // Connections that send nothing are accepted late (TCP_DEFER_ACCEPT). Others may have been evicted by then.
        wait_for("all connections to be accepted", || {
            let closed = idle.iter().filter(|stream| is_closed(stream)).count();
            server.has_connections(count - closed).then_some(())
        });
        server.check_responsive("5,000 idle connections", || {});
        drop(idle);
        server.check_recovers();
    }
}

/// Returns settings whose timeouts never expire in a test, except those that `shorten` sets.
fn with_timeouts(shorten: impl FnOnce(&mut Timeouts)) -> Settings {
    const NEVER: Duration = Duration::from_secs(3600);
    let mut settings = settings();
    let timeouts = &mut settings.protocol.timeouts;
    (timeouts.head, timeouts.body_idle, timeouts.reply) = (NEVER, NEVER, NEVER);
    (timeouts.idle, timeouts.write_stall) = (NEVER, NEVER);
    shorten(timeouts);
    settings
}

/// Starts a server and 50 clients that send `beginning`, then `more` every few milliseconds. Checks that each
/// receives 408 and the end of the connection, and that the server serves another client afterwards.
fn check_408(settings: Settings, engine: Engine, beginning: &str, more: &str) {
    let server = InProcessServer::start(engine, settings, |_: &Request<'_>| Response::text("here"));
    let begin = |_| {
        let mut client = server.connect();
        client.send(beginning);
        client.stream.set_read_timeout(Some(Duration::from_micros(1))).expect("a timeout");
        client
    };
    let mut clients: Vec<Client> = (0..50).map(begin).collect();
    wait_for("a response for each client", || {
        let waiting = clients.iter_mut().filter_map(|client| {
            let peeked = retry_on_eintr(|| client.stream.peek(&mut [0]));
            // Sending fails if the server has just closed the connection. Its response is about to arrive then.
            peeked.is_err().then(|| client.try_send(more))
        });
        (waiting.count() == 0).then_some(())
    });
    for mut client in clients {
        client.stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let reply = client.response();
        assert_eq!((reply.status, reply.close), (408, true), "{beginning}");
        client.expect_eof();
    }
    assert_eq!(server.connect().fetch(get("/")).text(), "here");
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
    let settings =
        with_timeouts(|timeouts| (timeouts.write_stall, timeouts.send_rate) = (2 * SHORT, send_rate));
    let (sender, was_dropped) = channel();
    let server = InProcessServer::start(engine, settings, move |_: &Request<'_>| {
        Response::bytes(Body::Stream(Box::new(Endless(sender.clone()))))
    });
    let mut client = Client::connect_with_small_buffer(server.address);
    client.send(get("/"));
    let (start, mut buffer) = (Instant::now(), [0; 1024]);
    let mut is_dropped = false;
    while !is_dropped && start.elapsed() < 8 * SHORT {
        let count = retry_on_eintr(|| client.stream.read(&mut buffer)).expect("more of the response");
        assert!(count > 0 || is_closed, "the connection is closed");
        is_dropped = was_dropped.recv_timeout(PACE).is_ok();
    }
    assert_eq!(is_dropped, is_closed, "at {send_rate} bytes a second");
}

http_testing::both_engines! {
    fn a_head_that_arrives_byte_by_byte_gets_408(engine: Engine) {
        check_408(with_timeouts(|timeouts| timeouts.head = SHORT), engine, "GET / HTTP/1.1\r\nX: ", "x");
    }

    fn a_body_that_pauses_gets_408(engine: Engine) {
        let post = request("POST", "/", "Content-Length: 10\r\n");
        check_408(with_timeouts(|timeouts| timeouts.body_idle = SHORT), engine, &post, "");
    }

    /// It never pauses, but it is slower than the minimum rate.
    fn a_body_that_arrives_too_slowly_gets_408(engine: Engine) {
        let settings = with_timeouts(|timeouts| (timeouts.body_idle, timeouts.body_rate) = (SHORT, 1 << 20));
        check_408(settings, engine, &request("POST", "/", "Content-Length: 1000000\r\n"), "x");
    }

    fn a_response_that_is_read_too_slowly_is_aborted(engine: Engine) {
        check_slow_reader(engine, 1, false);
        check_slow_reader(engine, 1 << 30, true);
    }
}
