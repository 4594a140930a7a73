//! Clients that disconnect, never read, or send too much: the server bounds what they use, and serves other clients.

use super::start;
use crate::{
    client::{Client, get, request},
    site::Site,
};
use std::{io::Write, thread};

/// How many connections are reset.
const RESETS: usize = 1_000;

/// How many requests a client sends without waiting for responses.
const PIPELINED: usize = 2_000;

/// How many clients send requests and never read a response.
const UNREAD: usize = 50;

/// How much memory, in KiB, the server may use for a client that never reads.
const MAX_KIB_PER_CLIENT: usize = 96;

/// Requests of every kind that can be pipelined: method, target, header lines, and the status of the response.
const MIXED: [(&str, &str, &str, u16); 10] = [
    ("GET", "/notes.txt", "", 200),
    ("HEAD", "/large.bin", "", 200),
    ("GET", "/nowhere", "", 404),
    ("GET", "/dir", "", 301),
    ("POST", "/notes.txt", "Content-Length: 0\r\n", 405),
    ("GET", "/digits.txt", "Range: bytes=5-9\r\n", 206),
    ("GET", "/notes.txt", "If-None-Match: *\r\n", 304),
    ("PROPFIND", "/", "", 501),
    ("GET", "/notes.txt|", "", 301),
    ("HEAD", "/notes.txt?<", "", 301),
];

two_kinds! {
    fn survives_resets_during_downloads(kind: ServerKind) {
        let server = start(kind, &[]);
        for number in 0..RESETS {
            let client = Client::connect_and_send(server.address(), get("/large.bin"));
            // Some connections are reset before the response, some after its first bytes.
            if number % 4 > 0 {
                client.await_status_line();
            }
            client.reset();
        }
        server.check_responsive("after the resets", || {});
        server.check_recovers();
    }

    fn responds_to_pipelined_requests_in_order(kind: ServerKind) {
        let server = start(kind, &[]);
        let requests = || MIXED.iter().cycle().take(PIPELINED).map(|(method, target, headers, status)| {
            (request(method, target, headers), *status)
        });
        let mut client = server.connect();
        let mut sending = client.stream.try_clone().expect("a second handle");
        let all: String = requests().map(|(request, _)| request).collect();
        let sender = thread::spawn(move || sending.write_all(all.as_bytes()));
        for (number, (request, status)) in requests().enumerate() {
            assert_eq!(client.response_to(&request).status, status, "number {number}: {request}");
        }
        sender.join().expect("no panic").expect("the server receives everything");
        client.finish();
        server.check_recovers();
    }

    /// The server stops reading from a client that does not read, which bounds the memory for it. When the client
    /// reads, it receives the responses.
    fn uses_little_memory_for_clients_that_never_read(kind: ServerKind) {
        let server = start(kind, &[]);
        server.bystander();
        let before = server.resources();
        let all = get("/large.bin").repeat(10_000);
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
        server.check_responsive("many requests each, no response read", || {});
        let used = server.resources().resident_kib.saturating_sub(before.resident_kib);
        assert!(used < UNREAD * MAX_KIB_PER_CLIENT, "{used} KiB are used for {UNREAD} clients");
        clients[0].stream.set_nonblocking(false).expect("a socket");
        let site = Site::shared();
        (0..2).for_each(|_| assert!(clients[0].response().body == site.large, "other bytes than the file's"));
        drop(clients);
        server.check_recovers();
    }

    /// The client sends up to 64 MiB. The response arrives meanwhile, although the server reads only some of them.
    fn rejects_oversized_requests_while_they_are_sent(kind: ServerKind) {
        let server = start(kind, &[]);
        for (start, repeated, status) in [
            ("GET / HTTP/1.1\r\nHost: test\r\nX-Large: ", "x", 431),
            ("GET / HTTP/1.1\r\nHost: test\r\n", "X-Many: x\r\n", 431),
            ("GET /", "x", 414),
            ("garbage\r\n\r\n", "x", 400),
            (&request("POST", "/", "Content-Length: 67108864\r\n"), "x", 405),
        ] {
            let mut client = Client::connect_and_send(server.address(), start);
            let mut sending = client.stream.try_clone().expect("a second handle");
            let block = repeated.repeat(64 * 1024 / repeated.len());
            // Sending ends early if the server closes the connection.
            let sender = thread::spawn(move || (0..1024).all(|_| sending.write_all(block.as_bytes()).is_ok()));
            let response = client.try_response().unwrap_or_else(|error| panic!("{error}, in response to {start}"));
            assert_eq!((response.status, response.keeps_alive), (status, false), "{start}");
            drop(client);
            sender.join().expect("no panic");
        }
        server.check_recovers();
    }
}
