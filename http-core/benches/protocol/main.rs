//! What http-core costs, through its public interface alone: one connection's bytes in and out, without a socket.
//!
//! `cargo bench -p http-core --bench protocol` measures everything, a name behind `--` what has it in its own:
//! `-- parse/cookies`. Each module here is a subject; [`server`] plays the engine where one is needed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement of what went wrong is worth nothing")]
#![expect(clippy::disallowed_methods, reason = "a program may ask what time it is; only the core may not")]

mod chunked;
mod conditional;
mod encode;
mod exchange;
mod heads;
mod parse;
mod path;
mod server;

use criterion::Criterion;
use std::time::Duration;

fn main() {
    // Shorter than criterion's own, so that all of it takes two minutes.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for subject in
        [parse::bench, encode::bench, exchange::bench, chunked::bench, path::bench, conditional::bench]
    {
        subject(&mut criterion);
    }
    criterion.final_summary();
}
