//! The plan of a run: what to measure and how thoroughly. Running it also prepares the files and programs.

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::architectures::{Architecture, Surroundings};
use super::programs::Programs;
use super::questions;
use super::results::{Machine, Results, Settings, VERSION};
use super::rounds::{Rounds, Stage};
use super::server::{Cpus, Server, bind_to};
use super::workloads::{self, Workload};

/// What is measured, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The workloads, in order.
    pub workloads: Vec<&'static Workload>,
    /// The architectures, in order.
    pub architectures: Vec<Architecture>,
    /// How often each cell is measured.
    pub rounds: usize,
    /// The duration of each measurement.
    pub time: Duration,
    /// Event loops, or processes, of the architectures that have several.
    pub workers: usize,
    /// Whether to measure only the numbers of connections in [`Workload::quick`].
    pub quick: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            workloads: workloads::ALL.iter().collect(),
            architectures: Architecture::ALL.to_vec(),
            rounds: 3,
            time: Duration::from_millis(900),
            workers: 4,
            quick: false,
        }
    }
}

impl Plan {
    /// A plan of about a minute.
    pub fn quick() -> Plan {
        Plan { rounds: 1, time: Duration::from_millis(500), quick: true, ..Plan::default() }
    }

    /// Keeps only the workloads and architectures with these names. If no architecture is named, all stay; the same for
    /// workloads.
    pub fn only(mut self, names: &[String]) -> Plan {
        let is_named = |id: &str| names.iter().any(|name| name == id);
        if self.workloads.iter().any(|workload| is_named(workload.id)) {
            self.workloads.retain(|workload| is_named(workload.id));
        }
        if self.architectures.iter().any(|architecture| is_named(architecture.id())) {
            self.architectures.retain(|architecture| is_named(architecture.id()));
        }
        self
    }

    /// All names that [`only`](Plan::only) accepts.
    pub fn names() -> Vec<&'static str> {
        let workloads = workloads::ALL.iter().map(|workload| workload.id);
        workloads.chain(Architecture::ALL.map(Architecture::id)).collect()
    }

    /// The number of measurements.
    pub(super) fn measurements(&self, programs: &Programs) -> usize {
        let of = |workload: &&Workload| {
            self.connections(workload).len() * self.competitors(workload, programs).len()
        };
        self.workloads.iter().map(of).sum::<usize>() * self.rounds
    }

    /// The architectures that take part in a workload.
    pub(super) fn competitors(&self, workload: &Workload, programs: &Programs) -> Vec<Architecture> {
        let fits = |architecture: &Architecture| {
            *architecture != Architecture::Nginx || (workload.is_static() && programs.nginx.is_some())
        };
        self.architectures.iter().copied().filter(fits).collect()
    }

    pub(super) fn connections(&self, workload: &Workload) -> &'static [usize] {
        if self.quick { workload.quick } else { workload.connections }
    }

    /// Runs all measurements. Calls `watch` before each.
    ///
    /// # Errors
    ///
    /// If the lab itself fails. The failure of a server is recorded in its cells.
    pub fn run(&self, programs: &Programs, watch: &dyn Fn(Stage)) -> Result<Results, Box<dyn Error>> {
        let machine = Machine::this();
        let cpus = Cpus::halve()?;
        allow_descriptors();
        bind_to(&cpus.driver)?;
        let scratch = tempfile::tempdir()?;
        let root = scratch.path().join("root");
        fs::create_dir(&root)?;
        questions::write_files(&root)?;
        let asks_for_weather = self.workloads.iter().any(|workload| workload.asks_for_weather());
        let stub = asks_for_weather.then(|| weather_stub(programs, scratch.path())).transpose()?;
        let weather_url = stub.as_ref().map(|stub| format!("http://{}", stub.address));
        let around = Surroundings {
            root: &root,
            weather_url: weather_url.as_deref(),
            workers: self.workers,
            scratch: scratch.path(),
        };
        let cells = Rounds::of(self, programs, around, &cpus, watch).run()?;
        let settings = Settings {
            rounds: self.rounds,
            seconds: self.time.as_secs_f64(),
            workers: self.workers,
            server_cpus: cpus.server.clone(),
            driver_cpus: cpus.driver.clone(),
        };
        Ok(Results { version: VERSION, machine, settings, programs: programs.versions(), cells })
    }
}

/// Starts the weather stub on the driver's CPUs, because it is no part of any server.
fn weather_stub(programs: &Programs, scratch: &Path) -> io::Result<Server> {
    let mut command = Command::new(&programs.weather_stub);
    command.arg("127.0.0.1:0");
    Server::announced(command, scratch)
}

/// Raises the limit on open files to the maximum: neighbours and connections can exceed the default.
fn allow_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // An error here is ignored: if the limit is too low, connecting fails later and reports it.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
