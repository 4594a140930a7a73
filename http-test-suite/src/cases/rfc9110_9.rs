//! RFC 9110 §9: what the methods mean, which methods are supported, and that a rejected method changes nothing.

use crate::fixtures::HELLO;
use crate::response::Response;

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        known_methods(),
        unknown_methods(),
        not_allowed(),
        methods_without_effect(),
        safe(),
        head_like_get(),
        options(),
        connect(),
        trace(),
    ];
    Section::new("9110/9", "Methods", cases)
}

/// A file that no other case asks for: if a server deletes or changes it, only the cases here fail.
const VICTIM: &str = "/no-index/file.txt";

/// The body of [`VICTIM`].
const UNHARMED: &str = "A file in a directory without an index.\n";

/// Cases for GET and HEAD, which every server must support.
fn known_methods() -> Vec<Case> {
    vec![
        must("9110/9.1/1", "GET is supported").send(get("/")).expect(status(200)),
        must("9110/9.1/2", "HEAD is supported").send(head("/")).expect(status(200)),
    ]
}

/// Cases for §9.1: a method that is not recognized should be answered with 501.
fn unknown_methods() -> Vec<Case> {
    let methods = ["BREW", "GETX", "GE", "HEADER", "0"];
    let case = |(method, number)| {
        should(format!("9110/9.1/{number}"), format!("The method {method} is not recognized: 501"))
            .send(request(method, "/"))
            .expect(status(501))
    };
    methods.into_iter().zip(20..).map(case).collect()
}

/// Cases for §9.1: a method that is known but not allowed is answered with 405, an unimplemented method with 501.
fn not_allowed() -> Vec<Case> {
    let methods = ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"];
    let case = |(method, number)| {
        should(format!("9110/9.1/{number}"), format!("{method} on a file is answered with 405 or 501"))
            .on(Needs::Fixtures)
            .send(request(method, VICTIM).body("x"))
            .expect(any_of([405, 501]))
    };
    let mut cases: Vec<_> = methods.into_iter().zip(40..).map(case).collect();
    cases.extend([
        robust("9110/9.3.3/1", "POST without a body is rejected where POST is")
            .on(Needs::Fixtures)
            .send(request("POST", VICTIM))
            .expect(any_of([405, 411, 501])),
        robust("9110/9.3.3/2", "POST to a missing file is rejected")
            .send(post("/no/such/thing", "x"))
            .expect(any_of([403, 404, 405, 501])),
        // §14.5: answer with 400, or the server would take the part for the whole file.
        should("9110/9.3.4/1", "PUT of a range is rejected by a server that does not support it")
            .on(Needs::Fixtures)
            .send(request("PUT", VICTIM).with("Content-Range: bytes 0-0/40").body("x"))
            .expect(any_error()),
    ]);
    cases
}

/// Cases for requests that must not change or delete a file.
fn methods_without_effect() -> Vec<Case> {
    let methods = ["PUT", "PATCH", "DELETE", "MOVE"];
    let case = |(method, number)| {
        should(format!("9110/9.1/{number}"), format!("{method} is rejected, and the file is what it was"))
            .on(Needs::Fixtures)
            .after(request(method, VICTIM).with("Destination: /moved.txt").body("gone"))
            .send(get(VICTIM))
            .expect([
                status(200),
                body(UNHARMED),
                compared_with_prior("a rejection before", |_, prior| prior.status >= 400),
            ])
    };
    methods.into_iter().zip(60..).map(case).collect()
}

/// Cases for §9.2.1: safe methods change nothing, so that clients can follow any link.
fn safe() -> Vec<Case> {
    let requests = [
        ("OPTIONS", request("OPTIONS", VICTIM)),
        ("TRACE", request("TRACE", VICTIM)),
        ("GET with a query that names a method", get(&format!("{VICTIM}?_method=DELETE&delete=1"))),
        ("GET with a header that names a method", get(VICTIM).with("X-HTTP-Method-Override: DELETE")),
    ];
    let case = |((what, request), number)| {
        must(format!("9110/9.2.1/{number}"), format!("{what} leaves the file what it was"))
            .on(Needs::Fixtures)
            .after(request)
            .send(get(VICTIM))
            .expect([status(200), body(UNHARMED)])
    };
    requests.into_iter().zip(1..).map(case).collect()
}

/// Cases for §9.3.2: HEAD is GET without the body, whatever the status. The strict reader rejects any body after HEAD.
fn head_like_get() -> Vec<Case> {
    let asked = [
        ("the root", head("/")),
        ("a file", head("/hello.txt")),
        ("an empty file", head("/empty.txt")),
        ("a large file", head("/pattern.bin")),
        ("a file in HTTP/1.0", head("/hello.txt").http10()),
        ("a directory without its slash", head("/dir")),
        ("a directory without an index", head("/no-index/")),
        ("a missing file", head("/no/such/thing")),
        ("a malformed target", head("/%zz")),
        ("a request without Host", head("/").without_host()),
        ("a tag that fits", head("/hello.txt").with("If-None-Match: *")),
        ("a tag that does not fit", head("/hello.txt").with("If-Match: \"none\"")),
        ("an unknown expectation", head("/hello.txt").with("Expect: x-unknown")),
    ];
    let case = |((what, request), number)| {
        should(format!("9110/9.3.2/{number}"), format!("HEAD has the status and headers of GET: {what}"))
            .on(Needs::Fixtures)
            .send(request)
            .expect(same_as_get())
    };
    asked.into_iter().zip(1..).map(case).collect()
}

/// Cases for OPTIONS.
fn options() -> Vec<Case> {
    vec![
        // §9.3.7: a successful response should list optional features; every server can list its methods in Allow.
        should("9110/9.3.7/1", "OPTIONS on a file says which methods are allowed, or is not implemented")
            .on(Needs::Fixtures)
            .send(request("OPTIONS", "/hello.txt"))
            .expect([any_of([200, 204, 405, 501]), allows_get_and_head_or_501()]),
        robust("9110/9.3.7/2", "OPTIONS on a missing file is not answered with 5xx, except 501")
            .send(request("OPTIONS", "/no/such/thing"))
            .expect(any_of([200, 204, 404, 405, 501])),
        robust("9110/9.3.7/3", "OPTIONS with an Origin grants other sites no access")
            .send(request("OPTIONS", "/").with("Origin: null").with("Access-Control-Request-Method: PUT"))
            .expect([any_of([200, 204, 405, 501]), no_header("Access-Control-Allow-Methods")]),
    ]
}

/// Cases for §9.3.6: an empty or invalid port must be rejected; an origin server makes no tunnels at all.
fn connect() -> Vec<Case> {
    let targets = ["test", "test:", "test:99999"];
    let case = |(target, number)| {
        must(format!("9110/9.3.6/{number}"), format!("CONNECT to {target:?} is rejected"))
            .send(request("CONNECT", target))
            .smuggled()
            .expect([any_error(), not_served()])
    };
    // A server that waits for the body lets a client hold a connection for as long as its timeout.
    let at_once = |(framing, number)| {
        robust(format!("9110/9.3.6/{number}"), format!("CONNECT is rejected before the body of {framing:?}"))
            .send(request("CONNECT", "test:80").with(framing))
            .await_responses(1)
            .expect([in_time(), any_error(), closes()])
    };
    let framings = ["Content-Length: 3", "Transfer-Encoding: chunked"];
    targets.into_iter().zip(1..).map(case).chain(framings.into_iter().zip(10..).map(at_once)).collect()
}

/// Cases for §9.3.8: the response repeats the request, except headers that are likely to be secret.
fn trace() -> Vec<Case> {
    vec![
        should("9110/9.3.8/1", "TRACE is rejected, or answered with a message/http")
            .send(request("TRACE", "/"))
            .expect(either(
                any_of([403, 405, 501]),
                header("Content-Type", value_that("message/http", |value| value.starts_with("message/http"))),
            )),
        should("9110/9.3.8/2", "TRACE does not repeat secret headers")
            .send(request("TRACE", "/").with("Cookie: id=s3cret").with("Authorization: Bearer s3cret"))
            .expect([
                any_of([200, 403, 405, 501]),
                body_that("no secret", |content| !content.windows(6).any(|six| six == b"s3cret")),
            ]),
        should("9110/9.3.8/3", "GET does not become TRACE by a header")
            .on(Needs::Fixtures)
            .send(get("/hello.txt").with("X-Method-Override: TRACE"))
            .expect([status(200), body(HELLO)]),
    ]
}

/// Expects that the response is a 501, or its Allow header lists GET and HEAD.
fn allows_get_and_head_or_501() -> Expectation {
    response_that("an Allow that lists GET and HEAD, or 501", |response: &Response| {
        response.status == 501 || (response.lists("Allow", "GET") && response.lists("Allow", "HEAD"))
    })
}
