//! RFC 9112 §5: header lines: which names and values are valid, which white space may surround them, and which lines
//! are malformed.

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        good_lines(),
        whitespace(),
        many_headers(),
        space_before_the_colon(),
        bad_names(),
        bad_values(),
        lines_that_are_no_headers(),
        folded_lines(),
    ];
    Section::new("9112/5", "Field Syntax", cases)
}

/// Cases for valid header lines.
fn good_lines() -> Vec<Case> {
    vec![
        // RFC 9110 §2.2 wants any value parsed that matches the grammar.
        must("9112/5/1", "Every character that a token may have is understood in a name")
            .on(Needs::Echo)
            .send(get("/echo").with("!#$%&'*+-.^_`|09azAZ: y"))
            .expect([status(200), has_line("!#$%&'*+-.^_`|09azAZ: y")]),
        must("9112/5/2", "Colons, quotes and backslashes are part of a value")
            .on(Needs::Echo)
            .send(get("/echo").with("X: a:b \"c, d\" \\ (e;f)=:"))
            .expect([status(200), has_line("X: a:b \"c, d\" \\ (e;f)=:")]),
        must("9112/5/3", "A value can be empty")
            .on(Needs::Echo)
            .send(get("/echo").with("X:"))
            .expect([status(200), has_line("X: ")]),
        // RFC 9110 §5.5: a recipient SHOULD treat obs-text as opaque.
        should("9112/5/4", "Bytes beyond ASCII are kept in a value")
            .on(Needs::Echo)
            .send([b"GET /echo HTTP/1.1\r\nHost: test\r\nX: ", &obs_text()[..], b"\r\n\r\n"].concat())
            .expect([status(200), has_line([b"X: ", &obs_text()[..]].concat())]),
    ]
}

/// Cases for §5.1: white space around a value is not part of it; white space inside is.
fn whitespace() -> Vec<Case> {
    let lines = [
        ("X:y", "X: y"),
        ("X:\ty", "X: y"),
        ("X:   y", "X: y"),
        ("X: y \t ", "X: y"),
        ("X: \t ", "X: "),
        ("X: a \t b", "X: a \t b"),
    ];
    let case = |((sent, understood), number)| {
        must(format!("9112/5.1/{number}"), format!("The line {sent:?} is understood as {understood:?}"))
            .on(Needs::Echo)
            .send(get("/echo").with(sent))
            .expect([status(200), has_line(understood)])
    };
    lines.into_iter().zip(1..).map(case).collect()
}

/// Cases for requests with many headers.
fn many_headers() -> Vec<Case> {
    let many = |count: usize| -> String { (0..count).map(|number| format!("X-{number}: y\r\n")).collect() };
    vec![
        robust("9112/5/10", "A request with a hundred headers is understood")
            .send(format!("GET / HTTP/1.1\r\n{}Host: test\r\n\r\n", many(99)))
            .expect(status(200)),
        // RFC 9110 §5.3: the order of lines with the same name is significant.
        must("9112/5/12", "Lines with the same name keep their order")
            .on(Needs::Echo)
            .send(get("/echo").with("X: one").with("Y: z").with("x: two").with("X: three"))
            .expect([
                status(200),
                body_that("one, two and three in their order", |content| {
                    let text = String::from_utf8_lossy(content);
                    let places = ["one", "two", "three"].map(|word| text.find(word));
                    places.iter().all(Option::is_some) && places.is_sorted()
                }),
            ]),
    ]
}

/// Cases for §5.1: a server MUST reject any white space between a header name and the colon with 400.
fn space_before_the_colon() -> Vec<Case> {
    let lines = ["X : y", "X\t: y", "User-Agent \t : y", "Transfer-Encoding : chunked"];
    let case = |(line, number)| {
        must(
            format!("9112/5.1/{number}"),
            format!("White space before the colon is answered with 400: {line:?}"),
        )
        .send(get("/").with(line))
        .smuggled()
        .expect([status(400), not_served()])
    };
    lines.into_iter().zip(20..).map(case).collect()
}

/// Cases for §2.2: what does not match the grammar SHOULD be answered with 400. A name is a token.
fn bad_names() -> Vec<Case> {
    let names: [&[u8]; 10] =
        [b"X Y", b"X(Y", b"X/Y", b"X=Y", b"X\"Y", b"X\0Y", b"X\x01Y", b"X\x0b", b"X\x7f", b"X\xe9"];
    let case = |(name, number): (&[u8], u32)| {
        let line = [name, b": y"].concat();
        should(format!("9112/5/{number}"), format!("The header line \"{}\" is rejected", line.escape_ascii()))
            .send([b"GET / HTTP/1.1\r\nHost: test\r\n", &line[..], b"\r\n\r\n"].concat())
            .smuggled()
            .expect([status(400), not_served()])
    };
    names.into_iter().zip(20..).map(case).collect()
}

/// Cases for values with control characters.
fn bad_values() -> Vec<Case> {
    // RFC 9110 §5.5: reject CR, LF and NUL, or replace each with a space before anything else.
    let mut cases = vec![
        must("9112/5/51", "A bare CR in a value is rejected, or replaced with a space")
            .on(Needs::Echo)
            .send(get("/echo").with("X: a\rb"))
            .expect(either(status(400), has_line("X: a b"))),
        must("9112/5/52", "A NUL does not end a value")
            .send("GET / HTTP/1.1\r\nHost: test\0.example/\r\n\r\n")
            .expect(status(400)),
    ];
    // RFC 9110 §5.5: other control characters are invalid as well, yet MAY be kept where that is safe.
    let controls = ["\x01", "\x0b", "\x1b", "\x7f"];
    cases.extend(controls.into_iter().zip(60..).map(|(control, number)| {
        robust(
            format!("9112/5/{number}"),
            format!("The control character {control:?} in a value is rejected"),
        )
        .send(get("/").with(format!("X: a{control}b")))
        .expect(status(400))
    }));
    cases
}

/// Cases for lines without a colon, and other lines that are no header lines.
fn lines_that_are_no_headers() -> Vec<Case> {
    let lines = [
        "X",
        "X y",
        ": y",
        "X\u{ff1a} y",
        ":",
        "::",
        "Content-\r\nLength: 42",
        "Transfer-\r\nEncoding: chunked",
        "X\r\n: y",
    ];
    let case = |(line, number)| {
        should(format!("9112/5/{number}"), format!("The line {line:?} is not a header line, and rejected"))
            .send(get("/").with(line))
            .smuggled()
            .expect([status(400), not_served()])
    };
    lines.into_iter().zip(80..).map(case).collect()
}

/// Cases for §5.2: a folded line is answered with 400, or each fold is a space before the value is interpreted.
fn folded_lines() -> Vec<Case> {
    vec![
        must("9112/5.2/1", "A line folded with a space is rejected, or unfolded")
            .on(Needs::Echo)
            .send(get("/echo").with("X: a\r\n b"))
            .expect(either(status(400), has_words("X: a b"))),
        must("9112/5.2/2", "A line folded twice with tabs is rejected, or unfolded")
            .on(Needs::Echo)
            .send(get("/echo").with("X: a\r\n\tb\r\n\t \tc"))
            .expect(either(status(400), has_words("X: a b c"))),
        // If the fold is a space, there is no Host.
        must("9112/5.2/3", "A Host on a folded line does not count as Host")
            .send("GET / HTTP/1.1\r\nX: y\r\n Host: test\r\n\r\n")
            .expect(status(400)),
        must("9112/5.2/4", "A folded Host has a space in it, and is invalid")
            .send("GET / HTTP/1.1\r\nHost: te\r\n st\r\n\r\n")
            .expect(status(400)),
        must("9112/5.2/5", "A folded Content-Length has a space in it, and is invalid")
            .send(get("/").with("Content-Length: 1\r\n 0"))
            .smuggled()
            .expect([status(400), not_served()]),
        must("9112/5.2/6", "A Content-Length that begins after a fold is rejected, or frames the body")
            .send(get("/").with("Content-Length:\r\n 3"))
            .send("abc")
            .send(get("/"))
            .expect(either(responses([400]), responses([200, 200]))),
        // The head continues after such a line, so it has two Hosts.
        must("9112/5.2/7", "A line of nothing but white space does not end the head")
            .send("GET / HTTP/1.1\r\nHost: test\r\n \r\n")
            .smuggled()
            .expect([status(400), not_served()]),
    ]
}

/// Every byte of obs-text: 0x80 to 0xFF.
fn obs_text() -> Vec<u8> {
    (0x80..=0xff).collect()
}

/// Expects that the echoed request has this header line, the name in any case of letters.
fn has_line(line: impl Into<Vec<u8>>) -> Expectation {
    let line = line.into();
    body_that(format!("the header line \"{}\" in the body", line.escape_ascii()), move |content| {
        content
            .split(|&byte| byte == b'\n')
            .any(|there| there.strip_suffix(b"\r").unwrap_or(there).eq_ignore_ascii_case(&line))
    })
}

/// Like [`has_line`], with any white space between the words.
fn has_words(line: &'static str) -> Expectation {
    body_that(format!("the header line {line:?} in the body"), move |content| {
        let text = String::from_utf8_lossy(content);
        text.split("\r\n").any(|there| there.split_ascii_whitespace().eq(line.split_ascii_whitespace()))
    })
}
