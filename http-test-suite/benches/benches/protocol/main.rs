//! Benchmarks of http-core through its public interface: the bytes of one connection, without a socket.
//!
//! `cargo bench -p benches --bench protocol` measures everything; `-- parse/cookies` measures what has this in its
//! name. Each module is a subject. [`server`] simulates the engine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement of an error is worthless")]

mod chunked;
mod conditional;
mod encode;
mod exchange;
mod parse;
mod path;
mod router;
mod server;

use criterion::Criterion;
use std::time::Duration;

fn main() {
    // Shorter than the defaults, so that all benchmarks take two minutes.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for subject in [
        parse::bench,
        encode::bench,
        exchange::bench,
        chunked::bench,
        path::bench,
        router::bench,
        conditional::bench,
    ] {
        subject(&mut criterion);
    }
    criterion.final_summary();
}
