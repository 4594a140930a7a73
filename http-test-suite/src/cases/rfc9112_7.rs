//! RFC 9112 §7: the chunked coding, octet by octet. It allows no bare LF, no sign, and spaces only where the grammar
//! has them.

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        good_chunks(),
        pieces(),
        bad_sizes(),
        large_sizes(),
        bad_lines(),
        bad_extensions(),
        much_overhead(),
        good_trailers(),
        bad_trailers(),
        bad_octets_in_trailers(),
        trailers_are_no_headers(),
    ];
    Section::new("9112/7", "Chunked Coding", cases)
}

/// Cases for §7.1: a recipient MUST be able to decode the chunked coding, and MUST ignore extensions that it does not
/// know.
fn good_chunks() -> Vec<Case> {
    let coded = [
        ("a chunk", "3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("no chunk but the last", "0\r\n\r\n", ""),
        ("a last chunk of many zeros", "1\r\na\r\n0000\r\n\r\n", "a"),
        ("a size in lower case", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("a size in upper case", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("a size with leading zeros", "000003\r\nabc\r\n0\r\n\r\n", "abc"),
        ("chunk data that looks like chunks", "9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n\r\n"),
        ("an extension without a value", "3;a\r\nabc\r\n0\r\n\r\n", "abc"),
        ("an extension with a value", "3;a=b\r\nabc\r\n0\r\n\r\n", "abc"),
        ("an extension with a quoted value", "3;a=\"b;c=\\\"d\\\\\"\r\nabc\r\n0\r\n\r\n", "abc"),
        ("several extensions", "3;a=b;c;d=\"\"\r\nabc\r\n0;e\r\n\r\n", "abc"),
        // §7.1.1: bad white space must be parsed, and removed (RFC 9110 §5.6.3).
        ("white space around the parts of an extension", "3 ;\ta = b\t; c\r\nabc\r\n0\r\n\r\n", "abc"),
    ];
    let case = |((what, coded, content), number)| {
        must(format!("9112/7.1/{number}"), format!("A body is decoded: {what}"))
            .on(Needs::Echo)
            .send(echoed_chunks(coded))
            .send(post("/", "next"))
            .expect([responses([200, 200]), body(content), nth(1, body("next"))])
    };
    coded.into_iter().zip(1..).map(case).collect()
}

/// Cases for chunks that arrive in pieces.
fn pieces() -> Vec<Case> {
    let content: Vec<u8> = (0..20_000_usize).map(|at| (at % 251) as u8).collect();
    vec![
        must("9112/7.1/20", "Chunks that come byte by byte are decoded")
            .on(Needs::Echo)
            .send_bytewise(echoed_chunks("3;a=\"b\"\r\nabc\r\n002\r\n\r\n\r\n0\r\nX: y\r\n\r\n"))
            .send(post("/", "next"))
            .expect([responses([200, 200]), body("abc\r\n"), nth(1, body("next"))]),
        must("9112/7.1/21", "A thousand chunks of a byte are a thousand bytes")
            .on(Needs::Echo)
            .send(request("POST", "/").chunked(["x"; 1000]))
            .expect([status(200), body("x".repeat(1000))]),
        must("9112/7.1/22", "Chunks of any size are joined in their order")
            .on(Needs::Echo)
            .send(request("POST", "/").chunked(content.chunks(777)))
            .send(post("/", "next"))
            .expect([responses([200, 200]), body(content.clone()), nth(1, body("next"))]),
    ]
}

/// Cases for §7.1: `chunk-size = 1*HEXDIG`. What does not match SHOULD be answered with 400 and the close (§2.2).
fn bad_sizes() -> Vec<Case> {
    let sizes = ["", "-3", "+3", "0x3", "3g", "3,3", "3_", " 3", "\"3\"", "3 3", "3\x0b", "\u{ff13}", ";a"];
    let case = |(size, number)| {
        malformed_chunks(
            ("9112/7.1", number),
            format!("The chunk size {size:?} is rejected"),
            format!("{size}\r\nabc\r\n0\r\n\r\n"),
        )
    };
    // §7.1.1 allows white space before an extension only; old senders pad a size with spaces.
    let padded = robust("9112/7.1/60", "A space after the chunk size is ignored or rejected")
        .send(ignored_chunks("3 \r\nabc\r\n0\r\n\r\n"))
        .send(get("/"))
        .expect(either(responses([200, 200]), either(status(400), closes())));
    sizes.into_iter().zip(30..).flat_map(case).chain([padded]).collect()
}

/// Cases for §7.1: a recipient MUST anticipate large numerals. An integer type that is too small wraps each of these
/// around to 3.
fn large_sizes() -> Vec<Case> {
    let sizes = ["100000003", "10000000000000003", "100000000000000000000000000000003"];
    let case = |(size, number)| {
        must(format!("9112/7.1/{number}"), format!("The chunk size {size} is not read as a smaller one"))
            .send(ignored_chunks(&format!("{size}\r\nabc\r\n0\r\n\r\n")))
            .smuggled()
            .half_close()
            .expect([either(any_response(), no_response()), not_served()])
    };
    // A signed integer type would hold these as -1 and -2.
    let negative = ["ffffffff", "FFFFFFFFFFFFFFFE"];
    sizes.into_iter().chain(negative).zip(70..).map(case).collect()
}

/// Cases for §7.1: each line of the coding ends with CRLF, and so does the data of each chunk.
fn bad_lines() -> Vec<Case> {
    let coded = [
        ("a bare LF after the size", "3\nabc\r\n0\r\n\r\n"),
        ("a bare CR after the size", "3\rabc\r\n0\r\n\r\n"),
        ("a bare LF after an extension", "3;a\nabc\r\n0\r\n\r\n"),
        ("two CRs after the size", "3\r\r\nabc\r\n0\r\n\r\n"),
        ("a bare LF after the data", "3\r\nabc\n0\r\n\r\n"),
        ("a bare CR after the data", "3\r\nabc\r0\r\n\r\n"),
        ("nothing after the data", "3\r\nabc0\r\n\r\n"),
        ("a bare LF after the last chunk", "3\r\nabc\r\n0\n\r\n"),
        ("a bare LF for the empty line at the end", "3\r\nabc\r\n0\r\n\n"),
        ("a bare CR for the empty line at the end", "3\r\nabc\r\n0\r\n\r\r"),
        ("more data than the size says", "3\r\nabcd\r\n0\r\n\r\n"),
        ("less data than the size says", "4\r\nabc\r\n0\r\n\r\n"),
    ];
    let case = |((what, coded), number): ((&str, &str), u32)| {
        malformed_chunks(("9112/7.1", number), format!("Chunks are rejected: {what}"), coded)
    };
    coded.into_iter().zip(90..).flat_map(case).collect()
}

/// Cases for §7.1.1: `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`.
fn bad_extensions() -> Vec<Case> {
    let case = |what: &str, extension: &str, number: u32| {
        malformed_chunks(
            ("9112/7.1.1", number),
            format!("The {what} {extension:?} is rejected"),
            format!("3{extension}\r\nabc\r\n0\r\n\r\n"),
        )
    };
    let controls = [";a\0b", ";a\x0bb", ";a\x7fb", ";a\rb"].into_iter().zip(1..);
    let controls = controls.flat_map(|(it, number)| case("control character in the extension", it, number));
    // A reader that skips a malformed extension ends it elsewhere than a reader whose quotes span lines.
    let extensions = [
        ";",
        ";=b",
        ";a b",
        ";a=\"b",
        ";a=\"b\\",
        ";[=}",
        ";a=",
        ";a=;b",
        ";a=b=c",
        ";a=[b]",
        ";a=b c",
        ";a=\"b\"c",
        ";a=b\"c\"",
        ";\"a\"",
        ";a;",
        ";;a",
        " a",
        ";a=\"\x01\"",
        ";a=\"\x7f\"",
        ";a=\"\\\x01\"",
    ];
    let extensions = extensions.into_iter().zip(20..);
    let extensions = extensions.flat_map(|(it, number)| case("malformed extension", it, number));
    let last = malformed_chunks(
        ("9112/7.1.1", 50),
        "A malformed extension of the last chunk is rejected",
        "3\r\nabc\r\n0;[=}\r\n\r\n",
    );
    controls.chain(extensions).chain(last).collect()
}

/// Cases for §7.1.1: a server ought to limit extensions in total, and answer 4xx beyond it.
fn much_overhead() -> Vec<Case> {
    let long = "a".repeat(1 << 20);
    vec![
        robust("9112/7.1.1/40", "An extension of a megabyte is rejected")
            .send(ignored_chunks(&format!("3;{long}\r\nabc\r\n0\r\n\r\n")))
            .smuggled()
            .expect([either(client_error(), closes()), not_served()]),
        robust("9112/7.1.1/41", "Extensions of a megabyte in many chunks are rejected")
            .send(ignored_chunks(&format!("{}0\r\n\r\n", "1;aaaaaaaaaaaaa\r\nx\r\n".repeat(1 << 16))))
            .smuggled()
            .expect([either(client_error(), closes()), not_served()]),
        robust("9112/7.1.2/40", "A trailer of a megabyte is rejected")
            .send(ignored_chunks(&format!("0\r\nX: {long}\r\n\r\n")))
            .smuggled()
            .expect([either(client_error(), closes()), not_served()]),
        robust("9112/7.1/110", "A chunk size of a megabyte of zeros is rejected")
            .send(ignored_chunks(&format!("{}3\r\nabc\r\n0\r\n\r\n", "0".repeat(1 << 20))))
            .smuggled()
            .expect([either(client_error(), closes()), not_served()]),
    ]
}

/// Cases for valid trailers.
fn good_trailers() -> Vec<Case> {
    let trailers = ["X: y\r\n", "X: y\r\nX: z\r\nY: \t a b \t\r\n", "X: \"\r\n"];
    let case = |(trailer, number)| {
        must(
            format!("9112/7.1.2/{number}"),
            format!("The request ends after the trailer section {trailer:?}"),
        )
        .on(Needs::Echo)
        .send(echoed_chunks(&format!("3\r\nabc\r\n0\r\n{trailer}\r\n")))
        .send(post("/", "next"))
        .expect([responses([200, 200]), body("abc"), nth(1, body("next"))])
    };
    trailers.into_iter().zip(1..).map(case).collect()
}

/// Cases for §7.1.2: trailers are header lines, with the syntax of §5.
fn bad_trailers() -> Vec<Case> {
    let trailers = [
        "X : y\r\n",
        "X\r\n",
        ": y\r\n",
        " X: y\r\n",
        "X(: y\r\n",
        ":\r\n",
        "X: y\r\nX\r\n",
        "X-\r\nY: y\r\n",
        "X: y\r\n : z\r\n",
    ];
    let case = |(trailer, number)| {
        malformed_chunks(
            ("9112/7.1.2", number),
            format!("The trailer section {trailer:?} is rejected"),
            format!("3\r\nabc\r\n0\r\n{trailer}\r\n"),
        )
    };
    trailers.into_iter().zip(20..).flat_map(case).collect()
}

/// Cases for RFC 9110 §5.1: a name is a token. §5.5: no control character but a tab is part of a value, though a
/// recipient MAY keep most of them where that is safe.
fn bad_octets_in_trailers() -> Vec<Case> {
    let controls = || (0..b' ').chain([0x7f]);
    let case = |case: Case, trailer: &[u8]| {
        case.on(Needs::Echo)
            .send([&echoed_chunks("3\r\nabc\r\n0\r\n"), trailer, b"\r\n\r\n"].concat())
            .smuggled()
            .expect([status(400), not_served(), closes()])
    };
    let name = |(octet, number): (u8, u32)| {
        let requirement = format!("The octet {octet:#04x} in a trailer's name is rejected");
        case(should(format!("9112/7.1.2/{number}"), requirement), &[b'X', octet, b'Y', b':', b'y'])
    };
    let value = |(octet, number): (u8, u32)| {
        let requirement = format!("The octet {octet:#04x} in a trailer's value is rejected");
        case(robust(format!("9112/7.1.2/{number}"), requirement), &[b'X', b':', b'a', octet, b'b'])
    };
    let names = controls().chain(*b" \"(),/;<=>?@[\\]{}\x80\xff").zip(100..).map(name);
    names.chain(controls().filter(|octet| *octet != b'\t').zip(200..).map(value)).collect()
}

/// Cases for §7.1.2: a recipient MUST NOT merge trailers into the header section unless their definition says how.
fn trailers_are_no_headers() -> Vec<Case> {
    let with = |trailer: &str| echoed_chunks(&format!("3\r\nabc\r\n0\r\n{trailer}\r\n\r\n"));
    let framing = ["Content-Length: 30", "Transfer-Encoding: gzip", "Host: other", "Connection: close"];
    let case = |(trailer, number)| {
        must(
            format!("9112/7.1.2/{number}"),
            format!("The trailer {trailer:?} does not affect the connection"),
        )
        .on(Needs::Echo)
        .send(with(trailer))
        .send(post("/", "next"))
        .expect([responses([200, 200]), body("abc"), nth(1, body("next")), stays_open()])
    };
    let merged = must("9112/7.1.2/50", "A trailer is not among the headers of the header section")
        .on(Needs::Echo)
        .send(request("POST", "/echo").with("X-Header: y").with(CHUNKED))
        .send("3\r\nabc\r\n0\r\nX-Trailer: z\r\n\r\n")
        .expect([
            status(200),
            body_that("the header section in the body", |content| contains_text(content, "X-Header: y")),
            body_that("no trailer in the body", |content| !contains_text(content, "X-Trailer")),
        ]);
    let host = must("9112/7.1.2/51", "A Host in the trailer section does not count as Host")
        .send(request("GET", "/").without_host().with(CHUNKED))
        .send("0\r\nHost: test\r\n\r\n")
        .expect(status(400));
    framing.into_iter().zip(60..).map(case).chain([merged, host]).collect()
}

/// The header line that announces the chunked coding.
const CHUNKED: &str = "Transfer-Encoding: chunked";

/// Two cases for malformed chunks; the number of the second is greater by 500. §2.2: what does not match the grammar
/// SHOULD be answered with 400 and the close. A server that ignores the body of a GET may have answered before it
/// finds that out, and then has to close.
fn malformed_chunks(
    (section, number): (&str, u32),
    requirement: impl Into<String>,
    coded: impl Into<String>,
) -> [Case; 2] {
    let (requirement, coded) = (requirement.into(), coded.into());
    let case = |number| should(format!("{section}/{number}"), requirement.as_str());
    [
        case(number)
            .send(ignored_chunks(&coded))
            .smuggled()
            .expect([either(status(400), closes()), not_served()]),
        case(number + 500).on(Needs::Echo).send(echoed_chunks(&coded)).smuggled().expect([
            status(400),
            not_served(),
            closes(),
        ]),
    ]
}

/// A request that is answered with its content.
fn echoed_chunks(coded: &str) -> Vec<u8> {
    [Vec::from(request("POST", "/").with(CHUNKED)), coded.into()].concat()
}

/// A request whose body the server ignores, but must delimit all the same.
fn ignored_chunks(coded: &str) -> Vec<u8> {
    [Vec::from(get("/").with(CHUNKED)), coded.into()].concat()
}

/// Whether the body contains this text.
fn contains_text(content: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(content).to_ascii_lowercase().contains(&text.to_ascii_lowercase())
}
