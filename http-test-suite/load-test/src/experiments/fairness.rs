//! How evenly a server treats its clients, and how evenly it spreads connections over its workers.

use std::io;
use std::thread;

use super::measure::wrong;
use super::requests::Requests;
use crate::load::{self, Load, Stats};
use crate::report::results::Spread;
use crate::report::{Metric, Sample};
use crate::subject::process::Server;
use crate::subject::site::{PAGE, TEXT};

/// The kinds of clients of a mix: the metric of each, what it requests, and whether it keeps its connections alive.
pub(super) const KINDS: [(Metric, Requests, bool); 4] = [
    (Metric::SlowestKept, Requests::File(PAGE), true),
    (Metric::SlowestNew, Requests::File(PAGE), false),
    (Metric::SlowestLarge, Requests::File("/large.html"), true),
    (Metric::SlowestGzip, Requests::Gzip(TEXT), true),
];

/// Runs a load for each of the [`KINDS`], all at the same time, and compares the clients of each kind.
///
/// # Errors
///
/// If a load cannot run, or half of the clients of a kind have no correct response.
pub(super) fn run_mix(loads: &[Load]) -> io::Result<Sample> {
    let results: Vec<io::Result<Stats>> = thread::scope(|scope| {
        let runs: Vec<_> = loads.iter().map(|load| scope.spawn(|| load::run(load, &|_| {}))).collect();
        let panicked = |_| Err(io::Error::other("a load panicked"));
        runs.into_iter().map(|run| run.join().unwrap_or_else(panicked)).collect()
    });
    let mut sample = Sample::default();
    for ((metric, ..), stats) in KINDS.iter().zip(results) {
        let stats = stats?;
        let share = slowest_share(&stats.by_connection);
        let nothing = || io::Error::other(format!("no correct responses: {}", metric.heading()));
        sample.values.insert(*metric, share.ok_or_else(nothing)?);
        for (fault, count) in wrong(&stats) {
            *sample.wrong.entry(fault).or_default() += count;
        }
    }
    Ok(sample)
}

/// The number of responses of the slowest connection as a share of the median; `None` if the median is 0.
fn slowest_share(responses: &[u64]) -> Option<f64> {
    let spread = Spread::of(responses.iter().map(|count| *count as f64).collect())?;
    (spread.median > 0.0).then(|| spread.low / spread.median)
}

/// Runs a load, and counts the connections of each worker of the server at its end.
///
/// # Errors
///
/// If the load or the reading fails, or the workers do not have all connections together.
pub(super) fn spread_over_workers(server: &Server, load: &Load, workers: usize) -> io::Result<Sample> {
    let inspect = || server.processes.connections_by_worker(server.address);
    let (stats, connections) = load::run_and_inspect(load, &|_| {}, inspect)?;
    let connections = connections?;
    let (sum, most) = (connections.iter().sum::<usize>(), connections.iter().max().copied().unwrap_or(0));
    if sum != load.connections {
        let expected = load.connections;
        return Err(io::Error::other(format!("the workers have {sum} connections, not {expected}")));
    }
    let ratio = most as f64 * workers as f64 / sum as f64;
    let values = [(Metric::BusiestWorker, ratio)].into();
    Ok(Sample { values, wrong: wrong(&stats), ..Sample::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_the_slowest_client_with_the_median() {
        assert_eq!(slowest_share(&[100, 30, 60, 60]), Some(0.5));
        assert_eq!(slowest_share(&[0, 10, 10]), Some(0.0));
        assert_eq!((slowest_share(&[0, 0, 9]), slowest_share(&[])), (None, None));
    }
}
