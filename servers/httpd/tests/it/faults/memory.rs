//! Clients that try to make the server hold memory: with large content, and with connections that count as idle.

use super::start;
use crate::client::{Client, get, request};
use http_engine::Engine;

/// The memory that may stay in use for all connections together: allocators free it late.
const KEPT_KIB: usize = 4 * 1024;

two_kinds! {
    /// Each client posts content that the server does not use, and then a stray CR, after which the connection is idle.
    /// With the content in memory, the second server would need half a gigabyte.
    fn idle_connections_hold_neither_content_nor_buffers(kind: ServerKind) {
        for (arguments, count, length) in [(&[][..], 200, 512 * 1024), (&["--max-body", "64M"], 8, 64 * 1024 * 1024)] {
            let server = start(kind, arguments);
            server.bystander();
            let before = server.resources();
            let head = request("POST", "/", &format!("Content-Length: {length}\r\n"));
            let bytes = [head.as_bytes(), &vec![b'x'; length], b"\r"].concat();
            let post = |_| {
                let mut client = Client::connect_and_send(server.address(), &bytes);
                let response = client.response();
                assert_eq!((response.status, response.keeps_alive), (405, true));
                client
            };
            let clients: Vec<Client> = (0..count).map(post).collect();
            server.wait_until_idle();
            let used = server.resources().resident_kib.saturating_sub(before.resident_kib);
            // A thread has a stack.
            let each = if kind.engine() == Engine::Blocking { 32 } else { 1 };
            assert!(used < KEPT_KIB + count * each, "{used} KiB are used for {count} connections");
            // Each connection still serves a request, behind the CR.
            for mut client in clients {
                client.send("\n");
                assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n");
            }
            server.check_recovers();
        }
    }
}
