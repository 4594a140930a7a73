//! Slow clients: they do not delay other clients, and the server closes their connections when a timeout expires.

use super::start;
use crate::{
    client::{Client, get, request, wait_for},
    program::{ServerKind, begin_download},
};
use http_testing::server_under_test::raise_descriptor_limit;

/// How many clients send requests slowly.
const SLOW: usize = 150;

/// How many clients request a file and do not read it.
const UNREAD: usize = 30;

/// Opens `count` connections, sends a request on every other one, and leaves all idle. Checks that the server serves
/// other clients meanwhile. A blocking server evicts the connections that have been idle for longest.
fn check_idle(kind: ServerKind, count: usize) {
    let server = start(kind, &[]);
    // The test needs some for other purposes. If the limit is low, fewer connections have to do.
    let count = count.min(raise_descriptor_limit().saturating_sub(200));
    let open = |number| {
        let mut client = server.connect();
        if number % 2 == 0 {
            assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n", "number {number}");
        }
        client
    };
    let idle: Vec<Client> = (0..count).map(open).collect();
    // Connections that send nothing are accepted late (TCP_DEFER_ACCEPT). Others may have been evicted by then.
    wait_for("all connections to be accepted", || {
        let closed = idle.iter().filter(|client| client.is_closed()).count();
        server.has_connections(count - closed).then_some(())
    });
    server.check_responsive("idle connections", || {});
    drop(idle);
    server.check_recovers();
}

two_kinds! {
    fn serves_others_while_heads_arrive_byte_by_byte(kind: ServerKind) {
        let server = start(kind, &[]);
        let head = "GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ";
        let begin = |_| Client::connect_and_send(server.address(), head);
        let mut slow: Vec<Client> = (0..SLOW).map(begin).collect();
        server.wait_for_connections(SLOW);
        server.check_responsive("heads that arrive byte by byte", || {
            slow.iter_mut().for_each(|client| client.send("x"));
        });
        drop(slow);
        server.check_recovers();
    }

    fn serves_others_while_downloads_are_not_read(kind: ServerKind) {
        let server = start(kind, &[]);
        let unread: Vec<Client> = (0..UNREAD).map(|_| begin_download(server.address(), "/huge.bin")).collect();
        server.check_responsive("downloads that no client reads", || {});
        drop(unread);
        server.check_recovers();
    }

    fn serves_others_while_downloads_are_limited(kind: ServerKind) {
        let server = start(kind, &["--bandwidth", "1K", "--bandwidth-per-client", "100K"]);
        let limited: Vec<Client> = (0..UNREAD).map(|_| begin_download(server.address(), "/huge.bin")).collect();
        server.check_responsive("limited downloads", || {});
        drop(limited);
        server.check_recovers();
    }

    /// The clients keep their connections open, so the server must close them.
    fn closes_connections_whose_timeouts_expire(kind: ServerKind) {
        let (short, idle) = (["--head-timeout", "1", "--body-timeout", "1s"], ["--idle-timeout", "900ms"]);
        let server = start(kind, &[&short[..], &idle, &["--write-timeout", "1"]].concat());
        let half = request("POST", "/notes.txt", "Content-Length: 10\r\n") + "half";
        let beginnings = [("GET / HTTP/1.1\r\nX-Slow: ", 408), (&half, 405), (&get("/notes.txt"), 200)];
        let begin = |(bytes, _): &(&str, u16)| Client::connect_and_send(server.address(), bytes);
        let mut slow: Vec<Client> = beginnings.iter().cycle().take(SLOW).map(begin).collect();
        let _unread: Vec<Client> = (0..UNREAD).map(|_| begin_download(server.address(), "/huge.bin")).collect();
        for (client, (_, status)) in slow.iter_mut().zip(beginnings.iter().cycle()) {
            assert_eq!(client.response().status, *status);
            client.expect_eof();
        }
        server.check_recovers();
    }

    fn serves_others_while_connections_are_idle(kind: ServerKind) {
        check_idle(kind, 500);
    }

    /// A blocking server has 1,024 threads, so it must evict connections.
    #[ignore = "heavy: .ci/deep"]
    fn serves_others_while_thousands_of_connections_are_idle(kind: ServerKind) {
        check_idle(kind, 5_000);
    }
}
