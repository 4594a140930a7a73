//! The questions that the lab answers, and the answers of one run. A question is left out if its cells were not
//! measured. A difference within the spread of the rounds does not count as a win.

use super::architectures::Architecture;
use super::metric::Metric;
use super::results::{Cell, Results};
use super::workloads::Workload;

/// A question, and its answer from one run.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// The question, with its question mark.
    pub question: &'static str,
    /// The answer, with its numbers.
    pub answer: String,
}

/// The questions that this run can answer.
pub fn lessons(results: &Results) -> Vec<Lesson> {
    let lesson = |question, answer: Option<String>| Some(Lesson { question, answer: answer? });
    let (threads, one) = (Architecture::Threads, Architecture::Loop);
    [
        lesson("When do threads win?", wins(results, threads, one)),
        lesson("When does the event loop win?", wins(results, one, threads)),
        lesson("What does prefork cost, and what does it buy?", prefork(results)),
        lesson("What does one computation, inline, do to an event loop?", inline(results)),
        lesson("What does an idle client cost?", idle(results)),
        lesson("What do slow clients cost?", slow(results)),
        lesson("What do a thousand simultaneous waits cost?", waits(results)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The least ratio that counts as a win, because a run of one round has no spread to compare with.
const LEAD: f64 = 1.05;

/// The cells in which one architecture answers more requests than another, beyond the spread, and by how much.
fn wins(results: &Results, winner: Architecture, loser: Architecture) -> Option<String> {
    let duels: Vec<(&Cell, &Cell)> = results
        .cells
        .iter()
        .filter(|cell| cell.architecture == winner.id())
        .filter_map(|cell| Some((cell, results.cell(&cell.workload, loser.id(), cell.connections)?)))
        .filter(|(cell, other)| [cell, other].iter().all(|cell| cell.spread(Metric::Throughput).is_some()))
        .collect();
    let won = duels.iter().filter_map(|(cell, other)| {
        let (ours, theirs) = (cell.spread(Metric::Throughput)?, other.spread(Metric::Throughput)?);
        let title = Workload::named(&cell.workload)?.title;
        let is_won = ours.low > theirs.high && ours.middle > theirs.middle * LEAD;
        is_won.then(|| format!("{title} at {} (× {:.2})", cell.connections, ours.middle / theirs.middle))
    });
    let won: Vec<String> = won.collect();
    let (winner, loser, count, of) = (winner.title(), loser.title(), won.len(), duels.len());
    match (of, count) {
        (0, _) => None,
        (_, 0) => Some(format!("{winner} was faster than {loser} in none of {of} cells.")),
        _ => Some(format!("{winner} was faster than {loser} in {count} of {of} cells: {}.", won.join("; "))),
    }
}

/// Compares prefork with the same engine in one process, at the largest number of connections.
fn prefork(results: &Results) -> Option<String> {
    let compare = |prefork: Architecture, plain: Architecture| {
        let most = results.of_workload("hello").map(|cell| cell.connections).max()?;
        let cell = |architecture: Architecture| results.cell("hello", architecture.id(), most);
        let ratio = |metric| Some(cell(prefork)?.median(metric)? / cell(plain)?.median(metric)?);
        let memory = |architecture| Some(Metric::Memory.format(cell(architecture)?.median(Metric::Memory)?));
        Some(format!(
            "{}, against {}, at {most} connections: {} MiB instead of {}, × {:.2} the requests, × {:.2} the CPU for each",
            prefork.title(),
            plain.title(),
            memory(prefork)?,
            memory(plain)?,
            ratio(Metric::Throughput)?,
            ratio(Metric::Cpu)?
        ))
    };
    let pairs = [
        compare(Architecture::PreforkThreads, Architecture::Threads),
        compare(Architecture::PreforkLoops, Architecture::Loops),
    ];
    let costs: Vec<String> = pairs.into_iter().flatten().collect();
    let buys = "The numbers do not show the benefit: a worker that crashes loses only its own connections";
    (!costs.is_empty()).then(|| format!("{}. {buys}.", costs.join("; ")))
}

fn inline(results: &Results) -> Option<String> {
    let p99 = |architecture, workload| median(results, workload, architecture, Metric::P99);
    let of = |architecture: Architecture| {
        let alone = p99(architecture, "beside-none")?;
        let (offloaded, inline) =
            (p99(architecture, "beside-offloaded")?, p99(architecture, "beside-inline")?);
        let title = architecture.title();
        Some(format!("{title} {alone} ms alone, {offloaded} offloaded, {inline} inline"))
    };
    let each = [Architecture::Loop, Architecture::Loops, Architecture::Threads].into_iter().filter_map(of);
    let each: Vec<String> = each.collect();
    let what =
        "The 99th percentile of a bystander's latency, while four clients have ten milliseconds of work done";
    (!each.is_empty()).then(|| format!("{what}: {}.", each.join("; ")))
}

fn idle(results: &Results) -> Option<String> {
    let of = |architecture: Architecture| {
        let memory = median(results, "beside-idle", architecture, Metric::MemoryEach)?;
        let threads = median(results, "beside-idle", architecture, Metric::Threads)?;
        Some(format!("{} {memory} KiB each, {threads} threads in all", architecture.title()))
    };
    listed("A thousand idle connections", of)
}

fn slow(results: &Results) -> Option<String> {
    let of = |architecture: Architecture| {
        let busy = median(results, "beside-slow", architecture, Metric::Busy)?;
        let memory = median(results, "beside-slow", architecture, Metric::MemoryEach)?;
        Some(format!("{} {busy} % of its CPU and {memory} KiB each", architecture.title()))
    };
    listed("Five hundred requests that arrive at ten bytes per second", of)
}

fn waits(results: &Results) -> Option<String> {
    let of = |architecture: Architecture| {
        let seconds = median(results, "thousand-waits", architecture, Metric::Elapsed)?;
        let memory = median(results, "thousand-waits", architecture, Metric::Memory)?;
        let threads = median(results, "thousand-waits", architecture, Metric::Threads)?;
        Some(format!("{} {seconds} s, {memory} MiB, {threads} threads", architecture.title()))
    };
    listed("A thousand answers of one second each, asked for at once", of)
}

/// `what: first …; second …`, for the architectures that have numbers.
fn listed(what: &str, of: impl Fn(Architecture) -> Option<String>) -> Option<String> {
    let each: Vec<String> = Architecture::ALL.into_iter().filter_map(of).collect();
    (!each.is_empty()).then(|| format!("{what}: {}.", each.join("; ")))
}

/// The median of a workload that has a single number of connections.
fn median(results: &Results, workload: &str, architecture: Architecture, metric: Metric) -> Option<String> {
    let cell = results.of_workload(workload).find(|cell| cell.architecture == architecture.id())?;
    Some(metric.format(cell.median(metric)?))
}
