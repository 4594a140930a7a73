//! Oversized messages: a server rejects them in time, the rejection reaches the client, and ordinary sizes are served.

use crate::request::SMUGGLED;

use super::prelude::*;

/// More bytes than any server should buffer for one head.
const TOO_MUCH: usize = 1 << 20;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases =
        [ordinary_sizes(), heads(), endless_requests(), lengths(), bodies(), chunks(), repetition(), paths()];
    Section::new("limits", "Limits", cases)
}

/// Cases: Limits protect against abuse; what browsers and proxies really send must stay below them.
fn ordinary_sizes() -> Vec<Case> {
    vec![
        robust("limits/1", "A head with a cookie of 4096 bytes is served")
            .send(get("/").with(format!("Cookie: c={}", "x".repeat(4094))))
            .expect(status(200)),
        robust("limits/2", "A head with 64 header lines is served")
            .send((0..64).fold(get("/"), |request, number| request.with(format!("X-{number}: y"))))
            .expect(status(200)),
        robust("limits/3", "A list of a thousand members is read to its end")
            .send(get("/").with(format!("Connection: {}close", "x, ".repeat(1000))))
            .expect([status(200), closes()]),
    ]
}

/// Cases for RFC 9110 §5.4: headers larger than the server wishes to process MUST be answered with a 4xx. RFC 9112 §3:
/// a target longer than it wishes to parse MUST be answered with 414; so the server need not wait for the end of the
/// line.
fn heads() -> Vec<Case> {
    let much = || "x".repeat(TOO_MUCH);
    vec![
        robust("limits/10", "A request line without an end is rejected")
            .send(format!("GET /{}", much()))
            .expect([any_of([414, 400, 431]), no_reset()]),
        robust("limits/11", "A method without an end is rejected")
            .send(much())
            .expect([any_of([400, 414, 431, 501]), no_reset()]),
        must("limits/12", "A header line larger than the server wishes to process is answered with 4xx")
            .send(get("/").with(format!("X: {}", much())))
            .expect([either(status(200), client_error()), no_reset()]),
        robust("limits/13", "A header line of a megabyte is answered with 431 or 400")
            .send(get("/").with(format!("X: {}", much())))
            .smuggled()
            .expect([any_of([431, 400]), not_served()]),
        robust("limits/14", "A header name without an end is rejected")
            .send(format!("GET / HTTP/1.1\r\nHost: test\r\n{}", much()))
            .expect([any_of([431, 400]), no_reset()]),
        robust("limits/15", "Ten thousand small header lines are rejected")
            .send((0..10_000).fold(get("/"), |request, _| request.with("X: y")))
            .expect([any_of([431, 400]), no_reset()]),
        robust("limits/16", "Many header lines of medium size are rejected like a single large one")
            .send((0..1000).fold(get("/"), |request, _| request.with(format!("X: {}", "y".repeat(1000)))))
            .expect([any_of([431, 400]), no_reset()]),
    ]
}

/// Cases: A part of a request that never ends is rejected, even if it arrives in small pieces.
fn endless_requests() -> Vec<Case> {
    let dripping =
        |case: Case, piece: String| (0..40).fold(case, |case, _| case.send(piece.as_str()).pause());
    vec![
        dripping(
            robust("limits/20", "A head that never ends is rejected")
                .send("GET / HTTP/1.1\r\nHost: test\r\n"),
            "X: y\r\n".repeat(4000),
        )
        .expect(any_of([431, 400])),
        dripping(
            robust("limits/21", "A header line that never ends is rejected")
                .send("GET / HTTP/1.1\r\nHost: test\r\nX: "),
            "y".repeat(25_000),
        )
        .expect(any_of([431, 400])),
        dripping(
            robust("limits/22", "A trailer section that never ends is rejected")
                .on(Needs::Echo)
                .send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
            "X: y\r\n".repeat(4000),
        )
        .expect(any_of([431, 400, 413])),
    ]
}

/// Cases for RFC 9110 §8.6: be ready for lengths of many digits; a length that wraps around frames nothing.
fn lengths() -> Vec<Case> {
    // 2^32 and 2^64, each with the length of the request after it.
    let wrapped = |base: u128| (base + SMUGGLED.len() as u128).to_string();
    let case = |(length, number): (String, u32)| {
        must(format!("limits/{number}"), format!("A Content-Length of {length} does not wrap around"))
            .send(get("/").with(format!("Content-Length: {length}")))
            .smuggled()
            .smuggled()
            .half_close()
            .expect([either(any_response(), no_response()), not_served()])
    };
    let wrapping = [wrapped(1 << 32), wrapped(1 << 64), "9".repeat(100)];
    let chunk = |(size, number): (&str, u32)| {
        must(format!("limits/{number}"), format!("A chunk of {size} bytes does not wrap around"))
            .send(get("/").with("Transfer-Encoding: chunked"))
            .send(format!("{size}\r\n\r\n0\r\n\r\n"))
            .smuggled()
            .half_close()
            .expect([either(any_response(), no_response()), not_served()])
    };
    let chunks =
        ["100000000", "10000000000000000", "ffffffffffffffff", "fffffffffffffffe", "8000000000000000"];
    wrapping.into_iter().zip(30..).map(case).chain(chunks.into_iter().zip(40..).map(chunk)).collect()
}

/// Cases for RFC 9110 §15.5.14: 413 for a body larger than the server is able or willing to process.
fn bodies() -> Vec<Case> {
    /// The length of a body that a server may reject as too large.
    const LARGE: usize = 4 << 20;
    let announced = || "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1099511627776\r\n";
    vec![
        robust("limits/50", "A body of a terabyte is rejected before it is sent")
            .send(format!("{}\r\n", announced()))
            .expect([any_error(), no_reset()]),
        robust("limits/51", "A body of a terabyte that waits for 100 gets an error, and no 100")
            .send(format!("{}Expect: 100-continue\r\n\r\n", announced()))
            .expect([any_error(), no_interim()]),
        robust("limits/52", "An echo server answers a body of a terabyte with 413")
            .on(Needs::Echo)
            .send(format!("{}\r\n", announced()))
            .expect([status(413), no_reset()]),
        robust(
            "limits/53",
            "Too large a body is answered with 413, which reaches a client that is still sending",
        )
        .on(Needs::Echo)
        .send(post("/", vec![b'x'; LARGE]))
        .expect([any_of([413, 200]), no_reset()]),
        robust("limits/54", "Too large a chunked body is answered with 413, which reaches a client, too")
            .on(Needs::Echo)
            .send(request("POST", "/").chunked(vec![vec![b'x'; LARGE / 64]; 64]))
            .expect([any_of([413, 200]), no_reset()]),
        robust("limits/55", "Nothing is served after a body that is rejected for its size")
            .on(Needs::Echo)
            .send(post("/", [SMUGGLED.as_bytes(), &vec![b'x'; LARGE]].concat()))
            .send(get("/"))
            .expect([any_of([413, 200]), either(responses([413]), responses([200, 200]))]),
    ]
}

/// Cases for RFC 9112 §7.1.1: a server ought to limit the extensions of a request's chunks, and answer 4xx beyond.
fn chunks() -> Vec<Case> {
    let start = || Vec::from(request("POST", "/").with("Transfer-Encoding: chunked"));
    let with = |content: String| [start(), content.into_bytes()].concat();
    vec![
        robust("limits/60", "A chunk extension of a megabyte is rejected")
            .on(Needs::Echo)
            .send(with(format!("1;x={}\r\na\r\n0\r\n\r\n", "y".repeat(TOO_MUCH))))
            .expect([client_error(), no_reset()]),
        robust("limits/61", "Many small chunk extensions are rejected together")
            .on(Needs::Echo)
            .send(with(format!("{}0\r\n\r\n", format!("1;x={}\r\na\r\n", "y".repeat(100)).repeat(10_000))))
            .expect([client_error(), no_reset()]),
        robust("limits/62", "A chunk size without an end is rejected")
            .on(Needs::Echo)
            .send(with("0".repeat(TOO_MUCH)))
            .expect([client_error(), no_reset()]),
        robust("limits/63", "A trailer of a megabyte is rejected")
            .on(Needs::Echo)
            .send(with(format!("1\r\na\r\n0\r\nX: {}\r\n\r\n", "y".repeat(TOO_MUCH))))
            .expect([client_error(), no_reset()]),
    ]
}

/// Cases for thousands of pipelined requests or empty lines on one connection.
fn repetition() -> Vec<Case> {
    vec![
        robust(
            "limits/70",
            "Three thousand pipelined requests are answered, or the server says where it stops",
        )
        .send(Vec::from(get("/")).repeat(3000))
        .expect(all_or_close(3000)),
        robust("limits/71", "Three thousand pipelined requests for a missing file are answered, too")
            .send(Vec::from(head("/no/such/thing")).repeat(3000))
            .expect(all_or_close(3000)),
        robust("limits/72", "Ten thousand empty lines before a request are ignored or rejected")
            .send("\r\n".repeat(10_000))
            .send(get("/"))
            .expect([any_of([200, 400]), no_reset()]),
    ]
}

/// Cases: No file system has such long paths. The client asks for a missing file, so the response is not 5xx.
fn paths() -> Vec<Case> {
    let targets = [
        ("a name of a thousand letters", format!("/{}", "a".repeat(1000))),
        ("a path of five thousand letters", "/abcdefghi".repeat(500)),
        ("a path of three thousand directories", "/a".repeat(3000)),
        ("a path of three thousand steps upwards", "/..".repeat(2000)),
        ("a path of two thousand encoded bytes", format!("/{}", "%C3%A4".repeat(1000))),
    ];
    let case = |((what, target), number): ((&str, String), u32)| {
        robust(format!("limits/{number}"), format!("The answer to {what} is 4xx"))
            .send(get(&target))
            .expect([client_error(), no_header("Location")])
    };
    targets.into_iter().zip(80..).map(case).collect()
}

/// Expects `count` responses of one status; or fewer, the last of which says `Connection: close`.
fn all_or_close(count: usize) -> Expectation {
    of_exchange(
        format!("{count} responses, or fewer and then Connection: close"),
        count,
        None,
        move |exchange| {
            let responses = exchange.responses.as_slice();
            let status = |index: usize| responses.get(index).map(|response| response.status);
            let odd =
                (0..responses.len()).find(|&index| status(index) != status(0) || status(index) >= Some(405));
            match (odd, responses.last()) {
                (Some(index), _) => Err(format!("{} as response {}", responses[index].describe(), index + 1)),
                (None, Some(_)) if responses.len() == count => Ok(()),
                (None, Some(last)) if last.lists("Connection", "close") => Ok(()),
                _ => Err(exchange.absence(count - 1)),
            }
        },
    )
}
