//! Compares http-core's parser of request heads with httparse, on the heads of four kinds of clients.
//!
//! Each parser reuses the memory that it writes to. Rounds are interleaved, so that a disturbance of the machine
//! affects all alike.

use clap::Parser;
use http_core::{HeadIndex, Limits, Schemes, framing, head::ParseStatus};
use std::{hint::black_box, num::NonZero, time::Instant};

// The heads of http-core's own benchmarks.
#[path = "../../../../http-core/benches/protocol/heads.rs"]
mod heads;

/// The number of field lines for which httparse has room.
const FIELDS: usize = 64;

const CONTESTANTS: usize = 3;

/// Prints how many nanoseconds a request head takes httparse and http-core.
///
/// - httparse (`Request::parse`): finds method, target, field names and values, and checks their octets. A line may end
///   with LF alone, a target may contain `#` and octets above ASCII, and no length is limited.
/// - http-core (`HeadIndex::parse`): the same, but lines end with CRLF, targets are visible ASCII without `#`, and
///   target, head and number of fields are limited. It can resume where the bytes ended.
/// - judged (http-core's `HeadIndex::parse` and `framing::validate`): in addition, what a server needs: it recognises the
///   method, splits the target, normalises its path, checks Host, and determines framing and persistence. httparse leaves
///   that to its caller.
///
/// Prints for each the minimum and the median of all rounds, and the median of the rounds' ratios to httparse.
#[derive(Parser)]
#[command(verbatim_doc_comment)]
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
    println!("nanoseconds per head, {rounds} rounds of {heads}: minimum, median, ratio");
    println!("{:8} {:>5}  {:>15}  {:>22}  {:>22}", "", "bytes", "httparse", "http-core", "judged");
    for (name, head) in heads::HEADS {
        let [httparse, core, judged] = measure(head.as_bytes(), rounds.get(), heads.get());
        println!(
            "{name:8} {:5}  {}  {} {:5.2}×  {} {:5.2}×",
            head.len(),
            summary(&httparse),
            summary(&core),
            ratio(&core, &httparse),
            summary(&judged),
            ratio(&judged, &httparse),
        );
    }
}

/// Nanoseconds per head, for each round.
type Costs = Vec<f64>;

/// Measures httparse, http-core's parser, and http-core's parser with the interpretation of the head.
fn measure(head: &[u8], rounds: usize, heads: u32) -> [Costs; CONTESTANTS] {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let (mut index, mut judged) = (HeadIndex::default(), HeadIndex::default());
    let limits = Limits::default();
    let mut costs: [Costs; CONTESTANTS] = Default::default();
    for _ in 0..rounds {
        costs[0].push(time(heads, || {
            let mut request = httparse::Request::new(&mut fields);
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
            judged.reset();
            let outcome = judged.parse(black_box(head), &limits);
            let framing = framing::validate(&mut judged, black_box(head), Schemes::Http);
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

fn summary(costs: &Costs) -> String {
    format!("{:7.1} {:7.1}", costs.iter().copied().fold(f64::INFINITY, f64::min), median(costs.clone()))
}

/// The median of the ratios of single rounds, because a disturbance in a round affects both parsers.
fn ratio(costs: &Costs, others: &Costs) -> f64 {
    median(costs.iter().zip(others).map(|(cost, other)| cost / other).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
