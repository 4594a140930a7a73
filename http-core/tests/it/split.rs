//! However input and output are split, the connection parses the same requests, finds the same errors and sends the
//! same responses. Whatever the input is, the output is well-formed, nothing is served after an error, and memory is
//! bounded.

use crate::{
    app::{AppReply, echo},
    drive::{Drive, SeenRequest},
};
use http_core::{Admit, CloseReason, Config, Limits, Rejection, Response};
use proptest::{collection::vec, prelude::*, sample::select};

/// What must not depend on how the input is split. Interim responses may: a client that has begun to send the body when
/// its head is parsed gets none (RFC 9110 §10.1.1).
#[derive(Debug, PartialEq)]
struct Outcome {
    seen: Vec<SeenRequest>,
    rejections: Vec<Rejection>,
    responses: Vec<Vec<u8>>,
    closed: Option<CloseReason>,
}

/// Runs a whole connection, and checks what holds for every one.
fn outcome(limits: &Limits, input: &[u8], sizes: &[usize], writes: &[usize]) -> Outcome {
    let config = Config { limits: limits.clone(), ..Config::default() };
    let mut drive = Drive::new(config, echo).writing(writes);
    drive.admit = |head| if head.path() == "/receive" { Admit::AtHead } else { Admit::Buffer };
    drive.send_split(input, sizes);
    drive.end();
    drive.run();
    let responses = drive.responses();
    // The content of one request may be incomplete, or have been rejected.
    let unanswered = drive.rejected_in_content + usize::from(drive.receiving);
    let requests = drive.seen.len() + drive.rejections.len() - unanswered;
    assert_eq!(responses.len(), requests, "one response to each request");
    assert!(drive.closed.is_some(), "still open after the end");
    let rejected = drive.steps.iter().position(|step| step.starts_with("Malformed"));
    let after = rejected.map_or(&[][..], |index| &drive.steps[index..]);
    assert!(!after.iter().any(|step| step == "request"), "served a request after an error");
    let bound = 4 * (limits.head_bytes + limits.body_bytes) + 64 * 1024;
    assert!(drive.most_input <= bound, "{} bytes held", drive.most_input);
    Outcome {
        seen: drive.seen,
        rejections: drive.rejections,
        responses: responses.into_iter().map(|response| response.raw).collect(),
        closed: drive.closed,
    }
}

/// Compares the outcome of the whole input with those of the input byte by byte, split once, and split into these
/// sizes.
fn check(limits: &Limits, input: &[u8], sizes: &[usize], writes: &[usize]) {
    let whole = outcome(limits, input, &[usize::MAX], &[usize::MAX]);
    let once = sizes.iter().sum::<usize>() % input.len().max(1);
    for (sizes, writes) in [(&[1][..], writes), (&[once, usize::MAX], &[usize::MAX]), (sizes, writes)] {
        let split = outcome(limits, input, sizes, writes);
        assert_eq!(split, whole, "split into {sizes:?}, written by {writes:?}");
    }
}

/// Few cases, so that all tests take seconds. The variable PROPTEST_CASES sets another number; `.ci/deep` does.
pub fn cases(usual: u32) -> ProptestConfig {
    let configured = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if configured { ProptestConfig::default().cases } else { usual };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn valid_requests_do_not_depend_on_the_split(
        limits in limits(),
        requests in vec(request(), 1..6),
        sizes in sizes(),
        writes in writes(),
    ) {
        check(&limits, &requests.concat(), &sizes, &writes);
    }

    #[test]
    fn damaged_requests_do_not_depend_on_the_split(
        limits in limits(),
        requests in vec(request(), 1..4),
        damages in vec(damage(), 1..4),
        sizes in sizes(),
        writes in writes(),
    ) {
        let mut input = requests.concat();
        damages.iter().for_each(|damage| damage.apply(&mut input));
        check(&limits, &input, &sizes, &writes);
    }

    #[test]
    fn random_protocol_elements_do_not_depend_on_the_split(
        limits in limits(),
        elements in vec(select(ELEMENTS), 0..60),
        sizes in sizes(),
        writes in writes(),
    ) {
        check(&limits, &elements.concat(), &sizes, &writes);
    }

    #[test]
    fn random_bytes_do_not_depend_on_the_split(
        limits in limits(),
        input in vec(any::<u8>(), 0..300),
        sizes in sizes(),
        writes in writes(),
    ) {
        check(&limits, &input, &sizes, &writes);
    }
}

#[test]
fn a_client_may_leave_after_it_is_asked_for_content() {
    let head = b"GET /receive HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 25\r\n\r\n";
    check(&Limits::default(), head, &[1], &[usize::MAX]);
}

/// The default limits, and some that ordinary requests exceed.
fn limits() -> impl Strategy<Value = Limits> {
    prop_oneof![
        Just(Limits::default()),
        Just(Limits { queued_bytes: 1, ..Limits::default() }),
        Just(Limits {
            target_bytes: 40,
            head_bytes: 160,
            headers: 5,
            body_bytes: 60,
            streamed_bytes: 40,
            chunk_overhead_bytes: 20,
            queued_bytes: 500,
        }),
    ]
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(1usize..50, 1..8)
}

fn writes() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1usize..20, 100usize..5_000], 1..6)
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let line_and_headers = (select(METHODS), select(TARGETS), select(VERSIONS), vec(select(HEADERS), 0..4));
    (line_and_headers, body()).prop_map(|((method, target, version, headers), body)| {
        let head = format!("{method} {target} HTTP/{version}\r\nHost: example.org\r\n{}", headers.concat());
        [head.as_bytes(), &body].concat()
    })
}

const METHODS: &[&str] = &["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

const TARGETS: &[&str] = &[
    "/",
    "/a%20b?c=d",
    "/a/long/enough/path/to/run/into/a/limit",
    "http://other.example/a",
    "//a/./%2fb?%41",
    "/a|b?c[]",
    "/a?%",
    "/%2e%2e/a",
    "/close",
    "/later",
    "/receive",
    "/receive",
    "/stream",
    "/stream-file",
    "/file",
    "/big",
    "/parts",
    "/none",
    "/same",
];

const VERSIONS: &[&str] = &["1.1", "1.1", "1.1", "1.0", "1.7"];

const HEADERS: &[&str] = &[
    "Accept: */*\r\n",
    "X-Empty:\r\n",
    "X-Blank: \t padded \t \r\n",
    "X-Octets: caf\u{e9}\r\n",
    "Connection: keep-alive\r\n",
    "connection: te, Close\r\n",
    "Expect: 100-continue\r\n",
    "If-None-Match: \"a\"\r\n",
];

/// The framing header, the empty line, and the body.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let chunk =
        (vec(any::<u8>(), 1..30), select(&["", ";a", "; a=\"b;c\"", " ;a"][..]), select(&["", "0"][..]));
    let trailers = select(&["", "A: b\r\n", "A:\r\nB: c\r\n"][..]);
    prop_oneof![
        2 => Just(b"\r\n".to_vec()),
        2 => vec(any::<u8>(), 0..80).prop_map(|body| {
            [format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat()
        }),
        2 => (vec(chunk, 0..4), trailers).prop_map(|(chunks, trailers)| {
            let mut coded = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
            for (data, extension, zeros) in chunks {
                coded.extend(format!("{zeros}{:X}{extension}\r\n", data.len()).bytes());
                coded.extend([&data[..], b"\r\n"].concat());
            }
            coded.extend(format!("0\r\n{trailers}\r\n").bytes());
            coded
        }),
    ]
}

#[derive(Clone, Debug)]
struct Damage {
    index: prop::sample::Index,
    kind: u8,
    byte: u8,
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![any::<u8>(), select(&b"\r\n\t \0:;,/\x0b\x7f\xff09af"[..])];
    (any::<prop::sample::Index>(), 0u8..4, byte).prop_map(|(index, kind, byte)| Damage { index, kind, byte })
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let index = self.index.index(bytes.len() + 1).min(bytes.len());
        match (self.kind, bytes.get_mut(index)) {
            (0, Some(byte)) => *byte = self.byte,
            (1, Some(byte)) => *byte ^= 1 << (self.byte % 8),
            (2, Some(_)) => drop(bytes.remove(index)),
            _ => bytes.insert(index, self.byte),
        }
    }
}

/// Elements of requests, and what is often wrong in them.
const ELEMENTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"HEAD /stream HTTP/1.1\r\n",
    b"POST /later HTTP/1.0\r\n",
    b"POST /receive HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n",
    b"Host: a\r\n",
    b"Host: a\r\n\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n\r\n",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b"abc",
    b"\r\n",
    b"\r\n\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b":",
    b";",
    b"\0",
    b"\xff",
    b"HTTP/1.1",
    b"http://a/",
    b"ffffffffffffffff",
];

/// Sends 256 KiB of an element that never ends, as fast as there is room.
#[test]
fn no_flood_exceeds_the_memory_bound() {
    let limits =
        Limits { head_bytes: 8 << 10, body_bytes: 32 << 10, queued_bytes: 4_096, ..Limits::default() };
    let bound = 4 * (limits.head_bytes + limits.body_bytes);
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    for (start, repeated) in [
        (String::new(), &b"G"[..]),
        ("GET /".to_owned(), b"t"),
        ("GET / HTTP/1.1\r\n".to_owned(), b"n"),
        ("GET / HTTP/1.1\r\nA: ".to_owned(), b"v"),
        ("GET / HTTP/1.1\r\nA:".to_owned(), b" "),
        ("GET / HTTP/1.1\r\n".to_owned(), b"A: b\r\n"),
        (String::new(), b"\r\n"),
        (post("Content-Length: 32768\r\n"), b"c"),
        (post("Content-Length: 32769\r\n"), b"c"),
        (post("Transfer-Encoding: chunked\r\n"), b"0"),
        (post("Transfer-Encoding: chunked\r\n"), b"1\r\nc\r\n"),
        (post("Transfer-Encoding: chunked\r\n"), b"1;extension\r\nc\r\n"),
        (post("Transfer-Encoding: chunked\r\n") + "0\r\n", b"A: b\r\n"),
        (String::new(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        let mut input = start.into_bytes();
        input.extend(repeated.repeat((256 << 10) / repeated.len()));
        let config = Config { limits: limits.clone(), ..Config::default() };
        let mut drive = Drive::new(config, |request| {
            let length = request.body().len().to_string();
            AppReply::Now(Response::text(length))
        });
        drive.send(&input);
        drive.run();
        assert!(
            drive.most_input <= bound,
            "{} bytes held for {}",
            drive.most_input,
            input[..60].escape_ascii()
        );
        assert!(drive.most_pending <= 4_096 + 1_024, "{} bytes queued", drive.most_pending);
    }
}
