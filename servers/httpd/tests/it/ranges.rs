//! Parts of files over the wire (RFC 9110 §14), one at a time and several in one answer.

use crate::{
    client::{Client, get, request},
    files,
    reply::Reply,
    server::TestServer,
    site::{HUGE, HUGE_END},
};

/// The content of `digits.txt`.
const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A range of `digits.txt` that is answered with one part.
fn check(server: &TestServer, ranges: &str, content_range: &str, content: &str) {
    let mut client = server.connect();
    let whole = client.ask(get("/digits.txt"));
    let reply = client.ask(ranged(&format!("Range: {ranges}\r\n")));
    client.finish();
    assert_eq!((reply.status, &*reply.text()), (206, content), "{ranges}");
    assert_eq!(reply.field("Content-Range"), Some(content_range), "{ranges}");
    for name in ["ETag", "Last-Modified", "Content-Type", "Accept-Ranges"] {
        assert_eq!(reply.field(name), whole.field(name), "{ranges}");
    }
}

/// Fields with which all of `digits.txt` is sent.
fn check_whole(server: &TestServer, fields: &str) {
    let mut client = server.connect();
    let reply = client.ask(ranged(fields));
    client.finish();
    assert_eq!((reply.status, &*reply.content), (200, DIGITS), "{fields}");
    assert_eq!(reply.field("Content-Range"), None, "{fields}");
}

fn check_unsatisfiable(server: &TestServer, target: &str, ranges: &str, content_range: &str) {
    let mut client = server.connect();
    let reply = client.ask(request("GET", target, &format!("Range: {ranges}\r\n")));
    assert_eq!((reply.status, reply.field("Content-Range")), (416, Some(content_range)), "{ranges}");
    assert_eq!(client.ask(get("/digits.txt")).content, DIGITS);
    client.finish();
}

/// Several ranges of a file, and the parts that answer them: Content-Range and content.
fn check_parts(client: &mut Client, target: &str, ranges: &str, expected: &[(&str, &[u8])]) {
    let reply = client.ask(request("GET", target, &format!("Range: {ranges}\r\n")));
    assert_eq!((reply.status, reply.field("Content-Range")), (206, None), "{ranges}");
    assert!(reply.field("ETag").is_some() && reply.field("Accept-Ranges") == Some("bytes"), "{ranges}");
    let media_type = client.ask(request("HEAD", target, ""));
    let media_type = media_type.field("Content-Type").expect("a media type");
    let parts = parts(&reply);
    let expected = expected.iter().map(|(range, content)| {
        let fields = vec![format!("Content-Type: {media_type}"), format!("Content-Range: {range}")];
        (fields, content.to_vec())
    });
    assert_eq!(parts, expected.collect::<Vec<_>>(), "{ranges}");
}

/// The parts of a `multipart/byteranges` answer (RFC 9110 §14.6, RFC 2046 §5.1): field lines and content of each.
fn parts(reply: &Reply) -> Vec<(Vec<String>, Vec<u8>)> {
    let media_type = reply.field("Content-Type").expect("a media type");
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").expect("several parts");
    assert!((1..=70).contains(&boundary.len()) && !boundary.contains(['"', ' ']), "{boundary}");
    let delimiter = format!("--{boundary}");
    let mut rest = reply.content.strip_prefix(delimiter.as_bytes()).expect("a delimiter");
    let mut parts = Vec::new();
    while rest != b"--\r\n" {
        let part = rest.strip_prefix(b"\r\n").expect("the end of a delimiter line");
        let (head, behind) = split(part, b"\r\n\r\n");
        let (content, next) = split(behind, format!("\r\n{delimiter}").as_bytes());
        let head = std::str::from_utf8(head).expect("text");
        parts.push((head.split("\r\n").map(str::to_owned).collect(), content.to_vec()));
        rest = next;
    }
    parts
}

fn split<'b>(bytes: &'b [u8], by: &[u8]) -> (&'b [u8], &'b [u8]) {
    let at = bytes.windows(by.len()).position(|window| window == by);
    let at = at.unwrap_or_else(|| panic!("no {} in {}", by.escape_ascii(), bytes.escape_ascii()));
    (&bytes[..at], &bytes[at + by.len()..])
}

fn ranged(fields: &str) -> String {
    request("GET", "/digits.txt", fields)
}

http_testing::both_engines! {
    fn one_range(server: &TestServer) {
        for (ranges, content_range, content) in [
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
        ] {
            check(server, ranges, content_range, content);
        }
    }

    fn what_is_no_range_is_ignored(server: &TestServer) {
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
            check_whole(server, &format!("Range: {ranges}\r\n"));
        }
        let many = vec!["0-0"; 17].join(",");
        check_whole(server, &format!("Range: bytes={many}\r\n"));
        // More than there is would let a short request cost much.
        check_whole(server, "Range: bytes=0-,0-\r\n");
    }

    fn unsatisfiable(server: &TestServer) {
        for ranges in ["bytes=36-", "bytes=36-40", "bytes=-0", "bytes=99-,100-200"] {
            check_unsatisfiable(server, "/digits.txt", ranges, "bytes */36");
        }
        check_unsatisfiable(server, "/empty.txt", "bytes=0-0", "bytes */0");
        check_unsatisfiable(server, "/empty.txt", "bytes=-1", "bytes */0");
        check_unsatisfiable(server, "/huge.bin", "bytes=5368709120-", "bytes */5368709120");
    }

    fn several_ranges_are_several_parts(server: &TestServer) {
        let mut client = server.connect();
        check_parts(
            &mut client,
            "/digits.txt",
            "bytes=0-1, 10-12, -1",
            &[("bytes 0-1/36", b"01"), ("bytes 10-12/36", b"abc"), ("bytes 35-35/36", b"z")],
        );
        // In the order they were asked for; what cannot be had is left out.
        check_parts(
            &mut client,
            "/digits.txt",
            "bytes=5-6,99-,0-0,5-5",
            &[("bytes 5-6/36", b"56"), ("bytes 0-0/36", b"0"), ("bytes 5-5/36", b"5")],
        );
        let sixteen: Vec<String> = (0..16).map(|at| format!("{at}-{at}")).collect();
        let content_ranges: Vec<String> = (0..16).map(|at| format!("bytes {at}-{at}/36")).collect();
        let expected: Vec<(&str, &[u8])> =
            content_ranges.iter().zip(DIGITS.chunks(1)).map(|(range, byte)| (range.as_str(), byte)).collect();
        check_parts(&mut client, "/digits.txt", &format!("bytes={}", sixteen.join(",")), &expected);
        // Parts of a file that is not kept in memory, between texts that are.
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
        assert_eq!(client.ask(get("/digits.txt")).content, DIGITS);
        client.finish();
    }

    fn offsets_beyond_four_gigabytes(server: &TestServer) {
        let mut client = server.connect();
        let head = client.ask(request("HEAD", "/huge.bin", ""));
        assert_eq!((head.status, head.field("Content-Length")), (200, Some(HUGE.to_string().as_str())));
        let at = HUGE - HUGE_END.len() as u64;
        let last = client.ask(request("GET", "/huge.bin", &format!("Range: bytes={at}-\r\n")));
        assert_eq!((last.status, &*last.content), (206, HUGE_END));
        assert_eq!(last.field("Content-Range"), Some(format!("bytes {at}-{}/{HUGE}", HUGE - 1).as_str()));
        let across = client.ask(request("GET", "/huge.bin", "Range: bytes=4294967290-4294967300\r\n"));
        assert_eq!((across.status, &*across.content), (206, &[0; 11][..]));
        let suffix = format!("bytes {}-{}/{HUGE}", HUGE - 4, HUGE - 1);
        let digits = format!("bytes {at}-{at}/{HUGE}");
        let expected: [(&str, &[u8]); 2] = [(&suffix, b"ytes"), (&digits, b"b")];
        check_parts(&mut client, "/huge.bin", &format!("bytes=-4,{at}-{at}"), &expected);
        client.finish();
    }

    fn if_range(server: &TestServer) {
        let plain = files::check(server, "/digits.txt", "", 200);
        let tag = plain.field("ETag").expect("an entity tag");
        let modified = plain.field("Last-Modified").expect("a date");
        for same in [tag, modified] {
            let mut client = server.connect();
            let reply = client.ask(ranged(&format!("Range: bytes=1-2\r\nIf-Range: {same}\r\n")));
            client.finish();
            assert_eq!((reply.status, &*reply.content), (206, &DIGITS[1..3]), "{same}");
        }
        for other in ["\"a\"", &format!("W/{tag}"), "Sun, 06 Nov 1994 08:49:37 GMT", "*", ""] {
            check_whole(server, &format!("Range: bytes=1-2\r\nIf-Range: {other}\r\n"));
            check_whole(server, &format!("If-Range: {other}\r\nRange: bytes=99-\r\n"));
        }
        check_whole(server, &format!("If-Range: {tag}\r\n"));
    }

    /// RFC 9110 §14.2: a Range is defined for GET alone.
    fn head_ignores_ranges(server: &TestServer) {
        let mut client = server.connect();
        for ranges in ["bytes=0-0", "bytes=99-", "bytes=0-0,2-2"] {
            let head = client.ask(request("HEAD", "/digits.txt", &format!("Range: {ranges}\r\n")));
            assert_eq!((head.status, head.field("Content-Length")), (200, Some("36")), "{ranges}");
            assert_eq!(head.field("Content-Range"), None);
        }
        client.finish();
    }
}
