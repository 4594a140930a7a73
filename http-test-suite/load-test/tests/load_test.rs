//! Tests of the program `load-test quick`: its requests, its reports and its exit codes.

#![allow(clippy::unwrap_used, reason = "the lints know tests by their attribute, not their folder")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::Value;

/// Starts a server that answers 200 without content, and `/404` with 404; it passes on every head that it receives.
fn serve() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (outbox, heads) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let outbox = outbox.clone();
            thread::spawn(move || answer(stream, &outbox));
        }
    });
    (address, heads)
}

fn answer(mut stream: TcpStream, outbox: &Sender<String>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let request = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let status = if request.contains(" /404 ") { 404 } else { 200 };
        let close = request.contains("Connection: close");
        outbox.send(request).unwrap_or_default();
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).is_err() || close {
            return;
        }
    }
}

fn load_test(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_load-test")).args(arguments).output().unwrap()
}

/// Runs the program for one request to `/a?b`, and compares the request.
fn check(arguments: &[&str], expected: &str) {
    let (server, heads) = serve();
    let output =
        load_test(&[&["-c", "1", "-n", "1", &format!("http://{server}/a?b")][..], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(heads.recv().unwrap(), expected.replace("HOST", &server.to_string()), "{arguments:?}");
}

#[test]
fn sends_requests_as_the_arguments_say() {
    check(&[], "GET /a?b HTTP/1.1\r\nHost: HOST\r\nUser-Agent: load-test\r\n\r\n");
    check(
        &["--close", "-m", "HEAD", "-H", "host: x", "-H", "A: b"],
        "HEAD /a?b HTTP/1.1\r\nUser-Agent: load-test\r\nConnection: close\r\nhost: x\r\nA: b\r\n\r\n",
    );
    check(
        &["-d", "abc"],
        "POST /a?b HTTP/1.1\r\nHost: HOST\r\nUser-Agent: load-test\r\nContent-Length: 3\r\n\r\nabc",
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from a file").unwrap();
    check(
        &["-m", "PUT", "-d", &format!("@{}", file.path().display())],
        "PUT /a?b HTTP/1.1\r\nHost: HOST\r\nUser-Agent: load-test\r\nContent-Length: 11\r\n\r\nfrom a file",
    );
}

#[test]
fn reports_as_text_and_json() {
    let (server, _heads) = serve();
    let (right, wrong) = (format!("http://{server}/"), format!("http://{server}/404"));
    let output = load_test(&["-c", "3", "-n", "100", "-t", "2", "--rate", "10000", &right]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("100 right responses in ") && text.contains("       100  status 200\n"), "{text}");
    assert_eq!(output.status.code(), Some(0));
    let output =
        load_test(&["-c", "3", "-n", "100", "--json", "-", "--expect-status", "200", &right, &wrong]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["requests"], &report["errors"]["wrong-status"]),
        (&50.into(), &50.into()),
        "{report}"
    );
    assert_eq!(
        (&report["statuses"]["200"], &report["statuses"]["404"]),
        (&50.into(), &50.into()),
        "{report}"
    );
    assert!(report["latency_ns"]["p99.9"].as_u64() <= report["latency_ns"]["max"].as_u64(), "{report}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn exit_codes_report_the_result() {
    let (server, _heads) = serve();
    let closed_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = server.to_string();
    let wrong = format!("{server}/404");
    for (code, arguments) in [
        (1, &["-n", "10", &wrong][..]),
        (0, &["-n", "10", "--expect-status", "404", &wrong]),
        (0, &["-z", "10ms", &server]),
        (2, &["-n", "10", &closed_port]),
        (2, &["-n", "10", &server, &closed_port]),
        (2, &["-n", "10", "-z", "1s", &server]),
        (2, &["-n", "10", "-c", "0", &server]),
        (2, &["-n", "10", "--rate", "0", &server]),
        (2, &["-n", "10", "-H", "no colon", &server]),
        (2, &["-n", "10", "https://localhost/"]),
        (2, &[]),
    ] {
        assert_eq!(load_test(arguments).status.code(), Some(code), "{arguments:?}");
    }
}
