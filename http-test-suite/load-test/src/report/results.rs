//! The types of results: samples, not medians, so that a reader sees the spread and can compute another statistic. They
//! never hold a path or a host name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::metric::{Metric, rounds};

/// The version of the file format. A file of another version is rejected.
pub const VERSION: u32 = 2;

/// The results of the experiments on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The file format: [`VERSION`] of the program that wrote the file.
    pub version: u32,
    /// The machine on which all samples were taken.
    pub machine: Machine,
    /// The last run of each experiment, by its name: `architectures`, `servers`.
    pub runs: BTreeMap<String, Run>,
    /// The measurements: a [`Cell`] for each workload, subject and number of connections.
    pub cells: Vec<Cell>,
}

/// The machine on which samples were taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The model name of the CPU.
    pub cpu: String,
    /// The number of CPUs that the program may use.
    pub cpus: usize,
    /// The memory of the machine in GiB, rounded to a tenth.
    pub memory_gib: f64,
    /// The name, release and architecture of the kernel.
    pub kernel: String,
}

/// A run of an experiment: when and how it ran, and which workloads and subjects took part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The start time in UTC, in the format of RFC 3339.
    pub date: String,
    /// The load average of the minute before the run: near 0 if the machine was quiet.
    pub load_before: f64,
    /// How often each [`Cell`] was measured.
    pub rounds: usize,
    /// The duration of each measurement, in seconds.
    pub seconds: f64,
    /// The number of workers of each subject that can have several, unless a workload says otherwise.
    pub workers: usize,
    /// The numbers of the CPUs that the servers are pinned to.
    pub server_cpus: Vec<usize>,
    /// The numbers of the CPUs that the load driver is pinned to; the same as the servers' if there is only one CPU.
    pub driver_cpus: Vec<usize>,
    /// The workloads, in the order of tables and pages.
    pub workloads: Vec<WorkloadLabel>,
    /// The subjects, in the order of tables and legends.
    pub subjects: Vec<SubjectLabel>,
    /// What was not measured, and why: a subject whose program is missing, or a workload that a subject does not
    /// support.
    pub left_out: Vec<String>,
}

/// What tables and charts say about a workload, so that the results file explains itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkloadLabel {
    /// The name in files and on the command line, unique over all experiments.
    pub id: String,
    /// The title of the workload, a few words.
    pub title: String,
    /// One or two sentences: what the clients do, and what this shows.
    pub description: String,
    /// The metrics that tables and charts of the workload show, the most important first.
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
    /// The name of the subject in tables and legends.
    pub title: String,
    /// The version that the program printed, or else its name; never a path.
    pub version: String,
    /// The colour of the subject in charts.
    pub colour: Colour,
    /// Whether it is a program of this project; tables show it in bold.
    pub is_ours: bool,
}

/// The colour of a subject in all charts. Readers with red-green blindness can tell the colours apart, too. The values
/// below are those of light mode; `plot.css` has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// Dark blue, `#0072b2`: httpd, and the demo application with one event loop.
    Blue,
    /// Light blue, `#56b4e9`: several event loops, httpd with worker processes, and servers on Rust libraries.
    Sky,
    /// Bluish green, `#009e73`: event loops in processes, and lighttpd.
    Green,
    /// Orange red, `#d55e00`: blocking threads, and blocking httpd with worker processes.
    Vermilion,
    /// Orange, `#e69f00`: blocking threads in processes, and httpd with its blocking engine.
    Orange,
    /// Reddish purple, `#cc79a7`: h2o.
    Purple,
    /// Brown, `#7a4b1e`: Apache.
    Brown,
    /// Dark grey, `#4d555e` (light grey in dark mode): nginx.
    Grey,
    /// Middle grey, `#afb8c1`: the bare loop, a program that does the least that any server does.
    Silver,
}

/// The measurements of one workload on one subject with one number of connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The [`WorkloadLabel::id`] of the workload.
    pub workload: String,
    /// The [`SubjectLabel::id`] of the subject.
    pub subject: String,
    /// The number of connections of the load driver, busy or idle; for a bystander, the number of the other clients.
    pub connections: usize,
    /// One sample for each round that succeeded.
    pub samples: Vec<Sample>,
    /// What went wrong, one message for each failed round. A cell with failures has no numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// The measurement of a [`Cell`] in one round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The number of the round, from 1. Samples of the same round were taken within the same minutes.
    pub round: usize,
    /// The metrics that the measurement yields, each in the unit of its [heading](Metric::heading).
    pub values: BTreeMap<Metric, f64>,
    /// The number of responses of each worker; empty unless the subject names its workers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_worker: BTreeMap<String, u64>,
    /// The number of requests that had no correct response, for each fault.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wrong: BTreeMap<String, u64>,
}

/// The median and the extremes of a value over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest value of the rounds.
    pub low: f64,
    /// The median; of an even number of values, the mean of the two in the middle.
    pub median: f64,
    /// The largest value of the rounds.
    pub high: f64,
}

impl Results {
    /// The label of the workload with this id, and the run that it belongs to.
    pub fn workload(&self, id: &str) -> Option<(&Run, &WorkloadLabel)> {
        let mut labels =
            self.runs.values().flat_map(|run| run.workloads.iter().map(move |label| (run, label)));
        labels.find(|(_, label)| label.id == id)
    }

    /// The label of the subject of a cell; `None` if no run describes it.
    pub fn subject(&self, cell: &Cell) -> Option<&SubjectLabel> {
        self.workload(&cell.workload)?.0.subject(&cell.subject)
    }

    /// The labels of the workloads of a run that have cells.
    pub fn measured<'r>(&'r self, run: &'r Run) -> impl Iterator<Item = &'r WorkloadLabel> {
        run.workloads.iter().filter(|label| self.of_workload(&label.id).next().is_some())
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
        self.cells.iter().all(|cell| cell.faults().is_empty())
    }
}

impl Run {
    /// The label of the subject with this id; `None` if it did not take part in the run.
    pub fn subject(&self, id: &str) -> Option<&SubjectLabel> {
        self.subjects.iter().find(|label| label.id == id)
    }

    /// Says which CPUs the servers and the driver used, how many rounds there were, and the days of measurement.
    pub fn conditions(&self) -> String {
        let list = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let earlier = self.workloads.iter().filter_map(|label| label.earlier_date.as_deref());
        let days = earlier.chain([&*self.date]).map(|date| date.split('T').next().unwrap_or(date));
        let days: Vec<&str> = days.collect::<BTreeSet<_>>().into_iter().collect();
        format!(
            "servers on CPU {}, driver on CPU {}, {}, {}",
            list(&self.server_cpus),
            list(&self.driver_cpus),
            if self.rounds == 1 {
                rounds(1)
            } else {
                format!("medians of {} interleaved rounds", self.rounds)
            },
            days.join(" and ")
        )
    }
}

impl Cell {
    /// The key of the cell: workload, subject, connections.
    pub fn key(&self) -> (&str, &str, usize) {
        (&self.workload, &self.subject, self.connections)
    }

    /// The spread of a metric over the rounds; `None` if the cell has failures or a sample lacks the metric.
    pub fn spread(&self, metric: Metric) -> Option<Spread> {
        let values: Option<Vec<f64>> = self.samples.iter().map(|sample| sample.value(metric)).collect();
        values.filter(|_| self.failures.is_empty()).and_then(Spread::of)
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
        let ratio = |sample: &Sample| {
            let pair = base.samples.iter().find(|pair| pair.round == sample.round)?;
            let (value, base) = (sample.value(metric)?, pair.value(metric)?);
            (base > 0.0).then_some(value / base)
        };
        let ratios = self.samples.iter().filter_map(ratio).collect();
        if self.failures.is_empty() && base.failures.is_empty() { Spread::of(ratios) } else { None }
    }

    /// The number of requests in all rounds that had no correct response, for each fault.
    pub fn wrong(&self) -> BTreeMap<&str, u64> {
        let mut wrong = BTreeMap::new();
        for (fault, count) in self.samples.iter().flat_map(|sample| &sample.wrong) {
            *wrong.entry(fault.as_str()).or_default() += count;
        }
        wrong
    }

    /// What went wrong, in words: each failure, and each kind of wrong response with its number.
    pub fn faults(&self) -> Vec<String> {
        let failures = self.failures.iter().map(|failure| format!("FAILED {failure}"));
        failures.chain(self.wrong().iter().map(|(fault, count)| format!("{count} × {fault}"))).collect()
    }

    /// Whether in most rounds the load driver was at its limit and the server was not: the server could do more. In an
    /// open loop, also whether the delays of the driver make up most of the latencies.
    pub fn is_driver_bound(&self) -> bool {
        /// From this percentage of its time on the CPU, a program counts as being at its limit.
        const LIMIT: f64 = 95.0;
        let is_limited = |sample: &Sample, metric| sample.value(metric).is_some_and(|busy| busy > LIMIT);
        let is_late = |sample: &Sample| match (sample.value(Metric::DriverDelay), sample.value(Metric::P99)) {
            (Some(delay), Some(latency)) => delay > latency / 2.0,
            _ => false,
        };
        let is_bound = |sample: &&Sample| {
            is_late(sample) || is_limited(sample, Metric::DriverBusy) && !is_limited(sample, Metric::Busy)
        };
        self.samples.iter().filter(is_bound).count() * 2 > self.samples.len()
    }
}

/// Writes `workload / subject / connections`.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {} / {}", self.workload, self.subject, self.connections)
    }
}

impl Sample {
    /// The value of a metric, in its unit; `None` if the measurement did not yield it.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        if metric != Metric::Fairness {
            return self.values.get(&metric).copied();
        }
        let (least, most) = (self.per_worker.values().min()?, self.per_worker.values().max()?);
        (self.per_worker.len() > 1 && *most > 0).then(|| *least as f64 / *most as f64)
    }
}

impl Spread {
    /// The spread of these values; `None` if there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let median = (values[values.len() / 2] + values[(values.len() - 1) / 2]) / 2.0;
        Some(Spread { low, median, high })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The results that tests use, as in a file: every figure has numbers in them, and some cells have faults.
    pub(in crate::report) const FILE: &str = include_str!("../../tests/report/results.json");

    /// Reads [`FILE`].
    pub(in crate::report) fn results() -> Results {
        Results::parse(FILE).unwrap()
    }

    /// Makes a cell whose rounds, numbered from 1, have these values of a metric; a NaN leaves the round out.
    pub(in crate::report) fn cell(metric: Metric, values: &[f64]) -> Cell {
        let rounds = (1..).zip(values).filter(|(_, value)| !value.is_nan());
        let sample = |(round, value): (usize, &f64)| {
            let values = [(metric, *value)].into();
            Sample { round, values, ..Sample::default() }
        };
        let samples = rounds.map(sample).collect();
        Cell { workload: "crowd".into(), subject: "nginx".into(), connections: 64, samples, failures: vec![] }
    }

    #[test]
    fn the_spread_is_the_median_and_the_extremes() {
        let check = |values: &[f64], expected: Option<[f64; 3]>| {
            let spread = cell(Metric::Cpu, values).spread(Metric::Cpu);
            assert_eq!(spread.map(|spread| [spread.low, spread.median, spread.high]), expected, "{values:?}");
        };
        check(&[5.0, 1.0, 3.0], Some([1.0, 3.0, 5.0]));
        check(&[5.0, 1.0, 3.0, 2.0], Some([1.0, 2.5, 5.0]));
        check(&[], None);
        let mut cell = cell(Metric::Cpu, &[1.0, 2.0]);
        cell.samples[0].values.insert(Metric::P99, 1.0);
        assert_eq!(cell.median(Metric::P99), None, "the second sample lacks it");
        cell.failures.push("round 3: refused".into());
        assert_eq!(cell.median(Metric::Cpu), None);
    }

    #[test]
    fn a_ratio_compares_samples_of_the_same_round() {
        const NONE: f64 = f64::NAN;
        let check = |ours: &[f64], base: &[f64], expected: Option<[f64; 3]>| {
            let [mut ours, base] = [ours, base].map(|values| cell(Metric::Cpu, values));
            let ratio = ours.ratio(&base, Metric::Cpu).map(|ratio| [ratio.low, ratio.median, ratio.high]);
            assert_eq!(ratio, expected, "{ours:?} {base:?}");
            ours.failures.push("round 2: refused".into());
            assert_eq!((ours.ratio(&base, Metric::Cpu), base.ratio(&ours, Metric::Cpu)), (None, None));
        };
        // The machine was slower in the second round, for both.
        check(&[1.0, 9.0, 1.0], &[2.0, 10.0, 4.0], Some([0.25, 0.5, 0.9]));
        // Rounds that only one cell has do not count.
        check(&[1.0, NONE, 3.0], &[2.0, 4.0, NONE], Some([0.5, 0.5, 0.5]));
        check(&[1.0, NONE], &[NONE, 4.0], None);
        check(&[1.0], &[0.0], None);
    }

    #[test]
    fn the_driver_is_the_bottleneck_if_only_it_was_busy_in_most_rounds() {
        let check = |server: f64, driver: f64, expected: bool| {
            let mut cell = cell(Metric::Busy, &[server, server, 50.0]);
            for sample in &mut cell.samples[..2] {
                sample.values.insert(Metric::DriverBusy, driver);
            }
            assert_eq!(cell.is_driver_bound(), expected, "{server} {driver}");
        };
        check(60.0, 99.0, true);
        check(99.0, 99.0, false);
        check(60.0, 70.0, false);
        let mut cell = cell(Metric::P99, &[1.0, 1.0, 1.0]);
        let mut check = |delays: [f64; 3], expected: bool| {
            for (sample, delay) in cell.samples.iter_mut().zip(delays) {
                sample.values.insert(Metric::DriverDelay, delay);
            }
            assert_eq!(cell.is_driver_bound(), expected, "{delays:?}");
        };
        check([0.6, 0.1, 0.6], true);
        check([0.4, 0.4, 0.6], false);
    }

    #[test]
    fn fairness_compares_the_workers() {
        let check = |workers: &[u64], expected: Option<f64>| {
            let per_worker = workers.iter().enumerate().map(|(id, count)| (id.to_string(), *count)).collect();
            let sample = Sample { per_worker, ..Sample::default() };
            assert_eq!(sample.value(Metric::Fairness), expected, "{workers:?}");
        };
        check(&[100, 25, 50], Some(0.25));
        check(&[0, 0], None);
        check(&[7], None);
    }
}
