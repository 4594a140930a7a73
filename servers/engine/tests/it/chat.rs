//! The example `chat`, with clients that speak WebSocket (RFC 6455) byte by byte.

use crate::{
    app::LONG,
    client::{Client, get, request},
    server::{InProcessServer, settings},
};
use http_engine::Engine;
use std::io::Read;

#[allow(dead_code, unreachable_pub, reason = "a program of its own")]
#[path = "../../examples/chat.rs"]
mod example;

/// The key and the response to it in RFC 6455 §1.3.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPT: &str = "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
const HANDSHAKE: &str =
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";

fn start(engine: Engine) -> InProcessServer {
    InProcessServer::start(engine, settings(), example::routes().expect("routes"))
}

fn enter(server: &InProcessServer) -> Client {
    let headers = [HANDSHAKE, KEY, "Origin: http://test\r\n"].concat();
    let mut client = Client::connect_and_send(server.address, request("GET", "/chat", &headers));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read(&mut client, 1));
    }
    let head = String::from_utf8_lossy(&head);
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "{head}");
    client
}

fn read(client: &mut Client, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    client.stream.read_exact(&mut bytes).expect("more bytes");
    bytes
}

/// Reads one frame, which the server must not mask: its first byte and its payload.
fn read_frame(client: &mut Client) -> (u8, Vec<u8>) {
    let [first, len] = read(client, 2)[..] else { unreachable!("two bytes") };
    let len = match len {
        126 => read(client, 2).iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        len => usize::from(len),
    };
    (first, read(client, len))
}

/// A frame of a client, masked with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let len = if payload.len() < 126 { vec![0x80 | low] } else { vec![0x80 | 126, high, low] };
    [&[first], &*len, &[0; 4], payload].concat()
}

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

http_testing::both_engines! {
    fn everything_that_is_said_reaches_all_members(engine: Engine) {
        let server = start(engine);
        let mut members = [(); 3].map(|()| enter(&server));
        // A member has entered when the server has responded to its ping.
        for member in &mut members {
            member.send(frame(PING, b"x"));
            assert_eq!(read_frame(member), (PONG, b"x".to_vec()));
        }
        let long = vec![b'z'; 10_000];
        for (speaker, text) in [(0, "hello"), (1, "\u{e9}"), (2, str::from_utf8(&long).expect("text"))] {
            members[speaker].send(frame(TEXT, text.as_bytes()));
            for member in &mut members {
                assert_eq!(read_frame(member), (TEXT, text.as_bytes().to_vec()));
            }
        }
        let [mut first, mut second, _third] = members;
        first.send(frame(CLOSE, b""));
        assert_eq!(read_frame(&mut first), (CLOSE, Vec::new()));
        first.expect_eof();
        second.send(frame(TEXT, b"still here"));
        assert_eq!(read_frame(&mut second), (TEXT, b"still here".to_vec()));
    }

    fn a_member_that_does_not_read_delays_no_other(engine: Engine) {
        let server = start(engine);
        let (mut slow, mut fast) = (enter(&server), enter(&server));
        for member in [&mut slow, &mut fast] {
            member.send(frame(PING, b""));
            assert_eq!(read_frame(member).0, PONG);
        }
        let text = vec![b'x'; 16 * 1024];
        for _ in 0..2_000 {
            fast.send(frame(TEXT, &text));
            assert_eq!(read_frame(&mut fast).1.len(), text.len());
        }
        let received = std::io::copy(&mut slow.stream, &mut std::io::sink());
        assert!(!received.is_ok_and(|count| count > 2_000 * 16 * 1024), "the slow member was not disconnected");
    }

    fn a_request_that_is_no_handshake_is_rejected(engine: Engine) {
        let server = start(engine);
        let mut client = server.connect();
        assert_eq!(client.fetch(get("/")).header("Content-Type"), Some("text/html; charset=utf-8"));
        for (headers, status) in [
            (String::new(), 426),
            ([&HANDSHAKE.replace("13", "8"), KEY].concat(), 426),
            (HANDSHAKE.to_owned(), 400),
            ([HANDSHAKE, KEY, "Origin: http://other\r\n"].concat(), 403),
            ([HANDSHAKE, KEY, "Origin: null\r\n"].concat(), 403),
        ] {
            let response = client.fetch(request("GET", "/chat", &headers));
            assert_eq!(response.status, status, "{headers}");
            assert_eq!(response.header("Upgrade"), (status == 426).then_some("websocket"));
        }
    }

    fn the_members_are_sent_away_at_the_shutdown(engine: Engine) {
        let server = start(engine);
        let mut member = enter(&server);
        server.running().stopper().stop(LONG);
        assert_eq!(read_frame(&mut member), (CLOSE, Vec::new()));
        member.expect_eof();
        server.running().wait().expect("the server has stopped");
    }
}
