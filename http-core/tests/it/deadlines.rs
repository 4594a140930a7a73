//! Every wait ends when its setting says, to the millisecond, and what keeps coming does not end too early.

use crate::{
    drive::Drive,
    script::{
        Act::{self, End, Hold, Pass, Send, Take, TakeAll},
        check, play,
    },
};
use http_core::{CloseReason, Config};
use std::time::Duration;

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const LATER: &str = "GET /later HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
const ANSWER: &str = "200 keep-alive length=7 content=7";

/// Plays the acts and then lets time pass: a millisecond too little changes nothing, the last one adds these steps.
fn check_ends(acts: &[Act<'_>], after_millis: u64, steps: &str) -> Drive {
    let before = play(Config::default(), acts).steps.join(" ");
    let almost = play(Config::default(), &[acts, &[Pass(after_millis - 1)]].concat());
    assert_eq!(almost.steps.join(" "), before, "too early: {acts:?}");
    let drive = play(Config::default(), &[acts, &[Pass(after_millis - 1), Pass(1)]].concat());
    assert_eq!(drive.steps.join(" "), format!("{before} {steps}"), "{acts:?}");
    drive
}

/// As above, and the last answer has this status and is followed by a polite end.
fn check_status(acts: &[Act<'_>], after_millis: u64, why: &str, status: u16) {
    let drive = check_ends(acts, after_millis, &format!("{why} flush shutdown receive"));
    let replies = drive.replies();
    let last = replies.last().map(|reply| (reply.status, reply.close));
    assert_eq!(last, Some((status, true)), "{acts:?}");
}

#[test]
fn idle() {
    check_ends(&[Send("")], 60_000, "Idle");
    check_ends(&[Pass(59_000), Send(GET)], 60_000, "Idle");
    check_ends(&[Send(GET), Pass(59_999), Send(GET)], 60_000, "Idle");
    // An empty line behind a request is no beginning of the next (RFC 9112 §2.2), and buys no time either.
    check_ends(&[Send(GET), Pass(59_000), Send("\r\n\r")], 1_000, "Idle");
}

#[test]
fn an_answer_that_took_long_to_send_does_not_count_as_idleness() {
    let slow = [Take(5), Send(GET), Pass(15_000), Take(5), Pass(14_000), TakeAll];
    check_ends(&slow, 60_000, "Idle");
    // Nor as a slow head, for nobody read: half of the next one came meanwhile.
    let begun = [GET, "GET /b"].concat();
    let slow = [Take(5), Send(&begun), Pass(15_000), Take(5), Pass(14_000), TakeAll];
    check_status(&slow, 15_000, "RequestTimeout", 408);
    // Nor as a slow content, while the leave to send it was on its way.
    let post = "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let slow = [Take(5), Send(post), Pass(29_000), TakeAll];
    check_status(&slow, 15_000, "RequestTimeout", 408);
}

#[test]
fn a_head_has_one_deadline_however_it_drips() {
    check_status(&[Send("G")], 15_000, "RequestTimeout", 408);
    check_status(&[Pass(10_000), Send("G")], 15_000, "RequestTimeout", 408);
    check_status(&[Send(GET), Pass(10_000), Send("GET")], 15_000, "RequestTimeout", 408);
    let dripped: Vec<_> = (0..14).flat_map(|at| [Send(&GET[at..=at]), Pass(1_000)]).collect();
    check_status(&dripped, 1_000, "RequestTimeout", 408);
    // In time to the millisecond is in time.
    check(&[Send("G"), Pass(14_999), Send(&GET[1..])], "receive request flush receive", &[ANSWER]);
}

#[test]
fn a_body_must_not_pause() {
    check_status(&[Send(POST)], 15_000, "RequestTimeout", 408);
    let piece = "x".repeat(50_000);
    check_status(&[Send(POST), Pass(14_000), Send(&piece)], 15_000, "RequestTimeout", 408);
    let chunked = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc";
    check_status(&[Send(chunked)], 15_000, "RequestTimeout", 408);
    // A pause is measured from the last piece.
    let pieces = [Send(POST), Send(&piece), Pass(14_999), Send(&piece)];
    check(&pieces, "receive request flush receive", &["200 keep-alive length=100008 content=100008"]);
}

#[test]
fn a_body_must_come_fast_enough_on_average() {
    // 512 bytes earn a second more; half of them each second are not enough.
    let (half, enough) = ("x".repeat(256), "x".repeat(512));
    check_status(&dripping(POST, "x", 14), 1_000, "RequestTimeout", 408);
    check_status(&dripping(POST, &half, 27), 1_000, "RequestTimeout", 408);
    let drive = play(Config::default(), &dripping(POST, &enough, 150));
    assert_eq!(drive.steps.join(" "), "receive");
    // Only content counts, not what it is wrapped in.
    let chunked = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let wrapped = dripping(chunked, "1;a long and useless extension\r\nx\r\n", 14);
    check_status(&wrapped, 1_000, "RequestTimeout", 408);
}

/// This head, and then this piece each second.
fn dripping<'a>(head: &'a str, piece: &'a str, seconds: usize) -> Vec<Act<'a>> {
    let pieces = [Pass(1_000), Send(piece)].into_iter().cycle().take(2 * seconds);
    [Send(head)].into_iter().chain(pieces).collect()
}

#[test]
fn an_answer_must_come() {
    check_status(&[Hold, Send(LATER)], 120_000, "ReplyTimeout", 503);
    check_status(&[Hold, Send(GET), Pass(50_000), Send(LATER)], 120_000, "ReplyTimeout", 503);
    let drive = check_ends(&[Hold, Send(LATER)], 120_000, "ReplyTimeout flush shutdown receive");
    assert_eq!(drive.replies()[0].values("Retry-After").collect::<Vec<_>>(), [b"1"]);
}

#[test]
fn a_late_answer_to_head_has_no_content_either() {
    let half = "HEAD /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab";
    let later = LATER.replace("GET", "HEAD");
    for (acts, status) in
        [([Hold, Send(half), Pass(15_000)], 408), ([Hold, Send(&later), Pass(120_000)], 503)]
    {
        let replies = play(Config::default(), &acts).replies();
        assert_eq!((replies[0].status, replies[0].content.len()), (status, 0));
    }
}

#[test]
fn a_peer_that_takes_nothing_is_dropped() {
    check_ends(&[Take(0), Send(GET)], 30_000, "WriteStall");
    check_ends(&[Take(5), Send(GET)], 30_000, "WriteStall");
    // A byte now and then does not begin the wait anew: that is sipping.
    check_ends(&[Take(5), Send(GET), Pass(29_999), Take(1)], 1, "WriteStall");
    // Asking for more is no progress.
    let asking = [Take(5), Send(GET), Pass(20_000), Send(GET)];
    check_ends(&asking, 10_000, "WriteStall");
    // Nor does it matter what the connection will do when all is sent.
    check_ends(&[Take(5), Send("GET /close HTTP/1.1\r\nHost: x\r\n\r\n")], 30_000, "WriteStall");
    check_ends(&[Take(5), Send("GET / HTTP/1.1\r\n\r\n")], 30_000, "WriteStall");
    check_ends(&[Hold, Take(5), Send(&[GET, LATER].concat())], 30_000, "WriteStall");
}

#[test]
fn each_piece_taken_earns_time_for_the_rest() {
    let mut config = Config::default();
    config.timeouts.send_rate = 1;
    // 5 bytes at once and 10 later, a second for each beyond the 30 that anybody has.
    let taken = [Take(5), Send(GET), Pass(29_999), Take(10), Pass(15_000)];
    assert_eq!(play(config.clone(), &taken).closed, None);
    assert_eq!(play(config, &[&taken[..], &[Pass(1)]].concat()).closed, Some(CloseReason::WriteStall));
}

#[test]
fn lingering_ends() {
    let bad = "GET / HTTP/1.1\r\n\r\n";
    check_ends(&[Send(bad)], 5_000, "Done");
    check_ends(&[Send("GET /close HTTP/1.1\r\nHost: x\r\n\r\n")], 5_000, "Done");
    // However much the peer still sends.
    check_ends(&[Send(bad), Pass(2_000), Send("more"), Pass(2_000), Send("more")], 1_000, "Done");
    let drive = play(Config::default(), &[Send(bad), Pass(4_999), End]);
    assert_eq!(drive.closed, Some(CloseReason::Done));
}

#[test]
fn every_setting_is_looked_at() {
    let mut config = Config::default();
    let seconds = Duration::from_secs;
    let timeouts = &mut config.timeouts;
    (timeouts.head, timeouts.body_idle, timeouts.reply) = (seconds(1), seconds(2), seconds(3));
    (timeouts.write_stall, timeouts.idle, timeouts.linger) = (seconds(4), seconds(5), seconds(6));
    for (acts, millis, ends_with) in [
        (&[Send("G")][..], 1_000, "RequestTimeout flush shutdown receive"),
        (&[Send(POST)], 2_000, "RequestTimeout flush shutdown receive"),
        (&[Hold, Send(LATER)], 3_000, "ReplyTimeout flush shutdown receive"),
        (&[Take(0), Send(GET)], 4_000, "WriteStall"),
        (&[Send(GET)], 5_000, "Idle"),
        (&[Send("GET\r\n")], 6_000, "Done"),
    ] {
        let before = play(config.clone(), acts).steps.len();
        let almost = play(config.clone(), &[acts, &[Pass(millis - 1)]].concat());
        assert_eq!(almost.steps.len(), before, "{acts:?}");
        let over = play(config.clone(), &[acts, &[Pass(millis)]].concat());
        assert_eq!(over.steps[before..].join(" "), ends_with, "{acts:?}");
    }
}
