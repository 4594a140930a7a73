//! Describes the numbers of one workload in sentences. A difference within the spread of the rounds is not reported.

use super::architectures::Architecture;
use super::metric::Metric;
use super::results::{Cell, Results, Spread};
use super::workloads::{Scene, Workload};

/// The findings at the largest number of connections.
#[derive(Clone, Debug)]
pub struct Findings {
    /// `1,000 connections`, or the kind of neighbours.
    pub place: String,
    /// A sentence for each metric that matters for the workload.
    pub sentences: Vec<String>,
}

impl Findings {
    /// The findings about one workload; `None` if it was not measured.
    pub fn of(results: &Results, workload: &Workload) -> Option<Findings> {
        let most = results.of_workload(workload.id).map(|cell| cell.connections).max()?;
        let cells: Vec<&Cell> =
            results.of_workload(workload.id).filter(|cell| cell.connections == most).collect();
        let metrics: &[Metric] = match workload.scene {
            Scene::Busy(_) => {
                &[Metric::Throughput, Metric::P99, Metric::Cpu, Metric::Memory, Metric::Fairness]
            }
            Scene::AllAtOnce(_) => &[Metric::Elapsed, Metric::Memory, Metric::Threads],
            Scene::Bystander(_) => &[Metric::P99, Metric::Busy, Metric::MemoryEach, Metric::Threads],
        };
        let place = match workload.scene {
            Scene::Bystander(_) => workload.title.to_owned(),
            Scene::Busy(_) | Scene::AllAtOnce(_) => {
                format!("{} connections", Metric::Threads.format(most as f64))
            }
        };
        let sentences = metrics.iter().filter_map(|metric| extremes(&cells, *metric)).collect();
        Some(Findings { place, sentences })
    }
}

/// Names the best and the worst architecture by one metric, and the ratio between them.
fn extremes(cells: &[&Cell], metric: Metric) -> Option<String> {
    let mut known: Vec<(&'static str, Spread)> =
        cells.iter().filter_map(|cell| Some((title(cell)?, cell.spread(metric)?))).collect();
    known.sort_by(|(_, a), (_, b)| a.middle.total_cmp(&b.middle));
    if metric.more_is_better() {
        known.reverse();
    }
    let ((best, good), (worst, bad)) = (*known.first()?, *known.last()?);
    let (name, from, to) = (metric.title(), metric.format(good.middle), metric.format(bad.middle));
    if best == worst {
        return Some(format!("{name}: {from} ({best})."));
    }
    if good.overlaps(&bad) {
        return Some(format!("{name}: no difference beyond the spread of the rounds."));
    }
    let (low, high) = (good.middle.min(bad.middle), good.middle.max(bad.middle));
    // A ratio to a value near zero says nothing.
    let ratio = if low > high / 1000.0 { format!(", {:.1} times apart", high / low) } else { String::new() };
    Some(format!("{name}: from {from} ({best}) to {to} ({worst}){ratio}."))
}

fn title(cell: &Cell) -> Option<&'static str> {
    Architecture::named(&cell.architecture).map(Architecture::title)
}
