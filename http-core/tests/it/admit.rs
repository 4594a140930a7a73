//! How content is taken: into memory with a limit for the request, or dropped after the response.
//!
//! The echo application responds with `METHOD target`, a line feed and the request body. The path of a request with
//! content says how the content is taken.

use crate::{
    app::echo,
    drive::Drive,
    script::Act::{self, DisableKeepAlive, End, Hold, Pass, Read, ReadAll, Reject, Release, Send},
};
use http_core::{Admit, Config, Rejection, Request};

/// Chooses by the path.
fn admit(head: &Request<'_>) -> Admit {
    match head.path() {
        // The path of a CONNECT is empty.
        "" | "/buffer" => Admit::Buffer,
        "/none" => Admit::BufferUpTo(0),
        "/four" => Admit::BufferUpTo(4),
        "/large" => Admit::BufferUpTo(2_000_000),
        "/unlimited" => Admit::BufferUpTo(u64::MAX),
        _ => Admit::AtHead,
    }
}

fn post(path: &str, headers: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const FIVE: &str = "Content-Length: 5\r\n";
const EXPECT: &str = "Expect: 100-continue\r\nContent-Length: 5\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
/// The response to `POST /early` without its body.
const EARLY: &str = "200 keep-alive length=12 body=12";
const EARLY_CLOSE: &str = "200 close length=12 body=12";
const NEXT: &str = "200 keep-alive length=7 body=7";

fn run(acts: &[Act<'_>]) -> Drive {
    let mut drive = Drive::new(Config::default(), echo);
    drive.admit = admit;
    drive.act(acts);
    drive
}

/// Runs the script, and compares the steps and the summaries of the responses.
fn check(acts: &[Act<'_>], steps: &str, responses: &[&str]) -> Drive {
    let drive = run(acts);
    drive.check(acts, steps, responses);
    drive
}

#[test]
fn responds_before_content_and_then_drops_it() {
    let steps = "receive request flush receive request flush receive";
    for (headers, content) in [
        (FIVE, "abcde"),
        (CHUNKED, "2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nTrailer: x\r\n\r\n"),
        // It does not wait for a 100 response: the content comes with the head.
        (EXPECT, "abcde"),
    ] {
        let head = post("/early", headers);
        let all = [&head, content, GET].concat();
        let drive = run(&[Send(&all), End]);
        let summaries = drive.summaries();
        assert_eq!(summaries, [EARLY, NEXT], "{headers}");
        assert!(drive.seen.iter().all(|request| request.body.is_empty()), "{headers}");
        if headers != EXPECT {
            check(&[Send(&head), Send(content), Send(GET)], steps, &[EARLY, NEXT]);
        }
        // However it is split, the same is read.
        for at in 1..all.len() - head.len() {
            let (first, rest) = all.split_at(head.len() + at);
            check(&[Send(first), Send(rest)], steps, &[EARLY, NEXT]);
        }
    }
}

#[test]
fn a_dropped_body_takes_no_memory() {
    let large = post("/early", "Content-Length: 1000000\r\n") + &"x".repeat(1_000_000) + GET;
    let chunk = "4000\r\n".to_owned() + &"x".repeat(0x4000) + "\r\n";
    let chunked = post("/early", CHUNKED) + &chunk.repeat(60) + "0\r\n\r\n" + GET;
    for bytes in [large, chunked] {
        let drive = run(&[Send(&bytes), End]);
        assert_eq!(drive.responses().len(), 2);
        assert!(drive.most_input <= 16 * 1024, "{} bytes held", drive.most_input);
    }
}

#[test]
fn closes_instead_of_dropping_content_that_may_never_come() {
    let steps = "receive request flush shutdown receive";
    check(&[Send(&post("/early", EXPECT))], steps, &[EARLY_CLOSE]);
    // What follows may be the content or a request: neither is read.
    let drive =
        check(&[Send(&post("/early", EXPECT)), Send(GET), End], &format!("{steps} Done"), &[EARLY_CLOSE]);
    assert_eq!(drive.seen.len(), 1);
    // The same if the content arrives while the handler works.
    let late = [Hold, Send(&post("/later", EXPECT)), Send("abcde"), Release];
    check(&late, "receive request await flush shutdown receive", &[EARLY_CLOSE]);
}

#[test]
fn drops_no_more_content_than_the_limit() {
    let steps = "receive request flush shutdown receive";
    check(&[Send(&post("/early", "Content-Length: 1048577\r\n"))], steps, &[EARLY_CLOSE]);
    check(&[Send(&post("/early", "Content-Length: 99999999999999999999\r\n"))], steps, &[EARLY_CLOSE]);
    let most = post("/early", "Content-Length: 1048576\r\n");
    check(&[Send(&most), Send(&"x".repeat(1_048_576))], "receive request flush receive", &[EARLY]);
    // The length of chunked content is known when it has come. By then the response is sent.
    let head = post("/early", CHUNKED);
    let chunk = "1000\r\n".to_owned() + &"x".repeat(0x1000) + "\r\n";
    for too_long in [chunk.repeat(257), "100001\r\n".to_owned(), format!("0;{}\r\n\r\n", "x".repeat(16_385))]
    {
        let ended = "receive request flush receive shutdown receive";
        let drive = check(&[Send(&head), Send(&too_long)], ended, &[EARLY]);
        assert!(drive.most_input <= 16 * 1024, "{} bytes held", drive.most_input);
    }
}

#[test]
fn malformed_content_ends_the_connection_without_a_second_response() {
    for content in ["x\r\n", "1\r\nabc\r\n", "0\r\nbad trailer\r\n\r\n"] {
        let acts = [Send(&post("/early", CHUNKED)), Send(content), Send(GET), End];
        let drive = check(&acts, "receive request flush receive shutdown receive Done", &[EARLY]);
        assert_eq!(drive.seen.len(), 1, "{content}");
    }
}

#[test]
fn a_connection_that_ends_does_not_receive_the_content() {
    let steps = "receive request flush shutdown receive";
    for headers in [FIVE, EXPECT, CHUNKED] {
        let close = post("/early", &format!("Connection: close\r\n{headers}"));
        check(&[Send(&close)], steps, &[EARLY_CLOSE]);
        let connect = format!("CONNECT tunnel:1 HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let drive = run(&[Send(&connect), Send(GET), End]);
        let summary = drive.responses()[0].summary();
        assert_eq!((drive.seen.len(), drive.responses().len()), (1, 1), "{headers}");
        assert!(summary.starts_with("501 close"), "{headers}: {summary}");
    }
    // A shutdown that begins while content is dropped ends it.
    let shut = [Send(&post("/early", FIVE)), Send("ab"), DisableKeepAlive];
    check(&shut, "receive request flush receive shutdown receive", &[EARLY]);
    let cut = [Send(&post("/early", FIVE)), Send("abcd"), End];
    check(&cut, "receive request flush receive Truncated", &[EARLY]);
}

#[test]
fn a_client_that_stops_sending_dropped_content_is_disconnected() {
    let sent = "receive request flush receive";
    let head = post("/early", FIVE);
    check(&[Send(&head), Pass(14_999)], sent, &[EARLY]);
    check(&[Send(&head), Pass(15_000)], &format!("{sent} BodyStall"), &[EARLY]);
    // A byte extends the time by two milliseconds: it is below the minimum rate.
    check(&[Send(&head), Pass(14_999), Send("a"), Pass(3)], &format!("{sent} BodyStall"), &[EARLY]);
    // The time to send the response is not charged to the client.
    let slow = [Read(5), Send(&head), Pass(29_000), ReadAll, Pass(14_999)];
    check(&slow, sent, &[EARLY]);
    let unread = run(&[Read(5), Send(&head), Pass(30_000)]);
    assert_eq!(unread.steps.join(" "), "receive request flush WriteStall");
}

#[test]
fn the_limit_of_a_request_replaces_that_of_the_connection() {
    let check = |path: &str, headers: &str, content: &str, expected: &str| {
        for acts in
            [&[Send(&(post(path, headers) + content))][..], &[Send(&post(path, headers)), Send(content)]]
        {
            let drive = run(acts);
            assert_eq!(drive.responses()[0].summary().split(' ').next(), Some(expected), "{path} {headers}");
        }
    };
    check("/four", "Content-Length: 4\r\n", "abcd", "200");
    check("/four", FIVE, "abcde", "413");
    check("/four", CHUNKED, "4\r\nabcd\r\n0\r\n\r\n", "200");
    check("/four", CHUNKED, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "413");
    check("/none", CHUNKED, "0\r\n\r\n", "204");
    check("/none", FIVE, "abcde", "413");
    let large = "x".repeat(2_000_000);
    check("/large", "Content-Length: 2000000\r\n", &large, "200");
    check("/buffer", "Content-Length: 2000000\r\n", &large, "413");
    check("/unlimited", "Content-Length: 2000000\r\n", &large, "200");
}

#[test]
fn a_rejection_at_the_head_closes() {
    let mut drive = Drive::new(Config::default(), echo);
    drive.reject_at_head = Some(Rejection::HandlerPanicked);
    drive.send((post("/early", FIVE) + "abcde" + GET).as_bytes());
    drive.run();
    assert_eq!((drive.seen.len(), drive.responses().len(), drive.responses()[0].status), (0, 1, 500));
    // The handler fails later.
    let late = [Hold, Send(&post("/later", FIVE)), Reject(Rejection::HandlerPanicked), Send(GET), End];
    let drive = run(&late);
    assert_eq!((drive.seen.len(), drive.responses().len(), drive.responses()[0].status), (1, 1, 500));
}
