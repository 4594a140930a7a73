//! Streams whose source has nothing to send for a while: nothing waits for them but their own connection.

use crate::{
    client::{Client, TIMEOUT, get, request},
    reply::BodyFraming,
    server::{InProcessServer, settings},
    source::{Feed, fed_stream},
    timeouts::Endless,
};
use http_engine::{Body, Engine, Request, Response, Settings};
use std::{
    io,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

/// A server with a stream at `/stream`, and the feeds of its streams.
struct StreamServer {
    server: InProcessServer,
    feeds: Receiver<Feed>,
    /// Disconnected sources of `/endless`.
    stalled: Receiver<()>,
}

impl StreamServer {
    fn start(engine: Engine, settings: Settings) -> StreamServer {
        let ((sender, feeds), (stalls, stalled)) = (channel(), channel());
        let handler = move |request: &Request<'_>| match request.path() {
            "/stream" => {
                let (response, feed) = fed_stream();
                sender.send(feed).expect("the test still runs");
                response
            }
            "/endless" => Response::bytes(Body::Stream(Box::new(Endless(stalls.clone())))),
            path => Response::text(path.to_owned()),
        };
        StreamServer { server: InProcessServer::start(engine, settings, handler), feeds, stalled }
    }

    fn feed(&self) -> Feed {
        self.feeds.recv_timeout(TIMEOUT).expect("a request for a stream")
    }

    /// Waits for longer than the write-stall timeout: until the server has closed the connection of a client that reads
    /// nothing.
    fn wait_for_a_stall(&self) {
        let mut client = self.server.connect();
        client.send(get("/endless"));
        self.stalled.recv_timeout(TIMEOUT).expect("the client is disconnected");
    }
}

fn short_stall() -> Settings {
    let mut settings = settings();
    settings.workers = 1;
    settings.protocol.timeouts.write_stall = Duration::from_millis(300);
    settings
}

/// Reads the head of a response and a first chunk, which has this text.
fn read_start(client: &mut Client, chunk: &str) {
    let coded = format!("\r\n\r\n{:x}\r\n{chunk}\r\n", chunk.len());
    let mut start = Vec::new();
    while !start.ends_with(coded.as_bytes()) {
        let mut byte = [0];
        let count = io::Read::read(&mut client.stream, &mut byte).expect("the start of a response");
        assert_eq!(count, 1, "the response ends after {}", start.escape_ascii());
        start.extend(byte);
    }
}

/// Expects exactly these bytes.
fn expect_bytes(client: &mut Client, expected: &str) {
    let mut bytes = vec![0; expected.len()];
    io::Read::read_exact(&mut client.stream, &mut bytes).expect("more of the response");
    assert_eq!(bytes.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
}

fn check_open(client: &mut Client) {
    assert_eq!(client.fetch(get("/open")).text(), "/open");
}

http_testing::both_engines! {
    /// The event loop has one worker: it serves the other clients between the chunks.
    fn the_silence_of_a_source_is_not_charged_to_the_client(engine: Engine) {
        let server = StreamServer::start(engine, short_stall());
        let mut client = server.server.connect();
        client.send(get("/stream"));
        let mut feed = server.feed();
        server.wait_for_a_stall();
        feed.send("one");
        read_start(&mut client, "one");
        server.wait_for_a_stall();
        server.wait_for_a_stall();
        feed.send("three");
        expect_bytes(&mut client, "5\r\nthree\r\n");
        feed.end();
        expect_bytes(&mut client, "0\r\n\r\n");
        feed.await_drop();
        check_open(&mut client);
        client.finish();
    }

    fn a_request_behind_a_stream_waits_for_its_end(engine: Engine) {
        let server = StreamServer::start(engine, settings());
        let mut client = server.server.connect();
        client.send([get("/before"), get("/stream"), get("/stream"), get("/after")].concat());
        assert_eq!(client.reply().text(), "/before");
        for _ in 0..2 {
            let mut feed = server.feed();
            feed.send("one");
            assert!(server.feeds.try_recv().is_err(), "the next request was served too early");
            feed.end();
            assert_eq!(client.reply().text(), "one");
        }
        assert_eq!(client.reply().text(), "/after");
        client.finish();
    }

    fn a_waker_called_too_often_or_too_late_does_no_harm(engine: Engine) {
        let server = StreamServer::start(engine, settings());
        let mut client = server.server.connect();
        client.send(get("/stream"));
        let mut feed = server.feed();
        for _ in 0..1_000 {
            feed.wake();
        }
        feed.send("one");
        feed.end();
        assert_eq!(client.reply().text(), "one");
        for _ in 0..100 {
            feed.wake();
            check_open(&mut client);
        }
        client.finish();
        for _ in 0..100 {
            feed.wake();
            check_open(&mut server.server.connect());
        }
        drop(server);
        feed.wake();
    }

    fn the_source_is_dropped_when_its_client_leaves(engine: Engine) {
        let server = StreamServer::start(engine, settings());
        for sent in [false, true] {
            let mut client = server.server.connect();
            client.send(get("/stream"));
            let mut feed = server.feed();
            if sent {
                feed.send("one");
                read_start(&mut client, "one");
            }
            client.reset();
            feed.await_drop();
        }
    }

    fn a_client_that_has_half_closed_receives_the_rest(engine: Engine) {
        let server = StreamServer::start(engine, short_stall());
        let mut client = server.server.connect();
        client.send(get("/stream"));
        client.shutdown_write();
        let mut feed = server.feed();
        server.wait_for_a_stall();
        feed.send("one");
        feed.end();
        assert_eq!(client.reply().text(), "one");
        client.expect_eof();
    }

    fn the_end_of_a_shutdown_drops_the_source(engine: Engine) {
        let server = StreamServer::start(engine, settings());
        let mut client = server.server.connect();
        client.send(get("/stream"));
        let mut feed = server.feed();
        feed.send("one");
        read_start(&mut client, "one");
        drop(server);
        feed.await_drop();
    }

    fn a_source_without_a_body_to_send_is_dropped(engine: Engine) {
        let server = StreamServer::start(engine, settings());
        let mut client = server.server.connect();
        let reply = client.fetch(request("HEAD", "/stream", ""));
        assert_eq!((reply.status, reply.framing), (200, BodyFraming::Chunked));
        let feed = server.feed();
        feed.await_drop();
        assert!(!feed.has_started(), "the source has received a waker");
        check_open(&mut client);
        client.finish();
    }

    fn http_1_0_receives_a_pending_stream_until_the_end_of_the_connection(engine: Engine) {
        let server = StreamServer::start(engine, settings());
        let mut client = server.server.connect();
        let get = "GET /stream HTTP/1.0\r\n\r\n";
        client.send(get);
        let mut feed = server.feed();
        ["one ", "two"].into_iter().for_each(|chunk| feed.send(chunk));
        feed.end();
        assert_eq!(client.reply_to(get).text(), "one two");
        client.expect_eof();
    }
}
