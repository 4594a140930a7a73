//! A request whose path is in the cache allocates nothing between two system calls.
//!
//! This is a test binary of its own, because it replaces the global allocator by one that counts per thread.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

#[allow(dead_code, reason = "the benchmark uses the rest")]
#[path = "../benches/memory_server/mod.rs"]
mod memory_server;

use memory_server::MemoryServer;
use std::hint::black_box;

/// Checks that a hundred requests of the case `name` allocate nothing.
fn check(name: &str) {
    let mut server = MemoryServer::new();
    let case = server.case(name);
    let counted = allocation_counter::measure(|| {
        black_box((0..100).map(|_| server.exchange(&case.request)).sum::<usize>());
    });
    assert_eq!(counted.count_total, 0, "{name}: {counted:?}");
}

#[test]
fn a_cached_request_allocates_nothing() {
    for name in ["small", "large", "head", "not-modified", "missing"] {
        check(name);
    }
}
