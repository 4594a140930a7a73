//! Request smuggling: requests hidden where a careless server looks for one, as attackers write them.
//!
//! Two kinds of careless servers delimit each of these messages differently, and one of them finds the request for
//! `/smuggled.txt` in it. RFC 9112 §11.2 describes the attack; the other files test each rule by itself.

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [
        both_framings(),
        disguised_codings(),
        disguised_lengths(),
        odd_lengths(),
        unread_bodies(),
        chunk_lines(),
        heads_that_end_early(),
        request_lines(),
        after_connect(),
        expectations(),
    ];
    Section::new("smuggling", "Request Smuggling", cases)
}

/// The header line that announces the chunked coding.
const CHUNKED: &str = "Transfer-Encoding: chunked";

/// Body that ends before the smuggled request for a server that decodes chunks, and after it for a server that
/// counts bytes.
fn after_last_chunk() -> String {
    format!("0\r\n\r\n{SMUGGLED}")
}

/// Body that is a single chunk for a server that decodes chunks.
fn in_a_chunk() -> String {
    format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len())
}

/// Makes the header line for the length of this body.
fn length(content: &str) -> String {
    format!("Content-Length: {}", content.len())
}

/// Cases for RFC 9112 §6.1: reject, or go by Transfer-Encoding, and close in any case.
fn both_framings() -> Vec<Case> {
    let (after, within) = (after_last_chunk(), in_a_chunk());
    // The length of the chunk-size line, so that the chunk's data is the next thing read.
    let size_line = length(&within[..4]);
    vec![
        must(
            "smuggling/1",
            "CL.TE: a request after the last chunk, inside the Content-Length, is not served",
        )
        .send(get("/").with(length(&after)).with(CHUNKED))
        .send(after.as_str())
        .expect([any_of([200, 400]), not_served(), closes()]),
        must("smuggling/2", "TE.CL: a request inside a chunk, after the Content-Length, is not served")
            .send(get("/").with(CHUNKED).with(size_line.clone()))
            .send(within.as_str())
            .expect([any_of([200, 400]), not_served(), closes()]),
        must("smuggling/4", "Two Content-Lengths: a request after the smaller is not served")
            .send(get("/").with(length(SMUGGLED)).with("Content-Length: 0"))
            .smuggled()
            .expect([status(400), not_served(), closes()]),
        // RFC 9110 §7.6.1: what Connection names is for this hop only; to the last hop it still counts.
        must("smuggling/6", "A Content-Length that Connection names still frames the body")
            .send(get("/").with("Connection: keep-alive, Content-Length").body(SMUGGLED))
            .expect([any_response(), not_served()]),
        must(
            "smuggling/7",
            "A Transfer-Encoding that Connection names does not give way to a Content-Length",
        )
        .send(get("/").with("Connection: keep-alive, Transfer-Encoding").with(size_line).with(CHUNKED))
        .send(within)
        .expect([any_of([200, 400]), not_served(), closes()]),
    ]
}

/// Cases: TE.TE: some servers see a Transfer-Encoding in each of these lines, others do not. A server that does not
/// finds the request inside the body that a Content-Length frames; a server that does finds it after the body, and has
/// to close there.
fn disguised_codings() -> Vec<Case> {
    let content = after_last_chunk();
    let bytes = |line: &[u8]| {
        let head = [b"GET / HTTP/1.1\r\nHost: test\r\n", length(&content).as_bytes(), b"\r\n", line].concat();
        [&head[..], b"\r\n\r\n", content.as_bytes()].concat()
    };
    let case = |number: u32, line: &[u8], expect: Expectation| {
        let what = line.escape_ascii();
        must(format!("smuggling/{number}"), format!("TE.TE: \"{what}\" makes no request out of a body"))
            .send(bytes(line))
            .expect([expect, not_served()])
    };
    // RFC 9112 §5.1: white space before the colon is answered with 400.
    let spaced: [&[u8]; 2] = [b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked"];
    // RFC 9112 §6.3: not chunked, or not chunked alone.
    let unknown: [&[u8]; 4] = [
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: \x0cchunked",
        b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
    ];
    // Ignored, or a Transfer-Encoding, or an error: the RFC leaves it to the server, or says SHOULD.
    let unclear: [&[u8]; 12] = [
        b"Transfer_Encoding: chunked",
        b"Transfer Encoding: chunked",
        b"Transfer-Encoding\0: chunked",
        b"Transfer-Encoding\x0b: chunked",
        b"Transfer-Encoding\r: chunked",
        b"\xa0Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\0",
        b"X: y\nTransfer-Encoding: chunked",
        b"X: y\rTransfer-Encoding: chunked",
        b"X: y\r\n Transfer-Encoding: chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"tRANSFER-eNCODING:chunked",
    ];
    let spaced = spaced.into_iter().zip(20..).map(|(line, number)| case(number, line, status(400)));
    let unknown = unknown.into_iter().zip(30..).map(|(line, number)| case(number, line, any_of([400, 501])));
    let unclear = unclear.into_iter().zip(40..).map(|(line, number)| case(number, line, any_of([200, 400])));
    spaced.chain(unknown).chain(unclear).collect()
}

/// Cases: The same for a Content-Length of zero after the correct Content-Length.
fn disguised_lengths() -> Vec<Case> {
    let lines: [&[u8]; 4] = [
        b"Content-Length\0: 0",
        b"Content-Length\x0b: 0",
        b"X: y\rContent-Length: 0",
        b"X: y\r\n Content-Length: 0",
    ];
    let case = |(line, number): (&[u8], u32)| {
        let head = [b"GET / HTTP/1.1\r\nHost: test\r\n", length(SMUGGLED).as_bytes(), b"\r\n", line].concat();
        must(
            format!("smuggling/{number}"),
            format!("The line \"{}\" does not shorten the body", line.escape_ascii()),
        )
        .send([&head[..], b"\r\n\r\n"].concat())
        .smuggled()
        .expect([any_of([200, 400]), not_served()])
    };
    let underscore = robust("smuggling/90", "Content_Length frames nothing")
        .send(get("/").with("Content_Length: 1000"))
        .send(get("/"))
        .expect(either(responses([400]), responses([200, 200])));
    lines.into_iter().zip(80..).map(case).chain([underscore]).collect()
}

/// Cases: Lengths that some servers read in another base, with a sign, or not at all. The hidden request is the body
/// for one reader, and after the body for another.
fn odd_lengths() -> Vec<Case> {
    // RFC 9110 §8.6: a length is decimal. In octal, 0130 ends before the request, which is as long as the difference.
    let octal = || format!("{}{SMUGGLED}", "x".repeat(0o130));
    let length = length(SMUGGLED);
    let lines = [
        ("Content-Length: 0130".to_owned(), octal(), any_of([200, 400])),
        (length.replace(": ", ": +"), SMUGGLED.to_owned(), status(400)),
        (length.replace(": ", ": -"), SMUGGLED.to_owned(), status(400)),
        // RFC 9112 §6.3: an empty length is invalid; but as an empty member of a list, it may be ignored.
        (format!("Content-Length:\r\n{length}"), SMUGGLED.to_owned(), any_of([200, 400])),
        (format!("{length}\r\nContent-Length:"), SMUGGLED.to_owned(), any_of([200, 400])),
    ];
    let case = |((line, content, expect), number): ((String, String, Expectation), u32)| {
        must(format!("smuggling/{number}"), format!("The line {line:?} makes no request out of a body"))
            .send(get("/").with(line))
            .send(content)
            .expect([expect, not_served()])
    };
    lines.into_iter().zip(91..).map(case).collect()
}

/// Cases: CL.0: routes on which servers forget that a request has content. RFC 9112 §9.3: read it, or close.
fn unread_bodies() -> Vec<Case> {
    let requests = [
        ("a redirect", get("/dir")),
        ("a response 304", get("/hello.txt").with("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT")),
        ("a response 412", get("/hello.txt").with("If-Match: \"other\"")),
        ("a response 416", get("/hello.txt").with("Range: bytes=1000-")),
        ("an empty file", get("/empty.txt")),
        ("HEAD of a file", head("/hello.txt")),
        ("OPTIONS *", request("OPTIONS", "*")),
        ("POST to a file", request("POST", "/hello.txt")),
    ];
    let case = |((what, request), number): ((_, Request), u32)| {
        must(
            format!("smuggling/{number}"),
            format!("CL.0: the body of a request for {what} is not treated as a request"),
        )
        .on(Needs::Fixtures)
        .send(request.body(SMUGGLED))
        .expect([any_response(), not_served()])
    };
    requests.into_iter().zip(100..).map(case).collect()
}

/// Cases: Lines of the chunked coding that end in different places. The request is inside a chunk for one reader.
fn chunk_lines() -> Vec<Case> {
    let coded = |number: u32, what: &str, coded: String| {
        // A server may answer a GET before it reads the content. Then it has to close.
        should(format!("smuggling/{number}"), format!("A request hidden by {what} is not served"))
            .send(get("/").with(CHUNKED))
            .send(coded)
            .expect([either(status(400), closes()), not_served()])
    };
    // A server that ends the line at the bare LF or CR reads the chunk `XX`, and then a chunk that holds the request.
    // A server that reads on takes the next chunk size for data, then reads the last chunk, and the request after it.
    let size = after_last_chunk().len();
    vec![
        coded(
            120,
            "a bare LF in an extension",
            format!("2;\nXX\r\n{size:x}\r\n0\r\n\r\n{SMUGGLED}\r\n0\r\n\r\n"),
        ),
        coded(
            121,
            "a bare CR in an extension",
            format!("2;\rXX\r\n{size:x}\r\n0\r\n\r\n{SMUGGLED}\r\n0\r\n\r\n"),
        ),
        coded(122, "a NUL after the size", format!("0\0\r\n\r\n{SMUGGLED}")),
        // Servers that skip any two bytes after the data; or the rest of the line, however long.
        coded(123, "any two bytes for the CRLF after data", format!("3\r\nabcXX0\r\n\r\n{SMUGGLED}")),
        coded(124, "a longer line for the CRLF after data", format!("3\r\nabcXX\r\n0\r\n\r\n{SMUGGLED}")),
        coded(125, "a last chunk that a bare LF ends", format!("0\n\n{SMUGGLED}")),
        coded(
            126,
            "a size that ends at its first strange character",
            format!("0x{:x}\r\n\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len() + 2),
        ),
        coded(127, "a negative size", format!("-1\r\n\r\n{SMUGGLED}")),
        coded(128, "a trailer section that a space ends", format!("0\r\n \r\n{SMUGGLED}")),
        // One line for a reader whose quotes span lines; the last chunk and a request for a reader that skips to CRLF.
        coded(
            129,
            "an open quote in an extension",
            format!("0;a=\"\r\n\r\n{}X: \"\r\n\r\n", &SMUGGLED[..SMUGGLED.len() - 2]),
        ),
        coded(130, "a last chunk without its empty line", format!("0\r\n{SMUGGLED}")),
    ]
}

/// Cases: Lines that some servers treat as empty lines.
fn heads_that_end_early() -> Vec<Case> {
    let lines = ["\r\r\n", "\0\r\n", "\x0b\r\n", "\r"];
    let case = |(line, number)| {
        must(
            format!("smuggling/{number}"),
            format!("The line {line:?} is not empty, and nothing after it is served"),
        )
        .send(format!("GET / HTTP/1.1\r\nHost: test\r\n{line}"))
        .smuggled()
        .expect([status(400), not_served()])
    };
    lines.into_iter().zip(140..).map(case).collect()
}

/// Cases: Request lines that hold two requests, or that some servers end too early.
fn request_lines() -> Vec<Case> {
    let starts = ["GET /\r\n", "GET / HTTP/1.1\r", "GET / HTTP/1.1 ", "GET /?\0", "0\r\n", "x=y"];
    let case = |(start, number)| {
        should(
            format!("smuggling/{number}"),
            format!("A request after {start:?} on its first line is not served"),
        )
        .send(start)
        .smuggled()
        .expect([any_of([400, 501]), not_served()])
    };
    starts.into_iter().zip(160..).map(case).collect()
}

/// Cases for RFC 9110 §9.3.6: CONNECT has no body, and what follows it is for the tunnel. A server without tunnels
/// cannot know where the next request begins.
fn after_connect() -> Vec<Case> {
    let connect = || request("CONNECT", "test:80");
    let requests: [(&str, Vec<u8>); 2] = [
        ("a length", connect().body(SMUGGLED).into()),
        ("the last chunk", [Vec::from(connect().chunked([""; 0])), SMUGGLED.into()].concat()),
    ];
    let case = |((what, bytes), number): ((&str, Vec<u8>), u32)| {
        must(format!("smuggling/{number}"), format!("A request hidden by {what} of CONNECT is not served"))
            .send(bytes)
            .expect([any_error(), not_served(), closes()])
    };
    requests.into_iter().zip(190..).map(case).collect()
}

/// Cases: 0.CL: whether a body comes is a matter of the framing, not of Expect (RFC 9110 §10.1.1).
fn expectations() -> Vec<Case> {
    let lines = ["Expect: 100-continue", "Expect: y 100-continue"];
    let case = |(line, number)| {
        must(format!("smuggling/{number}"), format!("A body beside {line:?} is not treated as a request"))
            .send(get("/").with(line).body(SMUGGLED))
            .expect([any_response(), not_served()])
    };
    lines.into_iter().zip(180..).map(case).collect()
}
