//! What the numbers say, in sentences. Nothing is claimed that the spread of the rounds could explain as well.

use super::architectures::Architecture;
use super::metric::Metric;
use super::results::{Cell, Results, Spread};
use super::workloads::{Scene, Workload};

/// The sentences about one workload, at its largest number of connections.
pub fn findings(results: &Results, workload: &Workload) -> Vec<String> {
    let Some(most) = results.of_workload(workload.id).map(|cell| cell.connections).max() else {
        return Vec::new();
    };
    let cells: Vec<&Cell> =
        results.of_workload(workload.id).filter(|cell| cell.connections == most).collect();
    let metrics: &[Metric] = match workload.scene {
        Scene::Busy(_) => &[Metric::Throughput, Metric::P99, Metric::Cpu, Metric::Memory, Metric::Fairness],
        Scene::AllAtOnce(_) => &[Metric::Elapsed, Metric::Memory, Metric::Threads],
        Scene::Bystander(_) => &[Metric::P99, Metric::Busy, Metric::MemoryEach, Metric::Threads],
    };
    let place = match workload.scene {
        Scene::Bystander(_) => workload.title.to_owned(),
        Scene::Busy(_) | Scene::AllAtOnce(_) => {
            format!("{} connections", Metric::Threads.format(most as f64))
        }
    };
    let measured = metrics.iter().filter_map(|metric| extremes(&cells, *metric, &place));
    let failed = cells.iter().filter_map(|cell| failure(cell));
    measured.chain(failed).collect()
}

/// Who is best, who is worst, and how far apart they are.
fn extremes(cells: &[&Cell], metric: Metric, place: &str) -> Option<String> {
    let mut known: Vec<(&'static str, Spread)> =
        cells.iter().filter_map(|cell| Some((title(cell)?, cell.spread(metric)?))).collect();
    known.sort_by(|(_, a), (_, b)| a.middle.total_cmp(&b.middle));
    if metric.more_is_better() {
        known.reverse();
    }
    let ((best, good), (worst, bad)) = (*known.first()?, *known.last()?);
    if best == worst {
        return Some(format!("{place}, {}: {best} {}.", metric.title(), metric.format(good.middle)));
    }
    if good.overlaps(&bad) {
        return Some(format!("{place}, {}: no difference beyond the spread of the rounds.", metric.title()));
    }
    let (low, high) = (good.middle.min(bad.middle), good.middle.max(bad.middle));
    let ratio = if low > 0.0 { format!(", {:.1} times apart", high / low) } else { String::new() };
    let (name, good, bad) = (metric.title(), metric.format(good.middle), metric.format(bad.middle));
    Some(format!("{place}, {name}: from {good} ({best}) to {bad} ({worst}){ratio}."))
}

fn failure(cell: &Cell) -> Option<String> {
    let why = cell.failure.as_ref()?;
    Some(format!("{} failed: {why}.", title(cell)?))
}

fn title(cell: &Cell) -> Option<&'static str> {
    Architecture::named(&cell.architecture).map(Architecture::title)
}
