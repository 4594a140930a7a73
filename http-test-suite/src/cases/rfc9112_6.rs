//! RFC 9112 §6: where a body ends: Content-Length, Transfer-Encoding, and both at once.
//!
//! Two readers that differ here see different requests on one connection. So nearly every case sends a second request
//! after the first, which may be served only if there is no doubt where it begins.

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        bodies(),
        bodies_of_other_methods(),
        good_lengths(),
        bad_lengths(),
        repeated_lengths(),
        large_lengths(),
        good_codings(),
        unknown_codings(),
        not_chunked_last(),
        odd_codings(),
        codings_in_http10(),
        both_framings(),
    ];
    Section::new("9112/6", "Message Body", cases)
}

/// The header line that announces the chunked coding.
const CHUNKED: &str = "Transfer-Encoding: chunked";

/// The body `abc`, chunked.
const ABC: &str = "3\r\nabc\r\n0\r\n\r\n";

/// Cases for well-framed bodies.
fn bodies() -> Vec<Case> {
    vec![
        must("9112/6.3/1", "A body is as long as Content-Length says")
            .on(Needs::Echo)
            .send(post("/", "abc"))
            .send(post("/", "de"))
            .expect([responses([200, 200]), body("abc"), nth(1, body("de"))]),
        must("9112/6.3/2", "A body may look like requests")
            .on(Needs::Echo)
            .send(post("/", SMUGGLED))
            .expect([status(200), body(SMUGGLED), not_served()]),
        must("9112/6.3/3", "A body may come in pieces, and the next request with the last of them")
            .on(Needs::Echo)
            .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n\r\n\r")
            .pause()
            .send("\n123")
            .pause()
            .send("45")
            .send(post("/", "x"))
            .expect([responses([200, 200]), body("\r\n\r\n12345"), nth(1, body("x"))]),
        // §6.3: a request with neither header has no content. The server MAY insist on a length.
        must("9112/6.3/4", "A request with neither header has no body, whatever its method")
            .on(Needs::Echo)
            .send(request("POST", "/"))
            .send(get("/"))
            .expect([any_of([200, 411]), either(nth(1, status(200)), closes())]),
    ]
}

/// Cases for §6: framing is independent of the method.
fn bodies_of_other_methods() -> Vec<Case> {
    let methods = ["HEAD", "OPTIONS", "PUT"];
    let case = |(method, number)| {
        must(format!("9112/6/{number}"), format!("The body of {method} is not treated as a request"))
            .send(request(method, "/").body(SMUGGLED))
            .expect([any_response(), not_served()])
    };
    methods.into_iter().zip(1..).map(case).collect()
}

/// Cases for valid values of Content-Length.
fn good_lengths() -> Vec<Case> {
    // A length is decimal, also if it looks octal.
    let lengths = [("0003", "abc"), (" \t3 \t ", "abc"), ("010", "0123456789"), ("08", "01234567")];
    let case = |((length, content), number): ((&str, &'static str), u32)| {
        must(format!("9112/6.2/{number}"), format!("The Content-Length {length:?} is {}", content.len()))
            .on(Needs::Echo)
            .send(request("POST", "/").with(format!("Content-Length:{length}")))
            .send(content)
            .send(get("/"))
            .expect([responses([200, 200]), body(content)])
    };
    lengths.into_iter().zip(1..).map(case).collect()
}

/// Cases for §6.3: an invalid Content-Length is answered with 400, and the connection closed.
fn bad_lengths() -> Vec<Case> {
    let lengths = [
        "", "+3", "-3", "-0", "0x3", "3a", "3.0", "3 0", "3;", "\"3\"", "3\x0b", "3, 4", "3,+3", "\u{ff13}",
        "1_0",
    ];
    let case = |(length, number)| {
        must(
            format!("9112/6.3/{number}"),
            format!("The Content-Length {length:?} is answered with 400 and the close"),
        )
        .send(get("/").with(format!("Content-Length: {length}")))
        .send("abc")
        .smuggled()
        .expect([status(400), not_served(), closes()])
    };
    lengths.into_iter().zip(20..).map(case).collect()
}

/// Cases for several lengths, in one header line or in two.
fn repeated_lengths() -> Vec<Case> {
    let differing = [
        ["Content-Length: 3", "Content-Length: 4"],
        ["Content-Length: 0", "content-length: 3"],
        ["Content-Length: 3, 3", "Content-Length: 4"],
    ];
    let case = |([one, other], number): ([&str; 2], u32)| {
        must(
            format!("9112/6.3/{number}"),
            format!("The lengths {one:?} and {other:?} are answered with 400 and the close"),
        )
        .send(get("/").with(one).with("X: y").with(other))
        .send("abc")
        .smuggled()
        .expect([status(400), not_served(), closes()])
    };
    // RFC 9110 §8.6: equal values are one, or invalid. An empty member of a list counts for nothing (§5.6.1).
    let equal = [
        "Content-Length: 3, 3",
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3\r\nCONTENT-LENGTH: 03",
        "Content-Length: , 3",
        "Content-Length:\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length:",
    ];
    let equal_case = |(lines, number)| {
        must(format!("9112/6.3/{number}"), format!("The lengths {lines:?} are one, or answered with 400"))
            .send(get("/").with(lines))
            .send("abc")
            .send(get("/"))
            .expect(either(responses([400]), responses([200, 200])))
    };
    // The RFC allows both. No correct client sends two lengths, and an attacker profits if two servers treat them
    // differently.
    let rejected = |(lines, number)| {
        robust(
            format!("9112/6.3/{number}"),
            format!("The lengths {lines:?} are rejected, though they are equal"),
        )
        .send(get("/").with(lines))
        .send("abc")
        .smuggled()
        .expect([status(400), not_served(), closes()])
    };
    let differing = differing.into_iter().zip(50..).map(case);
    let rejected = equal[..3].iter().copied().zip(70..).map(rejected);
    differing.chain(equal.into_iter().zip(60..).map(equal_case)).chain(rejected).collect()
}

/// Cases for RFC 9110 §8.6: anticipate large numerals. An integer type that is too small wraps each of these around to
/// 3.
fn large_lengths() -> Vec<Case> {
    let lengths = ["65539", "4294967299", "18446744073709551619", "680564733841876926926749214863536422915"];
    let case = |(length, number)| {
        must(
            format!("9112/6.2/{number}"),
            format!("The Content-Length {length} is not read as a smaller one"),
        )
        .send(get("/").with(format!("Content-Length: {length}")))
        .send("abc")
        .smuggled()
        .half_close()
        .expect([either(any_response(), no_response()), not_served()])
    };
    lengths.into_iter().zip(20..).map(case).collect()
}

/// Cases for the valid spellings of `chunked`.
fn good_codings() -> Vec<Case> {
    let chunked = |line: &str| request("POST", "/").with(line);
    // §7: names of codings are in any case.
    let lines = ["Transfer-Encoding: chunked", "tRANSFER-eNCODING:\t Chunked \t"];
    let case = |(line, number)| {
        must(format!("9112/6.1/{number}"), format!("A body is chunked by {line:?}"))
            .on(Needs::Echo)
            .send(chunked(line))
            .send(ABC)
            .send(get("/"))
            .expect([responses([200, 200]), body("abc")])
    };
    // RFC 9110 §5.6.1.2: ignore a reasonable number of empty members. The server decides the number; in the header that
    // frames the body, it can be none.
    let padded = [
        "Transfer-Encoding: , chunked",
        "Transfer-Encoding: chunked ,,",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    ];
    let padded_case = |(line, number)| {
        must(format!("9112/6.1/{number}"), format!("A body is chunked by {line:?}, or rejected"))
            .on(Needs::Echo)
            .send(chunked(line))
            .send(ABC)
            .send(get("/"))
            .expect([either(responses([400]), responses([200, 200])), either(status(400), body("abc"))])
    };
    // The same section: so many could serve a denial-of-service attack.
    let many = robust("9112/6.1/6", "Eight thousand empty members before chunked are rejected")
        .send(get("/").with(format!("Transfer-Encoding: {}chunked", ",".repeat(8000))))
        .send(ABC)
        .smuggled()
        .expect([any_of([400, 431, 501]), not_served(), closes()]);
    let lines = lines.into_iter().zip(1..).map(case);
    lines.chain(padded.into_iter().zip(3..).map(padded_case)).chain([many]).collect()
}

/// Cases for §6.1: a coding that the server does not understand SHOULD be answered with 501.
fn unknown_codings() -> Vec<Case> {
    let codings = ["xyzzy, chunked", "xyzzy;level=\"1, 2\" , chunked"];
    let case = |(coding, number)| {
        should(format!("9112/6.1/{number}"), format!("The unknown coding in {coding:?} is answered with 501"))
            .send(get("/").with(format!("Transfer-Encoding: {coding}")))
            .send(ABC)
            .smuggled()
            .expect([status(501), not_served()])
    };
    codings.into_iter().zip(20..).map(case).collect()
}

/// Cases for §6.3: if chunked is not the last coding, the answer is 400 and the close. Where the last coding is
/// unknown, §6.1 allows 501.
fn not_chunked_last() -> Vec<Case> {
    let codings = [
        "",
        "identity",
        "gzip",
        "chunked, identity",
        "chunked\r\nTransfer-Encoding: xyzzy",
        "xchunked",
        "chunkedx",
        "chunked chunked",
        "\"chunked\"",
        "chunked\x0b",
        "\x0cchunked",
        "chunked=",
    ];
    let case = |(coding, number)| {
        must(
            format!("9112/6.3/{number}"),
            format!("The Transfer-Encoding {coding:?} delimits nothing, and is rejected"),
        )
        .send(get("/").with(format!("Transfer-Encoding: {coding}")))
        .send(ABC)
        .smuggled()
        .expect([any_of([400, 501]), not_served(), closes()])
    };
    codings.into_iter().zip(80..).map(case).collect()
}

/// Cases for the chunked coding with a parameter, or twice.
fn odd_codings() -> Vec<Case> {
    vec![
        // §7: parameters of chunked SHOULD be treated as an error.
        should("9112/6.1/30", "Chunked with a parameter is rejected")
            .send(get("/").with("Transfer-Encoding: chunked;q=1"))
            .send(ABC)
            .smuggled()
            .expect([any_of([400, 501]), not_served()]),
        // §6.1: a sender MUST NOT do that. A server that decodes once finds chunks in the content.
        robust("9112/6.1/31", "Chunked twice is rejected")
            .send(get("/").with("Transfer-Encoding: chunked, chunked"))
            .send(ABC)
            .smuggled()
            .expect([any_of([400, 501]), not_served()]),
        robust("9112/6.1/32", "Chunked twice on two lines is rejected")
            .send(get("/").with(CHUNKED).with(CHUNKED))
            .send(ABC)
            .smuggled()
            .expect([any_of([400, 501]), not_served()]),
    ]
}

/// Cases for §6.1: in HTTP/1.0, Transfer-Encoding is a framing error, even beside a Content-Length: close after
/// processing.
fn codings_in_http10() -> Vec<Case> {
    let http10 = || get("/").http10().with("Connection: keep-alive");
    vec![
        must("9112/6.1/40", "Nothing after a Transfer-Encoding in HTTP/1.0 is served")
            .send(http10().with(CHUNKED))
            .send(ABC)
            .smuggled()
            .expect([any_of([200, 400, 501]), not_served(), closes()]),
        must("9112/6.1/41", "Nothing after a Transfer-Encoding and a Content-Length in HTTP/1.0 is served")
            .send(http10().with(CHUNKED).with(format!("Content-Length: {}", ABC.len())))
            .send(ABC)
            .smuggled()
            .expect([any_of([200, 400, 501]), not_served(), closes()]),
        must("9112/6.1/42", "Nothing after the last chunk of an HTTP/1.0 request is served")
            .send(http10().with(CHUNKED).with("Content-Length: 5"))
            .send("0\r\n\r\n")
            .smuggled()
            .expect([any_of([200, 400, 501]), not_served(), closes()]),
    ]
}

/// Cases for §6.1: a server MAY reject a request with both, or go by Transfer-Encoding alone. It MUST close in any
/// case.
fn both_framings() -> Vec<Case> {
    let length = |length: usize| format!("Content-Length: {length}");
    vec![
        must("9112/6.1/50", "After a Content-Length and a Transfer-Encoding the connection closes")
            .send(get("/").with(length(ABC.len())).with(CHUNKED))
            .send(ABC)
            .smuggled()
            .expect([any_of([200, 400]), not_served(), closes()]),
        must("9112/6.1/51", "After a Transfer-Encoding and a Content-Length the connection closes")
            .send(get("/").with(CHUNKED).with(length(3)))
            .send(ABC)
            .smuggled()
            .expect([any_of([200, 400]), not_served(), closes()]),
        must("9112/6.3/110", "Transfer-Encoding overrides Content-Length, if the request is not rejected")
            .on(Needs::Echo)
            .send(request("POST", "/").with(length(4)).with(CHUNKED))
            .send(ABC)
            .expect([either(status(400), body("abc")), closes()]),
        must("9112/6.3/111", "An invalid Content-Length beside Transfer-Encoding is rejected or overridden")
            .on(Needs::Echo)
            .send(request("POST", "/").with(CHUNKED).with("Content-Length: x"))
            .send(ABC)
            .expect([either(status(400), body("abc")), closes()]),
        must("9112/6.3/112", "An unknown coding does not make a Content-Length count")
            .send(get("/").with("Transfer-Encoding: xyzzy").with(length(3)))
            .send("abc")
            .smuggled()
            .expect([any_of([400, 501]), not_served(), closes()]),
    ]
}
