//! Connections: keep-alive and close, pipelining, half-close, malformed requests, early responses.

use crate::{
    client::{Client, get, request},
    reply::Reply,
    server::TestServer,
};
use std::{
    io::Write,
    thread,
    time::{Duration, SystemTime},
};

/// Requests of every kind that can be pipelined: method, target, header lines, and the status of the response.
const MIXED: [(&str, &str, &str, u16); 10] = [
    ("GET", "/notes.txt", "", 200),
    ("HEAD", "/large.bin", "", 200),
    ("GET", "/nowhere", "", 404),
    ("GET", "/dir", "", 301),
    ("POST", "/notes.txt", "", 405),
    ("GET", "/digits.txt", "Range: bytes=5-9\r\n", 206),
    ("GET", "/notes.txt", "If-None-Match: *\r\n", 304),
    ("PROPFIND", "/", "", 501),
    ("GET", "/notes.txt|", "", 301),
    ("HEAD", "/notes.txt?<", "", 301),
];

/// Sends a request of this HTTP version with the Connection header `connection`, or without one if it is empty. Checks
/// that the server closes the connection if, and only if, `close`.
fn check_connection(server: &TestServer, version: &str, connection: &str, close: bool) {
    let mut client = server.connect();
    let headers = if connection.is_empty() { String::new() } else { format!("Connection: {connection}\r\n") };
    let reply = client.fetch(format!("GET /notes.txt HTTP/{version}\r\nHost: test\r\n{headers}\r\n"));
    assert_eq!((reply.status, reply.close), (200, close), "HTTP/{version} {connection}");
    if close {
        client.expect_eof();
    } else {
        assert_eq!(client.fetch(get("/page.html")).status, 200, "HTTP/{version} {connection}");
        client.finish();
    }
}

/// Sends a valid request, then `bytes`, then another valid request. Checks that the server responds to `bytes` with
/// `status` and closes the connection, without a response to the last request.
fn check_malformed(server: &TestServer, bytes: &[u8], status: u16) {
    let mut client = server.connect();
    client.send(get("/notes.txt"));
    client.send([bytes, get("/page.html").as_bytes()].concat());
    assert_eq!(client.response().status, 200);
    let reply = client.try_response();
    let reply = reply.unwrap_or_else(|error| panic!("{error}, in response to {}", bytes.escape_ascii()));
    assert_eq!((reply.status, reply.close), (status, true), "{}", bytes.escape_ascii());
    client.expect_eof();
}

/// Sends `head`, then `body` repeated up to 8 MiB. Checks that a response with `status` arrives completely, that it
/// says `close` or not, that the server closes the connection, and that it receives everything.
fn check_early_response(server: &TestServer, head: &str, body: &[u8], status: u16, close: bool) {
    let mut client = server.connect();
    client.send(head);
    let mut sending = client.stream.try_clone().expect("a second handle");
    let body = body.repeat(8 * 1024 * 1024 / body.len());
    let sender = thread::spawn(move || sending.write_all(&body));
    let reply = client.response();
    assert_eq!((reply.status, reply.close), (status, close), "{head}");
    client.expect_eof();
    sender.join().expect("no panic").expect("the server receives everything");
}

/// Returns the requests of [`MIXED`] with the statuses of their responses, again and again.
fn mixed() -> impl Iterator<Item = (String, u16)> {
    MIXED.iter().map(|(method, target, headers, status)| (request(method, target, headers), *status)).cycle()
}

/// Reads the responses to the first `count` requests of [`mixed`], and checks their statuses.
fn check_replies(client: &mut Client, count: usize) {
    for (number, (request, status)) in mixed().take(count).enumerate() {
        let reply = client.response_to(&request);
        assert_eq!(reply.status, status, "number {number}: {request}");
    }
}

/// Returns whether the Date header of a response differs from the present time by less than an hour.
fn is_recent(reply: &Reply) -> bool {
    let date = reply.header("Date").and_then(|date| httpdate::parse_http_date(date).ok());
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    date.is_some_and(|date| date > now - hour && date < now + hour)
}

http_testing::both_engines! {
    /// The reply reader checks in every test that each header occurs once.
    fn every_response_has_a_server_and_a_date(server: &TestServer) {
        let mut client = server.connect();
        for (request, status) in mixed().take(MIXED.len()) {
            let reply = client.fetch(&request);
            assert_eq!((reply.status, reply.header("Server")), (status, Some(server.name())), "{request}");
            assert!(is_recent(&reply), "{:?}", reply.header("Date"));
        }
        let reply = client.fetch("no request\r\n\r\n");
        assert_eq!((reply.status, reply.header("Server")), (400, Some(server.name())));
        assert!(is_recent(&reply), "{:?}", reply.header("Date"));
        client.expect_eof();
    }

    fn the_version_decides_whether_a_connection_is_kept(server: &TestServer) {
        check_connection(server, "1.1", "", false);
        check_connection(server, "1.1", "keep-alive", false);
        check_connection(server, "1.1", "close", true);
        check_connection(server, "1.1", "TE, Close", true);
        check_connection(server, "1.0", "", true);
        check_connection(server, "1.0", "close", true);
        check_connection(server, "1.0", "Keep-Alive", false);
        check_connection(server, "1.0", "keep-alive, close", true);
    }

    fn http_1_0_requests_need_no_host(server: &TestServer) {
        let mut client = server.connect();
        assert_eq!(client.fetch("GET /notes.txt HTTP/1.0\r\n\r\n").text(), "notes\n");
        client.expect_eof();
    }

    fn responds_to_pipelined_requests_in_order(server: &TestServer) {
        let mut client = server.connect();
        client.send(mixed().take(100).map(|(request, _)| request).collect::<String>());
        check_replies(&mut client, 100);
        client.finish();
    }

    fn responds_to_two_thousand_requests_in_one_write(server: &TestServer) {
        let mut client = server.connect();
        let mut sending = client.stream.try_clone().expect("a second handle");
        let all: String = mixed().take(2000).map(|(request, _)| request).collect();
        let sender = thread::spawn(move || sending.write_all(all.as_bytes()));
        check_replies(&mut client, 2000);
        sender.join().expect("no panic").expect("the server receives everything");
        client.finish();
    }

    /// This bounds what a client that never reads can make the server keep.
    fn stops_reading_from_a_client_that_does_not_read(server: &TestServer) {
        let mut client = Client::connect_with_small_buffer(server.address);
        client.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        let padding = format!("X-Padding: {}\r\n", "p".repeat(8000));
        let request = request("GET", "/large.bin", &padding);
        let (mut sent, mut written) = (0, request.len());
        while written == request.len() {
            assert!(sent < 4000, "the server receives 32 MiB of requests from a client that reads no response");
            // A write that times out has written a part, or nothing.
            written = client.stream.write(request.as_bytes()).unwrap_or(0);
            sent += usize::from(written == request.len());
        }
        // When the client reads, it receives the responses.
        for _ in 0..sent.min(3) {
            assert!(client.response().body == server.site.large, "other bytes than the file's");
        }
    }

    fn requests_may_arrive_byte_by_byte(server: &TestServer) {
        let mut client = server.connect();
        let chunked = "Transfer-Encoding: chunked\r\n";
        let post = request("POST", "/notes.txt", chunked) + "2;x=y\r\nab\r\n0\r\nX: y\r\n\r\n";
        for (request, status) in
            [(get("/notes.txt"), 200), (post, 405), (request("HEAD", "/nowhere", ""), 404)]
        {
            for byte in request.as_bytes() {
                client.send([*byte]);
            }
            assert_eq!(client.response_to(&request).status, status, "{request}");
        }
        client.finish();
    }

    fn malformed_requests_close_the_connection(server: &TestServer) {
        let one = |line: &str, headers: &str| format!("{line}\r\nHost: test\r\n{headers}\r\n").into_bytes();
        for (bytes, status) in [
            (b"garbage\r\n\r\n".to_vec(), 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\r\n".to_vec(), 400),
            (b"GET / HTTP/1.1\n\n".to_vec(), 400),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 400),
            ("GET /n\u{e4}me HTTP/1.1\r\nHost: test\r\n\r\n".as_bytes().to_vec(), 400),
            (one("GET  / HTTP/1.1", ""), 400),
            (one("GET /notes.txt", ""), 400),
            (one("GET /a b HTTP/1.1", ""), 400),
            (one("GET notes.txt HTTP/1.1", ""), 400),
            (one("GET / HTTP/1.1", "Host: again\r\n"), 400),
            (one("GET / HTTP/1.1", "Name : value\r\n"), 400),
            (one("GET / HTTP/1.1", " folded: value\r\n"), 400),
            (one("POST / HTTP/1.1", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400),
            (one("POST / HTTP/1.1", "Content-Length: 3\r\nContent-Length: 4\r\n"), 400),
            (one("POST / HTTP/1.1", "Content-Length: -3\r\n"), 400),
            (one("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked\r\n"), 501),
            // No method but GET and HEAD is supported, and no content: the length does not matter.
            (one("POST / HTTP/1.1", "Content-Length: 1048577\r\n"), 405),
            (one("POST / HTTP/1.1", "Expect: the-best\r\n"), 417),
            (one("GET / HTTP/2.0", ""), 505),
            (one(&format!("GET /{} HTTP/1.1", "a".repeat(9000)), ""), 414),
            (one("GET / HTTP/1.1", &format!("X: {}\r\n", "a".repeat(40_000))), 431),
            (one("GET / HTTP/1.1", &"X: a\r\n".repeat(101)), 431),
        ] {
            check_malformed(server, &bytes, status);
        }
        // The content is dropped after the response. If it is malformed, nothing after it is served.
        let mut client = server.connect();
        client.send(request("POST", "/", "Transfer-Encoding: chunked\r\n") + "xyz\r\n" + &get("/page.html"));
        assert_eq!(client.response().status, 405);
        client.expect_eof();
    }

    /// RFC 9112 §2.2.
    fn ignores_empty_lines_before_a_request(server: &TestServer) {
        let mut client = server.connect();
        assert_eq!(client.fetch(format!("\r\n\r\n{}", get("/notes.txt"))).status, 200);
        assert_eq!(client.fetch(format!("\r\n{}", get("/notes.txt"))).status, 200);
        client.finish();
    }

    fn responds_to_a_client_that_has_shut_down_writing(server: &TestServer) {
        for rest in ["", "GET /never-compl"] {
            let mut client = server.connect();
            client.send(get("/large.bin") + &get("/notes.txt") + rest);
            client.shutdown_write();
            assert!(client.response().body == server.site.large, "other bytes than the file's");
            assert_eq!(client.response().text(), "notes\n");
            client.expect_eof();
        }
        let mut client = server.connect();
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc");
        client.shutdown_write();
        assert_eq!(client.response().status, 405);
        client.expect_eof();
    }

    fn an_early_error_arrives_while_the_client_still_sends(server: &TestServer) {
        let eight = 8 * 1024 * 1024;
        let declared = request("POST", "/notes.txt", &format!("Content-Length: {eight}\r\n"));
        check_early_response(server, &declared, &[b'x'; 1024], 405, true);
        let chunked = request("POST", "/notes.txt", "Transfer-Encoding: chunked\r\n");
        let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
        check_early_response(server, &chunked, chunk.as_bytes(), 405, false);
        check_early_response(server, "garbage\r\n\r\n", &[b'x'; 1024], 400, true);
    }

    fn drops_a_body_of_the_maximum_size(server: &TestServer) {
        let mut client = server.connect();
        let body = "x".repeat(1024 * 1024);
        let post = request("POST", "/notes.txt", &format!("Content-Length: {}\r\n", body.len())) + &body;
        for _ in 0..2 {
            let reply = client.fetch(&post);
            assert_eq!((reply.status, reply.close), (405, false));
        }
        client.finish();
    }

    /// A file server needs no content.
    fn sends_no_100_continue(server: &TestServer) {
        let expect = "Content-Length: 3\r\nExpect: 100-continue\r\n";
        let mut client = server.connect();
        // The content has been sent already: the connection stays open.
        client.send(request("POST", "/notes.txt", expect) + "abc");
        let reply = client.response();
        assert_eq!((reply.status, reply.close), (405, false));
        client.send(request("GET", "/notes.txt", expect) + "abc");
        assert_eq!(client.response().text(), "notes\n");
        // The client may send the content or not.
        client.send(request("POST", "/notes.txt", expect));
        let reply = client.response();
        assert_eq!((reply.status, reply.close), (405, true));
        client.send("abc".to_owned() + &get("/notes.txt"));
        client.finish();
    }

    fn survives_clients_that_disconnect(server: &TestServer) {
        for bytes in ["", "\n", "G", "GET / HTTP/1.1\r\n", &get("/large.bin"), &get("/large.bin").repeat(50)]
        {
            let mut client = server.connect();
            client.send(bytes);
            drop(client);
        }
        let mut client = server.connect();
        assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n");
        client.finish();
    }
}
