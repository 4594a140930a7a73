//! Every wait ends: for a head, for content, for the next request, for a peer that does not read or does not close.

use crate::{
    client::{Client, PATIENCE, get, request, until},
    reply::{Asked, uninterrupted},
    server::{Threads, settings},
};
use http_engine::Engine;
use http_engine::{Body, ChunkSource, Request, Response};
use std::{
    io::{self, Read},
    sync::mpsc::{Sender, channel},
    time::Duration,
};

/// An event loop looks at deadlines once a second, so all of them are over within two.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(3600);

/// A server all of whose timeouts are long but those that `shorten` shortens.
fn start(engine: Engine, shorten: impl FnOnce(&mut http_engine::Timeouts)) -> Threads {
    Threads::start(engine, impatient(shorten), |_: &Request<'_>| Response::text("here"))
}

fn impatient(shorten: impl FnOnce(&mut http_engine::Timeouts)) -> http_engine::Settings {
    let mut settings = settings();
    let timeouts = &mut settings.protocol.timeouts;
    (timeouts.head, timeouts.body_idle, timeouts.answer) = (LONG, LONG, LONG);
    (timeouts.idle, timeouts.write_stall, timeouts.linger) = (LONG, LONG, LONG);
    shorten(timeouts);
    settings
}

/// Sends beginnings, waits, and is told each time that it took too long. The last one goes on sending `drop` after
/// `drop`, which is no better.
fn check_too_slow(server: &Threads, beginnings: &[&str], drop: &str) {
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

/// Sends a little from time to time until an answer comes.
fn drip(client: &mut Client, drop: &str) {
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    until("an answer", || match uninterrupted(|| client.stream.peek(&mut [0])) {
        Ok(_) => Some(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            // It may have given up by now; then its answer comes next.
            let _ = client.try_send(drop);
            None
        }
        Err(error) => panic!("{error}"),
    });
    client.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
}

fn check_408(client: &mut Client, beginning: &str) {
    let outcome = client.try_reply(Asked::Http11);
    let reply = outcome.unwrap_or_else(|fault| panic!("{fault}, for {beginning}"));
    assert_eq!((reply.status, reply.close), (408, true), "{beginning}");
    client.ends();
}

/// Content without an end. When it is dropped, so is the connection it was for.
struct Endless(Sender<()>);

impl ChunkSource for Endless {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        chunk.resize(64 * 1024, b'x');
        Ok(())
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        // The test may have ended first.
        let _ = self.0.send(());
    }
}

http_testing::both_engines! {
    fn a_slow_head(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.head = SHORT);
        check_too_slow(&server, &["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: te"], "s");
    }

    fn a_slow_head_behind_a_request(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.head = SHORT);
        let mut client = server.connect();
        client.send(get("/") + "GET / HT");
        assert_eq!(client.reply(Asked::Http11).text(), "here");
        check_408(&mut client, "the second of two");
    }

    fn slow_content(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.body_idle = SHORT);
        let ten = request("POST", "/", "Content-Length: 10\r\n");
        let chunked = request("POST", "/", "Transfer-Encoding: chunked\r\n");
        let (some, endless) = (ten.clone() + "abc", chunked.clone() + "fffff\r\n");
        check_too_slow(&server, &[&ten, &some, &chunked, &endless], "x");
    }

    fn an_idle_connection_is_closed_in_silence(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.idle = SHORT);
        let mut never_asked = server.connect();
        let mut asked = server.connect();
        assert_eq!(asked.ask(get("/")).text(), "here");
        asked.ends();
        never_asked.ends();
    }

    /// A request within the time begins it anew.
    fn a_busy_connection_is_kept(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.idle = Duration::from_secs(2));
        let mut busy = server.connect();
        let mut idle = server.connect();
        assert_eq!(idle.ask(get("/")).text(), "here");
        idle.stream.set_nonblocking(true).expect("a socket");
        // As long as another is given for doing nothing, and longer.
        until("the idle one is closed", || {
            assert_eq!(busy.ask(get("/")).text(), "here");
            idle.stream.read(&mut [0]).is_ok_and(|count| count == 0).then_some(())
        });
        assert_eq!(busy.ask(get("/")).text(), "here");
        busy.finish();
    }

    fn a_peer_that_never_reads_is_dropped(engine: Engine) {
        let (dropped, was_dropped) = channel();
        let settings = impatient(|timeouts| timeouts.write_stall = SHORT);
        let server = Threads::start(engine, settings, move |_: &Request<'_>| {
            Response::bytes(Body::Stream(Box::new(Endless(dropped.clone()))))
        });
        let mut client = server.connect();
        client.send(get("/"));
        was_dropped.recv_timeout(PATIENCE).expect("the answer is given up");
        // What was sent before is there, and no end of the content: the last chunk never comes.
        let mut all = Vec::new();
        let _ = client.stream.read_to_end(&mut all);
        assert!(all.starts_with(b"HTTP/1.1 200 OK\r\n") && !all.ends_with(b"0\r\n\r\n"));
    }

    /// RFC 9112 §9.6: after its last answer a server reads on for a while, and not for ever.
    fn a_peer_that_never_closes_is_left(engine: Engine) {
        let server = start(engine, |timeouts| timeouts.linger = SHORT);
        let mut client = server.connect();
        assert_eq!(client.ask("garbage\r\n\r\n").status, 400);
        client.ends();
        until("what is sent is refused", || client.try_send("more").is_err().then_some(()));
    }
}
