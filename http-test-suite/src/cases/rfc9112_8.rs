//! RFC 9112 §8: messages that end before they are complete. A server may answer with an error, but must not serve them.

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    Section::new("9112/8", "Incomplete Messages", [heads(), bodies(), incomplete_after_complete()])
}

/// Cases: A head is complete only with its empty line.
fn heads() -> Vec<Case> {
    let heads = [
        "G",
        "GET /",
        "GET / HTTP/1.1\r\nHost: te",
        "GET / HTTP/1.1\r\nHost: test\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\n\r",
        "GET / HTTP/1.0\r\n",
    ];
    let case = |(head, number)| {
        must(
            format!("9112/8/{number}"),
            format!("A connection that ends after {head:?} gets an error or nothing"),
        )
        .send(head)
        .half_close()
        .expect([rejected_or_no_response(), closes()])
    };
    heads.into_iter().zip(1..).map(case).collect()
}

/// Cases for §8: a body is incomplete below its Content-Length, and before the last chunk and the end of its trailers.
fn bodies() -> Vec<Case> {
    let contents = [
        ("Content-Length: 4", ""),
        ("Content-Length: 4", "abc"),
        ("Transfer-Encoding: chunked", ""),
        ("Transfer-Encoding: chunked", "3"),
        ("Transfer-Encoding: chunked", "3\r\nab"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\nX: y\r\n"),
    ];
    let case = |((framing, content), number)| {
        must(
            format!("9112/8/{number}"),
            format!("A body by {framing:?} that ends after {content:?} is not served"),
        )
        .on(Needs::Echo)
        .send(request("POST", "/").with(framing))
        .send(content)
        .half_close()
        .expect([rejected_or_no_response(), closes()])
    };
    contents.into_iter().zip(20..).map(case).collect()
}

/// Cases for incomplete requests after complete ones.
fn incomplete_after_complete() -> Vec<Case> {
    vec![
        must("9112/8/40", "A complete request is served, and an incomplete request after it is not")
            .send(get("/"))
            .send("GET / HTTP/1.1\r\nHost: test\r\n")
            .half_close()
            .expect([status(200), either(nth(1, any_error()), responses([200])), closes()]),
        must("9112/8/41", "A request inside a body that is cut short is not served")
            .send(get("/").with("Content-Length: 1000"))
            .smuggled()
            .half_close()
            .expect([either(any_response(), no_response()), not_served()]),
        must("9112/8/42", "A request inside a chunk that is cut short is not served")
            .send(get("/").with("Transfer-Encoding: chunked"))
            .send("fff\r\n")
            .smuggled()
            .half_close()
            .expect([either(any_response(), no_response()), not_served()]),
    ]
}

/// §8: a server MAY send an error before it closes.
fn rejected_or_no_response() -> Expectation {
    either(any_error(), no_response())
}
