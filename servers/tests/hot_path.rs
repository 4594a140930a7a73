//! What a request of a file server allocates between two system calls: nothing, when the file is known.
//!
//! A test binary of its own, because it replaces the global allocator by one that counts, thread by thread.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

#[path = "../benches/site/mod.rs"]
mod site;

use site::Site;
use std::hint::black_box;

/// Asks a warm server a hundred times, and counts.
fn check(name: &str, allocations_each: u64) {
    const TIMES: u64 = 100;
    let mut site = Site::new();
    let questions = site.questions();
    let question = questions.iter().find(|question| question.name == name).expect("a question of this name");
    let counted = allocation_counter::measure(|| {
        black_box((0..TIMES).map(|_| site.ask(&question.request)).sum::<usize>());
    });
    assert_eq!(counted.count_total, TIMES * allocations_each, "{name}: {counted:?}");
}

#[test]
fn a_known_file_is_answered_without_an_allocation() {
    check("small", 0);
    check("large", 0);
    check("head", 0);
    check("not-modified", 0);
}

#[test]
fn what_is_not_there_costs_its_page() {
    check("missing", 1);
}
