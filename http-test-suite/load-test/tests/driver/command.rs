//! Tests of `load-test URL`: its requests, its summary and its exit codes.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::{listen, read_head, write};

/// Starts a server that responds with an empty 200, or to `/404` with 404. Returns its address, and all requests that
/// it receives.
fn serve() -> (SocketAddr, Receiver<String>) {
    let (sender, requests) = channel();
    let address = listen(move |stream| {
        while let Some(request) = read_head(stream) {
            let status = if request.contains(" /404 ") { 404 } else { 200 };
            let closes = request.contains("Connection: close");
            sender.send(request).unwrap_or_default();
            if !write(stream, &[&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")]) || closes {
                return;
            }
        }
    });
    (address, requests)
}

/// Runs the program to its end.
fn load_test(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_load-test")).args(arguments).output().unwrap()
}

#[test]
fn sends_requests_as_the_options_say() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "from a file").unwrap();
    let data = format!("@{}", file.path().display());
    let check = |options: &[&str], expected: &str| {
        let (server, requests) = serve();
        let url = format!("http://{server}/a?b");
        let output = load_test(&[&["-c", "1", "-n", "1", &url], options].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{options:?} {error}");
        assert_eq!(requests.recv().unwrap(), expected.replace("HOST", &server.to_string()), "{options:?}");
    };
    check(&[], "GET /a?b HTTP/1.1\r\nHost: HOST\r\nUser-Agent: load-test\r\n\r\n");
    check(
        &["--close", "-m", "HEAD", "-H", "host: x", "-H", "A: b"],
        "HEAD /a?b HTTP/1.1\r\nUser-Agent: load-test\r\nConnection: close\r\nhost: x\r\nA: b\r\n\r\n",
    );
    check(
        &["-d", "abc"],
        "POST /a?b HTTP/1.1\r\nHost: HOST\r\nUser-Agent: load-test\r\nContent-Length: 3\r\n\r\nabc",
    );
    check(
        &["-m", "PUT", "-d", &data],
        "PUT /a?b HTTP/1.1\r\nHost: HOST\r\nUser-Agent: load-test\r\nContent-Length: 11\r\n\r\nfrom a file",
    );
}

#[test]
fn summarises_as_text_and_json() {
    let (server, _requests) = serve();
    let (right, wrong) = (format!("http://{server}/"), format!("http://{server}/404"));
    let output = load_test(&["-c", "300", "-n", "100", "-t", "2", "--rate", "10000", &right, &wrong]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "connections: 100 (kept alive)",
        "100 responses in ",
        "        50  status 200\n",
        "        50  ERROR: status 404 (expect it with --expect-status 404)\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let output = load_test(&["-c", "3", "-n", "100", "--json", "--expect-status", "200", &right, &wrong]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    for pointer in ["/requests", "/errors/wrong-status", "/statuses/200", "/statuses/404"] {
        assert_eq!(json.pointer(pointer), Some(&50.into()), "{pointer} {json}");
    }
    assert!(json["latency_ns"]["p99.9"].as_u64() <= json["latency_ns"]["max"].as_u64(), "{json}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn exits_with_the_result() {
    let (server, _requests) = serve();
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
        (2, &["-n", "10", "ftp://localhost/"]),
        (2, &[]),
    ] {
        assert_eq!(load_test(arguments).status.code(), Some(code), "{arguments:?}");
    }
}
