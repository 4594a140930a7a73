//! RFC 9112 §4: the status line, the first line of every response.
//!
//! In every case the strict reader already rejects responses with a malformed status line. The cases here check what a
//! well-formed status line must say.

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    Section::new("9112/4", "Status Line", [versions(), reasons()])
}

/// Cases for RFC 9110 §2.5: a response's version is the highest that the server conforms to, even if the request was
/// rejected.
fn versions() -> Vec<Case> {
    let requests = [
        ("a request for a missing file", Vec::from(get("/no/such/thing"))),
        ("a request for a missing file in HTTP/1.0", get("/no/such/thing").http10().into()),
        ("an unknown method", request("BREW", "/").into()),
        ("a request without Host", get("/").without_host().into()),
        ("an unknown version", "GET / HTTP/3.0\r\nHost: test\r\n\r\n".into()),
        ("bytes that are not HTTP", "HELO example.org\r\n\r\n".into()),
    ];
    let case = |((what, bytes), number)| {
        should(format!("9112/4/{number}"), format!("The response to {what} is an error in HTTP/1.1"))
            .send(bytes)
            .expect([any_error(), response_that("version HTTP/1.1", |response| response.version == (1, 1))])
    };
    requests.into_iter().zip(1..).map(case).collect()
}

/// Cases for the reason phrase, which must not repeat what the client sent.
fn reasons() -> Vec<Case> {
    vec![
        robust("9112/4/20", "The reason phrase repeats nothing of what the client sent")
            .send(get("/no/such/xyzzy"))
            .expect([
                client_error(),
                response_that("no word of the target", |response| !response.reason.contains("xyzzy")),
            ]),
    ]
}
