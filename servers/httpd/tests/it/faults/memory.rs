//! Clients that try to make the server hold memory: with large content, and with connections that count as idle.

use super::start;
use crate::{
    client::{Client, get, request},
    program::ServerKind,
};
use http_engine::Engine;

/// The memory that may stay in use for all connections together: allocators free it late.
const KEPT_KIB: usize = 4 * 1024;

/// Returns how much more memory a server of this kind may use for `connections` idle connections: a thread has a stack.
fn allowed_kib(kind: ServerKind, connections: usize) -> usize {
    let each = match kind.engine() {
        Engine::EventLoop => 1,
        Engine::Blocking => 32,
    };
    KEPT_KIB + connections * each
}

/// Starts a server, and on each of `count` connections posts `length` bytes and then a stray CR. Checks that the server
/// responds with 405, keeps the connections open, and uses little memory for them.
fn check_posts(kind: ServerKind, arguments: &[&str], count: usize, length: usize) {
    let server = start(kind, arguments);
    server.bystander();
    let before = server.resources();
    let head = request("POST", "/", &format!("Content-Length: {length}\r\n"));
    let bytes = [head.as_bytes(), &vec![b'x'; length], b"\r"].concat();
    let post = |_| {
        let mut client = server.connect();
        client.send(&bytes);
        let response = client.response();
        assert_eq!((response.status, response.keeps_alive), (405, true));
        client
    };
    let clients: Vec<Client> = (0..count).map(post).collect();
    server.wait_until_idle();
    let used = server.resources().resident_kib.saturating_sub(before.resident_kib);
    assert!(used < allowed_kib(kind, count), "{used} KiB are used for {count} connections");
    // Each connection still serves a request, behind the CR.
    for mut client in clients {
        client.send("\n");
        assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n");
    }
    server.check_recovers();
}

two_kinds! {
    fn idle_connections_hold_neither_content_nor_buffers(kind: ServerKind) {
        check_posts(kind, &[], 200, 512 * 1024);
    }

    /// With the content in memory, these would need half a gigabyte.
    fn content_below_a_high_limit_is_not_stored(kind: ServerKind) {
        check_posts(kind, &["--max-body", "64M"], 8, 64 * 1024 * 1024);
    }
}
