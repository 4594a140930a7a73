//! Range requests (RFC 9110 §14): one range, and several in one response.

use crate::{
    client::{Client, get, request},
    files,
    reply::Reply,
    server::TestServer,
    site::{HUGE_END, HUGE_LEN},
};

/// The content of `digits.txt`.
const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The maximum number of ranges in a Range header that the server does not ignore.
const MAX_RANGES: usize = 200;

/// Requests `digits.txt` with the Range header `ranges`. Checks that the response is a 206 with one range: this
/// Content-Range, this body, and the headers of the whole file.
fn check(server: &TestServer, ranges: &str, content_range: &str, body: &str) {
    let mut client = server.connect();
    let whole = client.fetch(get("/digits.txt"));
    let reply = client.fetch(ranged(&format!("Range: {ranges}\r\n")));
    client.finish();
    assert_eq!((reply.status, &*reply.text()), (206, body), "{ranges}");
    assert_eq!(reply.header("Content-Range"), Some(content_range), "{ranges}");
    for name in ["ETag", "Last-Modified", "Content-Type", "Accept-Ranges"] {
        assert_eq!(reply.header(name), whole.header(name), "{ranges}");
    }
}

/// Requests `digits.txt` with these header lines. Checks that the response is a 200 with the whole file.
fn check_full(server: &TestServer, headers: &str) {
    let mut client = server.connect();
    let reply = client.fetch(ranged(headers));
    client.finish();
    assert_eq!((reply.status, &*reply.body), (200, DIGITS), "{headers}");
    assert_eq!(reply.header("Content-Range"), None, "{headers}");
}

/// Requests `target` with the Range header `ranges`. Checks that the response is a 416 with this Content-Range, and
/// that the connection remains usable.
fn check_unsatisfiable(server: &TestServer, target: &str, ranges: &str, content_range: &str) {
    let mut client = server.connect();
    let reply = client.fetch(request("GET", target, &format!("Range: {ranges}\r\n")));
    assert_eq!((reply.status, reply.header("Content-Range")), (416, Some(content_range)), "{ranges}");
    assert_eq!(client.fetch(get("/digits.txt")).body, DIGITS);
    client.finish();
}

/// Requests `target` with a Range header of several ranges. Checks that the response is multipart, and that its parts
/// have the `expected` Content-Range and bytes.
fn check_parts(client: &mut Client, target: &str, ranges: &str, expected: &[(&str, &[u8])]) {
    let reply = client.fetch(request("GET", target, &format!("Range: {ranges}\r\n")));
    assert_eq!((reply.status, reply.header("Content-Range")), (206, None), "{ranges}");
    assert!(reply.header("ETag").is_some() && reply.header("Accept-Ranges") == Some("bytes"), "{ranges}");
    let media_type = client.fetch(request("HEAD", target, ""));
    let media_type = media_type.header("Content-Type").expect("a media type");
    let parts = parts(&reply);
    let expected = expected.iter().map(|(range, bytes)| {
        let headers = vec![format!("Content-Type: {media_type}"), format!("Content-Range: {range}")];
        (headers, bytes.to_vec())
    });
    assert_eq!(parts, expected.collect::<Vec<_>>(), "{ranges}");
}

/// Returns the header lines and the body of each part of a `multipart/byteranges` response (RFC 9110 §14.6, RFC 2046
/// §5.1). Panics if the response is not well-formed.
fn parts(reply: &Reply) -> Vec<(Vec<String>, Vec<u8>)> {
    let media_type = reply.header("Content-Type").expect("a media type");
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").expect("a multipart response");
    assert!((1..=70).contains(&boundary.len()) && !boundary.contains(['"', ' ']), "{boundary}");
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = reply.body.strip_prefix(delimiter.as_bytes()).expect("a delimiter");
    let mut parts = Vec::new();
    while rest != b"--\r\n" {
        let part = rest.strip_prefix(b"\r\n").expect("the end of a delimiter line");
        let (head, after) = split(part, b"\r\n\r\n");
        let (body, next) = split(after, delimiter.as_bytes());
        let head = std::str::from_utf8(head).expect("text");
        parts.push((head.split("\r\n").map(str::to_owned).collect(), body.to_vec()));
        rest = next;
    }
    parts
}

/// Returns the bytes before and after the first occurrence of `by`. Panics if there is none.
fn split<'b>(bytes: &'b [u8], by: &[u8]) -> (&'b [u8], &'b [u8]) {
    let at = bytes.windows(by.len()).position(|window| window == by);
    let at = at.unwrap_or_else(|| panic!("no {} in {}", by.escape_ascii(), bytes.escape_ascii()));
    (&bytes[..at], &bytes[at + by.len()..])
}

/// Returns a GET request for `digits.txt` with these header lines.
fn ranged(headers: &str) -> String {
    request("GET", "/digits.txt", headers)
}

http_testing::both_engines! {
    fn sends_one_range(server: &TestServer) {
        for (ranges, content_range, body) in [
            ("bytes=0-3", "bytes 0-3/36", "0123"),
            ("bytes=0-0", "bytes 0-0/36", "0"),
            ("bytes=35-35", "bytes 35-35/36", "z"),
            ("bytes=30-", "bytes 30-35/36", "uvwxyz"),
            ("bytes=30-999999999999999999999999", "bytes 30-35/36", "uvwxyz"),
            ("bytes=-2", "bytes 34-35/36", "yz"),
            ("bytes=-99", "bytes 0-35/36", "0123456789abcdefghijklmnopqrstuvwxyz"),
            ("bytes=0-", "bytes 0-35/36", "0123456789abcdefghijklmnopqrstuvwxyz"),
            ("Bytes=1-1", "bytes 1-1/36", "1"),
            ("bytes= 1-1 ,", "bytes 1-1/36", "1"),
            ("bytes=90-,1-1", "bytes 1-1/36", "1"),
            // RFC 9110 §15.3.7.2: a server may coalesce ranges that overlap or are adjacent.
            ("bytes=0-1,1-2,3-3", "bytes 0-3/36", "0123"),
            ("bytes=2-3,0-1", "bytes 0-3/36", "0123"),
            ("bytes=0-,0-", "bytes 0-35/36", "0123456789abcdefghijklmnopqrstuvwxyz"),
        ] {
            check(server, ranges, content_range, body);
        }
    }

    fn ignores_invalid_and_excessive_ranges(server: &TestServer) {
        for ranges in [
            "bytes=",
            "bytes=3-1",
            "bytes=a-b",
            "bytes=--1",
            "bytes",
            "bytes=-",
            "lines=0-1",
            "bytes 0-1",
            "",
        ] {
            check_full(server, &format!("Range: {ranges}\r\n"));
        }
        let many = vec!["0-0"; MAX_RANGES + 1].join(",");
        check_full(server, &format!("Range: bytes={many}\r\n"));
    }

    /// No Content-Range can express a range of an empty file.
    fn sends_all_of_an_empty_file(server: &TestServer) {
        for ranges in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            let reply = files::check(server, "/empty.txt", &format!("Range: {ranges}\r\n"), 200);
            assert_eq!((&*reply.body, reply.header("Content-Range")), (&b""[..], None), "{ranges}");
        }
    }

    fn responds_with_416_to_unsatisfiable_ranges(server: &TestServer) {
        for ranges in ["bytes=36-", "bytes=36-40", "bytes=-0", "bytes=99-,100-200"] {
            check_unsatisfiable(server, "/digits.txt", ranges, "bytes */36");
        }
        check_unsatisfiable(server, "/empty.txt", "bytes=1-", "bytes */0");
        check_unsatisfiable(server, "/empty.txt", "bytes=-0", "bytes */0");
        check_unsatisfiable(server, "/huge.bin", "bytes=5368709120-", "bytes */5368709120");
    }

    fn sends_several_ranges_as_multipart(server: &TestServer) {
        let mut client = server.connect();
        check_parts(
            &mut client,
            "/digits.txt",
            "bytes=0-1, 10-12, -1",
            &[("bytes 0-1/36", b"01"), ("bytes 10-12/36", b"abc"), ("bytes 35-35/36", b"z")],
        );
        // In the order of the request. Unsatisfiable ranges are left out.
        check_parts(
            &mut client,
            "/digits.txt",
            "bytes=5-6,99-,0-0,5-5,4-4",
            &[("bytes 4-6/36", b"456"), ("bytes 0-0/36", b"0")],
        );
        // A file that the server does not keep in memory.
        let large = &server.site.large;
        check_parts(
            &mut client,
            "/large.bin",
            "bytes=1000000-1999999,-7,0-0",
            &[
                ("bytes 1000000-1999999/6291469", &large[1_000_000..2_000_000]),
                ("bytes 6291462-6291468/6291469", &large[6_291_462..]),
                ("bytes 0-0/6291469", &large[..1]),
            ],
        );
        // As many as are allowed. zsync asks for 20 at once.
        for count in [20, MAX_RANGES] {
            let at = |number: usize| number * 1000..number * 1000 + 7;
            let ranges: Vec<String> =
                (0..count).map(|number| format!("{}-{}", at(number).start, at(number).end - 1)).collect();
            let content_ranges: Vec<String> =
                ranges.iter().map(|range| format!("bytes {range}/6291469")).collect();
            let expected: Vec<(&str, &[u8])> = content_ranges
                .iter()
                .enumerate()
                .map(|(number, range)| (range.as_str(), &large[at(number)]))
                .collect();
            check_parts(&mut client, "/large.bin", &format!("bytes={}", ranges.join(",")), &expected);
        }
        assert_eq!(client.fetch(get("/digits.txt")).body, DIGITS);
        client.finish();
    }

    fn sends_ranges_beyond_four_gigabytes(server: &TestServer) {
        let mut client = server.connect();
        let head = client.fetch(request("HEAD", "/huge.bin", ""));
        assert_eq!((head.status, head.header("Content-Length")), (200, Some(HUGE_LEN.to_string().as_str())));
        let at = HUGE_LEN - HUGE_END.len() as u64;
        let last = client.fetch(request("GET", "/huge.bin", &format!("Range: bytes={at}-\r\n")));
        assert_eq!((last.status, &*last.body), (206, HUGE_END));
        let content_range = format!("bytes {at}-{}/{HUGE_LEN}", HUGE_LEN - 1);
        assert_eq!(last.header("Content-Range"), Some(content_range.as_str()));
        let across = client.fetch(request("GET", "/huge.bin", "Range: bytes=4294967290-4294967300\r\n"));
        assert_eq!((across.status, &*across.body), (206, &[0; 11][..]));
        let suffix = format!("bytes {}-{}/{HUGE_LEN}", HUGE_LEN - 4, HUGE_LEN - 1);
        let digits = format!("bytes {at}-{at}/{HUGE_LEN}");
        let expected: [(&str, &[u8]); 2] = [(&suffix, b"ytes"), (&digits, b"b")];
        check_parts(&mut client, "/huge.bin", &format!("bytes=-4,{at}-{at}"), &expected);
        client.finish();
    }

    fn if_range_requires_a_strong_match(server: &TestServer) {
        let plain = files::check(server, "/digits.txt", "", 200);
        let tag = plain.header("ETag").expect("an entity tag");
        let modified = plain.header("Last-Modified").expect("a date");
        for same in [tag, modified] {
            let mut client = server.connect();
            let reply = client.fetch(ranged(&format!("Range: bytes=1-2\r\nIf-Range: {same}\r\n")));
            client.finish();
            assert_eq!((reply.status, &*reply.body), (206, &DIGITS[1..3]), "{same}");
        }
        for other in ["\"a\"", &format!("W/{tag}"), "Sun, 06 Nov 1994 08:49:38 GMT", "*", ""] {
            check_full(server, &format!("Range: bytes=1-2\r\nIf-Range: {other}\r\n"));
            check_full(server, &format!("If-Range: {other}\r\nRange: bytes=99-\r\n"));
        }
        check_full(server, &format!("If-Range: {tag}\r\n"));
    }

    /// RFC 9110 §14.2: Range is defined for GET only.
    fn head_ignores_ranges(server: &TestServer) {
        let mut client = server.connect();
        for ranges in ["bytes=0-0", "bytes=99-", "bytes=0-0,2-2"] {
            let head = client.fetch(request("HEAD", "/digits.txt", &format!("Range: {ranges}\r\n")));
            assert_eq!((head.status, head.header("Content-Length")), (200, Some("36")), "{ranges}");
            assert_eq!(head.header("Content-Range"), None);
        }
        client.finish();
    }
}
