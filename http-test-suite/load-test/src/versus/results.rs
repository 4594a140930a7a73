//! The results of a run, as stored in a file: every round of every cell, and what is needed to repeat the run. Each
//! ratio compares two measurements of the same round.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::rivals::Version;
use crate::lab::results::{Machine, Settings, Spread};
use crate::load::Fault;

/// The version of the file format.
pub const VERSION: u32 = 1;

/// From this share of its time on the CPU, the driver counts as the bottleneck.
const BUSY: f64 = 0.95;

/// The results of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// [`VERSION`] of the program that wrote the file.
    pub version: u32,
    /// The machine and the date.
    pub machine: Machine,
    /// The settings of the run.
    pub settings: Settings,
    /// The servers that took part.
    pub servers: Vec<Version>,
    /// Servers that were left out, of all works or of some, and why.
    pub left_out: Vec<String>,
    /// A cell for each work, point and server.
    pub cells: Vec<Cell>,
}

/// One work at one point on one server.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// [`Work::id`](super::Work::id).
    pub work: String,
    /// [`Point::name`](super::works::Point::name).
    pub point: String,
    /// [`Rival::id`](super::Rival::id).
    pub server: String,
    /// The measurements, for each round that gave numbers.
    pub rounds: Vec<Round>,
    /// What went wrong in the other rounds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// One measurement, and its round.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// The round, from 1. Measurements of the same round were made within the same minutes.
    pub round: usize,
    /// The numbers.
    #[serde(flatten)]
    pub sample: Sample,
}

/// The numbers of one measurement.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Sample {
    /// A load of requests. The warm-up does not count, except for latencies and wrong answers.
    Load {
        /// The duration, in seconds.
        seconds: f64,
        /// Right answers during that time.
        requests: u64,
        /// Right answers per second.
        per_second: f64,
        /// CPU time of all the server's processes per right answer.
        cpu_micros: f64,
        /// Median latency.
        p50_micros: f64,
        /// 99th percentile of the latency.
        p99_micros: f64,
        /// The share of the CPUs it could use that the server used.
        server_busy: f64,
        /// The share of its time that the busiest thread of the driver was on the CPU.
        driver_busy: f64,
        /// Requests that were not answered rightly, by what went wrong.
        wrong: BTreeMap<Fault, u64>,
    },
    /// Idle connections, each of which has sent one request.
    Idle {
        /// The number of connections.
        connections: usize,
        /// Memory of all the server's processes before the first connection (Pss).
        start_bytes: u64,
        /// Memory while all connections were open.
        full_bytes: u64,
        /// Memory that each connection added.
        each_bytes: f64,
        /// Requests that were not answered rightly, by what went wrong.
        wrong: BTreeMap<Fault, u64>,
    },
    /// Starts of the program.
    Start {
        /// The median time from spawning the program to the head of its first answer.
        median_millis: f64,
        /// The times of all starts, ascending.
        millis: Vec<f64>,
    },
}

/// A number that can be read from some samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// The cost of a request, a connection or a start. See [`Work::cost`](super::Work::cost).
    Cost,
    /// Right answers per second.
    Throughput,
    /// Median latency, in microseconds.
    P50,
    /// The 99th percentile of the latency, in microseconds.
    P99,
    /// Memory of a server before its first connection, in bytes.
    StartMemory,
}

impl Results {
    /// Writes the results as JSON.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_string_pretty(self)? + "\n")
    }

    /// Whether every answer was right, and every server could be measured.
    pub fn all_right(&self) -> bool {
        self.cells.iter().all(|cell| cell.failures.is_empty() && cell.wrong() == 0)
    }

    /// The cells of a work.
    pub fn of_work<'r>(&'r self, work: &'r str) -> impl Iterator<Item = &'r Cell> {
        self.cells.iter().filter(move |cell| cell.work == work)
    }

    /// The ratio of a number of a cell to that number of another server, in the same work at the same point.
    pub fn ratio(&self, cell: &Cell, to: &str, number: Number) -> Option<Spread> {
        cell.ratio(self.cell((&cell.work, &cell.point, to))?, number)
    }

    /// The cell with this key: work, point, server.
    pub fn cell(&self, place: (&str, &str, &str)) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.place() == place)
    }
}

impl Cell {
    /// Makes an empty cell.
    pub fn at((work, point, server): (&str, &str, &str)) -> Cell {
        let [work, point, server] = [work, point, server].map(str::to_owned);
        Cell { work, point, server, rounds: Vec::new(), failures: Vec::new() }
    }

    /// The key of the cell: work, point, server.
    pub fn place(&self) -> (&str, &str, &str) {
        (&self.work, &self.point, &self.server)
    }

    /// The spread of one number over the rounds; `None` unless all rounds have it.
    pub fn spread(&self, number: Number) -> Option<Spread> {
        let numbers = self.rounds.iter().map(|round| round.sample.number(number));
        Spread::of(numbers.collect::<Option<Vec<f64>>>()?)
    }

    /// The ratios of a number to that number of another cell, over the rounds that both have.
    pub fn ratio(&self, other: &Cell, number: Number) -> Option<Spread> {
        let ratio = |round: &Round| {
            let pair = other.rounds.iter().find(|pair| pair.round == round.round)?;
            let (value, base) = (round.sample.number(number)?, pair.sample.number(number)?);
            // A cost of zero or less cannot be a base.
            (base > 0.0).then_some(value / base)
        };
        Spread::of(self.rounds.iter().filter_map(ratio).collect())
    }

    /// The failed requests of all rounds.
    pub fn wrong(&self) -> u64 {
        self.faults().values().sum()
    }

    /// The failed requests of all rounds by fault.
    pub fn faults(&self) -> BTreeMap<Fault, u64> {
        let mut faults = BTreeMap::new();
        for (fault, count) in self.rounds.iter().flat_map(|round| round.sample.wrong()) {
            *faults.entry(*fault).or_default() += count;
        }
        faults
    }

    /// Whether the driver was the bottleneck in most rounds; then the server could have answered more.
    pub fn is_driver_bound(&self) -> bool {
        let bound = |round: &&Round| match round.sample {
            // If the server was at its limit, too, the driver did not hold it back.
            Sample::Load { server_busy, driver_busy, .. } => driver_busy > BUSY && server_busy < BUSY,
            _ => false,
        };
        self.rounds.iter().filter(bound).count() * 2 > self.rounds.len()
    }
}

impl Sample {
    fn number(&self, number: Number) -> Option<f64> {
        match (self, number) {
            (Sample::Load { cpu_micros, .. }, Number::Cost) => Some(*cpu_micros),
            (Sample::Load { per_second, .. }, Number::Throughput) => Some(*per_second),
            (Sample::Load { p50_micros, .. }, Number::P50) => Some(*p50_micros),
            (Sample::Load { p99_micros, .. }, Number::P99) => Some(*p99_micros),
            (Sample::Idle { each_bytes, .. }, Number::Cost) => Some(*each_bytes),
            (Sample::Idle { start_bytes, .. }, Number::StartMemory) => Some(*start_bytes as f64),
            (Sample::Start { median_millis, .. }, Number::Cost) => Some(*median_millis),
            _ => None,
        }
    }

    fn wrong(&self) -> impl Iterator<Item = (&Fault, &u64)> {
        match self {
            Sample::Load { wrong, .. } | Sample::Idle { wrong, .. } => Some(wrong),
            Sample::Start { .. } => None,
        }
        .into_iter()
        .flatten()
    }
}

/// Hand-made results for the tests of reports.
#[cfg(test)]
pub(super) mod by_hand {
    use super::*;

    /// Makes a run with these cells.
    pub(in crate::versus) fn results(cells: Vec<Cell>) -> Results {
        let machine =
            Machine { date: "2026-01-01T00:00:00Z".into(), cpu: "a <fast> one".into(), ..Machine::default() };
        let settings =
            Settings { rounds: 3, seconds: 2.0, workers: 1, server_cpus: vec![0], driver_cpus: vec![1] };
        let servers = vec![Version { server: "httpd".into(), version: "httpd 1".into() }];
        Results {
            version: VERSION,
            machine,
            settings,
            servers,
            left_out: vec!["h2o: not installed".into()],
            cells,
        }
    }

    /// Makes a cell whose rounds, numbered from 1, cost this many microseconds; a zero leaves the round out.
    pub(in crate::versus) fn cell(place: (&str, &str, &str), costs: &[f64]) -> Cell {
        let rounds = costs.iter().zip(1..).filter(|(cost, _)| **cost > 0.0);
        let rounds = rounds.map(|(cost, round)| Round { round, sample: load(*cost) }).collect();
        Cell { rounds, ..Cell::at(place) }
    }

    pub(in crate::versus) fn load(cpu_micros: f64) -> Sample {
        Sample::Load {
            seconds: 2.0,
            requests: 2000,
            per_second: 1e6 / cpu_micros,
            cpu_micros,
            p50_micros: 1234.0,
            p99_micros: 5678.0,
            server_busy: 0.5,
            driver_busy: 0.5,
            wrong: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::by_hand::{cell, load, results};
    use super::*;

    const AT: (&str, &str) = ("keep-alive", "");

    #[test]
    fn ratios_compare_measurements_of_the_same_round() {
        let check = |ours: &[f64], theirs: &[f64], expected: Option<[f64; 3]>| {
            let cells = vec![cell((AT.0, AT.1, "httpd"), ours), cell((AT.0, AT.1, "nginx"), theirs)];
            let results = results(cells);
            let ratio = results.ratio(&results.cells[0], "nginx", Number::Cost);
            let expected = expected.map(|[low, middle, high]| Spread { low, middle, high });
            assert_eq!(ratio, expected, "{ours:?} {theirs:?}");
        };
        check(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0], Some([0.5, 0.5, 0.5]));
        // The machine was slower in the second round, for both.
        check(&[1.0, 9.0, 1.0], &[2.0, 10.0, 4.0], Some([0.25, 0.5, 0.9]));
        // Rounds that only one cell has are ignored.
        check(&[1.0, 0.0, 3.0], &[2.0, 4.0, 0.0], Some([0.5, 0.5, 0.5]));
        check(&[1.0, 0.0], &[0.0, 4.0], None);
        check(&[1.0], &[], None);
    }

    #[test]
    fn finds_the_bottleneck() {
        let check = |server: f64, driver: f64, expected: bool| {
            let mut cell = cell((AT.0, AT.1, "httpd"), &[5.0, 5.0, 5.0]);
            for round in &mut cell.rounds[..2] {
                if let Sample::Load { server_busy, driver_busy, .. } = &mut round.sample {
                    (*server_busy, *driver_busy) = (server, driver);
                }
            }
            assert_eq!(cell.is_driver_bound(), expected, "{server} {driver}");
        };
        check(0.6, 0.99, true);
        check(0.99, 0.99, false);
        check(0.6, 0.7, false);
    }

    #[test]
    fn counts_wrong_answers_of_all_rounds() {
        let right = cell((AT.0, AT.1, "nginx"), &[5.0]);
        assert!(results(vec![right.clone()]).all_right());
        let mut wrong = cell((AT.0, AT.1, "httpd"), &[5.0, 5.0]);
        for (round, count) in wrong.rounds.iter_mut().zip([3, 4]) {
            let Sample::Load { wrong, .. } = &mut round.sample else { panic!("{round:?}") };
            wrong.insert(Fault::WrongBody, count);
        }
        assert_eq!((wrong.wrong(), wrong.faults()[&Fault::WrongBody]), (7, 7));
        assert!(!results(vec![right.clone(), wrong]).all_right());
        let failed = Cell { failures: vec!["round 1: no".into()], ..Cell::at((AT.0, AT.1, "httpd")) };
        assert!(!results(vec![right, failed]).all_right());
    }

    #[test]
    fn a_sample_has_the_numbers_of_its_task() {
        let idle = Sample::Idle {
            connections: 5000,
            start_bytes: 1 << 20,
            full_bytes: 2 << 20,
            each_bytes: 209.7,
            wrong: BTreeMap::new(),
        };
        let start = Sample::Start { median_millis: 3.0, millis: vec![2.0, 3.0, 9.0] };
        let all = [Number::Cost, Number::Throughput, Number::P50, Number::P99, Number::StartMemory];
        let check = |sample: &Sample, expected: [Option<f64>; 5]| {
            assert_eq!(all.map(|number| sample.number(number)), expected, "{sample:?}");
        };
        check(&load(5.0), [Some(5.0), Some(200_000.0), Some(1234.0), Some(5678.0), None]);
        check(&idle, [Some(209.7), None, None, None, Some(1_048_576.0)]);
        check(&start, [Some(3.0), None, None, None, None]);
    }
}
