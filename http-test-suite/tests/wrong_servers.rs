//! Tests the suite itself, against servers that are wrong on purpose.
//!
//! *Civil* servers send well-formed responses with wrong content: every case must fail against at least one of them, or
//! the case tests nothing. *Rude* servers send malformed responses: no case may pass after such a response.

#![allow(clippy::unwrap_used, reason = "the lints know tests by their attribute, not their folder")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use http_test_suite::report::{Outcome, Verdict};
use http_test_suite::{Options, Report, Target, cases, run};

#[path = "wrong/files.rs"]
mod files;
#[path = "wrong/framing.rs"]
mod framing;
#[path = "wrong/semantics.rs"]
mod semantics;

const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// The headers that cases about validators and ranges need in the prior response; without them, the cases would be skipped.
const VALIDATORS: &str = "ETag: \"wrong\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Ranges: bytes\r\nAllow: GET\r\n";

const TIMEOUT: Duration = Duration::from_millis(250);

/// A wrong server: what it answers to any bytes that end with an empty line, and what it does then.
#[derive(Clone, Copy)]
struct Wrong {
    name: &'static str,
    answer: fn(head: &str) -> String,
    then: Then,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// Takes the following bytes for the next head, and does not close even if the client does.
    GoOn,
    /// Closes, even with unread bytes.
    Close,
}

const CIVIL: &[Wrong] = &[
    Wrong { name: "200 to everything", answer: |head| response("200 OK", "", head), then: Then::GoOn },
    Wrong {
        name: "200 once",
        answer: |head| response("200 OK", "Connection: close\r\n", head),
        then: Then::Close,
    },
    Wrong { name: "200 once, unannounced", answer: |head| response("200 OK", "", head), then: Then::Close },
    Wrong { name: "204 to everything", answer: |_| format!("HTTP/1.1 204 \r\n{DATE}\r\n"), then: Then::GoOn },
    Wrong {
        name: "206 to everything",
        answer: |head| response("206 Part", "Content-Range: bytes 0-4/99\r\n", head),
        then: Then::GoOn,
    },
    Wrong {
        name: "the path, decoded, as Location",
        answer: |head| {
            let path = head.split(' ').nth(1).unwrap_or("/").replace("%0d", "\r").replace("%0a", "\n");
            response("301 Moved", &format!("Location: /{path}/\r\n"), head)
        },
        then: Then::GoOn,
    },
    Wrong {
        name: "304 to everything",
        answer: |_| format!("HTTP/1.1 304 \r\n{DATE}{VALIDATORS}\r\n"),
        then: Then::GoOn,
    },
    Wrong {
        name: "400 to everything",
        answer: |head| response("400 Bad Request", "", head),
        then: Then::GoOn,
    },
    Wrong {
        name: "400 once",
        answer: |head| response("400 No", "Connection: close\r\n", head),
        then: Then::Close,
    },
    Wrong { name: "404 to everything", answer: |head| response("404 Not Found", "", head), then: Then::GoOn },
    Wrong {
        name: "404 to HEAD only",
        answer: |head| response(if head.starts_with("HEAD ") { "404 No" } else { "200 OK" }, "", head),
        then: Then::GoOn,
    },
    Wrong { name: "500 to everything", answer: |head| response("500 Oops", "", head), then: Then::GoOn },
    Wrong {
        name: "100 before everything",
        answer: |head| format!("HTTP/1.1 100 Continue\r\n\r\n{}", response("200 OK", "", head)),
        then: Then::GoOn,
    },
];

const RUDE: &[Wrong] = &[
    Wrong {
        name: "no Date",
        answer: |_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
        then: Then::GoOn,
    },
    Wrong {
        name: "two Content-Lengths",
        answer: |_| format!("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
        then: Then::GoOn,
    },
    Wrong {
        name: "both framings",
        answer: |_| {
            format!(
                "HTTP/1.1 400 No\r\n{DATE}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            )
        },
        then: Then::Close,
    },
    Wrong {
        name: "bare LF",
        answer: |_| format!("HTTP/1.1 400 No\n{DATE}Content-Length: 0\n\n"),
        then: Then::Close,
    },
    Wrong {
        name: "stray bytes behind every response",
        answer: |head| format!("{}\r\n", response("400 No", "", head)),
        then: Then::GoOn,
    },
    Wrong {
        name: "content on 204",
        answer: |_| format!("HTTP/1.1 204 No Content\r\n{DATE}\r\nhello"),
        then: Then::Close,
    },
    Wrong {
        name: "too little content",
        answer: |_| format!("HTTP/1.1 400 No\r\n{DATE}Content-Length: 6\r\n\r\nhello"),
        then: Then::Close,
    },
    Wrong {
        name: "chunks without an end",
        answer: |_| format!("HTTP/1.1 200 OK\r\n{DATE}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        then: Then::Close,
    },
    Wrong {
        name: "405 without Allow",
        answer: |_| response("405 No", "", "").replace("Allow", "X"),
        then: Then::GoOn,
    },
    Wrong { name: "HTTP/0.9", answer: |_| "<p>hello".into(), then: Then::Close },
];

/// A well-formed response with five bytes of content, or without content for HEAD.
fn response(status: &str, headers: &str, head: &str) -> String {
    let content = if head.starts_with("HEAD ") { "" } else { "hello" };
    format!("HTTP/1.1 {status}\r\n{DATE}{VALIDATORS}{headers}Content-Length: 5\r\n\r\n{content}")
}

#[test]
fn every_case_fails_against_a_civil_server() {
    let mut failing = BTreeSet::new();
    let mut all = BTreeSet::new();
    for wrong in CIVIL.iter().chain(files::CIVIL) {
        let report = judge(start(*wrong));
        all.extend(report.outcomes.iter().map(|outcome| outcome.id.clone()));
        failing.extend(report.failures().map(|outcome| outcome.id.clone()));
    }
    let toothless: Vec<_> = all.difference(&failing).collect();
    assert!(toothless.is_empty(), "no wrong server makes these cases fail: {toothless:?}");
}

#[test]
fn no_case_passes_with_a_malformed_reply() {
    for wrong in RUDE {
        let report = judge(start(*wrong));
        let passed: Vec<_> = passed(&report).filter(|outcome| !outcome.received.is_empty()).collect();
        assert!(passed.is_empty(), "{}: {passed:#?}", wrong.name);
    }
}

#[test]
fn no_case_with_head_passes_with_content() {
    let wrong =
        Wrong { name: "content for HEAD", answer: |_| response("400 No", "", "GET"), then: Then::GoOn };
    let report = judge(start(wrong));
    let passed: Vec<_> =
        passed(&report).filter(|outcome| outcome.sent.iter().any(|line| line.starts_with("HEAD "))).collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

/// A server that sends nothing passes only the cases that allow silence.
#[test]
fn silence_passes_only_where_it_is_allowed() {
    let may_be_silent = |outcome: &&Outcome| {
        let mut cases = cases::all().iter().flat_map(|section| &section.cases);
        cases.any(|case| case.id == outcome.id && case.allows_no_response())
    };
    let at_once = judge(listen(drop));
    let never = judge(listen(|mut stream| while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}));
    let wrongly: Vec<_> =
        [&at_once, &never].into_iter().flat_map(passed).filter(|outcome| !may_be_silent(outcome)).collect();
    assert!(wrongly.is_empty(), "{wrongly:#?}");
}

fn passed(report: &Report) -> impl Iterator<Item = &Outcome> {
    report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Passed)
}

/// Runs every case against the server, whatever it offers.
fn judge(server: SocketAddr) -> Report {
    let quiet = Duration::from_millis(30);
    let options = Options { jobs: 64, timeout: TIMEOUT, quiet, probe: false, ..Options::default() };
    run(&Target::new(server).unwrap(), &options).unwrap()
}

fn start(wrong: Wrong) -> SocketAddr {
    listen(move |stream| serve(stream, wrong))
}

/// Starts a server with a thread for each connection, which runs until the test ends.
fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream, wrong: Wrong) {
    let (mut unread, mut searched, mut buffer) = (Vec::new(), 0, [0; 64 * 1024]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        unread.extend_from_slice(&buffer[..count]);
        while let Some(at) = unread[searched..].windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = unread.drain(..searched + at + 4).collect();
            searched = 0;
            let answer = (wrong.answer)(String::from_utf8_lossy(&head).trim_start());
            if stream.write_all(answer.as_bytes()).is_err() || wrong.then == Then::Close {
                return;
            }
        }
        searched = unread.len().saturating_sub(3);
    }
    // The client has closed its side. Not to close the server's side is wrong, too.
    thread::sleep(TIMEOUT * 2);
}
