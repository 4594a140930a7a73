//! What is measured, in which order: rounds, and in each round every workload on every architecture in turn, so that
//! what disturbs the machine for a while disturbs them all alike.

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::architectures::{Architecture, Surroundings};
use super::measure::Bench;
use super::programs::Programs;
use super::questions;
use super::results::{Cell, Machine, Results, Sample, Settings, VERSION};
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
    /// How long each time.
    pub time: Duration,
    /// Event loops, or processes, of the architectures that have several.
    pub workers: usize,
    /// Whether only the connections of [`Workload::quick`] are tried.
    pub quick: bool,
}

/// What is being measured.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Measurements behind it.
    pub done: usize,
    /// Measurements in all.
    pub of: usize,
    /// The round, from 1.
    pub round: usize,
    /// The workload.
    pub workload: &'static Workload,
    /// The architecture.
    pub architecture: Architecture,
    /// Connections, or neighbours.
    pub connections: usize,
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
    /// About a minute's worth.
    pub fn quick() -> Plan {
        Plan { rounds: 1, time: Duration::from_millis(500), quick: true, ..Plan::default() }
    }

    /// Keeps the workloads and architectures with these names; a word that names neither is given back. Where only
    /// workloads are named, all architectures stay, and the other way round.
    ///
    /// # Errors
    ///
    /// The first word that names nothing.
    pub fn only(mut self, names: &[String]) -> Result<Plan, String> {
        let workloads: Vec<_> = names.iter().filter_map(|name| Workload::named(name)).collect();
        let architectures: Vec<_> = names.iter().filter_map(|name| Architecture::named(name)).collect();
        let names_something =
            |name: &&String| Workload::named(name).is_none() && Architecture::named(name).is_none();
        if let Some(unknown) = names.iter().find(names_something) {
            return Err(unknown.clone());
        }
        if !workloads.is_empty() {
            self.workloads.retain(|kept| workloads.iter().any(|named| named.id == kept.id));
        }
        if !architectures.is_empty() {
            self.architectures.retain(|kept| architectures.contains(kept));
        }
        Ok(self)
    }

    /// The architectures that take part in a workload.
    fn competitors(&self, workload: &Workload, programs: &Programs) -> Vec<Architecture> {
        let fits = |architecture: &Architecture| {
            *architecture != Architecture::Nginx || (workload.is_static() && programs.nginx.is_some())
        };
        self.architectures.iter().copied().filter(fits).collect()
    }

    fn connections(&self, workload: &Workload) -> &'static [usize] {
        if self.quick { workload.quick } else { workload.connections }
    }

    /// Measures all of it. `watch` is told before each measurement.
    ///
    /// # Errors
    ///
    /// If the lab itself cannot work. What goes wrong with a server becomes the failure of its cells.
    pub fn run(&self, programs: &Programs, watch: &dyn Fn(Stage)) -> Result<Results, Box<dyn Error>> {
        let machine = Machine::this();
        let cpus = Cpus::halve()?;
        allow_descriptors();
        bind_to(&cpus.driver)?;
        let scratch = tempfile::tempdir()?;
        let root = scratch.path().join("root");
        fs::create_dir(&root)?;
        questions::write_files(&root)?;
        let stub = match self.workloads.iter().any(|workload| workload.asks_for_weather()) {
            true => Some(weather_stub(programs, scratch.path())?),
            false => None,
        };
        let weather_url = stub.as_ref().map(|stub| format!("http://{}", stub.address));
        let around = Surroundings {
            root: &root,
            weather_url: weather_url.as_deref(),
            workers: self.workers,
            scratch: scratch.path(),
        };
        let mut run = Run { plan: self, programs, around, cpus: &cpus, watch, done: 0, cells: Vec::new() };
        for round in 0..self.rounds {
            for workload in &self.workloads {
                run.round_of(workload, round)?;
            }
        }
        let cells = run.cells;
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

/// A plan on its way.
struct Run<'a> {
    plan: &'a Plan,
    programs: &'a Programs,
    around: Surroundings<'a>,
    cpus: &'a Cpus,
    watch: &'a dyn Fn(Stage),
    done: usize,
    cells: Vec<Cell>,
}

impl Run<'_> {
    /// All servers stand ready side by side, idle but for the one that is measured.
    fn round_of(&mut self, workload: &'static Workload, round: usize) -> io::Result<()> {
        let mut architectures = self.plan.competitors(workload, self.programs);
        if architectures.is_empty() {
            return Ok(());
        }
        // Nobody is the first, or the last, each time.
        let count = architectures.len();
        architectures.rotate_left(round % count);
        let start = |architecture| {
            let server = Server::start(architecture, self.programs, &self.around, self.cpus)?;
            self.bench(&server, 0).warm_up(workload)?;
            Ok(server)
        };
        let servers: Vec<(Architecture, io::Result<Server>)> =
            architectures.into_iter().map(|architecture| (architecture, start(architecture))).collect();
        // Whatever happens, this thread is to stay where the driver is.
        bind_to(&self.cpus.driver)?;
        for connections in self.plan.connections(workload).iter().copied() {
            for (architecture, server) in &servers {
                let (done, of) = (self.done, self.measurements());
                let (architecture, round) = (*architecture, round + 1);
                (self.watch)(Stage { done, of, round, workload, architecture, connections });
                let measured = match server {
                    Ok(server) => self.bench(server, self.done as u32 + 1).measure(workload, connections),
                    Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
                };
                let mut measured = measured.map_err(|error| error.to_string());
                if let Ok(sample) = &mut measured {
                    count_idle_workers(sample, architecture.workers(self.plan.workers));
                }
                self.record(workload, architecture, connections, measured);
                self.done += 1;
            }
        }
        for (architecture, server) in servers {
            if let Err(error) = server.and_then(Server::stop) {
                self.blame(workload, architecture, &error.to_string());
            }
        }
        Ok(())
    }

    fn bench<'s>(&'s self, server: &'s Server, turn: u32) -> Bench<'s> {
        Bench { server, cpus: self.cpus, time: self.plan.time, turn }
    }

    fn measurements(&self) -> usize {
        let of = |workload: &&Workload| {
            self.plan.connections(workload).len() * self.plan.competitors(workload, self.programs).len()
        };
        self.plan.workloads.iter().map(of).sum::<usize>() * self.plan.rounds
    }

    fn record(
        &mut self,
        workload: &Workload,
        architecture: Architecture,
        connections: usize,
        measured: Result<Sample, String>,
    ) {
        let place = (workload.id, architecture.id(), connections);
        let index = self.cells.iter().position(|cell| cell.place() == place).unwrap_or_else(|| {
            let (workload, architecture) = (workload.id.to_owned(), architecture.id().to_owned());
            self.cells.push(Cell { workload, architecture, connections, samples: Vec::new(), failure: None });
            self.cells.len() - 1
        });
        match measured {
            Ok(sample) => self.cells[index].samples.push(sample),
            Err(why) => self.cells[index].failure = Some(why),
        }
    }

    /// A server that does not even stop has nothing to be proud of.
    fn blame(&mut self, workload: &Workload, architecture: Architecture, why: &str) {
        let theirs =
            |cell: &&mut Cell| cell.workload == workload.id && cell.architecture == architecture.id();
        for cell in self.cells.iter_mut().filter(theirs) {
            cell.failure.get_or_insert_with(|| why.to_owned());
        }
    }
}

/// Those that answered nothing belong to the picture, too.
fn count_idle_workers(sample: &mut Sample, workers: usize) {
    let Some(named) = sample.workers.keys().next() else { return };
    let Some((prefix, _)) = named.split_once("worker=") else { return };
    let prefix = prefix.to_owned();
    for number in 0..workers {
        sample.workers.entry(format!("{prefix}worker={number}")).or_default();
    }
}

/// On the driver's side: it is no part of any server.
fn weather_stub(programs: &Programs, scratch: &Path) -> io::Result<Server> {
    let mut command = Command::new(&programs.weather_stub);
    command.arg("127.0.0.1:0");
    Server::announced(command, scratch)
}

/// As many as the system allows: a thousand neighbours on top of a thousand connections may be more than are usual.
fn allow_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // What is refused here is refused again, and then said, where a connection needs it.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
