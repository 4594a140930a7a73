//! Content that the application takes piece by piece: `/receive` echoes all of it, `/receive-two` its first two bytes.

use crate::{
    app::echo,
    drive::Drive,
    script::Act::{self, DisableKeepAlive, End, Hold, Pass, Read, ReadAll, Reject, Release, Send, Take},
};
use http_core::{
    Admit, Buffers, Clock, CloseReason, Config, Connection, Limits, Misuse, Rejection, Request, Response,
    Status, Step, Transmit,
};
use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

fn admit(head: &Request<'_>) -> Admit {
    match head.path() {
        "/receive" if head.raw_query() == Some("four") => Admit::AtHeadUpTo(4),
        "/receive" if head.raw_query() == Some("buffered") => Admit::Buffer,
        _ => Admit::AtHead,
    }
}

fn run(acts: &[Act<'_>]) -> Drive {
    let limits = Limits { streamed_bytes: 3_000_000, body_bytes: 1_000_000, ..Limits::default() };
    let mut drive = Drive::new(Config { limits, ..Config::default() }, echo);
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

fn post(target: &str, headers: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

/// Returns the head of a request for `/receive` with these headers.
fn head(headers: &str) -> String {
    post("/receive", headers)
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const FIVE: &str = "Content-Length: 5\r\n";
const EXPECT: &str = "Expect: 100-continue\r\nContent-Length: 5\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const CHUNKS: &str = "2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nTrailer: x\r\n\r\n";
const ECHO: &str = "200 keep-alive length=5 body=5";
const TWO: &str = "200 keep-alive length=2 body=2";
const NEXT: &str = "200 keep-alive length=7 body=7";

#[test]
fn takes_content_however_it_is_split() {
    for (headers, content) in [(FIVE, "abcde"), (CHUNKED, CHUNKS), (EXPECT, "abcde")] {
        let (start, all) = (head(headers), head(headers) + content + GET);
        for at in 1..all.len() {
            let drive = run(&[Send(&all[..at]), Send(&all[at..]), End]);
            let responses = drive.responses();
            let bodies: Vec<_> = responses.iter().map(|response| &*response.body).collect();
            assert_eq!(bodies, [&b"abcde"[..], b"GET /a\n"], "{headers} split at {at}");
            let is_asked = headers == EXPECT && at == start.len();
            assert_eq!(drive.output.starts_with(b"HTTP/1.1 100"), is_asked, "{headers} split at {at}");
        }
    }
    check(&[Send(&head(FIVE)), Send("abcde")], "receive request receive content end flush receive", &[ECHO]);
    check(
        &[Send(&head(EXPECT)), Send("abcde")],
        "receive request flush receive content end flush receive",
        &[&format!("100 {ECHO}")],
    );
}

#[test]
fn a_request_without_content_ends_at_once() {
    for (target, headers, content, body) in [
        ("/receive", "", "", "length=0 body=0"),
        ("/receive", "Content-Length: 0\r\n", "", "length=0 body=0"),
        ("/receive?buffered", FIVE, "abcde", "length=5 body=5"),
    ] {
        let request = post(target, headers) + content;
        check(&[Send(&request)], "receive request flush receive", &[&format!("200 keep-alive {body}")]);
    }
    let connect = format!("CONNECT tunnel:1 HTTP/1.1\r\nHost: x\r\n{FIVE}\r\n");
    let drive = run(&[Send(&connect), Send("abcde"), End]);
    assert_eq!((drive.seen.len(), drive.responses().len()), (1, 1));
}

#[test]
fn content_takes_no_more_memory_than_the_first_buffer() {
    let large = head("Content-Length: 2000000\r\n") + &"x".repeat(2_000_000) + GET;
    let chunk = "4000\r\n".to_owned() + &"x".repeat(0x4000) + "\r\n";
    let chunked = head(CHUNKED) + &chunk.repeat(60) + "0\r\n\r\n" + GET;
    for bytes in [large, chunked] {
        let drive = run(&[Send(&bytes), End]);
        assert_eq!(drive.responses().len(), 2);
        assert!(drive.most_input <= 16 * 1024, "{} bytes held", drive.most_input);
        // The application takes nothing for a while.
        let paused = run(&[Take(10), Send(&bytes), Take(0), Take(50_000), Take(usize::MAX), End]);
        assert_eq!(paused.responses(), drive.responses());
        assert!(paused.most_input <= 16 * 1024, "{} bytes held", paused.most_input);
    }
}

#[test]
fn content_beyond_its_limit_gets_413_without_100() {
    let four = |headers: &str| post("/receive?four", headers);
    let rejected = "receive request Malformed(BodyTooLarge) flush shutdown receive";
    for headers in [FIVE, EXPECT] {
        check(&[Send(&four(headers))], rejected, &["413 close length=377 body=377"]);
    }
    let streamed = head("Content-Length: 3000001\r\n");
    check(&[Send(&streamed)], rejected, &["413 close length=377 body=377"]);
    check(&[Send(&head("Content-Length: 3000000\r\n"))], "receive request receive", &[]);
    let chunked = [Send(&four(CHUNKED)), Send("4\r\nabcd\r\n"), Send("1\r\ne\r\n0\r\n\r\n")];
    let steps = "receive request receive content receive Malformed(BodyTooLarge) flush shutdown receive";
    check(&chunked, steps, &["413 close length=377 body=377"]);
    let most = [Send(&four(CHUNKED)), Send("4\r\nabcd\r\n0\r\n\r\n")];
    check(&most, "receive request receive content end flush receive", &["200 keep-alive length=4 body=4"]);
}

#[test]
fn malformed_content_gets_400() {
    for content in ["x\r\n", "1\r\nabc\r\n", "0\r\nbad trailer\r\n\r\n"] {
        let drive = run(&[Send(&head(CHUNKED)), Send("1\r\na\r\n"), Send(content), Send(GET), End]);
        assert_eq!((drive.responses()[0].status, drive.seen.len()), (400, 1), "{content}");
    }
}

#[test]
fn a_client_that_leaves_within_content_is_seen() {
    let truncated = "receive request receive content receive Truncated";
    check(&[Send(&head(FIVE)), Send("abcd"), End], truncated, &[]);
    check(&[Send(&head(CHUNKED)), Send("5\r\nab"), End], truncated, &[]);
    // What it has sent before is still taken.
    let paused = [Take(1), Send(&head(FIVE)), Send("abcd"), End, Take(3)];
    check(&paused, truncated, &[]);
}

#[test]
fn an_early_response_drops_the_rest() {
    let steps = "receive request receive content flush receive";
    for (headers, content) in [(FIVE, "abcde"), (CHUNKED, CHUNKS)] {
        let start = post("/receive-two", headers);
        let all = start.clone() + content + GET;
        for at in start.len()..=all.len() {
            for sizes in [
                &[Send(&all[..at]), Send(&all[at..])][..],
                &[Take(1), Send(&all[..at]), Send(&all[at..]), Take(1)],
            ] {
                let drive = run(sizes);
                let summaries = drive.summaries();
                assert_eq!(summaries, [TWO, NEXT], "{headers} split at {at}");
            }
        }
    }
    check(&[Send(&post("/receive-two", FIVE)), Send("abc")], steps, &[TWO]);
    // It drops no more than `body_bytes`, however much of that has arrived.
    let closes = "receive request receive content flush shutdown receive";
    for content in ["ab", "abc", "abcde"] {
        let fits = post("/receive-two", "Content-Length: 1000002\r\n") + content;
        check(&[Send(&fits)], "receive request content flush receive", &[TWO]);
        let start = post("/receive-two", "Content-Length: 1000003\r\n");
        check(&[Send(&start), Send(content)], closes, &["200 close length=2 body=2"]);
    }
    for arrived in [2, 3, 12] {
        let start = post("/receive-two", CHUNKED) + "f4243\r\n" + &"x".repeat(arrived);
        check(
            &[Send(&start), Send(&"x".repeat(1_000_003 - arrived))],
            "receive request content flush receive shutdown receive",
            &[TWO],
        );
    }
}

/// Receives a head, and requests the content piece by piece.
fn request_content(head: &str) -> (Connection, Buffers, Clock) {
    let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
    let mut conn = Connection::new(Arc::default(), clock.now());
    let mut buffers = Buffers::default();
    buffers.input.extend(head.as_bytes());
    assert_eq!(conn.poll(&mut buffers.input, &mut buffers.out, clock.now()), Step::Head);
    conn.admit(Admit::AtHead);
    assert_eq!(conn.poll(&mut buffers.input, &mut buffers.out, clock.now()), Step::Request);
    assert_eq!(conn.receive_content(clock.now()), Ok(true));
    (conn, buffers, clock)
}

/// RFC 9110 §10.1.1: a client that gets no 100 may send the content or the next request.
#[test]
fn a_response_in_place_of_a_100_closes_the_connection() {
    let check = |headers: &str, has_polled: bool, expected: &str| {
        let (mut conn, Buffers { mut input, mut out }, clock) = request_content(&head(headers));
        if has_polled {
            conn.poll(&mut input, &mut out, clock.now());
        }
        conn.respond(Response::text(""), &mut out, &clock).expect("a response is due");
        let Transmit::Bytes { slices, .. } = out.transmit() else { panic!("nothing to send") };
        let sent = String::from_utf8_lossy(&slices.concat()).into_owned();
        assert!(sent.contains(&format!("\r\nConnection: {expected}\r\n")), "{headers}: {sent}");
    };
    check(FIVE, false, "keep-alive");
    check(EXPECT, false, "close");
    // The 100 is queued.
    check(EXPECT, true, "keep-alive");
}

#[test]
fn a_response_within_content_has_a_body() {
    let (conn, ..) = request_content(&head(FIVE));
    assert!(conn.sends_body(Status::OK) && !conn.sends_body(Status::NO_CONTENT));
    let (conn, ..) = request_content(&head(FIVE).replace("POST", "HEAD"));
    assert!(!conn.sends_body(Status::OK));
}

#[test]
fn a_handler_that_fails_within_content_gets_500() {
    let acts =
        [Hold, Take(1), Send(&head(FIVE)), Send("abc"), Reject(Rejection::HandlerPanicked), Send(GET), End];
    let drive = run(&acts);
    assert_eq!((drive.seen.len(), drive.responses().len(), drive.responses()[0].status), (1, 1, 500));
}

#[test]
fn a_slow_client_gets_408_and_a_slow_application_503() {
    let check_ends = |acts: &[Act<'_>], after: u64, steps: &str, status: u16| {
        let before = run(acts).steps.join(" ");
        let almost = run(&[acts, &[Pass(after - 1)]].concat());
        assert_eq!(almost.steps.join(" "), before, "too early: {acts:?}");
        let drive = run(&[acts, &[Pass(after - 1), Pass(1)]].concat());
        assert_eq!(drive.steps.join(" "), format!("{before} {steps} flush shutdown receive"), "{acts:?}");
        assert_eq!(drive.responses()[0].status, status, "{acts:?}");
    };
    let client = |acts: &[Act<'_>], after| check_ends(acts, after, "RequestTimeout", 408);
    let application = |acts: &[Act<'_>], after| check_ends(acts, after, "ReplyTimeout", 503);
    let (start, piece) = (head("Content-Length: 100000\r\n"), "x".repeat(10_000));
    client(&[Send(&start)], 15_000);
    client(&[Send(&start), Pass(14_000), Send(&piece)], 15_000);
    // Not each byte extends the time: it also has a minimum rate.
    client(&[Send(&start), Pass(14_000), Send("x")], 1_002);
    application(&[Take(0), Send(&start), Send(&piece)], 120_000);
    application(&[Take(1), Send(&start), Send(&piece), Pass(119_000), Take(1)], 120_000);
    application(&[Hold, Send(&head(FIVE)), Pass(14_000), Send("abcde")], 120_000);
    // While the application is behind, the client owes nothing.
    let slow = [Take(1), Send(&start), Send(&piece), Pass(119_000), Take(usize::MAX)];
    client(&slow, 15_000);
    // The time to send the 100 is not charged to the client.
    client(&[Read(5), Send(&head(EXPECT)), Pass(29_000), ReadAll], 15_000);
}

#[test]
fn a_shutdown_ends_the_connection_after_the_response() {
    let acts = [Send(&head(FIVE)), Send("ab"), DisableKeepAlive, Send("cde")];
    let steps = "receive request receive content receive content end flush shutdown receive";
    check(&acts, steps, &["200 close length=5 body=5"]);
    let held = [Hold, Send(&head(FIVE)), Send("abcde"), DisableKeepAlive, Release];
    check(
        &held,
        "receive request receive content end await flush shutdown receive",
        &["200 close length=5 body=5"],
    );
}

#[test]
fn a_client_that_does_not_read_cannot_send_content() {
    let drive = run(&[Read(5), Send(&[GET, &head(FIVE)].concat()), Pass(30_000)]);
    assert_eq!(drive.closed, Some(CloseReason::WriteStall));
}

/// Calls `check` after [`Step::Request`], when the application has begun to take content, and again when the connection
/// was polled. The last argument says whether the bytes of the request are still there.
fn check_begun(check: impl Fn(&mut Connection, &Buffers, bool)) {
    for is_polled in [false, true] {
        let now = Instant::now();
        let mut buffers = Buffers::default();
        let mut conn = Connection::new(Arc::default(), now);
        buffers.input.extend(head(FIVE).as_bytes());
        assert_eq!(conn.poll(&mut buffers.input, &mut buffers.out, now), Step::Head);
        conn.admit(Admit::AtHead);
        assert_eq!(conn.poll(&mut buffers.input, &mut buffers.out, now), Step::Request);
        assert_eq!(conn.receive_content(now), Ok(true));
        if is_polled {
            assert_eq!(conn.poll(&mut buffers.input, &mut buffers.out, now), Step::Receive);
        }
        check(&mut conn, &buffers, !is_polled);
    }
}

#[test]
fn a_rejected_request_is_known_while_its_bytes_are_there() {
    check_begun(|conn, buffers, is_there| {
        assert!(conn.request(&buffers.input).is_none());
        conn.reject();
        let path = conn.request(&buffers.input).map(|request| request.path().to_owned());
        assert_eq!(path.as_deref(), is_there.then_some("/receive"));
    });
}

#[test]
fn an_upgrade_must_wait_for_the_content() {
    check_begun(|conn, _, _| {
        let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
        let upgrade = Response::switching_protocols("chat").on_upgrade(drop);
        let misuse = conn.respond(upgrade, &mut Buffers::default().out, &clock);
        assert_eq!(misuse, Err(Misuse::UpgradeBeforeContent));
    });
}

#[test]
fn tells_whether_a_response_has_a_body() {
    let now = Instant::now();
    for (method, has_body) in [("GET", true), ("HEAD", false)] {
        let Buffers { mut input, mut out } = Buffers::default();
        let mut conn = Connection::new(Arc::default(), now);
        assert!(!conn.sends_body(Status::OK), "no response is due");
        input.extend(format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(conn.poll(&mut input, &mut out, now), Step::Request);
        for _ in 0..2 {
            assert_eq!((conn.sends_body(Status::OK), conn.sends_body(Status::NO_CONTENT)), (has_body, false));
            conn.reject();
        }
    }
}
