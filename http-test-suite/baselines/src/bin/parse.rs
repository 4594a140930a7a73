//! Compares http-core's parser of request heads with httparse, on the heads of four kinds of clients.
//!
//! Each parser reuses the memory that it writes to. Rounds are interleaved, so that a disturbance of the machine
//! affects all alike.

use clap::Parser;
use http_core::{HeadIndex, Limits, Schemes, framing, head::ParseStatus};
use std::{hint::black_box, num::NonZero, time::Instant};

// The heads of http-core's own benchmarks.
#[path = "../../../benches/src/heads.rs"]
mod heads;

/// The number of headers for which httparse has room.
const HEADERS: usize = 64;

/// Prints how many nanoseconds a request head takes httparse and http-core: the minimum of all rounds, and the median
/// of the rounds' ratios to httparse.
///
/// httparse (`Request::parse`) and http-core (`HeadIndex::parse`) find method, target, header names and values, and
/// check their octets; http-core also limits their lengths. The column `validated` adds `framing::validate`: Host,
/// path, framing and persistence, which httparse leaves to its caller. README.md has all differences.
#[derive(Parser)]
struct Arguments {
    /// Number of rounds
    #[arg(long, value_name = "N", default_value = "51")]
    rounds: NonZero<usize>,

    /// Number of heads parsed in a round
    #[arg(long, value_name = "N", default_value = "20000")]
    heads: NonZero<u32>,
}

fn main() {
    let Arguments { rounds, heads } = Arguments::parse();
    println!("nanoseconds per head, {rounds} rounds of {heads}: minimum, median ratio to httparse");
    println!("{:8} {:>5}  {:>8}  {:>15}  {:>15}", "", "bytes", "httparse", "http-core", "validated");
    for (name, head) in heads::HEADS {
        let costs = measure(head.as_bytes(), rounds.get(), heads.get());
        let [httparse, core, validated] =
            costs.each_ref().map(|costs| costs.iter().copied().fold(f64::INFINITY, f64::min));
        // A disturbance of the machine in one round affects all parsers.
        let ratio = |index: usize| median(costs[index].iter().zip(&costs[0]).map(|(cost, base)| cost / base));
        println!(
            "{name:8} {:5}  {httparse:8.1}  {core:8.1} {:5.2}×  {validated:8.1} {:5.2}×",
            head.len(),
            ratio(1),
            ratio(2),
        );
    }
}

/// The nanoseconds per head in each round: of httparse, of http-core's parser, and of http-core's parser with the
/// validation of the head.
fn measure(head: &[u8], rounds: usize, heads: u32) -> [Vec<f64>; 3] {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut index = HeadIndex::default();
    let limits = Limits::default();
    let mut costs: [Vec<f64>; 3] = Default::default();
    for _ in 0..rounds {
        costs[0].push(time(heads, || {
            let mut request = httparse::Request::new(&mut headers);
            let outcome = request.parse(black_box(head));
            black_box(&request);
            outcome == Ok(httparse::Status::Complete(head.len()))
        }));
        costs[1].push(time(heads, || {
            index.reset();
            let outcome = index.parse(black_box(head), &limits);
            black_box(&index);
            outcome == Ok(ParseStatus::Complete(head.len()))
        }));
        costs[2].push(time(heads, || {
            index.reset();
            let outcome = index.parse(black_box(head), &limits);
            let framing = framing::validate(&mut index, black_box(head), Schemes::Http);
            black_box(&framing).is_ok() && outcome == Ok(ParseStatus::Complete(head.len()))
        }));
    }
    costs
}

/// The average nanoseconds of `parse`, which returns whether it has succeeded.
fn time(heads: u32, mut parse: impl FnMut() -> bool) -> f64 {
    let start = Instant::now();
    for _ in 0..heads {
        assert!(parse(), "every head is a whole request");
    }
    start.elapsed().as_nanos() as f64 / f64::from(heads)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
