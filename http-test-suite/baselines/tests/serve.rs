//! Checks that every server prints its address, answers requests, and ends at SIGTERM.

#![allow(clippy::expect_used)]

use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Starts `program`, requests each target on a connection of its own, and compares the status, and the content if the
/// status is 200.
fn check(program: &str, arguments: &[&str], expected: &[(&str, u16, &[u8])]) {
    let mut server = Server::start(program, arguments);
    for &(target, status, content) in expected {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = server.ask(&[&request]);
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{program} {target}");
        assert!(status != 200 || answer.ends_with(&[b"\r\n\r\n", content].concat()), "{program} {target}");
    }
    kill_process(Pid::from_child(&server.child), Signal::TERM).expect("it runs");
    assert!(server.child.wait().expect("it ends").success(), "{program}");
}

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

    /// Sends each piece after some bytes of the answer to the piece before; the last piece must make the server close.
    fn ask(&self, pieces: &[&str]) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
        let (last, earlier) = pieces.split_last().expect("a request");
        let mut answer = Vec::new();
        for piece in earlier {
            stream.write_all(piece.as_bytes()).expect("it reads");
            let mut some = [0; 4096];
            let len = stream.read(&mut some).expect("it answers");
            answer.extend_from_slice(&some[..len]);
        }
        stream.write_all(last.as_bytes()).expect("it reads");
        stream.read_to_end(&mut answer).expect("it closes");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server has ended already, unless an assertion failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HERE: &str = env!("CARGO_MANIFEST_DIR");
const THIS: &[u8] = include_bytes!("serve.rs");

#[test]
fn serves_directories() {
    for program in
        [env!("CARGO_BIN_EXE_hyper-dir"), env!("CARGO_BIN_EXE_actix-dir"), env!("CARGO_BIN_EXE_tiny-http")]
    {
        check(
            program,
            &["-w", "2", "-r", HERE],
            &[("/tests/serve.rs", 200, THIS), ("/absent", 404, b""), ("/../baselines/Cargo.toml", 404, b"")],
        );
    }
}

#[test]
fn serves_the_same_bytes_for_every_request() {
    let hello = [b'x'; 7];
    check(env!("CARGO_BIN_EXE_hyper-hello"), &["--size", "7"], &[("/", 200, &hello), ("/a", 200, &hello)]);
    check(env!("CARGO_BIN_EXE_tiny-http"), &["--size", "7"], &[("/", 200, &hello), ("/a", 200, &hello)]);
    check(env!("CARGO_BIN_EXE_limit"), &["--size", "7"], &[("/", 200, &hello), ("/a", 200, &hello)]);
    check(
        env!("CARGO_BIN_EXE_limit"),
        &["--size", "7", "--eager"],
        &[("/", 200, &hello), ("/a", 200, &hello)],
    );
}

/// The limit has its own search for the end of a request.
#[test]
fn the_limit_finds_every_request() {
    for eager in [&["--size", "1"][..], &["--size", "1", "--eager"]] {
        let server = Server::start(env!("CARGO_BIN_EXE_limit"), eager);
        let check = |pieces: &[&str], answers: usize| {
            let answer = server.ask(pieces);
            let found = answer.windows(5).filter(|window| window == b"\r\n\r\nx").count();
            assert_eq!(found, answers, "{pieces:?}");
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
