//! A connection keeps its promises to its engine, its peer and its application, whatever bytes come.
//!
//! Property: with any bytes in any pieces, any writes, and a peer, an application and a server that may stall, fail or
//! leave, nothing panics, polls are bounded by the octets that move, and memory by the limits and what has been sent.
//! The output is well-formed and each answer is the one that the application gave. A request is served only if a strict
//! reader delimits it the same, and never behind a fault. No complete request is lost. And where nobody stalls, fails or
//! leaves, it makes no difference how the bytes were cut.
//!
//! Input: limits, three pieces, two writes, mood, line feed, as `plan` reads them; then what the peer sends.

#![no_main]

use http_core_fuzz::{
    engine,
    plan::{Mood, Plan},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((line, input)) = data.split_first_chunk() else { return };
    let plan = Plan::of(*line);
    let outcome = engine::run(input, &plan);
    // When a stream fails, as much of what follows was read as had come by then.
    if plan.mood == Mood::Peaceful && outcome.closed.is_some() {
        assert_eq!(outcome, engine::run(input, &plan.uncut()), "it depends on how the bytes are cut");
    }
});
