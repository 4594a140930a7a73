//! Peers that keep to no rule: they get what they deserve, and nobody else notices.

use crate::{
    client::{Client, get, request},
    reply::Asked,
    site::Site,
    start,
    subject::{Subject, plain},
};
use socket2::SockRef;
use std::{
    io::{Read, Write},
    net::SocketAddr,
    thread,
    time::Duration,
};

const RESETS: usize = 10_000;
const PIPELINED: usize = 10_000;
const POSTS: usize = 100;

/// Clients that ask and never read, and what the program may hold for each.
const DEAF: usize = 50;
const HELD_KIB: usize = 96;

/// How a connection over TLS begins: a record with a ClientHello.
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03\x7f\x1d\r\n\x00\x9c\0\0\0\0\r\n\r\n";

/// Targets that are asked for in turn, and what each is answered with.
const TURNS: [(&str, u16, &str); 4] = [
    ("/notes.txt", 200, "notes\n"),
    ("/digits.txt", 200, "0123456789abcdefghijklmnopqrstuvwxyz"),
    ("/nowhere", 404, ""),
    ("/style.css", 200, "p { color: red }\n"),
];

fn pipeline() -> String {
    TURNS.iter().cycle().take(PIPELINED).map(|(target, ..)| get(target)).collect()
}

/// Sends something as large as it gets, and reads while it does.
fn check_told_meanwhile(address: SocketAddr, head: &str, piece: &str, status: u16) {
    let mut client = Client::connect(address);
    client.send(head);
    let mut sending = client.stream.try_clone().expect("a second handle");
    let piece = piece.repeat(64 * 1024 / piece.len());
    // 64 MiB, or until the server has lost its patience.
    let sender = thread::spawn(move || (0..1024).all(|_| sending.write_all(piece.as_bytes()).is_ok()));
    let outcome = client.try_reply(Asked::Http11);
    let reply = outcome.unwrap_or_else(|fault| panic!("{fault}, for {head}"));
    assert_eq!((reply.status, reply.close), (status, true), "{head}");
    drop(client);
    sender.join().expect("no panic");
}

fn check_refused(subject: &Subject, bytes: &[u8]) {
    let mut client = subject.connect();
    client.send(bytes);
    let reply = client.reply(Asked::Http11);
    assert_eq!((reply.status, reply.close), (400, true), "{}", bytes.escape_ascii());
    client.ends();
}

http_testing::both_engines! {
    fn ten_thousand_resets_in_mid_transfer(kind: Kind) {
        let subject = start(kind);
        for number in 0..RESETS {
            let mut stream = plain(subject.address(), get("/large.bin"));
            // Some go before the answer has come, some after its first bytes.
            if number % 4 > 0 {
                stream.read_exact(&mut [0; 15]).expect("the answer begins");
            }
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
        }
        subject.watch("after 10,000 resets", || {});
        subject.recovers();
    }

    fn who_has_ended_its_side_gets_the_whole_answer(kind: Kind) {
        let (subject, site) = (start(kind), Site::shared());
        let ask = |_| {
            let mut client = subject.connect();
            client.send(get("/large.bin") + &get("/notes.txt"));
            client.end_sending();
            client
        };
        for mut client in (0..20).map(ask).collect::<Vec<_>>() {
            assert!(client.reply(Asked::Http11).content == site.large, "other bytes than the file's");
            assert_eq!(client.reply(Asked::Http11).text(), "notes\n");
            client.ends();
        }
        subject.recovers();
    }

    fn ten_thousand_requests_in_one_write_are_answered_in_order(kind: Kind) {
        let subject = start(kind);
        let mut client = subject.connect();
        let mut sending = client.stream.try_clone().expect("a second handle");
        let sender = thread::spawn(move || sending.write_all(pipeline().as_bytes()));
        for (number, (target, status, content)) in TURNS.iter().cycle().take(PIPELINED).enumerate() {
            let reply = client.reply(Asked::Http11);
            assert_eq!(reply.status, *status, "number {number}: {target}");
            assert!(reply.status != 200 || reply.text() == *content, "number {number}: {reply:?}");
        }
        sender.join().expect("no panic").expect("the server takes all of them");
        client.finish();
        subject.recovers();
    }

    /// Who asks and does not read is not listened to any longer, so what is held for it is bounded.
    fn ten_thousand_requests_whose_answers_nobody_reads(kind: Kind) {
        let subject = start(kind);
        subject.bystander();
        let before = subject.resources();
        let all = get("/large.bin").repeat(PIPELINED);
        let mut deaf: Vec<Client> = (0..DEAF).map(|_| Client::connect_narrow(subject.address())).collect();
        let mut sent = [0; DEAF];
        // Whatever the program takes, until it takes no more.
        let mut taken = 1;
        while taken > 0 {
            taken = 0;
            for (client, sent) in deaf.iter_mut().zip(&mut sent) {
                client.stream.set_nonblocking(true).expect("a socket");
                let count = client.stream.write(&all.as_bytes()[*sent..]).unwrap_or(0);
                (*sent, taken) = (*sent + count, taken + count);
            }
            subject.comes_to_rest();
        }
        subject.watch("10,000 requests each, whose answers nobody reads", || {});
        let held = subject.resources().resident_kib.saturating_sub(before.resident_kib);
        eprintln!("{kind:?}: {held} KiB held, for {} KiB of requests", sent.iter().sum::<usize>() / 1024);
        assert!(held < DEAF * HELD_KIB, "{held} KiB are held for {DEAF} clients");
        drop(deaf);
        subject.recovers();
    }

    fn what_is_no_http_is_refused(kind: Kind) {
        let subject = start(kind);
        let noise: Vec<u8> = (0..=255).cycle().take(4096).collect();
        for _ in 0..50 {
            check_refused(&subject, TLS_HELLO);
            check_refused(&subject, &noise);
            check_refused(&subject, b"\0\0\0\0\r\n\r\n");
            check_refused(&subject, b"SSH-2.0-client\r\n\r\n");
        }
        subject.recovers();
    }

    fn requests_too_large_are_told_so_while_they_are_sent(kind: Kind) {
        let subject = start(kind);
        let check = |head: &str, piece: &str, status| {
            check_told_meanwhile(subject.address(), head, piece, status);
        };
        for _ in 0..5 {
            check("GET / HTTP/1.1\r\nHost: test\r\nX-Large: ", "x", 431);
            check("GET / HTTP/1.1\r\nHost: test\r\n", "X-Many: x\r\n", 431);
            check("GET /", "x", 414);
            check(&request("POST", "/", "Content-Length: 67108864\r\n"), "x", 413);
            check(&request("POST", "/", "Transfer-Encoding: chunked\r\n"), "8\r\n12345678\r\n", 413);
        }
        subject.recovers();
    }

    /// As simple clients do it: first everything is sent, then the answer is read.
    fn eight_megabytes_for_a_file_are_answered_every_time(kind: Kind) {
        let subject = start(kind);
        let content = vec![b'x'; 8 * 1024 * 1024];
        let head = request("POST", "/notes.txt", &format!("Content-Length: {}\r\n", content.len()));
        for number in 0..POSTS {
            let mut client = subject.connect();
            client.send(&head);
            client.send(&content);
            let outcome = client.try_reply(Asked::Http11);
            let reply = outcome.unwrap_or_else(|fault| panic!("{fault}, number {number}"));
            assert!(matches!(reply.status, 405 | 413), "number {number}: {reply:?}");
            client.finish();
        }
        subject.recovers();
    }
}
