//! Checks that every server prints its address, responds to requests, and exits at SIGTERM.

#![allow(clippy::expect_used)]

use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

const HYPER: &str = env!("CARGO_BIN_EXE_hyper");
const ACTIX: &str = env!("CARGO_BIN_EXE_actix-dir");
const TINY_HTTP: &str = env!("CARGO_BIN_EXE_tiny-http");
const BARE_LOOP: &str = env!("CARGO_BIN_EXE_bare-loop");

/// A server. It is killed when dropped, unless it has exited.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &str, arguments: &[&str]) -> Server {
        let mut child =
            Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().expect("a program");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim_end().rsplit('/').nth(1).expect("an address").to_owned();
        Server { child, address }
    }

    /// Sends each piece after some bytes of the response to the piece before; the last piece must make the server
    /// close.
    fn send(&self, pieces: &[&str]) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
        let (mut response, mut buffer) = (Vec::new(), [0; 4096]);
        for piece in pieces {
            stream.write_all(piece.as_bytes()).expect("it reads");
            let len = stream.read(&mut buffer).expect("it responds");
            response.extend_from_slice(&buffer[..len]);
        }
        stream.read_to_end(&mut response).expect("it closes");
        response
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server has exited already, unless an assertion failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server, requests each target on a connection of its own, compares the status, and the content if there is
/// one, and stops the server.
fn check(program: &str, arguments: &[&str], expected: &[(&str, u16, &[u8])]) {
    let mut server = Server::start(program, arguments);
    for &(target, status, content) in expected {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let response = server.send(&[&request]);
        assert!(response.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{program} {target}");
        assert!(status != 200 || response.ends_with(&[b"\r\n\r\n", content].concat()), "{program} {target}");
    }
    kill_process(Pid::from_child(&server.child), Signal::TERM).expect("it runs");
    assert!(server.child.wait().expect("it exits").success(), "{program}");
}

#[test]
fn serves_directories() {
    let this_file: &[u8] = include_bytes!("serve.rs");
    let expected =
        [("/tests/serve.rs", 200, this_file), ("/absent", 404, b""), ("/../baselines/Cargo.toml", 404, b"")];
    for program in [HYPER, ACTIX, TINY_HTTP] {
        check(program, &["-w", "2", "-r", env!("CARGO_MANIFEST_DIR")], &expected);
    }
}

#[test]
fn serves_the_same_bytes_for_every_request() {
    for (program, option) in
        [(HYPER, None), (TINY_HTTP, None), (BARE_LOOP, None), (BARE_LOOP, Some("--defer-accept"))]
    {
        let arguments: Vec<&str> = ["--size", "7"].into_iter().chain(option).collect();
        check(program, &arguments, &[("/", 200, b"xxxxxxx"), ("/a", 200, b"xxxxxxx")]);
    }
}

/// The bare loop has its own search for the end of a request.
#[test]
fn the_bare_loop_finds_every_request() {
    for arguments in [&["--size", "1"][..], &["--size", "1", "--defer-accept"]] {
        let server = Server::start(BARE_LOOP, arguments);
        let check = |pieces: &[&str], responses: usize| {
            let received = server.send(pieces);
            let found = received.windows(5).filter(|window| window == b"\r\n\r\nx").count();
            assert_eq!(found, responses, "{pieces:?}");
        };
        let further = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let last = "GET / HTTP/1.1\r\nHost: a\r\nconnection: Close\r\n\r\n";
        check(&["GET / HTTP/1.0\r\n\r\n"], 1);
        check(&["GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"], 2);
        check(&[&[&further.repeat(1000), last].concat()], 1001);
        for cut in 1..4 {
            let (begun, rest) = further.split_at(further.len() - cut);
            check(&[&[further, begun].concat(), &[rest, last].concat()], 3);
        }
    }
}
