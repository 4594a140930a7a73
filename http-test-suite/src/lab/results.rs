//! What was measured, as it is kept: every round of every cell, and what is needed to measure it again.
//!
//! The file holds samples, not medians: whoever reads it can see the spread, and choose another middle.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::metric::Metric;

/// The version of the file's shape. Another one is refused, not guessed at.
pub const VERSION: u32 = 1;

/// All that a run of the lab found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`VERSION`] when it was written.
    pub version: u32,
    /// Where and when.
    pub machine: Machine,
    /// How.
    pub settings: Settings,
    /// What ran, each with its version.
    pub programs: Vec<String>,
    /// What came of it: a cell for each workload, architecture and number of connections.
    pub cells: Vec<Cell>,
}

/// The machine, and the time at which the run began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// UTC, as RFC 3339 has it.
    pub date: String,
    /// The processor's name for itself.
    pub cpu: String,
    /// How many there are.
    pub cpus: usize,
    /// In bytes.
    pub memory_bytes: u64,
    /// System, release and architecture.
    pub kernel: String,
    /// Processes that wanted a CPU in the minute before, on average: near 0 if the machine was quiet.
    pub load_before: f64,
}

/// How was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Times that each cell was measured.
    pub rounds: usize,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Event loops, or processes, of the architectures that have several.
    pub workers: usize,
    /// The CPUs that servers were bound to.
    pub server_cpus: Vec<usize>,
    /// The CPUs that the driver was bound to; the same ones where there is just one.
    pub driver_cpus: Vec<usize>,
}

/// One workload on one architecture with one number of connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// [`Workload::id`](super::Workload::id).
    pub workload: String,
    /// [`Architecture::id`](super::Architecture::id).
    pub architecture: String,
    /// How many the driver kept busy; for a bystander, how many neighbours it had.
    pub connections: usize,
    /// One for each round.
    pub samples: Vec<Sample>,
    /// What went wrong, if anything did: then no number of this cell counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// One measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Right answers.
    pub requests: u64,
    /// Median latency, in microseconds.
    pub p50_micros: f64,
    /// The latency that one request of a hundred exceeds, in microseconds.
    pub p99_micros: f64,
    /// Whether requests came at a steady pace of the driver's choice, so that their rate says nothing of the server.
    pub paced: bool,
    /// CPU time of the server for each request, in microseconds: so also in seconds for each million.
    pub cpu_micros: f64,
    /// The share of its CPUs that the server used.
    pub server_busy: f64,
    /// The share of its time that the busiest thread of the driver was on the CPU.
    pub driver_busy: f64,
    /// The server's memory under load, in bytes: what its processes share is counted once.
    pub memory_bytes: u64,
    /// The same before the load.
    pub memory_before_bytes: u64,
    /// Threads of all the server's processes under load.
    pub threads: usize,
    /// For each request: how often one of its threads went to sleep.
    pub waits: f64,
    /// For each request: how often one was interrupted in favour of another.
    pub preemptions: f64,
    /// Right answers by the worker that gave them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workers: BTreeMap<String, u64>,
}

/// The middle of what the rounds gave, and how far apart they were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub low: f64,
    /// The median.
    pub middle: f64,
    /// The largest.
    pub high: f64,
}

/// Why a file is of no use.
#[derive(Debug)]
pub enum Unusable {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is no such JSON.
    Malformed(serde_json::Error),
    /// It has another version.
    Version(u64),
}

impl Results {
    /// Reads what [`write`](Results::write) wrote.
    ///
    /// # Errors
    ///
    /// Why the file is of no use.
    pub fn read(path: &Path) -> Result<Results, Unusable> {
        Results::parse(&fs::read_to_string(path).map_err(Unusable::Unreadable)?)
    }

    /// Understands the text of such a file.
    ///
    /// # Errors
    ///
    /// Why it is of no use.
    pub fn parse(json: &str) -> Result<Results, Unusable> {
        /// All that may be asked of a file before its version is known.
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

    /// Writes all of it as JSON.
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

    /// The cell with this place in the plan.
    pub fn cell(&self, workload: &str, architecture: &str, connections: usize) -> Option<&Cell> {
        let wanted = (workload, architecture, connections);
        self.cells.iter().find(|cell| cell.place() == wanted)
    }
}

impl Cell {
    /// Which one it is: workload, architecture, connections.
    pub fn place(&self) -> (&str, &str, usize) {
        (&self.workload, &self.architecture, self.connections)
    }

    /// What the rounds say of one metric; nothing if the cell failed, or has no such number.
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

    /// Whether it was the driver that could do no more in most rounds: then the server could have done better.
    pub fn is_driver_bound(&self) -> bool {
        let bound = self.samples.iter().filter(|sample| sample.is_driver_bound()).count();
        bound * 2 > self.samples.len()
    }
}

impl Sample {
    fn is_driver_bound(&self) -> bool {
        // Where the server had nothing left to give either, it was not the driver that stood in its way.
        self.driver_busy > 0.9 && self.server_busy < 0.9
    }
}

impl Spread {
    /// Of at least one number.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let middle =
            if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 };
        Some(Spread { low, middle, high })
    }

    /// Half the distance between the extremes, as a share of the middle.
    pub fn relative(&self) -> f64 {
        if self.middle == 0.0 { 0.0 } else { (self.high - self.low) / 2.0 / self.middle }
    }

    /// Whether some round here is no better than some round there: then nothing is proven.
    pub fn overlaps(&self, other: &Spread) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Unusable::Malformed(why) => write!(f, "holds no results of the lab: {why}"),
            Unusable::Version(version) => write!(f, "has version {version}, where {VERSION} is understood"),
        }
    }
}

impl std::error::Error for Unusable {}
