//! Every wait ends after its timeout, to the millisecond, and not before.

use crate::{
    app::echo,
    drive::Drive,
    script::{
        Act::{self, End, Hold, Pass, Read, ReadAll, Send, Wake},
        check, run,
    },
};
use http_core::{
    Admit, Buffers, Clock, CloseReason, Config, Connection, RecvBuf, Response, SendQueue, Step, TlsInfo,
};
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const LATER: &str = "GET /later HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
const RESPONSE: &str = "200 keep-alive length=7 body=7";

/// Runs the script, then lets time pass: one millisecond less changes nothing, the last one adds these steps.
fn check_ends(acts: &[Act<'_>], after_millis: u64, steps: &str) -> Drive {
    let before = run(Config::default(), acts).steps.join(" ");
    let almost = run(Config::default(), &[acts, &[Pass(after_millis - 1)]].concat());
    assert_eq!(almost.steps.join(" "), before, "too early: {acts:?}");
    let drive = run(Config::default(), &[acts, &[Pass(after_millis - 1), Pass(1)]].concat());
    assert_eq!(drive.steps.join(" "), format!("{before} {steps}"), "{acts:?}");
    drive
}

/// As above; the steps reject the request for this reason and linger, and the last response has this status.
fn check_status(acts: &[Act<'_>], after_millis: u64, rejection: &str, status: u16) {
    let drive = check_ends(acts, after_millis, &format!("{rejection} flush shutdown receive"));
    let responses = drive.responses();
    let last = responses.last().map(|response| (response.status, response.close));
    assert_eq!(last, Some((status, true)), "{acts:?}");
}

#[test]
fn closes_an_idle_connection() {
    check_ends(&[Send("")], 75_000, "Idle");
    check_ends(&[Pass(74_000), Send(GET)], 75_000, "Idle");
    check_ends(&[Send(GET), Pass(74_999), Send(GET)], 75_000, "Idle");
    // An empty line after a request does not begin the next one (RFC 9112 §2.2), and does not restart the timeout.
    check_ends(&[Send(GET), Pass(74_000), Send("\r\n\r")], 1_000, "Idle");
}

/// Responds to the request that has arrived, and sends the response.
fn serve(conn: &mut Connection, input: &mut RecvBuf, out: &mut SendQueue, now: Instant) {
    assert_eq!(conn.poll(input, out, now), Step::Request);
    let clock = Clock::new("test", now, SystemTime::UNIX_EPOCH);
    conn.respond(Response::text("a"), out, &clock).expect("a valid response");
    out.clear();
}

/// Handshake and head together: a client cannot hold a connection longer by beginning a handshake.
#[test]
fn closes_a_secured_connection_without_a_request() {
    let start = Instant::now();
    let mut config = Config::default();
    config.timeouts.head = Duration::from_secs(20);
    let config = Arc::new(config);
    let Buffers { mut input, mut out } = Buffers::default();
    let mut conn = Connection::new(Arc::clone(&config), start).with_tls();
    assert_eq!((conn.deadline(), conn.awaits_handshake()), (start + conn.timeouts().head, true));
    let later = start + Duration::from_secs(14);
    assert_eq!(conn.poll(&mut input, &mut out, later), Step::Receive);
    assert_eq!(conn.deadline(), start + config.timeouts.head);
    input.extend(GET.as_bytes());
    serve(&mut conn, &mut input, &mut out, later);
    assert_eq!(conn.poll(&mut input, &mut out, later), Step::Receive);
    assert_eq!((conn.deadline(), conn.awaits_handshake()), (later + config.timeouts.idle, false));
}

#[test]
fn a_request_knows_its_tls_session() {
    let session = TlsInfo {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        server_name: None,
        client_certificate: None,
    };
    let now = Instant::now();
    let Buffers { mut input, mut out } = Buffers::default();
    let mut conn =
        Connection::new(Arc::default(), now).with_tls_info(Arc::new(OnceLock::from(session.clone())));
    input.extend(GET.as_bytes());
    assert_eq!(conn.poll(&mut input, &mut out, now), Step::Request);
    assert_eq!(conn.request(&input).and_then(|request| request.tls()), Some(&session));
}

/// The client may have begun the handshake: without the shutdown, it would have had this time.
#[test]
fn a_draining_connection_waits_for_the_first_request_after_a_handshake() {
    let start = Instant::now();
    let mut config = Config::default();
    config.timeouts.idle_grace = Duration::ZERO;
    let Buffers { mut input, mut out } = Buffers::default();
    let mut conn = Connection::new(Arc::new(config.clone()), start).with_tls();
    let later = start + Duration::from_secs(14);
    conn.drain(later);
    assert_eq!(conn.poll(&mut input, &mut out, later), Step::Receive);
    assert_eq!(conn.deadline(), start + config.timeouts.head);
    input.extend(GET.as_bytes());
    serve(&mut conn, &mut input, &mut out, later);
    assert!(matches!(conn.poll(&mut input, &mut out, later), Step::ShutdownWrite | Step::Close(_)));
    let mut idle = Connection::new(Arc::new(config), start).with_tls();
    idle.disable_keep_alive();
    assert!(matches!(idle.poll(&mut input, &mut out, start), Step::Close(_)));
}

#[test]
fn the_time_to_send_a_response_is_not_charged_to_the_client() {
    let slow = [Read(5), Send(GET), Pass(15_000), Read(5), Pass(14_000), ReadAll];
    check_ends(&slow, 75_000, "Idle");
    // Half of the next head arrives meanwhile: its timeout starts when the response is sent.
    let begun = [GET, "GET /b"].concat();
    let slow = [Read(5), Send(&begun), Pass(15_000), Read(5), Pass(14_000), ReadAll];
    check_status(&slow, 15_000, "RequestTimeout", 408);
    // The timeout of a body starts when the 100 is sent.
    let post = "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let slow = [Read(5), Send(post), Pass(29_000), ReadAll];
    check_status(&slow, 15_000, "RequestTimeout", 408);
}

#[test]
fn a_head_has_one_deadline_however_it_is_split() {
    check_status(&[Send("G")], 15_000, "RequestTimeout", 408);
    check_status(&[Pass(10_000), Send("G")], 15_000, "RequestTimeout", 408);
    check_status(&[Send(GET), Pass(10_000), Send("GET")], 15_000, "RequestTimeout", 408);
    let dripped: Vec<_> = (0..14).flat_map(|at| [Send(&GET[at..=at]), Pass(1_000)]).collect();
    check_status(&dripped, 1_000, "RequestTimeout", 408);
    // One millisecond before the deadline is in time.
    check(&[Send("G"), Pass(14_999), Send(&GET[1..])], "receive request flush receive", &[RESPONSE]);
}

#[test]
fn a_body_has_an_idle_timeout() {
    check_status(&[Send(POST)], 15_000, "RequestTimeout", 408);
    let piece = "x".repeat(50_000);
    check_status(&[Send(POST), Pass(14_000), Send(&piece)], 15_000, "RequestTimeout", 408);
    let chunked = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc";
    check_status(&[Send(chunked)], 15_000, "RequestTimeout", 408);
    // The idle timeout starts with the last piece.
    let pieces = [Send(POST), Send(&piece), Pass(14_999), Send(&piece)];
    check(&pieces, "receive request flush receive", &["200 keep-alive length=100008 body=100008"]);
}

#[test]
fn a_body_has_a_minimum_rate() {
    // 512 bytes pay for a second, and a byte for 1.95 milliseconds; 256 bytes a second are too slow.
    let (half, enough) = ("x".repeat(256), "x".repeat(512));
    check_status(&dripping(POST, "x", 14), 1_000 + 28, "RequestTimeout", 408);
    check_status(&dripping(POST, &half, 27), 1_500, "RequestTimeout", 408);
    let drive = run(Config::default(), &dripping(POST, &enough, 150));
    assert_eq!(drive.steps.join(" "), "receive");
    // Only the content counts, not the chunk framing.
    let chunked = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let wrapped = dripping(chunked, "1;a-long-and-useless-extension\r\nx\r\n", 14);
    check_status(&wrapped, 1_000 + 28, "RequestTimeout", 408);
}

/// Sends the head, and then the piece every second.
fn dripping<'a>(head: &'a str, piece: &'a str, seconds: usize) -> Vec<Act<'a>> {
    let pieces = [Pass(1_000), Send(piece)].into_iter().cycle().take(2 * seconds);
    [Send(head)].into_iter().chain(pieces).collect()
}

#[test]
fn the_silence_of_a_source_is_not_charged_to_the_client() {
    const DAY: u64 = 24 * 60 * 60 * 1_000;
    const LIVE: &str = "GET /live HTTP/1.1\r\nHost: x\r\n\r\n";
    let silent = [Send(LIVE), Pass(DAY), Wake, Pass(DAY), Wake];
    check(
        &silent,
        "receive request flush pending flush pending flush receive",
        &["200 keep-alive chunked body=6"],
    );
    // The idle timeout starts when the stream has ended.
    check_ends(&silent, 75_000, "Idle");
    // The client does not read what the source has produced after a day, or reads it too slowly.
    let stalled = [Send(LIVE), Read(0), Pass(DAY), Wake, Pass(DAY), Wake];
    check_ends(&stalled, 30_000, "WriteStall");
    let slow = [Send(LIVE), Read(3), Pass(DAY), Wake, Wake, Pass(29_000), Read(1)];
    check_ends(&slow, 1_000 + 8, "WriteStall");
}

#[test]
fn a_burst_pays_for_a_few_seconds_only() {
    let burst = "x".repeat(99_000);
    let acts = [Send(POST), Send(&burst), Pass(14_000), Send("x")];
    check_status(&acts, 6_002, "RequestTimeout", 408);
}

#[test]
fn a_handler_must_reply_in_time() {
    check_status(&[Hold, Send(LATER)], 120_000, "ReplyTimeout", 503);
    check_status(&[Hold, Send(GET), Pass(50_000), Send(LATER)], 120_000, "ReplyTimeout", 503);
    let drive = check_ends(&[Hold, Send(LATER)], 120_000, "ReplyTimeout flush shutdown receive");
    assert_eq!(drive.responses()[0].values("Retry-After").collect::<Vec<_>>(), [b"1"]);
}

#[test]
fn sending_an_earlier_response_does_not_shorten_the_time_to_reply() {
    let pipelined = [GET, LATER].concat();
    check_status(&[Hold, Send(&pipelined)], 120_000, "ReplyTimeout", 503);
    check_status(&[Hold, Read(5), Send(&pipelined), Pass(20_000), ReadAll], 100_000, "ReplyTimeout", 503);
}

#[test]
fn the_response_to_a_late_head_has_no_body() {
    let half = "HEAD /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab";
    let later = LATER.replace("GET", "HEAD");
    for (acts, status) in
        [([Hold, Send(half), Pass(15_000)], 408), ([Hold, Send(&later), Pass(120_000)], 503)]
    {
        let responses = run(Config::default(), &acts).responses();
        assert_eq!((responses[0].status, responses[0].body.len()), (status, 0));
    }
}

#[test]
fn closes_when_the_client_does_not_read() {
    check_ends(&[Read(0), Send(GET)], 30_000, "WriteStall");
    check_ends(&[Read(5), Send(GET)], 30_000, "WriteStall");
    // Reading one byte does not restart the timeout: the rate is too low. Six bytes pay for 11.7 milliseconds.
    check_ends(&[Read(5), Send(GET), Pass(29_999), Read(1)], 1 + 12, "WriteStall");
    // Sending more requests is no progress.
    let asking = [Read(5), Send(GET), Pass(20_000), Send(GET)];
    check_ends(&asking, 10_000, "WriteStall");
    // It does not matter what the connection would do after the response.
    check_ends(&[Read(5), Send("GET /close HTTP/1.1\r\nHost: x\r\n\r\n")], 30_000, "WriteStall");
    check_ends(&[Read(5), Send("GET / HTTP/1.1\r\n\r\n")], 30_000, "WriteStall");
    check_ends(&[Hold, Read(5), Send(&[GET, LATER].concat())], 30_000, "WriteStall");
    // Nor how much of the next request has arrived.
    for next in ["GET /b", POST] {
        check_ends(&[Read(5), Send(&[GET, next].concat())], 30_000, "WriteStall");
    }
}

#[test]
fn an_engine_learns_what_a_connection_waits_for() {
    let check = |acts: &[Act<'_>], expected: (bool, Option<u128>, bool)| {
        let mut drive = Drive::new(Config::default(), echo);
        let start = drive.now();
        drive.admit = |head| if head.path() == "/receive" { Admit::AtHead } else { Admit::Buffer };
        drive.act(acts);
        assert_eq!(drive.wait(start), expected, "{acts:?}");
    };
    check(&[Send("")], (true, Some(0), false));
    check(&[Pass(5), Send(GET)], (true, Some(5), false));
    check(&[Read(5), Send(GET)], (true, None, false));
    check(&[Send("G")], (false, None, false));
    check(&[Send(POST)], (false, None, false));
    check(&[Hold, Send(LATER)], (false, None, true));
    check(&[Send(&POST.replace("/a", "/receive"))], (false, None, true));
}

#[test]
fn bytes_read_extend_the_deadline_by_the_minimum_rate() {
    let mut config = Config::default();
    config.timeouts.send_rate = 1;
    // 5 bytes at once and 10 later: each extends the deadline of 30 seconds by one.
    let reads = [Read(5), Send(GET), Pass(29_999), Read(10), Pass(15_000)];
    assert_eq!(run(config.clone(), &reads).closed, None);
    assert_eq!(run(config, &[&reads[..], &[Pass(1)]].concat()).closed, Some(CloseReason::WriteStall));
}

#[test]
fn lingering_has_a_timeout() {
    let bad = "GET / HTTP/1.1\r\n\r\n";
    check_ends(&[Send(bad)], 5_000, "Done");
    check_ends(&[Send("GET /close HTTP/1.1\r\nHost: x\r\n\r\n")], 5_000, "Done");
    // Bytes that the client still sends do not extend it.
    check_ends(&[Send(bad), Pass(2_000), Send("more"), Pass(2_000), Send("more")], 1_000, "Done");
    let drive = run(Config::default(), &[Send(bad), Pass(4_999), End]);
    assert_eq!(drive.closed, Some(CloseReason::Done));
}

#[test]
fn every_timeout_can_be_configured() {
    let mut config = Config::default();
    let seconds = Duration::from_secs;
    let timeouts = &mut config.timeouts;
    (timeouts.head, timeouts.body_idle, timeouts.reply) = (seconds(1), seconds(2), seconds(3));
    (timeouts.write_stall, timeouts.idle, timeouts.linger) = (seconds(4), seconds(5), seconds(6));
    for (acts, millis, ends_with) in [
        (&[Send("G")][..], 1_000, "RequestTimeout flush shutdown receive"),
        (&[Send(POST)], 2_000, "RequestTimeout flush shutdown receive"),
        (&[Hold, Send(LATER)], 3_000, "ReplyTimeout flush shutdown receive"),
        (&[Read(0), Send(GET)], 4_000, "WriteStall"),
        (&[Send(GET)], 5_000, "Idle"),
        (&[Send("GET\r\n")], 6_000, "Done"),
    ] {
        let before = run(config.clone(), acts).steps.len();
        let almost = run(config.clone(), &[acts, &[Pass(millis - 1)]].concat());
        assert_eq!(almost.steps.len(), before, "{acts:?}");
        let over = run(config.clone(), &[acts, &[Pass(millis)]].concat());
        assert_eq!(over.steps[before..].join(" "), ends_with, "{acts:?}");
    }
}
