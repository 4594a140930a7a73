//! Clients that try to make the server hold memory: with large content, and with connections that count as idle.

use super::start;
use crate::client::{Client, get, request};
use http_engine::Engine;

two_kinds! {
    /// Each client posts content that the server does not use: it responds before the content ends. A stray CR follows,
    /// after which the connection is idle. The buffers of the first connections serve those after them.
    fn idle_connections_hold_neither_content_nor_buffers(kind: ServerKind) {
        for (arguments, count, length) in [(&[][..], 200, 128 * 1024), (&["--max-body", "64M"], 4, 64 * 1024 * 1024)] {
            let server = start(kind, arguments);
            let head = request("POST", "/", &format!("Content-Length: {length}\r\n"));
            let bytes = head + &"x".repeat(length - 1);
            let post = |_| {
                let mut client = Client::connect_and_send(server.address(), &bytes);
                let response = client.response();
                assert_eq!((response.status, response.keeps_alive), (405, true));
                client.send("x\r");
                client
            };
            // Returns the connections, and the memory of the server when they have been idle for a second.
            let open = || {
                let clients: Vec<Client> = (0..count).map(post).collect();
                server.check_low_cpu("idle connections", || {});
                (clients, server.resources().resident_kib)
            };
            let ((first, before), (second, after)) = (open(), open());
            // In KiB. Allocators free memory late, and a thread has a stack.
            let each = if kind.engine() == Engine::Blocking { 20 } else { 1 };
            let used = after.saturating_sub(before);
            assert!(used < 2048 + count * each, "{used} KiB are used for {count} connections more");
            // Each connection still serves a request, behind the CR.
            for mut client in first.into_iter().chain(second) {
                client.send("\n");
                assert_eq!(client.fetch(get("/notes.txt")).text(), "notes\n");
            }
            server.check_recovers();
        }
    }
}
