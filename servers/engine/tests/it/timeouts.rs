//! Every wait has a deadline: for a head, a body, the next request, a client that does not read or does not close.

use crate::{
    client::{Client, TIMEOUT, get, request, wait_for},
    reply::retry_on_eintr,
    server::{InProcessServer, settings},
};
use http_engine::{Body, Chunk, ChunkSource, Engine, Request, Response, Settings, Timeouts};
use std::{
    io::{self, Read},
    sync::mpsc::{Sender, channel},
    time::Duration,
};

/// An event loop checks deadlines once a second: these pass within two seconds.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(3600);

/// Starts a server whose timeouts are long, except those that `shorten` sets.
fn start(engine: Engine, shorten: impl FnOnce(&mut Timeouts)) -> InProcessServer {
    InProcessServer::start(engine, with_timeouts(shorten), |_: &Request<'_>| Response::text("here"))
}

fn with_timeouts(shorten: impl FnOnce(&mut Timeouts)) -> Settings {
    let mut settings = settings();
    let timeouts = &mut settings.protocol.timeouts;
    (timeouts.head, timeouts.body_idle, timeouts.reply) = (LONG, LONG, LONG);
    (timeouts.idle, timeouts.write_stall, timeouts.linger) = (LONG, LONG, LONG);
    shorten(timeouts);
    settings
}

/// Sends the start of each request and expects 408. The last client keeps sending `drop`, which must not help it.
fn check_too_slow(server: &InProcessServer, beginnings: &[&str], drop: &str) {
    let begin = |beginning: &&str| {
        let mut client = server.connect();
        client.send(beginning);
        client
    };
    let mut clients: Vec<Client> = beginnings.iter().map(begin).collect();
    if let Some(last) = clients.last_mut() {
        drip(last, drop);
    }
    for (client, beginning) in clients.iter_mut().zip(beginnings) {
        check_408(client, beginning);
    }
}

/// Sends `drop` again and again until a response arrives.
fn drip(client: &mut Client, drop: &str) {
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    wait_for("a response", || match retry_on_eintr(|| client.stream.peek(&mut [0])) {
        Ok(_) => Some(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            // The server may have closed already; then its response is the next thing to arrive.
            let _ = client.try_send(drop);
            None
        }
        Err(error) => panic!("{error}"),
    });
    client.stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
}

fn check_408(client: &mut Client, beginning: &str) {
    let outcome = client.try_reply();
    let reply = outcome.unwrap_or_else(|fault| panic!("{fault}, for {beginning}"));
    assert_eq!((reply.status, reply.close), (408, true), "{beginning}");
    client.expect_eof();
}

/// A body without an end. The server drops it together with its connection.
pub struct Endless(pub Sender<()>);

impl ChunkSource for Endless {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        chunk.resize(64 * 1024, b'x');
        Ok(Chunk::Data)
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        // The test may end first.
        let _ = self.0.send(());
    }
}

http_testing::both_engines! {
    fn a_slow_head_gets_408(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.head = SHORT);
        check_too_slow(&server, &["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: te"], "s");
    }

    fn a_slow_head_after_a_request_gets_408(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.head = SHORT);
        let mut client = server.connect();
        client.send(get("/") + "GET / HT");
        assert_eq!(client.reply().text(), "here");
        check_408(&mut client, "the second of two");
    }

    fn a_slow_body_gets_408(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.body_idle = SHORT);
        let ten = request("POST", "/", "Content-Length: 10\r\n");
        let chunked = request("POST", "/", "Transfer-Encoding: chunked\r\n");
        let (some, endless) = (ten.clone() + "abc", chunked.clone() + "fffff\r\n");
        check_too_slow(&server, &[&ten, &some, &chunked, &endless], "x");
    }

    fn an_idle_connection_closes_without_a_response(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.idle = SHORT);
        let mut never_asked = server.connect();
        let mut asked = server.connect();
        assert_eq!(asked.fetch(get("/")).text(), "here");
        asked.expect_eof();
        never_asked.expect_eof();
    }

    /// Each request restarts the idle timeout.
    fn a_busy_connection_stays_open(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.idle = Duration::from_secs(2));
        let mut busy = server.connect();
        let mut idle = server.connect();
        assert_eq!(idle.fetch(get("/")).text(), "here");
        idle.stream.set_nonblocking(true).expect("a socket");
        // The busy connection lives longer than the idle timeout.
        wait_for("the idle one is closed", || {
            assert_eq!(busy.fetch(get("/")).text(), "here");
            idle.stream.read(&mut [0]).is_ok_and(|count| count == 0).then_some(())
        });
        assert_eq!(busy.fetch(get("/")).text(), "here");
        busy.finish();
    }

    fn a_client_that_never_reads_is_disconnected(engine: Engine) {
        let (dropped, was_dropped) = channel();
        let settings = with_timeouts(|timeouts| timeouts.write_stall = SHORT);
        let server = InProcessServer::start(engine, settings, move |_: &Request<'_>| {
            Response::bytes(Body::Stream(Box::new(Endless(dropped.clone()))))
        });
        let mut client = server.connect();
        client.send(get("/"));
        was_dropped.recv_timeout(TIMEOUT).expect("the response is dropped");
        // What was sent before arrives, without the last chunk.
        let mut all = Vec::new();
        let _ = client.stream.read_to_end(&mut all);
        assert!(all.starts_with(b"HTTP/1.1 200 OK\r\n") && !all.ends_with(b"0\r\n\r\n"));
    }

    /// RFC 9112 §9.6: after its last response a server keeps reading, but not for ever.
    fn a_client_that_never_closes_is_disconnected(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.linger = SHORT);
        let mut client = server.connect();
        assert_eq!(client.fetch("garbage\r\n\r\n").status, 400);
        client.expect_eof();
        wait_for("the kernel rejects what the client sends", || client.try_send("more").is_err().then_some(()));
    }
}
