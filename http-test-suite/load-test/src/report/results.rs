//! The types of results: samples, not medians, so that a reader sees the spread and can compute another statistic. They
//! never hold a path or a host name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric::Metric;

/// The version of the file format. A file of another version is rejected.
pub const VERSION: u32 = 2;

/// The results of the experiments on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`VERSION`] of the program that wrote the file.
    pub version: u32,
    /// The machine on which all samples were taken.
    pub machine: Machine,
    /// The last run of each experiment, by its name: `architectures`, `servers`.
    pub runs: BTreeMap<String, Run>,
    /// A cell for each workload, subject and number of connections.
    pub cells: Vec<Cell>,
}

/// The machine that was measured on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The model name of the CPU.
    pub cpu: String,
    /// The number of CPUs.
    pub cpus: usize,
    /// Memory in GiB, rounded to a tenth.
    pub memory_gib: f64,
    /// Kernel name, release and architecture.
    pub kernel: String,
}

/// How and when an experiment ran, and what took part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The start time in UTC, in the format of RFC 3339.
    pub date: String,
    /// The load average of the minute before the run: near 0 if the machine was quiet.
    pub load_before: f64,
    /// Measurements of each cell.
    pub rounds: usize,
    /// The duration of each measurement, in seconds.
    pub seconds: f64,
    /// Workers of each subject that can have several.
    pub workers: usize,
    /// The CPUs that the servers are pinned to.
    pub server_cpus: Vec<usize>,
    /// The CPUs that the driver is pinned to; the same as the servers' if there is only one CPU.
    pub driver_cpus: Vec<usize>,
    /// The workloads, in the order of tables and pages.
    pub workloads: Vec<WorkloadLabel>,
    /// The subjects, in the order of tables and legends.
    pub subjects: Vec<SubjectLabel>,
    /// Subjects that did not take part, and why.
    pub left_out: Vec<String>,
}

/// What tables and charts say about a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkloadLabel {
    /// The name in files and on the command line, unique over all experiments.
    pub id: String,
    /// A title of a few words.
    pub title: String,
    /// One or two sentences: what the clients do, and what this shows.
    pub description: String,
    /// The metrics to show, the most important first.
    pub metrics: Vec<Metric>,
    /// The start time of the earlier run that measured this workload; `None` if the run of this label did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_date: Option<String>,
}

/// What tables and charts say about a subject: a server, or a server in one architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubjectLabel {
    /// The name in files and on the command line.
    pub id: String,
    /// The name in tables and legends.
    pub title: String,
    /// The version that the program printed; it never contains a path.
    pub version: String,
    /// The colour in charts.
    pub colour: Colour,
    /// Whether it is a program of this project; tables show it in bold.
    pub is_ours: bool,
}

/// The colour of a subject, the same in all charts. They differ for readers with red-green blindness, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// Dark blue.
    Blue,
    /// Light blue.
    Sky,
    /// Bluish green.
    Green,
    /// Orange red.
    Vermilion,
    /// Orange.
    Orange,
    /// Reddish purple.
    Purple,
    /// Brown.
    Brown,
    /// Dark grey in light mode, light grey in dark mode.
    Grey,
    /// Middle grey.
    Silver,
}

/// One workload on one subject with one number of connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// [`WorkloadLabel::id`].
    pub workload: String,
    /// [`SubjectLabel::id`].
    pub subject: String,
    /// Connections that the driver kept busy or idle; beside other clients, the number of those.
    pub connections: usize,
    /// One sample for each round that succeeded.
    pub samples: Vec<Sample>,
    /// What went wrong, one message for each failed round. A cell with failures has no numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// The measurement of one round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The round, from 1. Samples of the same round were taken within the same minutes.
    pub round: usize,
    /// The metrics that the measurement yields, each in its [unit](Metric::unit).
    pub values: BTreeMap<Metric, f64>,
    /// Correct responses by worker; empty unless the subject names its workers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_worker: BTreeMap<String, u64>,
    /// Requests that had no correct response, by fault.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wrong: BTreeMap<String, u64>,
}

/// The median and the extremes of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest value.
    pub low: f64,
    /// The median; of an even number of values, the mean of the two in the middle.
    pub median: f64,
    /// The largest value.
    pub high: f64,
}

impl Results {
    /// The run to which a workload belongs.
    pub fn run_of(&self, workload: &str) -> Option<&Run> {
        self.runs.values().find(|run| run.workload(workload).is_some())
    }

    /// The cells of a workload, in the order of the file.
    pub fn of_workload<'r>(&'r self, workload: &'r str) -> impl Iterator<Item = &'r Cell> {
        self.cells.iter().filter(move |cell| cell.workload == workload)
    }

    /// The cell with this key: workload, subject, connections.
    pub fn cell(&self, key: (&str, &str, usize)) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.key() == key)
    }

    /// Whether every measurement succeeded and every response was correct.
    pub fn all_correct(&self) -> bool {
        self.cells.iter().all(|cell| cell.failures.is_empty() && cell.wrong().is_empty())
    }
}

impl Run {
    /// The label of the workload with this name.
    pub fn workload(&self, id: &str) -> Option<&WorkloadLabel> {
        self.workloads.iter().find(|label| label.id == id)
    }

    /// The label of the subject with this name.
    pub fn subject(&self, id: &str) -> Option<&SubjectLabel> {
        self.subjects.iter().find(|label| label.id == id)
    }
}

impl Cell {
    /// The key of the cell: workload, subject, connections.
    pub fn key(&self) -> (&str, &str, usize) {
        (&self.workload, &self.subject, self.connections)
    }

    /// The spread of a metric over the rounds; `None` if the cell has failures or a sample lacks the metric.
    pub fn spread(&self, metric: Metric) -> Option<Spread> {
        if !self.failures.is_empty() {
            return None;
        }
        Spread::of(self.samples.iter().map(|sample| sample.value(metric)).collect::<Option<Vec<f64>>>()?)
    }

    /// The median of a metric over the rounds; `None` if it has no [`spread`](Cell::spread).
    pub fn median(&self, metric: Metric) -> Option<f64> {
        self.spread(metric).map(|spread| spread.median)
    }

    /// The ratios of a metric to that of another cell, one for each round that both have.
    ///
    /// A machine that is slower for some minutes is slower for both, so ratios vary less than values. `None` if a cell
    /// has failures, or no round of both has the metric with a base above 0.
    pub fn ratio(&self, base: &Cell, metric: Metric) -> Option<Spread> {
        if !self.failures.is_empty() || !base.failures.is_empty() {
            return None;
        }
        let ratio = |sample: &Sample| {
            let pair = base.samples.iter().find(|pair| pair.round == sample.round)?;
            let (value, base) = (sample.value(metric)?, pair.value(metric)?);
            (base > 0.0).then_some(value / base)
        };
        Spread::of(self.samples.iter().filter_map(ratio).collect())
    }

    /// The requests of all rounds that had no correct response, by fault.
    pub fn wrong(&self) -> BTreeMap<&str, u64> {
        let mut wrong = BTreeMap::new();
        for (fault, count) in self.samples.iter().flat_map(|sample| &sample.wrong) {
            *wrong.entry(fault.as_str()).or_default() += count;
        }
        wrong
    }

    /// Whether in most rounds the driver was at its limit and the server was not: the server could do more.
    pub fn is_driver_bound(&self) -> bool {
        let bound = self.samples.iter().filter(|sample| sample.is_driver_bound()).count();
        bound * 2 > self.samples.len()
    }
}

impl Sample {
    /// The value of a metric, in its unit; `None` if the measurement did not yield it.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Fairness => self.fairness(),
            _ => self.values.get(&metric).copied(),
        }
    }

    /// `None` for a single worker.
    fn fairness(&self) -> Option<f64> {
        let (least, most) = (self.per_worker.values().min()?, self.per_worker.values().max()?);
        (self.per_worker.len() > 1 && *most > 0).then(|| *least as f64 / *most as f64)
    }

    /// Whether the driver was at its limit, and the server was not.
    fn is_driver_bound(&self) -> bool {
        /// From this percentage of its time on the CPU, a program counts as being at its limit.
        const LIMIT: f64 = 95.0;
        let busy = |metric| self.value(metric).unwrap_or(0.0);
        busy(Metric::DriverBusy) > LIMIT && busy(Metric::Busy) < LIMIT
    }
}

impl Spread {
    /// The spread of these values; `None` if there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let is_odd = values.len() % 2 == 1;
        let median = if is_odd { values[half] } else { (values[half - 1] + values[half]) / 2.0 };
        Some(Spread { low, median, high })
    }

    /// Whether the ranges of two spreads overlap; then a difference may be chance.
    pub fn overlaps(&self, other: &Spread) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Makes results of one run with these cells, on two subjects: httpd (ours) and nginx.
    pub(in crate::report) fn results(cells: Vec<Cell>) -> Results {
        let subject = |id: &str, colour, is_ours| {
            let version = format!("{id} 1.2");
            SubjectLabel { id: id.into(), title: id.into(), version, colour, is_ours }
        };
        let run = Run {
            date: "2026-01-02T03:04:05Z".into(),
            rounds: 3,
            seconds: 2.0,
            workers: 1,
            server_cpus: vec![0],
            driver_cpus: vec![1],
            workloads: vec![
                workload("keep-alive", &[Metric::Cpu, Metric::Throughput]),
                workload("crowd", &[Metric::Cpu, Metric::P99]),
            ],
            subjects: vec![subject("httpd", Colour::Blue, true), subject("nginx", Colour::Grey, false)],
            left_out: vec!["h2o: not installed".into()],
            ..Run::default()
        };
        let machine =
            Machine { cpu: "a <fast> one".into(), cpus: 2, memory_gib: 23.5, kernel: "Linux 6".into() };
        Results { version: VERSION, machine, runs: [("servers".into(), run)].into(), cells }
    }

    /// Makes the label of a workload with a title and a description of its own.
    pub(in crate::report) fn workload(id: &str, metrics: &[Metric]) -> WorkloadLabel {
        let (title, description) = (format!("Title of {id}"), format!("Clients do {id}."));
        WorkloadLabel { id: id.into(), title, description, metrics: metrics.into(), earlier_date: None }
    }

    /// Makes a cell whose rounds, numbered from 1, have these values of a metric; a NaN leaves the round out.
    pub(in crate::report) fn cell(key: (&str, &str, usize), metric: Metric, values: &[f64]) -> Cell {
        let rounds = (1..).zip(values).filter(|(_, value)| !value.is_nan());
        let sample = |(round, value): (usize, &f64)| {
            let values = [(metric, *value)].into();
            Sample { round, values, ..Sample::default() }
        };
        let (workload, subject, connections) = (key.0.into(), key.1.into(), key.2);
        Cell { workload, subject, connections, samples: rounds.map(sample).collect(), failures: Vec::new() }
    }

    /// Makes a cell of the workload `keep-alive` with 64 connections, whose rounds have this CPU time.
    pub(in crate::report) fn cpu(subject: &str, values: &[f64]) -> Cell {
        cell(("keep-alive", subject, 64), Metric::Cpu, values)
    }

    const NONE: f64 = f64::NAN;

    #[test]
    fn the_spread_is_the_median_and_the_extremes() {
        let check = |values: &[f64], expected: Option<[f64; 3]>| {
            let spread = cpu("httpd", values).spread(Metric::Cpu);
            assert_eq!(
                spread.map(|Spread { low, median, high }| [low, median, high]),
                expected,
                "{values:?}"
            );
        };
        check(&[5.0, 1.0, 3.0], Some([1.0, 3.0, 5.0]));
        check(&[5.0, 1.0, 3.0, 2.0], Some([1.0, 2.5, 5.0]));
        check(&[7.0], Some([7.0, 7.0, 7.0]));
        check(&[], None);
        let mut partial = cpu("httpd", &[1.0, 2.0]);
        assert_eq!(partial.spread(Metric::P99), None);
        partial.samples[0].values.insert(Metric::P99, 1.0);
        assert_eq!(partial.median(Metric::P99), None, "the second sample lacks it");
    }

    #[test]
    fn a_ratio_compares_samples_of_the_same_round() {
        let check = |ours: &[f64], base: &[f64], expected: Option<[f64; 3]>| {
            let ratio = cpu("httpd", ours).ratio(&cpu("nginx", base), Metric::Cpu);
            let expected = expected.map(|[low, median, high]| Spread { low, median, high });
            assert_eq!(ratio, expected, "{ours:?} {base:?}");
        };
        check(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0], Some([0.5, 0.5, 0.5]));
        // The machine was slower in the second round, for both.
        check(&[1.0, 9.0, 1.0], &[2.0, 10.0, 4.0], Some([0.25, 0.5, 0.9]));
        // Rounds that only one cell has do not count.
        check(&[1.0, NONE, 3.0], &[2.0, 4.0, NONE], Some([0.5, 0.5, 0.5]));
        check(&[1.0, NONE], &[NONE, 4.0], None);
        check(&[1.0], &[], None);
        check(&[1.0], &[0.0], None);
    }

    #[test]
    fn a_cell_with_failures_has_no_numbers() {
        let right = cpu("nginx", &[5.0, 5.0]);
        let failed = Cell { failures: vec!["round 2: refused".into()], ..cpu("httpd", &[5.0]) };
        assert_eq!(failed.spread(Metric::Cpu), None);
        assert_eq!((failed.ratio(&right, Metric::Cpu), right.ratio(&failed, Metric::Cpu)), (None, None));
        assert!(results(vec![right.clone()]).all_correct());
        assert!(!results(vec![right, failed]).all_correct());
    }

    #[test]
    fn adds_the_wrong_responses_of_all_rounds() {
        let mut cell = cpu("httpd", &[5.0, 5.0]);
        cell.samples[0].wrong = [("wrong body".into(), 3), ("timeout".into(), 1)].into();
        cell.samples[1].wrong = [("wrong body".into(), 4)].into();
        assert_eq!(cell.wrong(), [("timeout", 1), ("wrong body", 7)].into());
        assert!(!results(vec![cell]).all_correct());
    }

    #[test]
    fn finds_the_bottleneck() {
        let check = |server: f64, driver: f64, expected: bool| {
            let mut cell = cell(("keep-alive", "httpd", 64), Metric::Busy, &[server, server, 50.0]);
            for sample in &mut cell.samples[..2] {
                sample.values.insert(Metric::DriverBusy, driver);
            }
            assert_eq!(cell.is_driver_bound(), expected, "{server} {driver}");
        };
        check(60.0, 99.0, true);
        check(99.0, 99.0, false);
        check(60.0, 70.0, false);
    }

    #[test]
    fn fairness_compares_the_workers() {
        let check = |workers: &[u64], expected: Option<f64>| {
            let per_worker =
                (0..).zip(workers).map(|(id, count): (u32, _)| (id.to_string(), *count)).collect();
            let sample = Sample { per_worker, ..Sample::default() };
            assert_eq!(sample.value(Metric::Fairness), expected, "{workers:?}");
        };
        check(&[100, 25, 50], Some(0.25));
        check(&[0, 7], Some(0.0));
        check(&[0, 0], None);
        check(&[7], None);
        check(&[], None);
    }
}
