//! Known attacks and common errors, each followed by a smuggled request.
//!
//! A bug becomes a row here before it is fixed.

use crate::{app::echo, drive::Drive};
use http_core::{CloseReason, Config, Limits, ParseError, Rejection};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// Sends `attack` and a request after it, at once and byte by byte. The only response must have this status and close
/// the connection, and no request may be served.
fn check(attack: impl AsRef<[u8]>, status: u16) {
    let attack = attack.as_ref();
    for size in [usize::MAX, 1] {
        let mut drive = Drive::new(Config::default(), echo);
        drive.send_split(&[attack, SMUGGLED.as_bytes()].concat(), &[size]);
        drive.end();
        drive.run();
        let shown = attack[..attack.len().min(300)].escape_ascii();
        let [response] = &drive.responses()[..] else { panic!("{:?} to {shown}", drive.steps) };
        assert_eq!(response.status, status, "{shown}");
        assert!(response.close && drive.closed == Some(CloseReason::Done), "still open after {shown}");
        assert!(matches!(drive.rejections[..], [Rejection::Malformed(_)]), "{:?}", drive.rejections);
        assert!(drive.seen.is_empty(), "served {:?} after {shown}", drive.seen);
    }
}

/// Sends a request that only looks like an attack, and one after it: these targets must be served.
fn check_harmless(request: &str, targets: &[&str]) {
    for size in [usize::MAX, 1] {
        let mut drive = Drive::new(Config::default(), echo);
        drive.send_split(&[request, SMUGGLED].concat().into_bytes(), &[size]);
        drive.end();
        drive.run();
        let seen: Vec<_> = drive.seen.iter().map(|seen| seen.target.as_str()).collect();
        assert_eq!(seen, targets, "{request}");
        assert!(drive.all_responded() && drive.rejections.is_empty(), "{request}");
    }
}

/// A POST with these headers after Host, and `rest` after its head.
fn post(headers: &str, rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n{rest}")
}

/// A GET with these headers before Host.
fn get(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\n{headers}Host: x\r\n\r\n")
}

#[test]
fn rejects_conflicting_lengths() {
    // CL.TE and TE.CL: one party uses Content-Length, another one Transfer-Encoding.
    check(post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"), 400);
    check(post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\n"), 400);
    check(post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n"), 400);
    check(post("Content-Length: 5\r\nContent-Length: 0\r\n", "abcde"), 400);
    check(post("Content-Length: 0\r\nContent-Length: 5\r\n", "abcde"), 400);
    check(post("Content-Length: 5, 5\r\n", "abcde"), 400);
    check(post("Content-Length: 5\r\nContent-Length: 5\r\n", "abcde"), 400);
    check(post("Content-Length: 5\r\nContent-Length: 05\r\n", "abcde"), 400);
    check(post("Content-Length:\r\nContent-Length: 5\r\n", "abcde"), 400);
    check(post("Content-Length: 0, 5\r\n", "abcde"), 400);
}

#[test]
fn rejects_obfuscated_transfer_codings() {
    // TE.TE: a header that one party recognises and another one does not.
    for lines in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: ,\r\n",
        "Transfer-Encoding: , chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: chunked, ,\r\n",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
        "Transfer-Encoding: , gzip, chunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: 'chunked'\r\n",
        "Transfer-Encoding: chunked;a=b\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding\r\n: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: x\nTransfer-Encoding: chunked\r\n",
        "X: x\rTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding: chunked\x0c\r\n",
        "Transfer-Encoding: chunk\0ed\r\n",
        "Transfer-Encoding\0: chunked\r\n",
        "Transfer-Encoding: chunked\r\r\n",
        "Transfer-Encoding: chun\u{212a}ed\r\n",
    ] {
        check(post(lines, "0\r\n\r\n"), 400);
    }
    check(post(&format!("Transfer-Encoding: {}chunked\r\n", ",".repeat(8_000)), "0\r\n\r\n"), 400);
    check(post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501);
    check(post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 501);
    check("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

#[test]
fn rejects_malformed_lengths() {
    for value in ["", "+5", "-5", "-0", "0x5", "5.0", "1e1", "5 5", "five", "5;", "\u{665}", "5\u{a0}"] {
        check(post(&format!("Content-Length: {value}\r\n"), "abcde"), 400);
    }
    check(post("Content-Length: 5\0\r\n", "abcde"), 400);
    check(post("Content-Length: 1048577\r\n", ""), 413);
    check(post("Content-Length: 18446744073709551615\r\n", ""), 413);
    check(post("Content-Length: 18446744073709551616\r\n", ""), 413);
    check(post("Content-Length: 18446744073709551621\r\n", "abcde"), 413);
}

#[test]
fn rejects_malformed_chunks() {
    let chunked = |rest: &str| post("Transfer-Encoding: chunked\r\n", rest);
    for rest in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "1,1\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\ra\r\n0\r\n\r\n",
        "1;a\nb\r\na\r\n0\r\n\r\n",
        "1;a\rb\r\na\r\n0\r\n\r\n",
        "1;\0\r\na\r\n0\r\n\r\n",
        "1;\r\na\r\n0\r\n\r\n",
        "1; \r\na\r\n0\r\n\r\n",
        "1;=b\r\na\r\n0\r\n\r\n",
        "1;a=\r\na\r\n0\r\n\r\n",
        "1;a \r\na\r\n0\r\n\r\n",
        "1;a b\r\na\r\n0\r\n\r\n",
        "1;a=b c\r\na\r\n0\r\n\r\n",
        "1;a=b \r\na\r\n0\r\n\r\n",
        "1;a=b=c\r\na\r\n0\r\n\r\n",
        "1;a;;b\r\na\r\n0\r\n\r\n",
        "1;[=}\r\na\r\n0\r\n\r\n",
        "1;a=\"x\r\na\r\n0\r\n\r\n",
        "1;a=\"x\\\"\r\na\r\n0\r\n\r\n",
        "1;a=\"x\\\r\n\"\r\na\r\n0\r\n\r\n",
        "1;a=\"x\"y\r\na\r\n0\r\n\r\n",
        "1;a=\"x\" \r\na\r\n0\r\n\r\n",
        "1;a=\"\x7f\"\r\na\r\n0\r\n\r\n",
        // To a reader whose quoted strings span lines, the rest is one message.
        "0;a=\"\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\nA: \"\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na\r0\r\n\r\n",
        "5\r\nabc\r\n0\r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n\rx",
        "00000000000000000\r\n\r\n",
        "0\r\n a: b\r\n\r\n",
        "0\r\na b: c\r\n\r\n",
        "0\r\na\r\n\r\n",
        "0\r\na: b\nc: d\r\n\r\n",
        "0\r\na: \0\r\n\r\n",
    ] {
        check(chunked(rest), 400);
    }
    check(chunked("100001\r\n"), 413);
    check(chunked("10000000000000000\r\n"), 413);
    check(chunked("ffffffffffffffff\r\n"), 413);
    check(chunked("fffffffffffffff0\r\n"), 413);
    check(chunked(&format!("0;{}\r\n\r\n", "e".repeat(20_000))), 431);
    check(chunked(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(5_000))), 431);
}

#[test]
fn rejects_malformed_header_lines() {
    for lines in [
        "A: b\r\n folded\r\n",
        "A: b\r\n\tfolded\r\n",
        "A: b\r\n \r\n",
        "A : b\r\n",
        "A b: c\r\n",
        ": b\r\n",
        "A\r\n",
        "A\0: b\r\n",
        "\u{e9}: b\r\n",
        "A: b\0\r\n",
        "A: b\x08\r\n",
        "A: b\x7f\r\n",
        "A: b\n",
        "A: b\rC: d\r\n",
        "A: b\n\n",
        "\nA: b\r\n",
        "\rA: b\r\n",
        "(A): b\r\n",
    ] {
        check(get(lines), 400);
    }
    check("GET / HTTP/1.1\nHost: x\n\n", 400);
    check("GET / HTTP/1.1\rHost: x\r\r", 400);
    check("GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400);
}

#[test]
fn rejects_malformed_hosts() {
    check("GET / HTTP/1.1\r\n\r\n", 400);
    check(get("Host: y\r\n"), 400);
    check(get("host: x\r\n"), 400);
    for host in
        ["", "x, y", "x y", "u@x", "x/", "x?y", "x#y", "x:y", "x:1:2", "x:99999999", "[::1", "[x]", "\u{e9}"]
    {
        check(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
    for address in [
        "",
        ".",
        ":",
        ":::",
        "1",
        "abc",
        "1.2.3.4",
        "1::2::3",
        "12345::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7::8",
        "::1.2.3",
        "::1.2.3.256",
        "::01.2.3.4",
        "1.2.3.4::",
        "::1%25eth0",
        "::1%eth0",
        "v.a",
        "v1.",
        "vg.a",
        "v1.a/b",
    ] {
        check(format!("GET / HTTP/1.1\r\nHost: [{address}]\r\n\r\n"), 400);
        check(format!("GET / HTTP/1.1\r\nHost: [{address}]:80\r\n\r\n"), 400);
        check(format!("GET http://[{address}]/ HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
        check(format!("CONNECT [{address}]:443 HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    }
    // The host of an absolute form does not replace a malformed Host (RFC 9112 §3.2.2).
    check("GET http://x/ HTTP/1.1\r\n\r\n", 400);
    check("GET http://x/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
}

#[test]
fn rejects_malformed_request_lines() {
    for line in [
        "GET  / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        " GET / HTTP/1.1",
        "GET",
        "GET / ",
        "G\0T / HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/+1.1",
        "GET / HTTPS/1.1",
        "GET / HTTP/1.1\r",
        "GET * HTTP/1.1",
        "GET x HTTP/1.1",
        "GET x:80 HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://u:p@x/ HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
        "GET javascript:x HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT x HTTP/1.1",
        "CONNECT x: HTTP/1.1",
        "CONNECT [::1] HTTP/1.1",
        "CONNECT [::1]: HTTP/1.1",
        "CONNECT http://x:80/ HTTP/1.1",
    ] {
        check(format!("{line}\r\nHost: x\r\n\r\n"), 400);
    }
    check("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505);
    check("GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505);
    check("\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    check("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
}

#[test]
fn rejects_other_protocols() {
    // An HTTP/0.9 request has no version.
    check("GET /\r\n", 400);
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400);
    check("SSH-2.0-OpenSSH_9.9\r\n", 400);
    check("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", 400);
    check(b"\r\n\r\n\x00\r\nQUIT\n", 400);
    check("EHLO example.org\r\n", 400);
    check(b"\x05\x01\x00", 400);
}

#[test]
fn rejects_lengths_that_no_buffer_can_hold() {
    let limits = Limits { body_bytes: usize::MAX, ..Limits::default() };
    let config = Config { limits, ..Config::default() };
    let rejections = |request: String| {
        let mut drive = Drive::new(config.clone(), echo);
        drive.send(request.as_bytes());
        drive.run();
        drive.rejections.clone()
    };
    let too_large = [Rejection::Malformed(ParseError::BodyTooLarge)];
    for length in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1] {
        assert_eq!(rejections(post(&format!("Content-Length: {length}\r\n"), "abc")), too_large);
        let chunks = format!("3\r\nabc\r\n{length:x}\r\nabc");
        assert_eq!(rejections(post("Transfer-Encoding: chunked\r\n", &chunks)), too_large);
    }
    let length = isize::MAX / 2;
    assert_eq!(rejections(post(&format!("Content-Length: {length}\r\n"), "abc")), []);
    assert_eq!(rejections(post("Transfer-Encoding: chunked\r\n", &format!("{length:x}\r\nabc"))), []);
}

#[test]
fn rejects_elements_beyond_their_limit() {
    check(format!("{} / HTTP/1.1\r\n", "M".repeat(33)), 501);
    check(format!("GET /{} HTTP/1.1\r\n", "t".repeat(8 * 1024)), 414);
    check(get(&format!("{}: v\r\n", "n".repeat(40_000))), 431);
    check(get(&format!("A: {}\r\n", "v".repeat(40_000))), 431);
    check(get(&format!("A:{}v\r\n", " ".repeat(40_000))), 431);
    check(get(&"A: b\r\n".repeat(100)), 431);
    check(get("Expect: 200-ok\r\n"), 417);
    check(get("Expect: 100-continue, x\r\n"), 417);
}

#[test]
fn rejects_long_elements_before_they_end() {
    let check = |start: &str, repeated: &str, times: usize, status: u16| {
        let mut drive = Drive::new(Config::default(), echo);
        drive.send(&[start, &repeated.repeat(times)].concat().into_bytes());
        drive.run();
        let statuses: Vec<_> = drive.responses().iter().map(|response| response.status).collect();
        assert_eq!(statuses, [status], "{start}{repeated}...");
    };
    check("", "M", 33, 501);
    check("GET ", "t", 8 * 1024 + 1, 414);
    check("GET / HTTP/1.1\r\n", "n", 32 * 1024, 431);
    check("GET / HTTP/1.1\r\nA: ", "v", 32 * 1024, 431);
    check("GET / HTTP/1.1\r\nA:", " ", 32 * 1024, 431);
    check("GET / HTTP/1.1\r\n", "A: b\r\n", 101, 431);
    check("", "\r\n", 5, 400);
    let chunked = post("Transfer-Encoding: chunked\r\n", "");
    check(&chunked, "0", 17, 400);
    check(&chunked, "8", 6, 413);
    check(&(chunked.clone() + "1;"), "e", 16 * 1024, 431);
    check(&(chunked + "0\r\n"), "t", 16 * 1024 + 1, 431);
}

#[test]
fn the_authority_of_the_absolute_form_replaces_host() {
    let mut drive = Drive::new(Config::default(), echo);
    drive.send(b"GET http://inner:8080/a HTTP/1.1\r\nHost: outer\r\n\r\n");
    drive.run();
    assert_eq!(drive.seen[0].host.as_deref(), Some("inner:8080"));
}

#[test]
fn serves_requests_that_only_look_like_attacks() {
    let both = &["/", "/smuggled"];
    check_harmless(&post("Content-Length: 005 \t\r\n", "abcde"), both);
    check_harmless(
        &post("Transfer-Encoding:\tCHUNKED \r\n", "5;a=\"\t\"\r\nabcde\r\n000;b\r\nC: d\r\n\r\n"),
        both,
    );
    check_harmless(&post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "abcde"), both);
    check_harmless(&post("X: Transfer-Encoding: chunked\r\n", ""), both);
    check_harmless(&post("Connection: Content-Length\r\nContent-Length: 5\r\n", "abcde"), both);
    check_harmless(
        &get("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n"),
        both,
    );
    check_harmless(&get("A: \u{e9}\t\r\nB:\r\n"), both);
    check_harmless("\r\n\r\nGET / HTTP/1.9\r\nHost: x\r\n\r\n", both);
    check_harmless("get / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", both);
    check_harmless("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", &["*", "/smuggled"]);
    check_harmless("GET http://y/a HTTP/1.1\r\nHost: x\r\n\r\n", &["http://y/a", "/smuggled"]);
    // The bytes of a body may look like a request.
    check_harmless(&get(&format!("Content-Length: {}\r\n", SMUGGLED.len())), &["/"]);
}
