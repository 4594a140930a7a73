//! The results of a run, as stored in a file: every round of every cell, and what is needed to repeat the run.
//!
//! The file holds samples, not medians, so that a reader can see the spread and use another statistic.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::metric::Metric;

/// The version of the file format. A file of another version is rejected.
pub const VERSION: u32 = 1;

/// The results of one run of the lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`VERSION`] of the program that wrote the file.
    pub version: u32,
    /// The machine and the date.
    pub machine: Machine,
    /// The settings of the run.
    pub settings: Settings,
    /// The programs with their versions.
    pub programs: Vec<String>,
    /// A cell for each workload, architecture and number of connections.
    pub cells: Vec<Cell>,
}

/// The machine, and the start time of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The start time in UTC, in the format of RFC 3339.
    pub date: String,
    /// The model name of the CPU.
    pub cpu: String,
    /// The number of CPUs.
    pub cpus: usize,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Kernel name, release and architecture.
    pub kernel: String,
    /// The load average of the minute before the run: near 0 if the machine was quiet.
    pub load_before: f64,
}

/// How the run was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Measurements of each cell.
    pub rounds: usize,
    /// The duration of each measurement, in seconds.
    pub seconds: f64,
    /// Event loops, or processes, of the architectures that have several.
    pub workers: usize,
    /// The CPUs of the servers.
    pub server_cpus: Vec<usize>,
    /// The CPUs of the driver; the same as the servers' if there is only one CPU.
    pub driver_cpus: Vec<usize>,
}

/// One workload on one architecture with one number of connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// [`Workload::id`](super::Workload::id).
    pub workload: String,
    /// [`Architecture::id`](super::Architecture::id).
    pub architecture: String,
    /// Connections that the driver kept busy; for a bystander, the number of its neighbours.
    pub connections: usize,
    /// One for each round.
    pub samples: Vec<Sample>,
    /// What went wrong, if anything; then no number of this cell counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// One measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Time from the first request to the last answer.
    pub seconds: f64,
    /// Right answers.
    pub requests: u64,
    /// Median latency, in microseconds.
    pub p50_micros: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub p99_micros: f64,
    /// Whether the driver sent requests at a steady rate, so that the throughput says nothing about the server.
    pub paced: bool,
    /// CPU time of the server per request, in microseconds.
    pub cpu_micros: f64,
    /// The share of its CPUs that the server used.
    pub server_busy: f64,
    /// The share of its time that the busiest thread of the driver was on the CPU.
    pub driver_busy: f64,
    /// The server's memory under load, in bytes; shared pages are counted once.
    pub memory_bytes: u64,
    /// The server's memory before the load, in bytes.
    pub memory_before_bytes: u64,
    /// Threads of all the server's processes under load.
    pub threads: usize,
    /// Voluntary context switches per request.
    pub waits: f64,
    /// Involuntary context switches per request.
    pub preemptions: f64,
    /// Right answers by worker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workers: BTreeMap<String, u64>,
}

/// The median and the extremes of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub low: f64,
    /// The median.
    pub middle: f64,
    /// The largest.
    pub high: f64,
}

/// Why a file of results could not be used.
#[derive(Debug)]
pub enum Unusable {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is not valid JSON of this format.
    Malformed(serde_json::Error),
    /// It has another version.
    Version(u64),
}

impl Results {
    /// Reads a file that [`write`](Results::write) has written.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not such a file.
    pub fn read(path: &Path) -> Result<Results, Unusable> {
        Results::parse(&fs::read_to_string(path).map_err(Unusable::Unreadable)?)
    }

    /// Parses the text of such a file.
    ///
    /// # Errors
    ///
    /// If the text is malformed or of another version.
    pub fn parse(json: &str) -> Result<Results, Unusable> {
        /// The only field to read before the version is known.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let Versioned { version } = serde_json::from_str(json).map_err(Unusable::Malformed)?;
        if version != u64::from(VERSION) {
            return Err(Unusable::Version(version));
        }
        serde_json::from_str(json).map_err(Unusable::Malformed)
    }

    /// Writes the results as JSON.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_string_pretty(self)? + "\n")
    }

    /// The cells of a workload.
    pub fn of_workload<'r>(&'r self, workload: &'r str) -> impl Iterator<Item = &'r Cell> {
        self.cells.iter().filter(move |cell| cell.workload == workload)
    }

    /// The cell of this workload, architecture and number of connections.
    pub fn cell(&self, workload: &str, architecture: &str, connections: usize) -> Option<&Cell> {
        let wanted = (workload, architecture, connections);
        self.cells.iter().find(|cell| cell.place() == wanted)
    }
}

impl Cell {
    /// The key of the cell: workload, architecture, connections.
    pub fn place(&self) -> (&str, &str, usize) {
        (&self.workload, &self.architecture, self.connections)
    }

    /// The spread of one metric; `None` if the cell failed or the metric does not apply.
    pub fn spread(&self, metric: Metric) -> Option<Spread> {
        if self.failure.is_some() {
            return None;
        }
        let values = self.samples.iter().map(|sample| metric.of(sample, self.connections));
        Spread::of(values.collect::<Option<Vec<f64>>>()?)
    }

    /// The median of one metric.
    pub fn median(&self, metric: Metric) -> Option<f64> {
        self.spread(metric).map(|spread| spread.middle)
    }

    /// Whether the driver was the bottleneck in most rounds; then the server could have done more.
    pub fn is_driver_bound(&self) -> bool {
        let bound = self.samples.iter().filter(|sample| sample.is_driver_bound()).count();
        bound * 2 > self.samples.len()
    }
}

impl Sample {
    fn is_driver_bound(&self) -> bool {
        // If the server was at its limit, too, the driver did not hold it back.
        self.driver_busy > 0.9 && self.server_busy < 0.9
    }
}

impl Spread {
    /// The spread of the values; `None` if there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let middle =
            if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 };
        Some(Spread { low, middle, high })
    }

    /// Half the distance between the extremes, as a share of the median.
    pub fn relative(&self) -> f64 {
        if self.middle == 0.0 { 0.0 } else { (self.high - self.low) / 2.0 / self.middle }
    }

    /// Whether the ranges of the rounds overlap; then the difference may be chance.
    pub fn overlaps(&self, other: &Spread) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Unusable::Malformed(why) => write!(f, "is not a file of lab results: {why}"),
            Unusable::Version(version) => {
                write!(f, "has format version {version}; this program reads version {VERSION}")
            }
        }
    }
}

impl std::error::Error for Unusable {}
