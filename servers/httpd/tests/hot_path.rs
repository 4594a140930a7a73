//! A request whose path is in the cache allocates nothing between two system calls.
//!
//! This is a test binary of its own, because it replaces the global allocator by one that counts per thread.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use benches::memory_server::MemoryServer;
use http_files::{HeaderRule, HeaderRules, Options, SecurityHeaders};
use std::hint::black_box;

/// Checks that a hundred requests of the case `name` to a server with these options allocate nothing.
fn check(name: &str, options: Options) {
    let mut server = MemoryServer::new(options);
    let case = server.case(name);
    let counted = allocation_counter::measure(|| {
        black_box((0..100).map(|_| server.exchange(&case.request)).sum::<usize>());
    });
    assert_eq!(counted.count_total, 0, "{name}: {counted:?}");
}

#[test]
fn a_cached_request_allocates_nothing() {
    for name in ["small", "large", "head", "not-modified", "missing"] {
        check(name, Options::default());
    }
}

#[test]
fn headers_of_a_cached_file_cost_nothing() {
    for name in ["small", "large", "head", "not-modified"] {
        let mut headers = HeaderRules::security(SecurityHeaders::Strict);
        let rules =
            ["/*.html: X-Page: 1", "X-All: 2", "*.txt: X-Text: 3"].map(|rule| rule.parse().expect("a rule"));
        headers.extend([HeaderRule::smart_cache()].into_iter().chain(rules));
        check(name, Options { headers, cors: "*".parse().ok(), ..Options::default() });
    }
}
