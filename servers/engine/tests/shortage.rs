//! A process without free descriptors. A test program of its own, because the limit is the same for all of its threads.

#![allow(clippy::expect_used, reason = "this whole crate is tests")]

use http_engine::{Engine, Request, Settings};
use http_testing::{
    client::get,
    server::{InProcessServer, settings},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;

/// A new connection then replaces the connection that has been idle longest.
#[test]
fn idle_connections_make_room_for_new_ones() {
    for engine in [Engine::EventLoop, Engine::Blocking] {
        let settings = Settings { workers: 1, ..settings() };
        let server = InProcessServer::start(engine, settings, |_: &Request<'_>| "served");
        let connect = || {
            let mut client = server.connect();
            assert_eq!(client.fetch(get("/")).text(), "served");
            client
        };
        let mut first = connect();
        let is_free = |number: &u64| !Path::new(&format!("/proc/self/fd/{number}")).exists();
        let before = getrlimit(Resource::Nofile);
        // Each client takes two descriptors. The last finds one, and its connection none.
        let current = (0..).filter(is_free).nth(5);
        setrlimit(Resource::Nofile, Rlimit { current, ..before }).expect("a lower limit");
        let clients = [(); 3].map(|()| connect());
        first.expect_eof();
        setrlimit(Resource::Nofile, before).expect("the limit before");
        drop(clients);
    }
}
