//! Pictures of results, as SVG: the same colour for the same architecture everywhere, axes with units, and the spread
//! of the rounds beside every median.

mod axis;
mod panel;

use super::architectures::Architecture;
use super::metric::Metric;
use super::results::{Cell, Results, Spread};
use super::table::in_order;
use super::workloads::{self, BYSTANDER_RATE, Scene, Workload};
use panel::{Kind, Panel, Picture};

pub use panel::Undrawn;

/// A picture, for a file of its own or for the page.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// The name of its file, without `.svg`.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it shows, as a sentence.
    pub shows: &'static str,
    /// The workloads in it.
    pub workloads: Vec<&'static Workload>,
    /// The picture itself.
    pub svg: String,
}

/// Draws all pictures that have data, in the order of the report.
///
/// # Errors
///
/// If the plotting backend fails.
pub fn draw(results: &Results) -> Result<Vec<Drawing>, Undrawn> {
    let measured = |workload: &&Workload| results.of_workload(workload.id).any(|cell| cell.failure.is_none());
    let present: Vec<&'static Workload> = workloads::ALL.iter().filter(measured).collect();
    let mut drawings = Vec::new();
    for workload in present.iter().copied().filter(|workload| !workload.is_bystander()) {
        drawings.push(of_workload(results, workload)?);
    }
    let beside: Vec<_> = present.into_iter().filter(|workload| workload.is_bystander()).collect();
    if !beside.is_empty() {
        drawings.push(of_bystander(results, &beside)?);
    }
    for workload in beside.into_iter().filter(|workload| matches!(workload.id, "beside-idle" | "beside-slow"))
    {
        drawings.push(of_workload(results, workload)?);
    }
    Ok(drawings)
}

/// Draws four panels about one workload: lines if there are several numbers of connections, else bars.
fn of_workload(results: &Results, workload: &'static Workload) -> Result<Drawing, Undrawn> {
    let cells = in_order(results.of_workload(workload.id));
    let is_swept = cells.iter().any(|cell| cell.connections != cells[0].connections);
    let metrics = match workload.scene {
        Scene::Busy(_) => [Metric::Throughput, Metric::P99, Metric::Cpu, Metric::Memory],
        Scene::AllAtOnce(_) => [Metric::Elapsed, Metric::Memory, Metric::Threads, Metric::Cpu],
        Scene::Bystander(_) => [Metric::P99, Metric::Busy, Metric::MemoryEach, Metric::Threads],
    };
    let panel = |metric| {
        let kind =
            if is_swept { lines(&cells, metric) } else { Kind::Bars(vec![("", bars(&cells, metric))]) };
        Panel { metric, kind }
    };
    let title = match workload.scene {
        Scene::Bystander(_) => format!("A bystander beside {}", workload.title),
        _ if is_swept => workload.title.to_owned(),
        _ => format!("{} ({} connections)", workload.title, cells[0].connections),
    };
    let panels = metrics.map(panel).into();
    let svg = Picture { title: &title, architectures: seen(&cells), panels }.svg()?;
    Ok(Drawing {
        name: workload.id,
        title: workload.title,
        shows: workload.shows,
        workloads: vec![workload],
        svg,
    })
}

/// Draws the latency of a bystander: a group of bars for each kind of neighbours.
fn of_bystander(results: &Results, beside: &[&'static Workload]) -> Result<Drawing, Undrawn> {
    let cells_of = |workload: &&'static Workload| in_order(results.of_workload(workload.id));
    let group = |workload: &&'static Workload| (workload.title, bars(&cells_of(workload), Metric::P99));
    let groups = Kind::Bars(beside.iter().map(group).collect());
    let all: Vec<&Cell> = beside.iter().flat_map(cells_of).collect();
    let title =
        format!("What neighbours do to a bystander that asks for /hello {BYSTANDER_RATE} times a second");
    let picture = Picture {
        title: &title,
        architectures: seen(&all),
        panels: vec![Panel { metric: Metric::P99, kind: groups }],
    };
    Ok(Drawing {
        name: "bystander",
        title: "A bystander and its neighbours",
        shows: "The latency of a few cheap requests beside other clients. It shows how far the clients of an \
        architecture affect each other.",
        workloads: beside.to_vec(),
        svg: picture.svg()?,
    })
}

/// The architectures that have numbers, in their order.
fn seen(cells: &[&Cell]) -> Vec<Architecture> {
    let has_numbers = |id: &str| {
        cells.iter().any(|cell| cell.architecture == id && cell.failure.is_none() && !cell.samples.is_empty())
    };
    Architecture::ALL.into_iter().filter(|architecture| has_numbers(architecture.id())).collect()
}

fn lines(cells: &[&Cell], metric: Metric) -> Kind {
    let line = |architecture: Architecture| {
        let own = cells.iter().filter(|cell| cell.architecture == architecture.id());
        (architecture, own.filter_map(|cell| Some((cell.connections, cell.spread(metric)?))).collect())
    };
    Kind::Lines(seen(cells).into_iter().map(line).collect())
}

fn bars(cells: &[&Cell], metric: Metric) -> Vec<(Architecture, Spread)> {
    let bar = |cell: &&Cell| Some((Architecture::named(&cell.architecture)?, cell.spread(metric)?));
    cells.iter().filter_map(bar).collect()
}
