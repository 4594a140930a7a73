//! http-core's parser of request heads beside httparse, on heads as four kinds of clients send them.
//!
//! Each is shown at its best: what it writes to is made once and used again. Rounds are interleaved, so that whatever
//! else the machine does falls on all alike.

use clap::Parser;
use http_core::{HeadIndex, Limits, Request, head::Progress};
use std::{hint::black_box, num::NonZero, time::Instant};

// The same that http-core's own benchmarks parse.
#[path = "../../../../http-core/benches/protocol/heads.rs"]
mod heads;

/// How many field lines httparse is given room for.
const FIELDS: usize = 64;

const CONTESTANTS: usize = 3;

/// Prints how many nanoseconds a request head takes httparse and http-core.
///
/// - httparse (`Request::parse`): the octets of method, target, field names and values are checked, and each is found.
///   A line may end with LF alone, a target may hold `#` and octets above ASCII, and no length is limited.
/// - http-core (`HeadIndex::parse`): the same, but lines end with CRLF, targets are visible ASCII without `#`, and
///   target, head and number of fields have limits. It could go on where the bytes ended.
/// - judged (http-core's `Request::parse`): and what a server needs besides: method understood, target taken apart,
///   Host checked, framing and persistence decided. httparse leaves that to its caller.
///
/// For each: the least and the median of all rounds, and the median of the rounds' ratios to httparse.
#[derive(Parser)]
#[command(verbatim_doc_comment)]
struct Arguments {
    /// How often each is measured
    #[arg(long, value_name = "N", default_value = "51")]
    rounds: NonZero<usize>,

    /// How many heads are parsed in a round
    #[arg(long, value_name = "N", default_value = "20000")]
    heads: NonZero<u32>,
}

fn main() {
    let Arguments { rounds, heads } = Arguments::parse();
    println!("nanoseconds a head, {rounds} rounds of {heads}: least, median, ratio");
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

/// Nanoseconds a head, for each round.
type Costs = Vec<f64>;

/// httparse, http-core, and http-core with what follows parsing.
fn measure(head: &[u8], rounds: usize, heads: u32) -> [Costs; CONTESTANTS] {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let (mut index, mut judged) = (HeadIndex::default(), HeadIndex::default());
    let (limits, now) = (Limits::default(), Instant::now());
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
            outcome == Ok(Progress::Complete(head.len()))
        }));
        costs[2].push(time(heads, || {
            let outcome = Request::parse(black_box(head), &mut judged, now);
            black_box(&outcome).is_ok()
        }));
    }
    costs
}

/// Nanoseconds that `parse`, which says whether it has succeeded, takes on average.
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

/// Round by round, because what slows one contestant down in a round has most likely slowed down the other.
fn ratio(costs: &Costs, others: &Costs) -> f64 {
    median(costs.iter().zip(others).map(|(cost, other)| cost / other).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
