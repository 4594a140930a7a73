//! The order of the measurements. Each round measures every workload on every architecture in turn, so that a
//! disturbance of the machine affects all of them alike.

use std::io;

use super::architectures::{Architecture, Surroundings};
use super::measure::Bench;
use super::plan::Plan;
use super::programs::Programs;
use super::results::{Cell, Sample};
use super::server::{Cpus, Server, bind_to};
use super::workloads::Workload;

/// The measurement that is about to run, for progress output.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Measurements done so far.
    pub done: usize,
    /// The total number of measurements.
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

/// The state of a running plan.
pub(super) struct Rounds<'a> {
    plan: &'a Plan,
    programs: &'a Programs,
    around: Surroundings<'a>,
    cpus: &'a Cpus,
    watch: &'a dyn Fn(Stage),
    done: usize,
    cells: Vec<Cell>,
}

/// An architecture, and its server if it could be started.
type Competitor = (Architecture, io::Result<Server>);

impl<'a> Rounds<'a> {
    /// Makes the initial state, without any measurements.
    pub(super) fn of(
        plan: &'a Plan,
        programs: &'a Programs,
        around: Surroundings<'a>,
        cpus: &'a Cpus,
        watch: &'a dyn Fn(Stage),
    ) -> Rounds<'a> {
        Rounds { plan, programs, around, cpus, watch, done: 0, cells: Vec::new() }
    }

    /// Runs all measurements.
    ///
    /// # Errors
    ///
    /// If the lab itself fails.
    pub(super) fn run(mut self) -> io::Result<Vec<Cell>> {
        for round in 1..=self.plan.rounds {
            for workload in &self.plan.workloads {
                self.round(round, workload)?;
            }
        }
        Ok(self.cells)
    }

    /// Runs one round of a workload. All servers run side by side; all are idle except the measured server.
    fn round(&mut self, round: usize, workload: &'static Workload) -> io::Result<()> {
        let competitors = self.start(round, workload)?;
        for connections in self.plan.connections(workload).iter().copied() {
            for (architecture, server) in &competitors {
                let (done, of, architecture) =
                    (self.done, self.plan.measurements(self.programs), *architecture);
                (self.watch)(Stage { done, of, round, workload, architecture, connections });
                let measured = match server {
                    Ok(server) => self.measure(server, architecture, workload, connections),
                    Err(error) => Err(error.to_string()),
                };
                self.record(workload, architecture, connections, measured);
                self.done += 1;
            }
        }
        for (architecture, server) in competitors {
            if let Err(error) = server.and_then(Server::stop) {
                self.blame(workload, architecture, &error.to_string());
            }
        }
        Ok(())
    }

    fn start(&self, round: usize, workload: &Workload) -> io::Result<Vec<Competitor>> {
        let mut architectures = self.plan.competitors(workload, self.programs);
        // Rotate, so that no architecture is always measured first or last.
        let first = round % architectures.len().max(1);
        architectures.rotate_left(first);
        let start = |architecture| {
            let server = Server::start(architecture, self.programs, &self.around, self.cpus)?;
            self.bench(&server, 0).warm_up(workload)?;
            Ok(server)
        };
        let competitors = architectures.into_iter().map(|architecture| (architecture, start(architecture)));
        let competitors = competitors.collect();
        // Starting a server may have failed halfway: bind this thread to the driver's CPUs again.
        bind_to(&self.cpus.driver)?;
        Ok(competitors)
    }

    fn bench<'s>(&'s self, server: &'s Server, turn: u32) -> Bench<'s> {
        Bench { server, cpus: self.cpus, time: self.plan.time, turn }
    }

    fn measure(
        &self,
        server: &Server,
        architecture: Architecture,
        workload: &Workload,
        connections: usize,
    ) -> Result<Sample, String> {
        let measured = self.bench(server, self.done as u32 + 1).measure(workload, connections);
        let mut sample = measured.map_err(|error| error.to_string())?;
        name_workers(&mut sample, architecture.workers(self.plan.workers));
        Ok(sample)
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

    /// Marks all cells of a server as failed, because the server did not stop properly.
    fn blame(&mut self, workload: &Workload, architecture: Architecture, why: &str) {
        let theirs =
            |cell: &&mut Cell| cell.workload == workload.id && cell.architecture == architecture.id();
        for cell in self.cells.iter_mut().filter(theirs) {
            cell.failure.get_or_insert_with(|| why.to_owned());
        }
    }
}

/// Adds workers that answered no request, with zero; removes answers that name no worker.
fn name_workers(sample: &mut Sample, workers: usize) {
    sample.workers.remove("");
    let named = sample.workers.keys().next().and_then(|name| name.split_once("worker="));
    let Some(prefix) = named.map(|(prefix, _)| prefix.to_owned()) else { return };
    for number in 0..workers {
        sample.workers.entry(format!("{prefix}worker={number}")).or_default();
    }
}
