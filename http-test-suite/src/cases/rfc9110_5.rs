//! RFC 9110 §5: header names, the order of header lines, and values. Lists are tested in Connection and If-None-Match,
//! where a member changes the response. Limits on size are tested in `limits`.

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [names(), unknown_names(), names_that_look_alike(), order(), values()];
    Section::new("9110/5", "Fields", cases)
}

/// Cases for the names of headers, which are compared in any case of letters.
fn names() -> Vec<Case> {
    vec![
        must("9110/5.1/1", "If-None-Match is found in any case of letters")
            .on(Needs::Fixtures)
            .send(get("/hello.txt").with("iF-nONE-mATCH: *"))
            .expect(status(304)),
        must("9110/5.1/2", "Connection is found in any case of letters")
            .send(get("/").with("cONNECTION: close"))
            .expect([status(200), closes()]),
    ]
}

/// Cases for §5.1: a server should ignore unknown headers; in a request, that includes headers defined only for
/// responses.
fn unknown_names() -> Vec<Case> {
    let lines = [
        "X: y",
        "X-Empty:",
        "!#$%&'*+-.^_`|09aZ: y",
        "Status: 500 Oops",
        "Location: http://elsewhere/",
        "ETag: nonsense",
        "Date: yesterday",
        "Set-Cookie: a=b",
        "Proxy: http://elsewhere/",
        "X-Original-URL: /no/such/thing",
        "X-Forwarded-Host: a b",
    ];
    let case = |(line, number)| {
        should(
            format!("9110/5.1/{number}"),
            format!("The header {line:?} has no meaning here and is ignored"),
        )
        .send(get("/").with(line))
        .expect([status(200), stays_open()])
    };
    lines.into_iter().zip(20..).map(case).collect()
}

/// Cases for §5.1: header names are compared as a whole. A server that confuses two names frames the message
/// differently from the proxy in front of it.
fn names_that_look_alike() -> Vec<Case> {
    let lines =
        ["Content-Length-: 1000", "X-Content-Length: 1000", "Transfer-Encodings: chunked", "X-Host: other"];
    let case = |(line, number)| {
        should(
            format!("9110/5.1/{number}"),
            format!("The header {line:?} only resembles another, and is ignored"),
        )
        .send(get("/").with(line))
        .send(get("/"))
        .expect(responses([200, 200]))
    };
    lines.into_iter().zip(40..).map(case).collect()
}

/// Cases for §5.3: no response before the whole header section has arrived; later lines may change everything.
fn order() -> Vec<Case> {
    vec![
        must("9110/5.3/1", "The last header line counts, even if it comes late")
            .send("GET / HTTP/1.1\r\nHost: test\r\n")
            .pause()
            .send("Host: other\r\n\r\n")
            .expect(status(400)),
    ]
}

/// Cases for the values of headers.
fn values() -> Vec<Case> {
    vec![
        should("9110/5.5/1", "Bytes beyond ASCII in a value are opaque, and no reason to reject")
            .send(b"GET / HTTP/1.1\r\nHost: test\r\nX: \x80\xe9\xff\r\n\r\n")
            .expect(status(200)),
        should("9110/5.5/2", "A value that ends inside a quoted string or a comment is not rejected")
            .send(get("/").with("X: \"open (and \\"))
            .expect(status(200)),
    ]
}
