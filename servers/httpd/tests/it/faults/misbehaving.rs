//! Clients that break the rules or disconnect: the server rejects them or bounds what they use, and serves other
//! clients.

use crate::{
    client::{Client, get, request},
    faults::start,
    server_under_test::{ServerUnderTest, connect_and_send},
    site::Site,
};
use socket2::SockRef;
use std::{
    io::{Read, Write},
    net::SocketAddr,
    thread,
    time::Duration,
};

/// How many connections are reset.
const RESETS: usize = 10_000;

/// How many requests a client sends without waiting for responses.
const PIPELINED: usize = 10_000;

/// How many clients send a large body one after the other.
const POSTS: usize = 100;

/// How many clients send requests and never read a response.
const UNREAD: usize = 50;

/// How much memory, in KiB, the server may use for a client that never reads.
const MAX_KIB_PER_CLIENT: usize = 96;

/// The start of a TLS connection: a record with a ClientHello.
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03\x7f\x1d\r\n\x00\x9c\0\0\0\0\r\n\r\n";

/// The targets of pipelined requests, each with the status and the body of its response. The body of a 404 is not
/// compared.
const TARGETS: [(&str, u16, &str); 4] = [
    ("/notes.txt", 200, "notes\n"),
    ("/digits.txt", 200, "0123456789abcdefghijklmnopqrstuvwxyz"),
    ("/nowhere", 404, ""),
    ("/style.css", 200, "p { color: red }\n"),
];

/// Returns [`PIPELINED`] requests for [`TARGETS`] in turn.
fn pipeline() -> String {
    TARGETS.iter().cycle().take(PIPELINED).map(|(target, ..)| get(target)).collect()
}

/// Sends `start`, then `repeated` over and over up to 64 MiB. Checks that a response with `status` arrives meanwhile,
/// and that it closes the connection.
fn check_early_error(address: SocketAddr, start: &str, repeated: &str, status: u16) {
    let mut client = Client::connect(address);
    client.send(start);
    let mut sending = client.stream.try_clone().expect("a second handle");
    let block = repeated.repeat(64 * 1024 / repeated.len());
    // Sending ends early if the server closes the connection.
    let sender = thread::spawn(move || (0..1024).all(|_| sending.write_all(block.as_bytes()).is_ok()));
    let reply = client.try_response().unwrap_or_else(|error| panic!("{error}, in response to {start}"));
    assert_eq!((reply.status, reply.close), (status, true), "{start}");
    drop(client);
    sender.join().expect("no panic");
}

/// Sends `bytes` on a new connection. Checks that the server responds with 400 and closes the connection.
fn check_bad_request(server: &ServerUnderTest, bytes: &[u8]) {
    let mut client = server.connect();
    client.send(bytes);
    let reply = client.response();
    assert_eq!((reply.status, reply.close), (400, true), "{}", bytes.escape_ascii());
    client.expect_eof();
}

http_testing::both_engines! {
    fn survives_ten_thousand_resets_during_downloads(kind: ServerKind) {
        let server = start(kind);
        for number in 0..RESETS {
            let mut stream = connect_and_send(server.address(), get("/large.bin"));
            // Some connections are reset before the response, some after its first bytes.
            if number % 4 > 0 {
                stream.read_exact(&mut [0; 15]).expect("the response begins");
            }
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
        }
        server.check_responsive("after 10,000 resets", || {});
        server.check_recovers();
    }

    fn sends_complete_responses_after_a_half_close(kind: ServerKind) {
        let (server, site) = (start(kind), Site::shared());
        let connect = |_| {
            let mut client = server.connect();
            client.send(get("/large.bin") + &get("/notes.txt"));
            client.shutdown_write();
            client
        };
        for mut client in (0..20).map(connect).collect::<Vec<_>>() {
            assert!(client.response().body == site.large, "other bytes than the file's");
            assert_eq!(client.response().text(), "notes\n");
            client.expect_eof();
        }
        server.check_recovers();
    }

    fn responds_to_ten_thousand_pipelined_requests_in_order(kind: ServerKind) {
        let server = start(kind);
        let mut client = server.connect();
        let mut sending = client.stream.try_clone().expect("a second handle");
        let sender = thread::spawn(move || sending.write_all(pipeline().as_bytes()));
        for (number, (target, status, body)) in TARGETS.iter().cycle().take(PIPELINED).enumerate() {
            let reply = client.response();
            assert_eq!(reply.status, *status, "number {number}: {target}");
            assert!(reply.status != 200 || reply.text() == *body, "number {number}: {reply:?}");
        }
        sender.join().expect("no panic").expect("the server receives everything");
        client.finish();
        server.check_recovers();
    }

    /// The server stops reading from a client that does not read, which bounds the memory for it.
    fn uses_little_memory_for_clients_that_never_read(kind: ServerKind) {
        let server = start(kind);
        server.bystander();
        let before = server.resources();
        let all = get("/large.bin").repeat(PIPELINED);
        let connect = |_| Client::connect_with_small_buffer(server.address());
        let mut clients: Vec<Client> = (0..UNREAD).map(connect).collect();
        let mut sent = [0; UNREAD];
        // Each client sends until the server reads no more.
        let mut progress = 1;
        while progress > 0 {
            progress = 0;
            for (client, sent) in clients.iter_mut().zip(&mut sent) {
                client.stream.set_nonblocking(true).expect("a socket");
                let count = client.stream.write(&all.as_bytes()[*sent..]).unwrap_or(0);
                (*sent, progress) = (*sent + count, progress + count);
            }
            server.wait_until_idle();
        }
        server.check_responsive("10,000 requests each, no response read", || {});
        let used = server.resources().resident_kib.saturating_sub(before.resident_kib);
        eprintln!("{kind:?}: {used} KiB used, for {} KiB of requests", sent.iter().sum::<usize>() / 1024);
        assert!(used < UNREAD * MAX_KIB_PER_CLIENT, "{used} KiB are used for {UNREAD} clients");
        drop(clients);
        server.check_recovers();
    }

    fn rejects_bytes_that_are_not_http(kind: ServerKind) {
        let server = start(kind);
        let noise: Vec<u8> = (0..=255).cycle().take(4096).collect();
        for _ in 0..50 {
            check_bad_request(&server, TLS_HELLO);
            check_bad_request(&server, &noise);
            check_bad_request(&server, b"\0\0\0\0\r\n\r\n");
            check_bad_request(&server, b"SSH-2.0-client\r\n\r\n");
        }
        server.check_recovers();
    }

    fn rejects_oversized_requests_while_they_are_sent(kind: ServerKind) {
        let server = start(kind);
        let check = |start: &str, repeated: &str, status| {
            check_early_error(server.address(), start, repeated, status);
        };
        for _ in 0..5 {
            check("GET / HTTP/1.1\r\nHost: test\r\nX-Large: ", "x", 431);
            check("GET / HTTP/1.1\r\nHost: test\r\n", "X-Many: x\r\n", 431);
            check("GET /", "x", 414);
            check(&request("POST", "/", "Content-Length: 67108864\r\n"), "x", 405);
        }
        server.check_recovers();
    }

    /// Simple clients send everything before they read the response.
    fn responds_to_every_post_of_eight_megabytes(kind: ServerKind) {
        let server = start(kind);
        let body = vec![b'x'; 8 * 1024 * 1024];
        let head = request("POST", "/notes.txt", &format!("Content-Length: {}\r\n", body.len()));
        for number in 0..POSTS {
            let mut client = server.connect();
            client.send(&head);
            client.send(&body);
            let reply = client.try_response().unwrap_or_else(|error| panic!("{error}, number {number}"));
            assert!(matches!(reply.status, 405 | 413), "number {number}: {reply:?}");
            client.finish();
        }
        server.check_recovers();
    }
}
