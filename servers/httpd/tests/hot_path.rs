//! What a request of a file server allocates between two system calls: nothing, when its path is known.
//!
//! A test binary of its own, because it replaces the global allocator by one that counts, thread by thread.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

#[path = "../benches/site/mod.rs"]
mod site;

use site::Site;
use std::hint::black_box;

/// Asks a warm server a hundred times, and counts.
fn check(name: &str) {
    let mut site = Site::new();
    let questions = site.questions();
    let question = questions.iter().find(|question| question.name == name).expect("a question of this name");
    let counted = allocation_counter::measure(|| {
        black_box((0..100).map(|_| site.ask(&question.request)).sum::<usize>());
    });
    assert_eq!(counted.count_total, 0, "{name}: {counted:?}");
}

#[test]
fn what_is_known_is_answered_without_an_allocation() {
    check("small");
    check("large");
    check("head");
    check("not-modified");
    check("missing");
}
