//! The conversation: keep-alive and close, pipelining, half-close, faults, answers given before all was asked.

use crate::{
    client::{Client, get, request},
    reply::{Asked, Reply},
    server::TestServer,
};
use std::{
    io::Write,
    thread,
    time::{Duration, SystemTime},
};

/// Requests of every kind that can be pipelined, and the statuses that answer them.
const MIXED: [(&str, &str, &str, u16); 10] = [
    ("GET", "/notes.txt", "", 200),
    ("HEAD", "/large.bin", "", 200),
    ("GET", "/nowhere", "", 404),
    ("GET", "/dir", "", 301),
    ("POST", "/notes.txt", "", 405),
    ("GET", "/digits.txt", "Range: bytes=5-9\r\n", 206),
    ("GET", "/notes.txt", "If-None-Match: *\r\n", 304),
    ("PROPFIND", "/", "", 501),
    ("GET", "/../x", "", 403),
    ("HEAD", "/%zz", "", 400),
];

/// What comes back for a request on a connection of its own, and whether the connection then ends by itself.
fn check_connection(server: &TestServer, version: &str, connection: &str, close: bool) {
    let mut client = server.connect();
    let fields = if connection.is_empty() { String::new() } else { format!("Connection: {connection}\r\n") };
    let reply = client.ask(format!("GET /notes.txt HTTP/{version}\r\nHost: test\r\n{fields}\r\n"));
    assert_eq!((reply.status, reply.close), (200, close), "HTTP/{version} {connection}");
    if close {
        client.ends();
    } else {
        assert_eq!(client.ask(get("/page.html")).status, 200, "HTTP/{version} {connection}");
        client.finish();
    }
}

/// What cannot be understood gets `status`, and what stands behind it is not served.
fn check_fault(server: &TestServer, bytes: &[u8], status: u16) {
    let mut client = server.connect();
    client.send(get("/notes.txt"));
    client.send([bytes, get("/page.html").as_bytes()].concat());
    assert_eq!(client.reply(Asked::Http11).status, 200);
    let outcome = client.try_reply(Asked::Http11);
    let reply = outcome.unwrap_or_else(|fault| panic!("{fault}, for {}", bytes.escape_ascii()));
    assert_eq!((reply.status, reply.close), (status, true), "{}", bytes.escape_ascii());
    client.ends();
}

/// An answer that comes while its request is still being sent, which is never less than 8 MiB. All of it arrives.
fn check_early_answer(server: &TestServer, head: &str, piece: &[u8], status: u16) {
    let mut client = server.connect();
    client.send(head);
    let mut sending = client.stream.try_clone().expect("a second handle");
    let piece = piece.repeat(8 * 1024 * 1024 / piece.len());
    let sender = thread::spawn(move || sending.write_all(&piece));
    let reply = client.reply(Asked::Http11);
    assert_eq!((reply.status, reply.close), (status, true), "{head}");
    client.ends();
    sender.join().expect("no panic").expect("the server takes all that is sent");
}

fn mixed() -> impl Iterator<Item = (String, u16)> {
    MIXED.iter().map(|(method, target, fields, status)| (request(method, target, fields), *status)).cycle()
}

fn check_all_answered(client: &mut Client, count: usize) {
    for (number, (request, status)) in mixed().take(count).enumerate() {
        let outcome = client.try_reply(Asked::by(request.as_bytes()));
        let reply = outcome.unwrap_or_else(|fault| panic!("{fault}, for number {number}: {request}"));
        assert_eq!(reply.status, status, "number {number}: {request}");
    }
}

fn is_recent(reply: &Reply) -> bool {
    let date = reply.field("Date").and_then(|date| httpdate::parse_http_date(date).ok());
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    date.is_some_and(|date| date > now - hour && date < now + hour)
}

http_testing::both_engines! {
    /// That they stand there exactly once is what the reader sees to, on each answer of each test.
    fn every_answer_has_its_server_and_date(server: &TestServer) {
        let mut client = server.connect();
        for (request, status) in mixed().take(MIXED.len()) {
            let reply = client.ask(&request);
            assert_eq!((reply.status, reply.field("Server")), (status, Some(server.name())), "{request}");
            assert!(is_recent(&reply), "{:?}", reply.field("Date"));
        }
        let reply = client.ask("no request\r\n\r\n");
        assert_eq!((reply.status, reply.field("Server")), (400, Some(server.name())));
        assert!(is_recent(&reply), "{:?}", reply.field("Date"));
        client.ends();
    }

    fn connections_are_kept_as_the_version_says(server: &TestServer) {
        check_connection(server, "1.1", "", false);
        check_connection(server, "1.1", "keep-alive", false);
        check_connection(server, "1.1", "close", true);
        check_connection(server, "1.1", "TE, Close", true);
        check_connection(server, "1.0", "", true);
        check_connection(server, "1.0", "close", true);
        check_connection(server, "1.0", "Keep-Alive", false);
        check_connection(server, "1.0", "keep-alive, close", true);
    }

    fn old_clients_need_no_host(server: &TestServer) {
        let mut client = server.connect();
        assert_eq!(client.ask("GET /notes.txt HTTP/1.0\r\n\r\n").text(), "notes\n");
        client.ends();
    }

    fn a_hundred_pipelined_requests_are_answered_in_order(server: &TestServer) {
        let mut client = server.connect();
        client.send(mixed().take(100).map(|(request, _)| request).collect::<String>());
        check_all_answered(&mut client, 100);
        client.finish();
    }

    fn two_thousand_requests_in_one_write(server: &TestServer) {
        let mut client = server.connect();
        let mut sending = client.stream.try_clone().expect("a second handle");
        let all: String = mixed().take(2000).map(|(request, _)| request).collect();
        let sender = thread::spawn(move || sending.write_all(all.as_bytes()));
        check_all_answered(&mut client, 2000);
        sender.join().expect("no panic").expect("the server takes all of them");
        client.finish();
    }

    /// Who asks and does not read is not listened to any longer: what it may make the server hold is bounded.
    fn who_does_not_read_is_not_read_from(server: &TestServer) {
        let mut client = Client::connect_narrow(server.address);
        client.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        let padding = format!("X-Padding: {}\r\n", "p".repeat(8000));
        let request = request("GET", "/large.bin", &padding);
        let (mut asked, mut taken) = (0, request.len());
        while taken == request.len() {
            assert!(asked < 4000, "32 MiB of requests are taken, and not one answer");
            // A write that cannot go on says how far it came, or that it came nowhere.
            taken = client.stream.write(request.as_bytes()).unwrap_or(0);
            asked += usize::from(taken == request.len());
        }
        // It still gets what it asked for, once it reads.
        for _ in 0..asked.min(3) {
            assert!(client.reply(Asked::Http11).content == server.site.large, "other bytes than the file's");
        }
    }

    fn a_request_may_come_byte_by_byte(server: &TestServer) {
        let mut client = server.connect();
        let chunked = "Transfer-Encoding: chunked\r\n";
        let post = request("POST", "/notes.txt", chunked) + "2;x=y\r\nab\r\n0\r\nX: y\r\n\r\n";
        for (request, status) in
            [(get("/notes.txt"), 200), (post, 405), (request("HEAD", "/nowhere", ""), 404)]
        {
            for byte in request.as_bytes() {
                client.send([*byte]);
            }
            assert_eq!(client.reply(Asked::by(request.as_bytes())).status, status, "{request}");
        }
        client.finish();
    }

    fn what_is_no_request_ends_the_connection(server: &TestServer) {
        let one = |line: &str, fields: &str| format!("{line}\r\nHost: test\r\n{fields}\r\n").into_bytes();
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
            (one("POST / HTTP/1.1", "Content-Length: 1048577\r\n"), 413),
            (one("POST / HTTP/1.1", "Expect: the-best\r\n"), 417),
            (one("GET / HTTP/2.0", ""), 505),
            (one(&format!("GET /{} HTTP/1.1", "a".repeat(9000)), ""), 414),
            (one("GET / HTTP/1.1", &format!("X: {}\r\n", "a".repeat(40_000))), 431),
            (one("GET / HTTP/1.1", &"X: a\r\n".repeat(101)), 431),
        ] {
            check_fault(server, &bytes, status);
        }
        let chunk = request("POST", "/", "Transfer-Encoding: chunked\r\n") + "xyz\r\n";
        check_fault(server, chunk.as_bytes(), 400);
    }

    /// RFC 9112 §2.2: empty lines in front of a request are ignored.
    fn empty_lines_in_front_do_no_harm(server: &TestServer) {
        let mut client = server.connect();
        assert_eq!(client.ask(format!("\r\n\r\n{}", get("/notes.txt"))).status, 200);
        assert_eq!(client.ask(format!("\r\n{}", get("/notes.txt"))).status, 200);
        client.finish();
    }

    fn a_client_that_has_ended_its_side_gets_its_answers(server: &TestServer) {
        for rest in ["", "GET /never-compl"] {
            let mut client = server.connect();
            client.send(get("/large.bin") + &get("/notes.txt") + rest);
            client.end_sending();
            assert!(client.reply(Asked::Http11).content == server.site.large, "other bytes than the file's");
            assert_eq!(client.reply(Asked::Http11).text(), "notes\n");
            client.ends();
        }
        let mut client = server.connect();
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc");
        client.end_sending();
        client.ends();
    }

    fn an_early_error_arrives_whole_while_the_client_still_sends(server: &TestServer) {
        let eight = 8 * 1024 * 1024;
        let declared = request("POST", "/notes.txt", &format!("Content-Length: {eight}\r\n"));
        check_early_answer(server, &declared, &[b'x'; 1024], 413);
        let chunked = request("POST", "/notes.txt", "Transfer-Encoding: chunked\r\n");
        check_early_answer(server, &chunked, format!("400\r\n{}\r\n", "x".repeat(1024)).as_bytes(), 413);
        check_early_answer(server, "garbage\r\n\r\n", &[b'x'; 1024], 400);
    }

    fn content_up_to_the_limit_is_taken_before_the_answer(server: &TestServer) {
        let mut client = server.connect();
        let content = "x".repeat(1024 * 1024);
        let post =
            request("POST", "/notes.txt", &format!("Content-Length: {}\r\n", content.len())) + &content;
        for _ in 0..2 {
            let reply = client.ask(&post);
            assert_eq!((reply.status, reply.close), (405, false));
        }
        client.finish();
    }

    fn who_waits_for_leave_to_send_gets_it(server: &TestServer) {
        let mut client = server.connect();
        client.send(request("POST", "/notes.txt", "Content-Length: 3\r\nExpect: 100-continue\r\n"));
        client.await_continue();
        client.send("abc");
        assert_eq!(client.reply(Asked::Http11).status, 405);
        // Who does not wait is not told.
        client.send(request("POST", "/notes.txt", "Content-Length: 3\r\nExpect: 100-continue\r\n") + "abc");
        assert_eq!(client.reply(Asked::Http11).status, 405);
        // And too much is refused instead.
        client.send(request("POST", "/notes.txt", "Content-Length: 9999999\r\nExpect: 100-continue\r\n"));
        assert_eq!(client.reply(Asked::Http11).status, 413);
        client.ends();
    }

    fn clients_that_go_away_do_no_harm(server: &TestServer) {
        for bytes in ["", "\n", "G", "GET / HTTP/1.1\r\n", &get("/large.bin"), &get("/large.bin").repeat(50)]
        {
            let mut client = server.connect();
            client.send(bytes);
            drop(client);
        }
        let mut client = server.connect();
        assert_eq!(client.ask(get("/notes.txt")).text(), "notes\n");
        client.finish();
    }
}
