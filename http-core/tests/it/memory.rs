//! What a connection holds in memory: nothing while it is idle, little after a large request, and never more than the
//! budget that connections share.

use crate::{
    app::echo,
    drive::Drive,
    received::ReceivedResponse,
    script::{
        Act::{self, Send},
        run,
    },
};
use http_core::{BufferPool, Config, MemoryBudget, Response};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
/// The size of a new receive buffer.
const FIRST: usize = 16 * 1024;

fn post(length: usize) -> String {
    format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
}

fn statuses(drive: &Drive) -> Vec<u16> {
    drive.responses().iter().map(|response| response.status).collect()
}

/// Sends `lines` after a request, at once and byte by byte, then another request. `expected` are the statuses.
fn check_lines(lines: &str, expected: &[u16]) {
    let bytes: Vec<Act<'_>> = (0..lines.len()).map(|at| Send(&lines[at..=at])).collect();
    for lines in [&[Send(lines)][..], &bytes] {
        let drive = run(Config::default(), &[&[Send(GET)], lines].concat());
        // If the lines are not rejected, the connection is idle and needs no buffer.
        assert!(drive.buffers().is_empty(), "{lines:?}");
        let drive = run(Config::default(), &[&[Send(GET)], lines, &[Send(GET)]].concat());
        assert_eq!(statuses(&drive), expected, "{lines:?}");
    }
}

#[test]
fn an_idle_connection_holds_no_buffer_for_empty_lines() {
    for lines in ["", "\r\n", "\r\n\r\n\r\n\r\n"] {
        check_lines(lines, &[200, 200]);
    }
    for lines in ["\r", "\r\n\r", "\n", "\r\r", "\r\n\n", "\r\n\r\n\r\n\r\n\r", "\r\n\r\n\r\n\r\n\r\n"] {
        check_lines(lines, &[200, 400]);
    }
    // The lines are counted for each request.
    let four = "\r\n\r\n\r\n\r\n".to_owned() + GET;
    check_lines(&four, &[200, 200, 200]);
    check_lines(&four.repeat(2), &[200, 200, 200, 200]);
}

#[test]
fn a_buffer_shrinks_after_a_large_request() {
    for rest in ["", "\r", GET, "GET /b"] {
        let drive = run(Config::default(), &[Send(&(post(1_000_000) + rest))]);
        assert_eq!(drive.responses()[0].status, 200);
        assert!(drive.most_input > 1_000_000);
        let input = &mut drive.into_buffers().input;
        let held = input.unread().len() + input.spare().len();
        assert!(held <= FIRST, "{held} bytes held for {rest:?}");
    }
}

#[test]
fn a_buffer_grows_no_further_than_a_request_of_known_length() {
    let bytes = post(1_000_000);
    let drive = run(Config::default(), &[Send(&bytes)]);
    assert_eq!((statuses(&drive), drive.most_input), (vec![200], bytes.len()));
}

#[test]
fn a_request_beyond_the_budget_gets_503() {
    let budget = MemoryBudget::new(100_000);
    let mut pool = BufferPool::new(0).with_budget(budget.clone());
    let mut drive = || Drive::new(Config::default(), echo).with_buffers(*pool.take());
    let check = |mut drive: Drive, bytes: &str, expected: &[&str]| {
        drive.send(bytes.as_bytes());
        drive.run();
        let summaries: Vec<_> = drive.responses().iter().map(ReceivedResponse::summary).collect();
        assert_eq!(summaries, expected);
        drive
    };
    let rejected = "503 close length=381 body=381";
    // Two requests share the budget: the first holds its memory until it is complete.
    let whole = post(80_000);
    let (most, last) = whole.split_at(whole.len() - 1);
    let first = check(drive(), most, &[]);
    let late = check(drive(), &(post(80_000) + GET), &[rejected]);
    assert_eq!(late.responses()[0].values("Retry-After").collect::<Vec<_>>(), [b"1"]);
    assert_eq!(late.seen.len(), 0);
    let head = post(80_000).replace("POST", "HEAD");
    check(drive(), &head, &["503 close length=381 body=0"]);
    let mut named = drive();
    named.on_reject =
        |rejected| Response::text(rejected.request.map_or("-", |request| request.path()).to_owned());
    check(named, &post(80_000), &["200 close length=2 body=2"]);
    check(drive(), &post(10_000), &["200 keep-alive length=10008 body=10008"]);
    check(first, last, &["200 keep-alive length=80008 body=80008"]);
    // A head needs memory too.
    let head = format!("GET /a HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", "x".repeat(20_000));
    let held = check(drive(), &post(110_000)[..80_000], &[]);
    check(drive(), &head, &[rejected]);
    drop(held);
    check(drive(), &head, &["200 keep-alive length=7 body=7"]);
    assert_eq!(budget.used(), 0);
}
