//! Whole exchanges: whether the connection stays open, how responses are delimited, and in which order they are sent.
//!
//! The echo application responds with `METHOD target`, a line feed and the request body.

use crate::{
    app::{AppReply, Chunks, echo},
    drive::Drive,
    received::ReceivedResponse,
    script::{
        Act::{DisableKeepAlive, Drain, End, HangUp, Hold, Pass, Read, ReadAll, Reject, Release, Send},
        check, run,
    },
};
use http_core::{Body, Buffers, Clock, Config, Connection, Misuse, Rejection, Response, Sent, Step};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// A request without a body: `line` is its method and target, `headers` are whole lines.
fn request(line: &str, version: &str, headers: &str) -> String {
    format!("{line} HTTP/{version}\r\nHost: x\r\n{headers}\r\n")
}

fn get(target: &str) -> String {
    request(&format!("GET {target}"), "1.1", "")
}

#[test]
fn keeps_the_connection_open_when_the_client_does() {
    let kept = "receive request flush receive ClientClosed";
    let keep = |version, headers, steps, response| {
        check(&[Send(&request("GET /a", version, headers)), End], steps, &[response]);
    };
    keep("1.1", "", kept, "200 keep-alive length=7 body=7");
    keep("1.0", "Connection: keep-alive\r\n", kept, "200 keep-alive length=7 body=7");
    let ended = "receive request flush Done";
    keep("1.1", "Connection: close\r\n", ended, "200 close length=7 body=7");
    keep("1.0", "", ended, "200 close length=7 body=7");
    keep("1.0", "Connection: keep-alive, close\r\n", ended, "200 close length=7 body=7");
}

#[test]
fn lingers_when_the_server_closes() {
    let ended = "receive request flush shutdown receive Done";
    check(&[Send(&get("/close")), End], ended, &["200 close length=11 body=11"]);
    let old = request("GET /close", "1.0", "Connection: keep-alive\r\n");
    check(&[Send(&old), End], ended, &["200 close length=11 body=11"]);
    // A client that sends more after its last request may still be sending.
    let last = request("GET /a", "1.1", "Connection: close\r\n") + &get("/b");
    check(&[Send(&last), End], ended, &["200 close length=7 body=7"]);
}

#[test]
fn a_connection_over_the_limit_is_rejected_before_its_first_byte() {
    let now = Instant::now();
    let Buffers { mut input, mut out } = Buffers::default();
    let step = Connection::over_limit(Arc::default(), now).poll(&mut input, &mut out, now);
    assert_eq!(step, Step::Reject(Rejection::Overloaded));
}

#[test]
fn nothing_is_parsed_after_connect() {
    let drive = run(Config::default(), &[Send(&(request("CONNECT a:1", "1.1", "") + &get("/a"))), End]);
    let responses = drive.responses();
    assert_eq!((responses.len(), responses[0].status, responses[0].close), (1, 405, true));
    assert_eq!(responses[0].values("Allow").collect::<Vec<_>>(), [b"GET"]);
}

#[test]
fn a_success_in_response_to_connect_becomes_501() {
    let drive = run(Config::default(), &[Send(&request("CONNECT tunnel:1", "1.1", "")), End]);
    let responses = drive.responses();
    assert_eq!((responses.len(), responses[0].status, responses[0].close), (1, 501, true));
}

#[test]
fn pipelined_responses_are_sent_in_order_and_together() {
    let three = [get("/1"), get("/22"), get("/333")].concat();
    let responses = [
        "200 keep-alive length=7 body=7",
        "200 keep-alive length=8 body=8",
        "200 keep-alive length=9 body=9",
    ];
    check(&[Send(&three), End], "receive request flush receive ClientClosed", &responses);
    // A delayed response delays those after it, and not those before it.
    let later = [get("/1"), get("/later"), get("/333")].concat();
    let responses = [responses[0], "200 keep-alive length=11 body=11", responses[2]];
    let before = "receive request flush await";
    check(&[Hold, Send(&later)], before, &responses[..1]);
    check(&[Hold, Send(&later), Release], &format!("{before} request flush receive"), &responses);
}

#[test]
fn a_long_pipeline_stays_within_the_queue_limit() {
    const MOST: u64 = 4_096;
    let mut config = Config::default();
    config.limits.queued_bytes = MOST;
    let requests: String = (0..2_000).map(|number| get(&format!("/{number}"))).collect();
    let mut drive = Drive::new(config, echo).writing(&[700, 1, 90]);
    drive.read(0);
    drive.send(requests.as_bytes());
    drive.run();
    let served = drive.seen.len();
    assert!((10..50).contains(&served), "served {served} requests of a client that does not read");
    for bytes in [1, 10_000, 100] {
        drive.read(bytes);
        drive.run();
    }
    drive.read(usize::MAX);
    drive.end();
    drive.run();
    let bodies: Vec<_> = drive.responses().into_iter().map(|response| response.body).collect();
    let expected = (0..2_000).map(|number| format!("GET /{number}\n").into_bytes());
    assert!(bodies.into_iter().eq(expected), "responses are missing, repeated or out of order");
    assert!(drive.most_pending <= MOST + 300, "{} bytes queued", drive.most_pending);
}

#[test]
fn head_204_and_304_have_no_body() {
    let one = |line, response| {
        // The second response shows that the first one ended in the right place.
        let two = request(line, "1.1", "") + &get("/a");
        let responses = [response, "200 keep-alive length=7 body=7"];
        check(&[Send(&two), End], "receive request flush receive ClientClosed", &responses);
    };
    one("HEAD /a", "200 keep-alive length=8 body=0");
    one("HEAD /big", "200 keep-alive length=6000 body=0");
    one("HEAD /file", "200 keep-alive length=100 body=0");
    one("HEAD /stream", "200 keep-alive chunked body=0");
    one("HEAD /stream-file", "200 keep-alive chunked body=0");
    one("GET /none", "204 keep-alive no-body body=0");
    one("GET /same", "304 keep-alive no-body body=0");
    one("HEAD /none", "204 keep-alive no-body body=0");
    one("GET /big", "200 keep-alive length=6000 body=6000");
    one("GET /file", "200 keep-alive length=100 body=100");
    one("GET /parts", "200 keep-alive length=5118 body=5118");
}

#[test]
fn the_rejection_of_a_head_has_no_body() {
    let bad = |method: &str| format!("{method} /a HTTP/1.1\r\n\r\n");
    for (method, empty) in [("HEAD", true), ("GET", false)] {
        let drive = run(Config::default(), &[Send(&bad(method)), End]);
        assert_eq!(drive.responses()[0].body.is_empty(), empty, "{method}");
    }
    let drive = run(
        Config::default(),
        &[Hold, Send(&request("HEAD /later", "1.1", "")), Reject(Rejection::HandlerPanicked), End],
    );
    assert_eq!((drive.responses()[0].status, drive.responses()[0].body.len()), (500, 0));
}

#[test]
fn streams_are_chunked_or_end_with_the_connection() {
    for (line, len) in [("GET /stream", 20), ("GET /stream-file", 106)] {
        let whole = format!("200 keep-alive chunked body={len}");
        let two = request(line, "1.1", "") + &get("/a");
        let responses = [&whole, "200 keep-alive length=7 body=7"];
        // The request behind a stream waits for its end.
        check(&[Send(&two), End], "receive request flush request flush receive ClientClosed", &responses);
        // HTTP/1.0 has no chunked coding: the end of the connection ends the body.
        let old = format!("200 close until-close body={len}");
        check(&[Send(&request(line, "1.0", "")), End], "receive request flush Done", &[&old]);
        let kept = request(line, "1.0", "Connection: keep-alive\r\n");
        check(&[Send(&kept), End], "receive request flush shutdown receive Done", &[&old]);
    }
}

/// The body of the second response has 3 bytes, and the first one's is not known when the second request arrives.
#[test]
fn the_callback_behind_a_stream_receives_its_own_bytes_only() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut drive = Drive::new(Config::default(), move |request| {
        let sender = sender.clone();
        let body: Body = match request.path() {
            "/stream" => Body::Stream(Box::new(Chunks(vec![b"two", b"one"]))),
            _ => "end".into(),
        };
        AppReply::Now(Response::text(body).on_sent(move |sent| sender.send(sent).expect("a receiver")))
    });
    drive.send([get("/stream"), get("/a")].concat().as_bytes());
    drive.run();
    let stream = "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n".len() as u64;
    for bytes in [stream, 3] {
        assert_eq!(receiver.try_recv(), Ok(Sent { bytes, complete: true }));
    }
}

#[test]
fn calls_every_callback_in_order() {
    // The library replaces the response to CONNECT.
    for line in ["GET /", "CONNECT a:1"] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut drive = Drive::new(Config::default(), move |_| {
            let [first, second] = [sender.clone(), sender.clone()];
            let response = Response::text("end").on_sent(move |_| first.send(1).expect("a receiver"));
            AppReply::Now(response.on_sent(move |_| second.send(2).expect("a receiver")))
        });
        drive.send(request(line, "1.1", "").as_bytes());
        drive.run();
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2], "{line}");
    }
}

#[test]
fn a_failed_stream_has_no_final_chunk() {
    for version in ["1.1", "1.0"] {
        let drive = run(Config::default(), &[Send(&request("GET /broken", version, ""))]);
        assert_eq!(drive.steps.join(" "), "receive request flush broken");
        assert!(drive.output.ends_with(b"one") || drive.output.ends_with(b"3\r\none\r\n"));
    }
}

#[test]
fn sends_100_to_a_client_that_waits_for_it() {
    let post = |headers: &str| request("POST /a", "1.1", &format!("Expect: 100-continue\r\n{headers}"));
    let five = post("Content-Length: 5\r\n");
    let expected = ["100 200 keep-alive length=13 body=13"];
    check(&[Send(&five), Send("abcde")], "receive flush receive request flush receive", &expected);
    let chunked = post("Transfer-Encoding: chunked\r\n");
    let coded = "5\r\nabcde\r\n0\r\n\r\n";
    check(&[Send(&chunked), Send(coded)], "receive flush receive request flush receive", &expected);
    // After the previous response, not within it.
    let second = [get("/b"), five.clone()].concat();
    let responses = ["200 keep-alive length=7 body=7", expected[0]];
    check(&[Send(&second), Send("abcde")], "receive request flush receive request flush receive", &responses);
}

#[test]
fn sends_no_100_to_other_clients() {
    let check_silent = |headers: &str, version: &str, first: &str, rest: &str, response: &str| {
        let head = request("POST /a", version, headers);
        let drive = run(Config::default(), &[Send(&format!("{head}{first}")), Send(rest), End]);
        assert!(drive.steps.join(" ").starts_with("receive request flush"), "{headers} {:?}", drive.steps);
        let summaries: Vec<_> = drive.responses().iter().map(ReceivedResponse::summary).collect();
        assert_eq!(summaries, [response], "{headers}");
    };
    let kept = "200 keep-alive length=13 body=13";
    let expect = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    check_silent("Content-Length: 5\r\n", "1.1", "", "abcde", kept);
    check_silent(expect, "1.1", "a", "bcde", kept);
    check_silent(expect, "1.1", "abcde", "", kept);
    check_silent(expect, "1.0", "", "abcde", "200 close length=13 body=13");
    let none = "200 keep-alive length=8 body=8";
    check_silent("Expect: 100-continue\r\nContent-Length: 0\r\n", "1.1", "", "", none);
    check_silent("Expect: 100-continue\r\n", "1.1", "", "", none);
}

#[test]
fn sends_no_100_to_a_client_that_will_be_rejected() {
    let check = |headers: &str, status: u16| {
        let head = request("POST /a", "1.1", &format!("Expect: 100-continue\r\n{headers}"));
        let drive = run(Config::default(), &[Send(&head)]);
        let responses = drive.responses();
        assert_eq!(
            (responses.len(), responses[0].interims, responses[0].status),
            (1, 0, status),
            "{headers}"
        );
    };
    check("Content-Length: 1048577\r\n", 413);
    check("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400);
    check("Content-Length: 5\r\nHost: y\r\n", 400);
    check("Content-Length: 5\r\nExpect: more\r\n", 417);
}

#[test]
fn a_rejection_is_not_lost_to_a_reset() {
    let bad = "GET / HTTP/1.1\r\n\r\n";
    let lingering = "receive Malformed(HostMissing) flush shutdown receive";
    let rest = "x".repeat(100_000);
    for acts in [&[Send(bad)][..], &[Send(bad), Send(&rest)], &[Send(bad), Send(&get("/a")), Send(&rest)]] {
        let drive = run(Config::default(), acts);
        assert_eq!((drive.steps.join(" "), drive.closed), (lingering.to_owned(), None));
        assert!(drive.most_input <= 16 * 1024, "{} bytes kept of what is dropped", drive.most_input);
        let drive = run(Config::default(), &[acts, &[End]].concat());
        assert_eq!(drive.steps.join(" "), format!("{lingering} Done"));
        assert_eq!((drive.responses().len(), drive.seen.len()), (1, 0));
    }
    // Requests before it still get their responses, before its own.
    let drive = run(Config::default(), &[Send(&(get("/a") + bad)), End]);
    let statuses: Vec<_> =
        drive.responses().iter().map(|response| (response.status, response.close)).collect();
    assert_eq!(statuses, [(200, false), (400, true)]);
}

#[test]
fn a_rejection_closes_even_if_the_application_replaces_its_response() {
    let mut drive = Drive::new(Config::default(), echo);
    drive.on_reject = |rejected| Response::text("nothing wrong").with_status(rejected.reason.status());
    drive.send(&[b"GET / HTTP/1.1\r\n\r\n", get("/a").as_bytes()].concat());
    drive.end();
    drive.run();
    let summaries: Vec<_> = drive.responses().iter().map(ReceivedResponse::summary).collect();
    assert_eq!((summaries, drive.seen.len()), (vec!["400 close length=13 body=13".to_owned()], 0));
}

#[test]
fn responds_to_requests_received_before_a_half_close() {
    let response = "200 keep-alive length=7 body=7";
    check(&[End], "receive ClientClosed", &[]);
    let two = [get("/a"), get("/b")].concat();
    check(
        &[Read(0), Send(&two), End, ReadAll],
        "receive request flush receive ClientClosed",
        &[response, response],
    );
    let later = [get("/later"), get("/b")].concat();
    let delayed = "200 keep-alive length=11 body=11";
    let steps = "receive request await request flush receive ClientClosed";
    check(&[Hold, Send(&later), End, Release], steps, &[delayed, response]);
    // Half a request gets no response.
    let cut = get("/a") + "GET /b HT";
    check(&[Send(&cut), End], "receive request flush receive Truncated", &[response]);
    check(
        &[Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcd"), End],
        "receive Truncated",
        &[],
    );
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    check(&[Send(chunked), End], "receive Truncated", &[]);
}

#[test]
fn does_not_receive_after_a_reported_hang_up() {
    let kept = "200 keep-alive length=11 body=11";
    check(&[HangUp], "ClientClosed", &[]);
    check(&[Send("GET"), HangUp], "receive Truncated", &[]);
    check(
        &[Hold, Send(&get("/later")), HangUp, Release],
        "receive request await flush ClientClosed",
        &[kept],
    );
    let two = get("/later") + &get("/b");
    let responses = [kept, "200 keep-alive length=7 body=7"];
    check(
        &[Hold, Send(&two), HangUp, Release],
        "receive request await request flush ClientClosed",
        &responses,
    );
    // After the end of the client there is nothing to linger for.
    let closed = "200 close length=11 body=11";
    let steps = "receive request flush Done";
    check(&[Read(5), Send(&get("/close")), HangUp, ReadAll], steps, &[closed]);
    check(&[Send(&get("/close")), HangUp], "receive request flush shutdown receive Done", &[closed]);
}

#[test]
fn a_shutdown_finishes_the_current_request() {
    let last = "200 close length=7 body=7";
    check(&[DisableKeepAlive], "Done", &[]);
    check(&[Send(""), DisableKeepAlive], "receive Done", &[]);
    // A partial head or body is a current request.
    let whole = get("/a");
    let (start, rest) = whole.split_at(9);
    check(
        &[Send(start), DisableKeepAlive, Send(rest), End],
        "receive request flush shutdown receive Done",
        &[last],
    );
    let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na";
    let posted = "200 close length=10 body=10";
    check(
        &[Send(post), DisableKeepAlive, Send("bc"), End],
        "receive request flush shutdown receive Done",
        &[posted],
    );
    // Before the response: it announces that it is the last, and nothing after it is served.
    let later = [get("/later"), get("/b")].concat();
    check(
        &[Hold, Send(&later), DisableKeepAlive, Release, End],
        "receive request await flush shutdown receive Done",
        &["200 close length=11 body=11"],
    );
    // While the response is sent: it is sent completely.
    let kept = "200 keep-alive length=7 body=7";
    check(&[Read(5), Send(&get("/a")), DisableKeepAlive, ReadAll], "receive request flush Done", &[kept]);
    // A pipelined request that is not parsed yet gets no response. The connection lingers, so that closing it does not
    // destroy the response before.
    let mut config = Config::default();
    config.limits.queued_bytes = 1;
    let two = [get("/a"), get("/b")].concat();
    let drive = run(config, &[Read(5), Send(&two), DisableKeepAlive, ReadAll, End]);
    assert_eq!(drive.steps.join(" "), "receive request flush shutdown receive Done");
    assert_eq!(drive.responses().iter().map(ReceivedResponse::summary).collect::<Vec<_>>(), [kept]);
    // After the end, nothing changes.
    check(
        &[Send(&get("/close")), DisableKeepAlive, End, DisableKeepAlive],
        "receive request flush shutdown receive Done",
        &["200 close length=11 body=11"],
    );
}

#[test]
fn a_draining_connection_serves_one_more_request() {
    let (last, kept) = ("200 close length=7 body=7", "200 keep-alive length=7 body=7");
    let (one, two) = (get("/a"), get("/a") + &get("/b"));
    let lingers = "receive request flush shutdown receive Done";
    check(&[Drain, Send(&one), End], lingers, &[last]);
    check(&[Send(""), Drain, Pass(1999), Send(&two), End], lingers, &[last]);
    // It has arrived in time, although the server receives it late.
    check(&[Drain, Pass(1999), Send(&one[..9]), Pass(9999), Send(&one[9..]), End], lingers, &[last]);
    // No request comes.
    check(&[Drain, Pass(2000)], "receive Idle", &[]);
    check(&[Send(""), Drain, HangUp], "receive ClientClosed", &[]);
    // The request in progress is the last, unless its response has said that the connection stays open.
    let later = get("/later") + &get("/b");
    check(
        &[Hold, Send(&later), Drain, Release, End],
        "receive request await flush shutdown receive Done",
        &["200 close length=11 body=11"],
    );
    let sent_late = [Read(5), Send(&one), Drain, Pass(5000), ReadAll, Pass(1999), Send(&one), End];
    check(&sent_late, "receive request flush receive request flush shutdown receive Done", &[kept, last]);
    check(&[Send(&one), Drain, Pass(1999), Drain, Pass(1)], "receive request flush receive Idle", &[kept]);
    let mut config = Config::default();
    config.timeouts.idle_grace = Duration::ZERO;
    assert_eq!(run(config, &[Send(&one), Drain]).steps.join(" "), "receive request flush receive Done");
}

#[test]
fn responds_when_the_handler_fails() {
    for (reason, status, retry) in [(Rejection::HandlerPanicked, 500, 0), (Rejection::Overloaded, 503, 1)] {
        let acts = [Hold, Send(&(get("/later") + &get("/b"))), Reject(reason), End];
        let drive = run(Config::default(), &acts);
        assert_eq!(drive.steps.join(" "), "receive request await flush shutdown receive Done");
        let responses = drive.responses();
        assert_eq!((responses.len(), responses[0].status, responses[0].close), (1, status, true));
        assert_eq!(responses[0].values("Retry-After").count(), retry);
    }
}

#[test]
fn misuse_is_an_error_and_changes_nothing() {
    let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
    let mut conn = Connection::new(Arc::default(), clock.now());
    let Buffers { mut input, mut out } = Buffers::default();
    assert_eq!(conn.respond(Response::text(""), &mut out, &clock), Err(Misuse::NoResponseDue));
    assert!(conn.request(&input).is_none());
    input.extend(get("/a").as_bytes());
    assert_eq!(conn.poll(&mut input, &mut out, clock.now()), Step::Request);
    for (body, misuse) in [
        (Body::Shared(b"0123".as_slice().into(), 2..5), Misuse::RangeOutOfBounds),
        (Body::Parts(vec![Body::Stream(Box::new(Chunks(Vec::new())))]), Misuse::StreamInParts),
    ] {
        assert_eq!(conn.respond(Response::text("").with_body(body), &mut out, &clock), Err(misuse));
        assert!(conn.is_awaiting_reply() && out.is_empty());
    }
    conn.reject();
    assert_eq!(conn.request(&input).map(|request| request.target()), Some("/a"));
    let response = Rejection::HandlerPanicked.response();
    assert_eq!(conn.respond(response, &mut out, &clock), Ok(()));
    assert_eq!(conn.respond(Response::text(""), &mut out, &clock), Err(Misuse::NoResponseDue));
    assert_eq!(conn.poll(&mut input, &mut out, clock.now()), Step::Flush);
}

/// What a rejection tells of a head that was not understood, for the access log.
#[test]
fn a_rejection_contains_the_request_line_as_received() {
    let check = |bytes: &[u8], line: &[u8]| {
        let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
        let mut conn = Connection::new(Arc::default(), clock.now());
        let Buffers { mut input, mut out } = Buffers::default();
        input.extend(bytes);
        let mut step = conn.poll(&mut input, &mut out, clock.now());
        while step == Step::Request {
            conn.respond(Response::text(""), &mut out, &clock).expect("a response is due");
            step = conn.poll(&mut input, &mut out, clock.now());
        }
        let reason = match step {
            Step::Reject(reason) => reason,
            _ => conn.expire(conn.deadline()).expect("an incomplete head"),
        };
        let rejected = conn.rejected(reason, &input);
        let expected = (line.escape_ascii().to_string(), line.is_empty());
        let request_line = rejected.request_line.escape_ascii().to_string();
        assert_eq!((request_line, rejected.request.is_some()), expected, "{}", bytes.escape_ascii());
    };
    check(b"garbage\r\n\r\n", b"garbage");
    check(b"\x16\x03\x01\x02\r\n", b"\x16\x03\x01\x02");
    check(b"\r\nGET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1");
    check(b"GET / HTTP/1.1\nHost: a b\n\n", b"GET / HTTP/1.1");
    check(
        &[b"GET /", &[b'a'; 9000][..], b" HTTP/1.1\r\n\r\n"].concat(),
        &[b"GET /", &[b'a'; 9000][..], b" HTTP/1.1"].concat(),
    );
    // Not complete when the time is over.
    check(b"GET /slo", b"GET /slo");
    check(b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1");
    // The second of two pipelined requests.
    check(&[get("/a").as_bytes(), b"GET / HTTP/9\r\n"].concat(), b"GET / HTTP/9");
    // The head is valid and the body is not, so `request` contains the request line.
    check(
        request("POST /", "1.1", "Transfer-Encoding: chunked\r\n")
            .replace("\r\n\r\n", "\r\n\r\nx\r\n")
            .as_bytes(),
        b"",
    );
}

/// Sends a request with each of the targets, which spaces separate, and a second request behind it. Expects this status
/// and Location. After a client's error the connection closes.
fn check_target(method: &str, targets: &str, status: u16, location: Option<&str>) {
    for target in targets.split(' ') {
        let bytes = request(&format!("{method} {target}"), "1.1", "") + &get("/next");
        let drive = run(Config::default(), &[Send(&bytes), End]);
        let responses = drive.responses();
        let first = &responses[0];
        let actual = first.values("Location").next().map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!((first.status, actual.as_deref()), (status, location), "{method} {target}");
        assert_eq!((first.close, responses.len()), if status == 301 { (false, 2) } else { (true, 1) });
        assert_eq!(drive.seen.len(), responses.len() - 1, "{method} {target}: a handler has seen it");
    }
}

/// RFC 9112 §3: a server may redirect a GET to the target with its characters encoded, and rejects other targets.
#[test]
fn no_handler_sees_an_invalid_target() {
    for (targets, location) in [
        ("/hello| http://test/hello| /./hello|", "hello%7C"),
        ("/hello?%zz", "hello?%25zz"),
        ("/hello?\"", "hello?%22"),
        ("/echo?a[]=%20&b=100%", "echo?a%5B%5D=%20&b=100%25"),
        ("/a|b/c", "../a%7Cb/c"),
        ("/?< http://test?<", "./?%3C"),
        ("//evil.example\\", "../evil.example%5C"),
        ("/\\evil.example", "%5Cevil.example"),
        ("/javascript:alert(1)^", "./javascript:alert(1)%5E"),
    ] {
        check_target("GET", targets, 301, Some(location));
        check_target("HEAD", targets, 301, Some(location));
        for method in ["POST", "PUT", "OPTIONS", "BREW"] {
            check_target(method, targets, 400, None);
        }
    }
    for method in ["GET", "HEAD", "POST", "BREW"] {
        check_target(method, "/%zz /a%00b /a%00|/../x /% /%4 /hello/%2 /%ff/%00%", 400, None);
        check_target(method, "/.. /../x /%2e%2e/x /a/..%2f..%2fx /../| http://test/../x", 403, None);
    }
}

/// The body of such a request is not received.
#[test]
fn a_redirect_of_a_request_with_a_body_closes() {
    for (method, status) in [("GET", 301), ("POST", 400)] {
        let head =
            request(&format!("{method} /a|"), "1.1", "Content-Length: 1000000\r\nExpect: 100-continue\r\n");
        let responses = run(Config::default(), &[Send(&head)]).responses();
        assert_eq!((responses.len(), responses[0].status, responses[0].close), (1, status, true), "{method}");
    }
}
