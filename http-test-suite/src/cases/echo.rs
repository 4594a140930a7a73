//! Bodies and header lines must come back exactly as they were sent, in whatever segments they arrived. Needs an echo
//! server.

use crate::reader::preview;

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [bodies(), chunks(), splits(), large(), pipelined_bodies(), expectation(), header_lines()];
    Section::new("echo", "Echo", cases).on(Needs::Echo)
}

/// All 256 byte values, ascending and then descending.
fn bytes() -> Vec<u8> {
    (0..=255).chain((0..=255).rev()).collect()
}

/// Cases for bodies of either framing, which must come back as they were sent.
fn bodies() -> Vec<Case> {
    vec![
        must("echo/1", "A body comes back").send(post("/", "hello")).expect(echo("hello")),
        must("echo/2", "A chunked body comes back without its chunks")
            .send(request("POST", "/").chunked(["hello"]))
            .expect(echo("hello")),
        must("echo/3", "A request without a body gets a response without a body")
            .send(post("/", ""))
            .expect(echo("")),
        must("echo/4", "A body of the last chunk alone comes back as an empty body")
            .send(request("POST", "/").chunked([""; 0]))
            .expect(echo("")),
        must("echo/5", "Every byte comes back").send(post("/", bytes())).expect(echo(bytes())),
        must("echo/6", "Every byte of a chunk comes back")
            .send(request("POST", "/").chunked([bytes()]))
            .expect(echo(bytes())),
        must("echo/7", "A body that looks like a request comes back, and is not served")
            .send(post("/", SMUGGLED.repeat(2)))
            .expect([responses([200]), body(SMUGGLED.repeat(2))]),
        must("echo/8", "Chunks that look like the end of chunks come back")
            .send(request("POST", "/").chunked(["0\r\n\r\n", "\r\n0\r\n", "\r\n\r\n"]))
            .expect(echo("0\r\n\r\n\r\n0\r\n\r\n\r\n")),
        must("echo/9", "A body in HTTP/1.0 comes back")
            .send(post("/", "hello").http10())
            .expect([echo("hello"), closes()]),
        robust("echo/10", "A body comes back to a client that has closed its sending side")
            .send(post("/", "hello"))
            .half_close()
            .expect([echo("hello"), closes()]),
    ]
}

/// Cases for RFC 9112 §7.1: sizes are hexadecimal in either case, with any number of leading zeros; extensions are
/// ignored.
fn chunks() -> Vec<Case> {
    let bodies = [
        ("sizes in capitals", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("sizes in small letters", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("sizes that begin with zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello"),
        ("extensions", "5;a=b\r\nhello\r\n1;c;d=\"e;\\\"f\"\r\n!\r\n0;g=h\r\n\r\n", "hello!"),
        ("trailers", "5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 1\r\n\r\n", "hello"),
    ];
    let case = |((what, chunks, content), number): ((&str, &str, &str), u32)| {
        must(format!("echo/{number}"), format!("A body in chunks with {what} comes back decoded"))
            .send(request("POST", "/").with("Transfer-Encoding: chunked"))
            .send(chunks)
            .expect(echo(content))
    };
    bodies.into_iter().zip(20..).map(case).collect()
}

/// Cases: Neither chunk boundaries nor segment boundaries change the content.
fn splits() -> Vec<Case> {
    /// The body that is cut into pieces.
    const TEXT: &str = "0123456789";
    let chunked = || Vec::from(request("POST", "/").chunked(["01", "234", "56789"]));
    let head_len = |request: &[u8]| request.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(0);
    let in_two =
        (1..TEXT.len()).map(|at| Vec::from(request("POST", "/").chunked([&TEXT[..at], &TEXT[at..]])));
    let all_cuts = |case: Case, request: Vec<u8>| {
        (head_len(&request)..request.len())
            .fold(case, |case, at| case.send(&request[..at]).pause().send(&request[at..]))
    };
    vec![
        must("echo/30", "Chunks of one byte come back")
            .send(request("POST", "/").chunked(bytes().chunks(1)))
            .expect(echo(bytes())),
        must("echo/31", "Two chunks come back, wherever the first one ends")
            .send(in_two.collect::<Vec<_>>().concat())
            .expect(echoes(TEXT, TEXT.len() - 1)),
        must("echo/32", "A body that comes byte by byte comes back")
            .send_bytewise(post("/", TEXT))
            .expect(echo(TEXT)),
        must("echo/33", "Chunks that come byte by byte come back")
            .send_bytewise(chunked())
            .expect(echo(TEXT)),
        all_cuts(must("echo/34", "Chunks come back, wherever a segment ends"), chunked())
            .expect(echoes(TEXT, chunked().len() - head_len(&chunked()))),
        all_cuts(must("echo/35", "A body comes back, wherever a segment ends"), post("/", TEXT).into())
            .expect(echoes(TEXT, TEXT.len() + 4)),
    ]
}

/// Cases for bodies larger than the receive buffer of most servers.
fn large() -> Vec<Case> {
    let much = || bytes().repeat(128);
    vec![
        must("echo/40", "A body of 64 KiB comes back").send(post("/", much())).expect(echo(much())),
        must("echo/41", "A body of 64 KiB in one chunk comes back")
            .send(request("POST", "/").chunked([much()]))
            .expect(echo(much())),
        must("echo/42", "A body of 64 KiB in chunks of 1000 bytes comes back")
            .send(request("POST", "/").chunked(much().chunks(1000)))
            .expect(echo(much())),
        must("echo/43", "A body of 64 KiB comes back though its second half comes later")
            .send(&Vec::from(post("/", much()))[..40_000])
            .pause()
            .send(&Vec::from(post("/", much()))[40_000..])
            .expect(echo(much())),
    ]
}

/// Cases for pipelined requests, whose bodies must come back in order.
fn pipelined_bodies() -> Vec<Case> {
    vec![
        must("echo/50", "Pipelined bodies come back in order, whichever way they are framed")
            .send(post("/", "one"))
            .send(request("POST", "/").chunked(["t", "wo"]))
            .send(post("/", ""))
            .send(post("/", "four"))
            .send(request("POST", "/").chunked(["five"]))
            .expect([
                responses([200; 5]),
                body("one"),
                nth(1, body("two")),
                nth(2, body("")),
                nth(3, body("four")),
                nth(4, body("five")),
            ]),
        must("echo/51", "Sixteen bodies of 64 KiB come back to a client that sends all of them at once")
            .send(Vec::from(post("/", bytes().repeat(128))).repeat(16))
            .expect(echoes(bytes().repeat(128), 16)),
        must("echo/52", "A thousand small bodies come back")
            .send(Vec::from(post("/", "small")).repeat(1000))
            .expect(either(echoes("small", 1000), closes())),
    ]
}

/// Cases for Expect (RFC 9110 §10.1.1).
fn expectation() -> Vec<Case> {
    let expecting = || request("POST", "/").with("Expect: 100-continue");
    vec![
        must("echo/60", "A body that waited for 100 comes back")
            .send(expecting().with("Content-Length: 5"))
            .await_continue()
            .send("hello")
            .expect([interim(100), echo("hello")]),
        must("echo/61", "Chunks that waited for 100 come back")
            .send(expecting().with("Transfer-Encoding: chunked"))
            .await_continue()
            .send("5\r\nhello\r\n0\r\n\r\n")
            .expect([interim(100), echo("hello")]),
        must("echo/62", "A body that did not wait for 100 comes back")
            .send(expecting().body("hello"))
            .expect(echo("hello")),
        must("echo/63", "What is pipelined after a body that waited for 100 comes back, too")
            .send(expecting().with("Content-Length: 5"))
            .await_continue()
            .send("hello")
            .send(post("/", "again"))
            .expect([responses([200, 200]), body("hello"), nth(1, body("again"))]),
    ]
}

/// Cases for RFC 9110 §5.5 and RFC 9112 §5.1: leading and trailing white space is not part of a value.
fn header_lines() -> Vec<Case> {
    let values: [(&str, &[u8], &[u8]); 7] = [
        ("White space around a value is not part of it", b" \t padded \t ", b"padded"),
        ("A value needs no white space in front", b"bare", b"bare"),
        ("White space within a value is part of it", b" a  b\t c", b"a  b\t c"),
        ("A value may be empty", b"", b""),
        ("A value may be empty but for white space", b" \t ", b""),
        (
            "Colons, commas, quotes and backslashes are part of a value",
            b" :a:, \"b\\\" ;=",
            b":a:, \"b\\\" ;=",
        ),
        ("A percent sign is a percent sign", b" %0d%0a%41", b"%0d%0a%41"),
    ];
    let with = |lines: &[u8]| [b"GET /echo HTTP/1.1\r\nHost: test\r\n", lines, b"\r\n"].concat();
    let case = move |((requirement, sent, value), number): ((&str, &[u8], &'static [u8]), u32)| {
        must(format!("echo/{number}"), requirement)
            .send(with(&[b"X-Value:", sent, b"\r\n"].concat()))
            .expect([status(200), has_header_line("X-Value", value)])
    };
    let others = [
        // RFC 9110 §5.5: obs-text SHOULD be treated as opaque data.
        should("echo/79", "Bytes beyond ASCII are part of a value, whatever their encoding")
            .send(with(b"X-Value: caf\xe9 \xff\x80 \xe2\x82\xac\r\n"))
            .expect([status(200), has_header_line("X-Value", b"caf\xe9 \xff\x80 \xe2\x82\xac")]),
        must("echo/80", "Lines of one name keep their order, whatever lines stand between them")
            .send(with(b"X-A: 1\r\nX-B: 2\r\nx-a: 3\r\nX-B: 4\r\nX-A: 5\r\n"))
            .expect([status(200), has_header_line("X-A", b"1, 3, 5"), has_header_line("X-B", b"2, 4")]),
        robust("echo/81", "A value of 4000 bytes arrives whole")
            .send(get("/echo").with(format!("X-Long: {}", "0123456789".repeat(400))))
            .expect([status(200), has_header_line("X-Long", "0123456789".repeat(400).as_bytes())]),
        must("echo/82", "A name of any token characters is a name")
            .send(get("/echo").with("!#$%&'*+-.^_`|1a: odd"))
            .expect([status(200), has_header_line("!#$%&'*+-.^_`|1a", b"odd")]),
        must("echo/83", "Header lines that come byte by byte arrive whole")
            .send_bytewise(get("/echo").with("X-A: \t 1 ").with("X-B:2"))
            .expect([status(200), has_header_line("X-A", b"1"), has_header_line("X-B", b"2")]),
        must("echo/84", "Header lines of one request do not appear in the next")
            .send(get("/echo").with("X-A: 1"))
            .send(get("/echo").with("X-B: 2"))
            .expect([nth(1, has_header_line("X-B", b"2")), nth(1, has_no_header_line("X-A"))]),
        must("echo/85", "A trailer is not merged into the header lines")
            .send(request("POST", "/echo").with("Transfer-Encoding: chunked"))
            .send("5\r\nhello\r\n0\r\nX-Trailer: y\r\n\r\n")
            .expect([status(200), has_no_header_line("X-Trailer")]),
    ];
    values.into_iter().zip(70..).map(case).chain(others).collect()
}

/// Expects one response 200, with this content.
fn echo(content: impl Into<Vec<u8>>) -> Expectation {
    echoes(content, 1)
}

/// Expects so many responses 200, each with this content.
fn echoes(content: impl Into<Vec<u8>>, count: usize) -> Expectation {
    let content = content.into();
    let says = format!("{count} times 200 with the {} bytes that were sent", content.len());
    of_exchange(says, count, None, move |exchange| {
        let odd =
            exchange.responses.iter().position(|response| response.status != 200 || response.body != content);
        match odd {
            Some(index) => {
                let response = &exchange.responses[index];
                Err(format!(
                    "{} with {} bytes as response {}",
                    response.describe(),
                    response.body.len(),
                    index + 1
                ))
            }
            None if exchange.responses.len() < count => Err(exchange.absence(count - 1)),
            None => Ok(()),
        }
    })
}

/// Expects that the echoed header lines have this name, in any case of letters, with this value; lines of one name may
/// be joined.
fn has_header_line(name: &'static str, value: &[u8]) -> Expectation {
    let value = value.to_owned();
    let says = format!("the header line {name}: {}", preview(&value, 60));
    body_that(says, move |content| header_values(name, content).join(&b", "[..]) == value)
}

/// Expects that the echoed header lines have no line of this name.
fn has_no_header_line(name: &'static str) -> Expectation {
    body_that(format!("no header line {name}"), move |content| header_values(name, content).is_empty())
}

/// The values of the lines of this name in a body of header lines.
fn header_values<'a>(name: &str, content: &'a [u8]) -> Vec<&'a [u8]> {
    let lines = content.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let fields = lines.filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
    });
    fields.collect()
}
