//! Whole exchanges: who keeps the connection and who ends it, what delimits an answer, and in which order.
//!
//! The echo application says `METHOD target` and a line feed, and then the content it was sent.

use crate::{
    app::echo,
    drive::Drive,
    reply::Reply,
    script::{
        Act::{DisableKeepAlive, End, Fail, HangUp, Hold, Release, Send, Take, TakeAll},
        check, play,
    },
};
use http_core::{Config, Rejection, Response};

/// A request without content: `line` is its method and target, `fields` whole lines.
fn ask(line: &str, version: &str, fields: &str) -> String {
    format!("{line} HTTP/{version}\r\nHost: x\r\n{fields}\r\n")
}

fn get(target: &str) -> String {
    ask(&format!("GET {target}"), "1.1", "")
}

#[test]
fn who_keeps_the_connection() {
    let kept = "receive request flush receive ClientClosed";
    let keep =
        |version, fields, steps, reply| check(&[Send(&ask("GET /a", version, fields)), End], steps, &[reply]);
    keep("1.1", "", kept, "200 keep-alive length=7 content=7");
    keep("1.0", "Connection: keep-alive\r\n", kept, "200 keep-alive length=7 content=7");
    let ended = "receive request flush Done";
    keep("1.1", "Connection: close\r\n", ended, "200 close length=7 content=7");
    keep("1.0", "", ended, "200 close length=7 content=7");
    keep("1.0", "Connection: keep-alive, close\r\n", ended, "200 close length=7 content=7");
}

#[test]
fn an_end_that_the_peer_did_not_ask_for_lingers() {
    let ended = "receive request flush shutdown receive Done";
    check(&[Send(&get("/close")), End], ended, &["200 close length=11 content=11"]);
    let old = ask("GET /close", "1.0", "Connection: keep-alive\r\n");
    check(&[Send(&old), End], ended, &["200 close length=11 content=11"]);
    // Nor did it ask for it that it has sent more behind what it called the last.
    let last = ask("GET /a", "1.1", "Connection: close\r\n") + &get("/b");
    check(&[Send(&last), End], ended, &["200 close length=7 content=7"]);
}

#[test]
fn nothing_may_follow_connect() {
    let drive = play(Config::default(), &[Send(&(ask("CONNECT a:1", "1.1", "") + &get("/a"))), End]);
    let replies = drive.replies();
    assert_eq!((replies.len(), replies[0].status, replies[0].close), (1, 405, true));
    assert_eq!(replies[0].values("Allow").collect::<Vec<_>>(), [b"GET"]);
}

#[test]
fn success_is_no_answer_to_connect_where_there_are_no_tunnels() {
    let drive = play(Config::default(), &[Send(&ask("CONNECT tunnel:1", "1.1", "")), End]);
    let replies = drive.replies();
    assert_eq!((replies.len(), replies[0].status, replies[0].close), (1, 501, true));
}

#[test]
fn pipelined_requests_are_answered_in_order_and_at_once() {
    let three = [get("/1"), get("/22"), get("/333")].concat();
    let replies = [
        "200 keep-alive length=7 content=7",
        "200 keep-alive length=8 content=8",
        "200 keep-alive length=9 content=9",
    ];
    check(&[Send(&three), End], "receive request flush receive ClientClosed", &replies);
    // An answer that is not there holds up those behind it, and not those before it.
    let later = [get("/1"), get("/later"), get("/333")].concat();
    let replies = [replies[0], "200 keep-alive length=11 content=11", replies[2]];
    let before = "receive request flush await";
    check(&[Hold, Send(&later)], before, &replies[..1]);
    check(&[Hold, Send(&later), Release], &format!("{before} request flush receive"), &replies);
}

#[test]
fn a_thousandfold_pipeline_is_answered_within_bounds() {
    const MOST: u64 = 4_096;
    let mut config = Config::default();
    config.limits.queued_bytes = MOST;
    let requests: String = (0..10_000).map(|number| get(&format!("/{number}"))).collect();
    let mut drive = Drive::new(config, echo).writing(&[700, 1, 90]);
    drive.take(0);
    drive.send(requests.as_bytes());
    drive.run();
    let asked_and_unread = drive.seen.len();
    assert!((10..50).contains(&asked_and_unread), "{asked_and_unread} answers for a peer that does not read");
    for taken in [1, 10_000, 100] {
        drive.take(taken);
        drive.run();
    }
    drive.take(usize::MAX);
    drive.end();
    drive.run();
    let contents: Vec<_> = drive.replies().into_iter().map(|reply| reply.content).collect();
    let expected = (0..10_000).map(|number| format!("GET /{number}\n").into_bytes());
    assert!(contents.into_iter().eq(expected), "lost, doubled or out of order");
    assert!(drive.most_pending <= MOST + 300, "{} bytes queued", drive.most_pending);
}

#[test]
fn head_204_and_304_have_no_content() {
    let one = |line, reply| {
        // A second answer shows that the first ended where it should.
        let two = ask(line, "1.1", "") + &get("/a");
        let replies = [reply, "200 keep-alive length=7 content=7"];
        check(&[Send(&two), End], "receive request flush receive ClientClosed", &replies);
    };
    one("HEAD /a", "200 keep-alive length=8 content=0");
    one("HEAD /big", "200 keep-alive length=6000 content=0");
    one("HEAD /file", "200 keep-alive length=100 content=0");
    one("HEAD /stream", "200 keep-alive chunked content=0");
    one("GET /none", "204 keep-alive never content=0");
    one("GET /same", "304 keep-alive never content=0");
    one("HEAD /none", "204 keep-alive never content=0");
    one("GET /big", "200 keep-alive length=6000 content=6000");
    one("GET /file", "200 keep-alive length=100 content=100");
    one("GET /parts", "200 keep-alive length=5118 content=5118");
}

#[test]
fn a_rejected_head_has_no_content() {
    let bad = |method: &str| format!("{method} /a HTTP/1.1\r\n\r\n");
    for (method, empty) in [("HEAD", true), ("GET", false)] {
        let drive = play(Config::default(), &[Send(&bad(method)), End]);
        assert_eq!(drive.replies()[0].content.is_empty(), empty, "{method}");
    }
    let drive = play(
        Config::default(),
        &[Hold, Send(&ask("HEAD /later", "1.1", "")), Fail(Rejection::HandlerPanicked), End],
    );
    assert_eq!((drive.replies()[0].status, drive.replies()[0].content.len()), (500, 0));
}

#[test]
fn streams() {
    let whole = "200 keep-alive chunked content=20";
    let two = [get("/stream"), get("/a")].concat();
    let replies = [whole, "200 keep-alive length=7 content=7"];
    check(&[Send(&two), End], "receive request flush receive ClientClosed", &replies);
    // HTTP/1.0 knows no chunks, so only the end of the connection can end the content.
    let old = "200 close until-close content=20";
    check(&[Send(&ask("GET /stream", "1.0", "")), End], "receive request flush Done", &[old]);
    let kept = ask("GET /stream", "1.0", "Connection: keep-alive\r\n");
    check(&[Send(&kept), End], "receive request flush shutdown receive Done", &[old]);
}

#[test]
fn a_broken_stream_does_not_pass_for_a_whole_one() {
    for version in ["1.1", "1.0"] {
        let drive = play(Config::default(), &[Send(&ask("GET /broken", version, ""))]);
        assert_eq!(drive.steps.join(" "), "receive request flush broken");
        assert!(drive.output.ends_with(b"one") || drive.output.ends_with(b"3\r\none\r\n"));
    }
}

#[test]
fn who_waits_for_100_gets_it() {
    let post = |version, fields: &str| ask("POST /a", version, &format!("Expect: 100-continue\r\n{fields}"));
    let five = post("1.1", "Content-Length: 5\r\n");
    let asked = ["100 200 keep-alive length=13 content=13"];
    check(&[Send(&five), Send("abcde")], "receive flush receive request flush receive", &asked);
    let chunked = post("1.1", "Transfer-Encoding: chunked\r\n");
    let coded = "5\r\nabcde\r\n0\r\n\r\n";
    check(&[Send(&chunked), Send(coded)], "receive flush receive request flush receive", &asked);
    // Behind the answer before it, not in the middle of it.
    let second = [get("/b"), five.clone()].concat();
    let replies = ["200 keep-alive length=7 content=7", asked[0]];
    check(&[Send(&second), Send("abcde")], "receive request flush receive request flush receive", &replies);
}

#[test]
fn who_does_not_wait_for_100_gets_none() {
    let check_silent = |fields: &str, version: &str, first: &str, rest: &str, reply: &str| {
        let head = ask("POST /a", version, fields);
        let drive = play(Config::default(), &[Send(&format!("{head}{first}")), Send(rest), End]);
        assert!(drive.steps.join(" ").starts_with("receive request flush"), "{fields} {:?}", drive.steps);
        let words: Vec<_> = drive.replies().iter().map(Reply::words).collect();
        assert_eq!(words, [reply], "{fields}");
    };
    let kept = "200 keep-alive length=13 content=13";
    let expect = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    check_silent("Content-Length: 5\r\n", "1.1", "", "abcde", kept);
    check_silent(expect, "1.1", "a", "bcde", kept);
    check_silent(expect, "1.1", "abcde", "", kept);
    check_silent(expect, "1.0", "", "abcde", "200 close length=13 content=13");
    let none = "200 keep-alive length=8 content=8";
    check_silent("Expect: 100-continue\r\nContent-Length: 0\r\n", "1.1", "", "", none);
    check_silent("Expect: 100-continue\r\n", "1.1", "", "", none);
}

#[test]
fn who_will_be_refused_is_not_asked_for_the_content() {
    let refused = |fields: &str, status: u16| {
        let head = ask("POST /a", "1.1", &format!("Expect: 100-continue\r\n{fields}"));
        let drive = play(Config::default(), &[Send(&head)]);
        let replies = drive.replies();
        assert_eq!((replies.len(), replies[0].interims, replies[0].status), (1, 0, status), "{fields}");
    };
    refused("Content-Length: 1048577\r\n", 413);
    refused("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400);
    refused("Content-Length: 5\r\nHost: y\r\n", 400);
    refused("Content-Length: 5\r\nExpect: more\r\n", 417);
}

#[test]
fn a_rejection_is_not_lost_to_a_reset() {
    let bad = "GET / HTTP/1.1\r\n\r\n";
    let lingering = "receive Malformed(HostMissing) flush shutdown receive";
    let rest = "x".repeat(100_000);
    for acts in [&[Send(bad)][..], &[Send(bad), Send(&rest)], &[Send(bad), Send(&get("/a")), Send(&rest)]] {
        let drive = play(Config::default(), acts);
        assert_eq!((drive.steps.join(" "), drive.closed), (lingering.to_owned(), None));
        assert!(drive.most_input <= 16 * 1024, "{} bytes kept of what is dropped", drive.most_input);
        let drive = play(Config::default(), &[acts, &[End]].concat());
        assert_eq!(drive.steps.join(" "), format!("{lingering} Done"));
        assert_eq!((drive.replies().len(), drive.seen.len()), (1, 0));
    }
    // What was asked before it is still answered, and in front of it.
    let drive = play(Config::default(), &[Send(&(get("/a") + bad)), End]);
    let statuses: Vec<_> = drive.replies().iter().map(|reply| (reply.status, reply.close)).collect();
    assert_eq!(statuses, [(200, false), (400, true)]);
}

#[test]
fn a_rejection_is_the_last_answer_whatever_the_application_makes_of_it() {
    let mut drive = Drive::new(Config::default(), echo);
    drive.on_reject = |why| Response::text("nothing wrong").with_status(why.status());
    drive.send(&[b"GET / HTTP/1.1\r\n\r\n", get("/a").as_bytes()].concat());
    drive.end();
    drive.run();
    let words: Vec<_> = drive.replies().iter().map(Reply::words).collect();
    assert_eq!((words, drive.seen.len()), (vec!["400 close length=13 content=13".to_owned()], 0));
}

#[test]
fn what_was_asked_before_a_half_close_is_answered() {
    let answer = "200 keep-alive length=7 content=7";
    check(&[End], "receive ClientClosed", &[]);
    let two = [get("/a"), get("/b")].concat();
    check(
        &[Take(0), Send(&two), End, TakeAll],
        "receive request flush receive ClientClosed",
        &[answer, answer],
    );
    let later = [get("/later"), get("/b")].concat();
    let waited = "200 keep-alive length=11 content=11";
    let steps = "receive request await request flush receive ClientClosed";
    check(&[Hold, Send(&later), End, Release], steps, &[waited, answer]);
    // Half a request is none.
    let cut = get("/a") + "GET /b HT";
    check(&[Send(&cut), End], "receive request flush receive Truncated", &[answer]);
    check(
        &[Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcd"), End],
        "receive Truncated",
        &[],
    );
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    check(&[Send(chunked), End], "receive Truncated", &[]);
}

#[test]
fn a_peer_that_is_known_to_have_ended_is_not_received_from() {
    let kept = "200 keep-alive length=11 content=11";
    check(&[HangUp], "ClientClosed", &[]);
    check(&[Send("GET"), HangUp], "receive Truncated", &[]);
    check(
        &[Hold, Send(&get("/later")), HangUp, Release],
        "receive request await flush ClientClosed",
        &[kept],
    );
    let two = get("/later") + &get("/b");
    let replies = [kept, "200 keep-alive length=7 content=7"];
    check(&[Hold, Send(&two), HangUp, Release], "receive request await request flush ClientClosed", &replies);
    // Nobody is left to linger for.
    let closed = "200 close length=11 content=11";
    let steps = "receive request flush Done";
    check(&[Take(5), Send(&get("/close")), HangUp, TakeAll], steps, &[closed]);
    check(&[Send(&get("/close")), HangUp], "receive request flush shutdown receive Done", &[closed]);
}

#[test]
fn a_server_that_goes_down_finishes_what_is_in_hand() {
    let last = "200 close length=7 content=7";
    check(&[DisableKeepAlive], "Done", &[]);
    check(&[Send(""), DisableKeepAlive], "receive Done", &[]);
    // Half a head, or half a content, is in hand.
    let whole = get("/a");
    let (start, rest) = whole.split_at(9);
    check(
        &[Send(start), DisableKeepAlive, Send(rest), End],
        "receive request flush shutdown receive Done",
        &[last],
    );
    let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na";
    let posted = "200 close length=10 content=10";
    check(
        &[Send(post), DisableKeepAlive, Send("bc"), End],
        "receive request flush shutdown receive Done",
        &[posted],
    );
    // While the answer is made: it says that it is the last, and nothing behind it is served.
    let later = [get("/later"), get("/b")].concat();
    check(
        &[Hold, Send(&later), DisableKeepAlive, Release, End],
        "receive request await flush shutdown receive Done",
        &["200 close length=11 content=11"],
    );
    // While it is sent: it is sent whole.
    let kept = "200 keep-alive length=7 content=7";
    check(&[Take(5), Send(&get("/a")), DisableKeepAlive, TakeAll], "receive request flush Done", &[kept]);
    // What has been asked behind it, and not been looked at, is not answered; the answer before it must not be
    // lost to a reset for that.
    let mut config = Config::default();
    config.limits.queued_bytes = 1;
    let two = [get("/a"), get("/b")].concat();
    let drive = play(config, &[Take(5), Send(&two), DisableKeepAlive, TakeAll, End]);
    assert_eq!(drive.steps.join(" "), "receive request flush shutdown receive Done");
    assert_eq!(drive.replies().iter().map(Reply::words).collect::<Vec<_>>(), [kept]);
    // After the end: nothing changes.
    check(
        &[Send(&get("/close")), DisableKeepAlive, End, DisableKeepAlive],
        "receive request flush shutdown receive Done",
        &["200 close length=11 content=11"],
    );
}

#[test]
fn a_failing_application_is_answered_for() {
    for (why, status, retry) in [(Rejection::HandlerPanicked, 500, 0), (Rejection::Overloaded, 503, 1)] {
        let acts = [Hold, Send(&(get("/later") + &get("/b"))), Fail(why), End];
        let drive = play(Config::default(), &acts);
        assert_eq!(drive.steps.join(" "), "receive request await flush shutdown receive Done");
        let replies = drive.replies();
        assert_eq!((replies.len(), replies[0].status, replies[0].close), (1, status, true));
        assert_eq!(replies[0].values("Retry-After").count(), retry);
    }
}
