//! Servers whose responses are wrong: well-formed responses that fit no request, and malformed responses.

use std::io::Read;
use std::time::Duration;

use http_test_suite::case::Case;
use http_test_suite::cases;
use http_test_suite::exchange::Step;
use http_test_suite::fixtures::DIGITS;
use http_test_suite::report::{Outcome, Verdict};

use super::server::{DATE, TIMEOUT, VALIDATORS, WrongServer, ids, listen, passed, run_cases, search};

/// The number of cases that run at the same time: many, because they spend nearly all time waiting for timeouts.
const JOBS: usize = 256;

/// Makes a wrong server that keeps its connections open.
const fn open(name: &'static str, respond: fn(&str) -> String) -> WrongServer {
    WrongServer { name, respond, is_hasty: false, closes: false }
}

/// Makes a wrong server that closes after its first response.
const fn closing(name: &'static str, respond: fn(&str) -> String) -> WrongServer {
    WrongServer { closes: true, ..open(name, respond) }
}

/// Wrong servers that send well-formed responses. Most cases fail against the first.
const WELL_FORMED: [WrongServer; 11] = [
    open("500 to everything", |head| response("500 Oops", "", head)),
    closing("200 once, without Connection: close", |head| response("200 OK", "", head)),
    open("204 to everything", |_| format!("HTTP/1.1 204 \r\n{DATE}\r\n")),
    WrongServer { is_hasty: true, ..open("500 to any bytes", |head| response("500 Oops", "", head)) },
    open("no response", |_| String::new()),
    open("206 to everything", |head| response("206 Part", "Content-Range: bytes 0-4/99\r\n", head)),
    open("404 to HEAD only", |head| {
        response(if head.starts_with("HEAD ") { "404 No" } else { "200 OK" }, "", head)
    }),
    open("412 to every condition", |head| {
        response(if head.contains("If-") { "412 No" } else { "404 No" }, "", head)
    }),
    open("416 to every range", |head| {
        response(if head.contains("Range: ") { "416 No" } else { "404 No" }, "", head)
    }),
    // The part that most cases ask for, wrongly with the Content-Type of the whole file.
    open("parts with the headers of the file", |_| {
        let headers = "Content-Type: text/plain\r\nContent-Range: bytes 2-5/10\r\nContent-Length: 4\r\n";
        format!("HTTP/1.1 206 Part\r\n{DATE}{VALIDATORS}{headers}\r\n{}", &DIGITS[2..=5])
    }),
    open("the path, decoded, as Location", |head| {
        let path = head.split(' ').nth(1).unwrap_or("/").replace("%0d", "\r").replace("%0a", "\n");
        response("301 Moved", &format!("Location: /{path}/\r\n"), head)
    }),
];

/// Wrong servers whose responses break a rule, have framing with two meanings, end too early, or have stray bytes after
/// them. The tests of the reader and of the rules know more such responses.
const MALFORMED: &[WrongServer] = &[
    open("no Date", |_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()),
    open("two Content-Lengths", |_| {
        format!("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 0\r\nContent-Length: 0\r\n\r\n")
    }),
    closing("a short body", |_| format!("HTTP/1.1 400 No\r\n{DATE}Content-Length: 6\r\n\r\nhello")),
    // The second may pass for the response to the closing request; the third is one too many, however slow the server
    // is.
    open("every response three times", |head| response("400 No", "", head).repeat(3)),
    open("stray bytes after every response", |head| format!("{}\r\n", response("400 No", "", head))),
];

/// A well-formed response with a body of five bytes, or without a body for HEAD.
fn response(status: &str, headers: &str, head: &str) -> String {
    let body = if head.starts_with("HEAD ") { "" } else { "hello" };
    format!("HTTP/1.1 {status}\r\n{DATE}{VALIDATORS}{headers}Content-Length: 5\r\n\r\n{body}")
}

#[test]
fn every_case_fails_against_a_wrong_server() {
    let [first, others @ ..] = WELL_FORMED;
    let (mut unfailed, failed) = (ids(""), failures(first, &ids(""), TIMEOUT * 2));
    unfailed.retain(|id| !failed.contains(id));
    search(&others, unfailed, TIMEOUT * 2, failures);
}

/// Returns which of the cases fail against the server. A failure by a response that came too late does not count: on a
/// busy machine, it proves nothing.
fn failures(server: WrongServer, ids: &[String], timeout: Duration) -> Vec<String> {
    let counts = |outcome: &&Outcome| match &outcome.verdict {
        Verdict::Failed { actual, .. } => !actual.contains("within the timeout"),
        Verdict::Passed | Verdict::Skipped { .. } => false,
    };
    let report = run_cases(server.start(), ids, timeout, JOBS);
    report.outcomes.iter().filter(counts).map(|outcome| outcome.id.clone()).collect()
}

/// The runner rejects a malformed response before it looks at the case, so it is enough that each case runs against one
/// of these servers.
#[test]
fn no_case_passes_with_a_malformed_response() {
    for (number, server) in MALFORMED.iter().enumerate() {
        let ids: Vec<_> = ids("").into_iter().skip(number).step_by(MALFORMED.len()).collect();
        let report = run_cases(server.start(), &ids, TIMEOUT, JOBS);
        let wrong: Vec<_> = passed(&report).filter(|outcome| !outcome.received.is_empty()).collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", server.name);
    }
}

#[test]
fn no_case_passes_with_a_body_for_head() {
    let server = open("a body for HEAD", |_| response("400 No", "", "GET"));
    let sends_head = |case: &&Case| {
        let is_head =
            |step: &Step| matches!(step, Step::Send(bytes) if bytes.windows(5).any(|five| five == b"HEAD "));
        case.script(None).is_none_or(|script| script.iter().any(is_head))
    };
    let cases = cases::all().iter().flat_map(|section| &section.cases).filter(sends_head);
    let ids: Vec<_> = cases.map(|case| case.id.clone()).collect();
    assert!(ids.len() > 100, "{ids:?}");
    let report = run_cases(server.start(), &ids, TIMEOUT, JOBS);
    let has_head = |outcome: &&Outcome| outcome.sent.iter().any(|line| line.starts_with("HEAD "));
    let wrong: Vec<_> = passed(&report).filter(has_head).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_response_passes_only_where_it_is_allowed() {
    let closes = listen(drop);
    let waits = listen(|mut stream| while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
    for server in [closes, waits] {
        let report = run_cases(server, &ids(""), TIMEOUT, JOBS);
        for outcome in passed(&report) {
            let mut cases = cases::all().iter().flat_map(|section| &section.cases);
            let case = cases.find(|case| case.id == outcome.id).unwrap();
            assert!(case.allows_no_response(), "{outcome}");
        }
    }
}
