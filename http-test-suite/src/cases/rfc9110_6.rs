//! RFC 9110 §6: the body of a message, its trailers, and the Date of a response.

use std::time::SystemTime;

use crate::fixtures::HELLO;
use crate::rules::parse_date;

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    Section::new("9110/6", "Message Abstraction", [bodies(), trailers(), dates()])
}

/// Cases for the body of a GET, which does not change the response.
fn bodies() -> Vec<Case> {
    vec![
        // RFC 9110 §9.3.1: a body in a GET has no meaning of its own.
        robust("9110/6.4/1", "A body in a GET does not change what is served, or is rejected")
            .on(Needs::Fixtures)
            .send(get("/hello.txt").body("q=/digits.txt"))
            .expect(either(body(HELLO), client_error())),
    ]
}

/// Cases for §6.5.1: a trailer is not merged into the header section.
fn trailers() -> Vec<Case> {
    let trailed = |request: Request, line: &str| {
        let chunked = request.with("Transfer-Encoding: chunked");
        [Vec::from(chunked), format!("3\r\nabc\r\n0\r\n{line}\r\n\r\n").into()].concat()
    };
    let rejected = || any_of([400, 411, 413]);
    vec![
        must("9110/6.5.1/1", "A Range in the trailers is ignored")
            .on(Needs::Fixtures)
            .send(trailed(get("/hello.txt"), "Range: bytes=0-3"))
            .expect(either(body(HELLO), rejected())),
        must("9110/6.5.1/2", "A precondition in the trailers is ignored")
            .on(Needs::Fixtures)
            .send(trailed(get("/hello.txt"), "If-None-Match: *"))
            .expect(either(body(HELLO), rejected())),
        should("9110/6.6.2/1", "A Trailer header that announces a missing trailer is not rejected")
            .send(get("/").with("Trailer: X-Checksum"))
            .expect(status(200)),
    ]
}

/// Cases for §6.6.1: Date is the best available approximation of when the message was made. The cases tolerate a minute
/// between the clocks.
fn dates() -> Vec<Case> {
    let asked = [
        ("a file", get("/hello.txt")),
        ("a redirect", get("/dir")),
        ("304", get("/hello.txt").with("If-None-Match: *")),
        ("a missing file", get("/no/such/thing")),
        ("a malformed request", get("/").without_host()),
        ("a method that is not allowed", post("/hello.txt", "abc")),
    ];
    let case = |((what, request), number)| {
        should(format!("9110/6.6.1/{number}"), format!("The Date of the response for {what} is the present"))
            .on(Needs::Fixtures)
            .send(request)
            .expect(header("Date", value_that("that is the present", is_present)))
    };
    let mut cases: Vec<_> = asked.into_iter().zip(1..).map(case).collect();
    // §6.6.1: a server may leave it out of 5xx.
    cases.push(
        robust("9110/6.6.1/20", "The response to an unknown method has a Date, too")
            .send(request("BREW", "/"))
            .expect([any_error(), header("Date", value_that("that is the present", is_present))]),
    );
    cases
}

/// Whether an IMF-fixdate is within a minute of the present time.
fn is_present(date: &str) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    parse_date(date).is_some_and(|moment| moment.abs_diff(now.cast_signed()) <= 60)
}
