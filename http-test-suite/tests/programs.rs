//! Tests of the programs: the bytes that `send-to-server` sends, what it prints, its exit codes; and each help and
//! version.

#![allow(clippy::unwrap_used, reason = "the lints know tests by their attribute, not their folder")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread;

/// The response that most servers in these tests send.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";

/// Runs `send-to-server` against a server that reads as many bytes as `expected` has, checks them, sends `response`,
/// and closes. `PORT` in `expected` is replaced with the port of the server.
fn run(arguments: &[&str], input: &str, expected: &str, response: &'static str) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let expected = expected.replace("PORT", &port);
    let mut program = Command::new(env!("CARGO_BIN_EXE_send-to-server"))
        .args(["127.0.0.1", &port])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut request = vec![0; expected.len()];
        stream.read_exact(&mut request).unwrap();
        assert_eq!(String::from_utf8_lossy(&request), expected);
        stream.write_all(response.as_bytes()).unwrap();
    });
    program.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    server.join().unwrap();
    output
}

/// Runs `send-to-server`; checks the bytes that the server receives, that the program prints `response`, and the exit
/// code.
fn check(arguments: &[&str], input: &str, sent: &str, response: &'static str, code: i32) {
    let output = run(arguments, input, sent, response);
    assert_eq!(String::from_utf8_lossy(&output.stdout), response, "{arguments:?}");
    assert_eq!(output.status.code(), Some(code), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn sends_the_request_unchanged_and_prints_the_response() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    check(&[r"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], "", request, RESPONSE, 0);
    check(&[], request, request, RESPONSE, 0);
    check(&["--file", "-"], request, request, RESPONSE, 0);
    check(&[r"no \x00 request"], "", "no \0 request", "HTTP/1.1 400 No\r\n\r\n", 0);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    check(&[r"HEAD / HTTP/1.1\r\n\r\n"], "", "HEAD / HTTP/1.1\r\n\r\n", head, 0);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "GET \\n\n").unwrap();
    check(&["--file", file.path().to_str().unwrap()], "", "GET \\n\n", RESPONSE, 0);
}

#[test]
fn completes_a_request_with_complete() {
    let whole = "GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n";
    check(&["--complete", "GET / HTTP/1.1"], "", whole, RESPONSE, 0);
    let whole = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\nb";
    check(&["--complete"], "POST / HTTP/1.1\nHost: a\n\na\nb", whole, RESPONSE, 0);
}

#[test]
fn sends_in_pieces() {
    let (request, sent) = (r"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (pieces, lengths) in [("3", "[9, 9, 9]"), ("1,2", "[1, 2, 24]")] {
        let output = run(&["--explain", "--pause", "1ms", "--pieces", pieces, request], "", sent, RESPONSE);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(&format!("sent 27 of 27 bytes in pieces of {lengths}\n")), "{text}");
    }
}

#[test]
fn explains_responses() {
    let response = "HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n3\r\na\x00c\r\n0\r\nT: u\r\n\r\n";
    let output = run(&["--explain", "GET / HTTP/1.1"], "", "GET / HTTP/1.1", response);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "status 100 Go on, complete after",
        "status 200 OK, complete after",
        "  header    A: b\n",
        "  body      3 bytes, delimited by its chunks\n            a\\x00c\n",
        "  trailer   T: u\n",
        "first byte  after",
        "connection  closed by the server\n",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn says_when_a_response_is_wrong_or_missing() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab";
    for response in ["", "hello", short, "HTTP/1.1 204 No\r\n\r\nstray"] {
        check(&["GET / HTTP/1.1"], "", "GET / HTTP/1.1", response, 1);
    }
    let two = r"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";
    check(&[two], "", "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", RESPONSE, 1);
}

#[test]
fn rejects_wrong_usage() {
    let closed_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let port = closed_port.as_str();
    for arguments in [
        &[port, "GET / HTTP/1.1"][..],
        &["x", "GET / HTTP/1.1"],
        &[port, r"\q"],
        &[port, "--pieces", "0", "a"],
        &[port, "--pieces", "1,", "a"],
        &[port, "--file", "/does/not/exist"],
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_send-to-server"));
        let output = program.arg("127.0.0.1").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn each_program_has_its_own_help_and_version() {
    let (suite, sender) = (env!("CARGO_BIN_EXE_http-test-suite"), env!("CARGO_BIN_EXE_send-to-server"));
    for (program, arguments, expected) in [
        (suite, &["--version"][..], concat!("http-test-suite ", env!("CARGO_PKG_VERSION"))),
        (sender, &["--version"], concat!("send-to-server ", env!("CARGO_PKG_VERSION"))),
        (suite, &["--help"], "Tests an HTTP/1.1 server"),
        (suite, &["fixtures", "--help"], "Write the document root"),
        (sender, &["--help"], "Sends a request to a server"),
    ] {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(expected), "{text}");
    }
}
