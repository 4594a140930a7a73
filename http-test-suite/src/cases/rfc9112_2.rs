//! RFC 9112 §2: how bytes are parsed into a message, where lines end, and which version a message has.

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    Section::new("9112/2", "Message", [parsing(), pieces(), versions(), broken_versions()])
}

/// Cases for line ends, empty lines, and lines in the wrong place.
fn parsing() -> Vec<Case> {
    vec![
        must("9112/2.1/1", "A request line, a Host and an empty line are a whole request")
            .send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            .expect(status(200)),
        should("9112/2.2/1", "An empty line before the request line is ignored")
            .send("\r\n")
            .send(get("/"))
            .expect(status(200)),
        should("9112/2.2/2", "An empty line between a request's body and the next request is ignored")
            .send(get("/").body("abc"))
            .send("\r\n")
            .send(get("/"))
            .expect(responses([200, 200])),
        robust("9112/2.2/3", "Several empty lines before the request line are ignored or rejected")
            .send("\r\n\r\n\r\n")
            .send(get("/"))
            .expect(any_of([200, 400])),
        // §2.2: a recipient MAY take a single LF for the end of a line.
        robust("9112/2.2/4", "Lines that end with a bare LF are understood or rejected")
            .send("GET / HTTP/1.1\nHost: test\n\n")
            .expect(any_of([200, 400])),
        must("9112/2.2/5", "A bare CR does not end the request line")
            .send("GET / HTTP/1.1\rHost: test\r\n\r\n")
            .expect(status(400)),
        must("9112/2.2/6", "A bare CR does not end a header line")
            .send("GET / HTTP/1.1\r\nX: y\rHost: test\r\n\r\n")
            .expect(status(400)),
        must("9112/2.2/7", "Bare CRs do not make the empty line that ends the head")
            .send("GET / HTTP/1.1\r\nHost: test\r\nX: y\r\r")
            .smuggled()
            .expect([status(400), not_served()]),
        must("9112/2.2/8", "Bytes are not characters: U+560D U+560A in UTF-8 does not end a line")
            .send("GET / HTTP/1.1\r\nX: y\u{560d}\u{560a}Host: test\r\n\r\n")
            .expect(status(400)),
        // §2.2: reject the message, or ignore the line. Either way there is no Host.
        must("9112/2.2/9", "A line that begins with a space before the first header is not a header")
            .send("GET / HTTP/1.1\r\n Host: test\r\n\r\n")
            .expect(status(400)),
        must("9112/2.2/10", "A line that begins with a tab before the first header is not a header")
            .send("GET / HTTP/1.1\r\n\tHost: test\r\n\r\n")
            .expect(status(400)),
        must("9112/2.2/11", "A Content-Length after a space before the first header frames nothing")
            .send("GET / HTTP/1.1\r\n Content-Length: 30\r\nHost: test\r\n\r\n")
            .send(get("/"))
            .expect(either(responses([400]), responses([200, 200]))),
        should("9112/2.2/12", "Bytes that are not HTTP are answered with 400, and the connection is closed")
            .send("HELO example.org\r\n\r\n")
            .expect([status(400), closes()]),
        should("9112/2.2/13", "The beginning of TLS is answered with 400, and the connection is closed")
            .send(b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\r\n\r\n")
            .expect([status(400), closes()]),
        should("9112/2.2/14", "A NUL in the request line is answered with 400")
            .send("GET /\0 HTTP/1.1\r\nHost: test\r\n\r\n")
            .smuggled()
            .expect([status(400), not_served()]),
        should("9112/2.2/15", "A second request line in the place of a header is rejected, and not served")
            .send("GET / HTTP/1.1\r\n")
            .smuggled()
            .expect([status(400), not_served()]),
    ]
}

/// Cases: A message is a sequence of octets: segment boundaries have no meaning.
fn pieces() -> Vec<Case> {
    vec![
        must("9112/2.2/16", "A request that comes byte by byte is served")
            .send_bytewise(get("/").with("X: y"))
            .expect(status(200)),
        must("9112/2.2/17", "A request cut inside its method is served")
            .send("G")
            .pause()
            .send("ET / HTTP/1.1\r\nHost: test\r\n\r\n")
            .expect(status(200)),
        must("9112/2.2/18", "A request cut between CR and LF is served")
            .send("GET / HTTP/1.1\r")
            .pause()
            .send("\nHost: test\r\n\r")
            .pause()
            .send("\n")
            .expect(status(200)),
        must("9112/2.2/19", "A second request cut anywhere is served after the first")
            .send("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HT")
            .pause()
            .send("TP/1.1\r\nHost: test\r\n\r\n")
            .expect(responses([200, 200])),
        must("9112/2.2/20", "A bare CR at the end of a segment does not end a line, either")
            .send("GET / HTTP/1.1\r\nX: y\r")
            .pause()
            .send("Host: test\r\n\r\n")
            .expect(status(400)),
    ]
}

/// Cases for valid versions.
fn versions() -> Vec<Case> {
    vec![
        // RFC 9110 §2.5: the response's version is the server's own, not the request's.
        should("9112/2.3/1", "A request in HTTP/1.0 is answered in HTTP/1.1")
            .send(get("/").http10())
            .expect([status(200), response_that("version HTTP/1.1", |response| response.version == (1, 1))]),
        should("9112/2.3/2", "A request in HTTP/1.0 needs no Host")
            .send("GET / HTTP/1.0\r\n\r\n")
            .expect(status(200)),
        // RFC 9110 §6.2: process it as the highest minor version that is known.
        should("9112/2.3/3", "A higher minor version is processed as HTTP/1.1")
            .send("GET / HTTP/1.2\r\nHost: test\r\n\r\n")
            .expect(status(200)),
        should("9112/2.3/4", "A higher minor version needs a Host as HTTP/1.1 does")
            .send("GET / HTTP/1.2\r\n\r\n")
            .expect(any_of([400, 505])),
        robust("9112/2.3/5", "Another major version is answered with 505, and nothing after it is served")
            .send("GET / HTTP/2.0\r\nHost: test\r\n\r\n")
            .smuggled()
            .expect([any_of([505, 400]), not_served()]),
        robust("9112/2.3/6", "The preface of HTTP/2 is rejected")
            .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .expect([any_of([400, 405, 501, 505]), closes()]),
        should("9112/2.3/7", "A request line without a version is rejected with a well-formed response")
            .send("GET /\r\n\r\n")
            .expect([status(400), closes()]),
        should("9112/2.3/8", "HTTP/0.9 by name is rejected with a well-formed response")
            .send("GET / HTTP/0.9\r\n\r\n")
            .expect(any_of([400, 505])),
    ]
}

/// Cases for §2.3: `HTTP-version = "HTTP" "/" DIGIT "." DIGIT`, and the name is case-sensitive.
fn broken_versions() -> Vec<Case> {
    let broken = [
        "http/1.1",
        "Http/1.1",
        "HTTPS/1.1",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/1,1",
        "HTTP/1.1.1",
        "HTTP/+1.1",
        "HTTP/a.b",
        "HTTP 1.1",
        "HTTP\\1.1",
        "HTTP/1.1x",
        "XHTTP/1.1",
        "HTTP/\u{ff11}.1",
    ];
    let case = |(version, number)| {
        should(format!("9112/2.3/{number}"), format!("The version {version:?} is rejected"))
            .send(format!("GET / {version}\r\nHost: test\r\n\r\n"))
            .smuggled()
            .expect([any_of([400, 505]), not_served()])
    };
    broken.into_iter().zip(20..).map(case).collect()
}
