//! Runs all measurements of a plan, in an order in which no subject has an advantage: each round measures every workload
//! on every subject in turn, and each round begins with another subject. A subject is started for each measurement and
//! stopped after it, so that its caches hold nothing from another workload.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http_test_suite::fixtures;

use super::machine;
use super::measure::{Bench, Measured};
use super::requests::Requests;
use super::workload::{Experiment, Task, Workload};
use crate::report::results::VERSION;
use crate::report::{Cell, Results, Run, SubjectLabel, WorkloadLabel};
use crate::subject::catalog::{self, Subject};
use crate::subject::configuration::{Configuration, Environment};
use crate::subject::process::{Cpus, Server, bind_to, raise_descriptor_limit};
use crate::subject::programs::{Program, Programs, version};
use crate::subject::site;

/// The duration of each measurement of a quick run.
const QUICK_TIME: Duration = Duration::from_millis(500);

/// The number of workers of a server that `ab` measures.
const AB_WORKERS: usize = 8;

/// What is measured, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The experiment.
    pub experiment: &'static Experiment,
    /// The workloads, in order.
    pub workloads: Vec<&'static Workload>,
    /// The subjects. Those that are not installed or built are left out.
    pub subjects: Vec<&'static Subject>,
    /// How often each cell is measured.
    pub rounds: usize,
    /// The duration of each measurement, without the warm-up.
    pub time: Duration,
    /// The workers of each subject that can have several, unless a workload says otherwise.
    pub workers: usize,
    /// Whether to measure only the numbers of connections in [`Workload::quick`].
    pub is_quick: bool,
}

/// The measurement that is about to run, for progress output.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Measurements done so far.
    pub done: usize,
    /// The total number of measurements.
    pub total: usize,
    /// The round, from 1.
    pub round: usize,
    /// The workload.
    pub workload: &'static Workload,
    /// The subject.
    pub subject: &'static Subject,
    /// The number of connections.
    pub connections: usize,
}

impl Plan {
    /// A plan of the whole experiment.
    pub fn whole(experiment: &'static Experiment) -> Plan {
        let takes_part = |subject: &&Subject| {
            experiment.workloads.iter().any(|workload| workload.subjects.contains(&subject.id))
        };
        Plan {
            experiment,
            workloads: experiment.workloads.iter().collect(),
            subjects: catalog::ALL.iter().filter(takes_part).collect(),
            rounds: experiment.rounds,
            time: experiment.time,
            workers: experiment.workers,
            is_quick: false,
        }
    }

    /// A plan of one to two minutes: one short round of some workloads.
    pub fn quick(experiment: &'static Experiment) -> Plan {
        let workloads = experiment.workloads.iter().filter(|workload| !workload.quick.is_empty()).collect();
        Plan { workloads, rounds: 1, time: QUICK_TIME, is_quick: true, ..Plan::whole(experiment) }
    }

    /// The results of this machine before any measurement.
    pub fn no_results(&self) -> Results {
        Results { version: VERSION, machine: machine::this(), runs: BTreeMap::new(), cells: Vec::new() }
    }

    /// Runs all measurements. Calls `watch` before each.
    ///
    /// # Errors
    ///
    /// If nothing can be measured. The failure of a subject is recorded in its cells.
    pub fn run(&self, programs: &Programs, watch: &dyn Fn(Stage)) -> Result<Results, Box<dyn Error>> {
        let (mut found, mut left_out) = (Vec::new(), Vec::new());
        let takes_part = |subject: &&&Subject| {
            self.workloads.iter().any(|workload| workload.subjects.contains(&subject.id))
        };
        for subject in self.subjects.iter().filter(takes_part) {
            match programs.find(subject.program) {
                Ok(program) => found.push((*subject, program)),
                Err(why) => left_out.push(format!("{}: {why}", subject.id)),
            }
        }
        if self.stages(&found, 1).is_empty() {
            left_out.insert(
                0,
                "nothing to measure: no chosen subject takes part in a chosen workload".to_owned(),
            );
            return Err(left_out.join("; ").into());
        }
        let subjects = found.iter().map(|(subject, program)| subject_label(subject, program)).collect();
        let (date, load_before) = (machine::now(), machine::load_average());
        // Before this thread is bound to some of the CPUs.
        let results = self.no_results();
        let cpus = Cpus::halves()?;
        raise_descriptor_limit();
        bind_to(&cpus.driver)?;
        let scratch = tempfile::tempdir()?;
        // Some servers started by root read files as another user.
        fs::set_permissions(&scratch, Permissions::from_mode(0o755))?;
        let weather_service = self.prepare(programs, scratch.path())?;
        let runner = Runner {
            plan: self,
            found: &found,
            scratch: scratch.path(),
            weather_service: weather_service.as_ref().map(|stub| stub.address),
            cpus: &cpus,
            watch,
            done: 0,
            cells: Vec::new(),
            left_out,
        };
        let (cells, left_out) = runner.run();
        bind_to(&cpus.driver)?;
        let run = Run {
            date,
            load_before,
            rounds: self.rounds,
            seconds: self.time.as_secs_f64(),
            workers: self.workers,
            server_cpus: cpus.server,
            driver_cpus: cpus.driver,
            workloads: self.workloads.iter().map(|workload| self.label(workload)).collect(),
            subjects,
            left_out,
        };
        Ok(Results { runs: [(self.experiment.id.to_owned(), run)].into(), cells, ..results })
    }

    /// What reports say about a workload.
    fn label(&self, workload: &Workload) -> WorkloadLabel {
        WorkloadLabel {
            id: workload.id.to_owned(),
            title: workload.title.to_owned(),
            description: workload.description.to_owned(),
            metrics: workload.metrics(self.experiment).to_vec(),
            earlier_date: None,
        }
    }

    /// Writes the files that the workloads need, and starts the stub of the weather service if one asks for it.
    fn prepare(&self, programs: &Programs, scratch: &Path) -> Result<Option<Server>, Box<dyn Error>> {
        let requests = self.workloads.iter().filter_map(|workload| match workload.task {
            Task::Load(requests, _) => Some(requests),
            _ => None,
        });
        site::write(&scratch.join(SITE), requests.clone().filter_map(Requests::directory))?;
        if self.workloads.iter().any(|workload| workload.task == Task::Conformance) {
            fixtures::write(scratch.join(FIXTURES))?;
        }
        if !requests.clone().any(|requests| requests == Requests::Weather) {
            return Ok(None);
        }
        let mut command = Command::new(programs.find(Program::Workspace("weather-stub"))?);
        command.arg("127.0.0.1:0");
        Ok(Some(Server::announced(command, scratch)?))
    }

    /// The measurements of a round, in order.
    fn stages<'f>(&self, found: &'f [Found], round: usize) -> Vec<Measurement<'f>> {
        let mut stages = Vec::new();
        // The result of the conformance suite does not vary.
        let is_due = |workload: &&&Workload| round == 1 || workload.task != Task::Conformance;
        for workload in self.workloads.iter().filter(is_due) {
            for &connections in if self.is_quick { workload.quick } else { workload.connections } {
                let mut group: Vec<_> = found
                    .iter()
                    .filter(|(subject, _)| workload.includes(subject, connections))
                    .map(|found| (*workload, connections, found))
                    .collect();
                // So that no subject is always measured first or last.
                let first = round % group.len().max(1);
                group.rotate_left(first);
                stages.extend(group);
            }
        }
        stages
    }
}

/// A subject and the path of its program.
type Found = (&'static Subject, PathBuf);

/// A workload, a number of connections, and a subject.
type Measurement<'f> = (&'static Workload, usize, &'f Found);

/// The directory of the document root in the scratch directory.
const SITE: &str = "site";
/// The directory of the conformance suite's fixtures in the scratch directory.
const FIXTURES: &str = "fixtures";

/// The state of a running plan.
struct Runner<'a> {
    /// What is measured.
    plan: &'a Plan,
    /// The subjects whose program was found.
    found: &'a [Found],
    /// The temporary directory.
    scratch: &'a Path,
    /// The stub of the weather service, if a workload needs it.
    weather_service: Option<SocketAddr>,
    /// The CPUs of both sides, unless a workload makes them share all.
    cpus: &'a Cpus,
    /// Called before each measurement.
    watch: &'a dyn Fn(Stage),
    /// The number of measurements so far.
    done: usize,
    /// The results so far.
    cells: Vec<Cell>,
    /// Which subjects were left out, and why.
    left_out: Vec<String>,
}

impl Runner<'_> {
    /// Runs all measurements. Also returns which subjects were left out, and why.
    fn run(mut self) -> (Vec<Cell>, Vec<String>) {
        let rounds = 1..=self.plan.rounds;
        let total = rounds.clone().map(|round| self.plan.stages(self.found, round).len()).sum();
        for round in rounds {
            for (workload, connections, (subject, program)) in self.plan.stages(self.found, round) {
                let (done, subject) = (self.done, *subject);
                (self.watch)(Stage { done, total, round, workload, subject, connections });
                let measured = self.measure(workload, connections, subject, program);
                self.record(round, (workload.id, subject.id, connections), measured);
                self.done += 1;
            }
        }
        (self.cells, self.left_out)
    }

    /// Measures a workload on a subject once.
    fn measure(
        &self,
        workload: &Workload,
        connections: usize,
        subject: &'static Subject,
        program: &Path,
    ) -> io::Result<Measured> {
        let scratch = self.scratch.join(format!("{}-{}", subject.id, self.done));
        fs::create_dir(&scratch)?;
        let conditions = workload.conditions();
        let shared = self.cpus.shared();
        let cpus = if conditions.shares_cpus { &shared } else { self.cpus };
        let (root, configuration) = match workload.task {
            Task::Conformance => (FIXTURES, Configuration::Default),
            _ => (SITE, Configuration::Fast),
        };
        let environment = Environment {
            root: self.scratch.join(root),
            scratch: scratch.clone(),
            port: 0,
            workers: self.workers(workload, subject, cpus),
            access_log: conditions.access_log,
            configuration,
            weather_service: self.weather_service,
        };
        bind_to(&cpus.driver)?;
        let bench =
            Bench { subject, program, environment, cpus, time: self.plan.time, number: self.done as u32 + 1 };
        let measured = bench.measure(workload.task, connections);
        // An error here is ignored: the whole temporary directory is removed at the end.
        let _ = fs::remove_dir_all(&scratch);
        measured
    }

    /// The number of workers of a subject in a workload.
    fn workers(&self, workload: &Workload, subject: &Subject, cpus: &Cpus) -> usize {
        match workload.task {
            _ if subject.has_one_worker => 1,
            Task::Ab => AB_WORKERS,
            _ if workload.conditions().shares_cpus => cpus.server.len(),
            _ if subject.is_packaged() && self.plan.experiment.packaged_per_cpu => cpus.server.len(),
            _ => self.plan.workers,
        }
    }

    /// Adds the result of a measurement to the cell with this key: workload, subject, connections.
    fn record(&mut self, round: usize, key: (&str, &str, usize), measured: io::Result<Measured>) {
        let sample = match measured {
            Ok(Measured::Sample(sample)) => Ok(sample),
            Ok(Measured::NotApplicable(why)) => {
                let line = format!("{} in {}: {why}", key.1, key.0);
                if !self.left_out.contains(&line) {
                    self.left_out.push(line);
                }
                return;
            }
            // Results hold no path of this machine.
            Err(error) => Err(error.to_string().replace(&self.scratch.display().to_string(), "")),
        };
        let index = self.cells.iter().position(|cell| cell.key() == key).unwrap_or_else(|| {
            let (workload, subject) = (key.0.to_owned(), key.1.to_owned());
            self.cells.push(Cell { workload, subject, connections: key.2, ..Cell::default() });
            self.cells.len() - 1
        });
        match sample {
            Ok(sample) => self.cells[index].samples.push(crate::report::Sample { round, ..sample }),
            Err(why) => self.cells[index].failures.push(format!("round {round}: {why}")),
        }
    }
}

/// What reports say about a subject.
fn subject_label(subject: &Subject, program: &Path) -> SubjectLabel {
    SubjectLabel {
        id: subject.id.to_owned(),
        title: subject.title.to_owned(),
        version: version(subject.program, program),
        colour: subject.colour,
        is_ours: subject.is_ours(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::experiments::{architectures::ARCHITECTURES, servers::SERVERS};

    #[test]
    fn tables_are_consistent() {
        let subjects: HashSet<&str> = catalog::ALL.iter().map(|subject| subject.id).collect();
        assert_eq!(subjects.len(), catalog::ALL.len(), "two subjects have one id");
        let workloads: Vec<_> =
            [&ARCHITECTURES, &SERVERS].into_iter().flat_map(|table| table.workloads).collect();
        let ids: HashSet<&str> = workloads.iter().map(|workload| workload.id).collect();
        assert_eq!(ids.len(), workloads.len(), "two workloads have one id");
        for workload in workloads {
            let (id, all) = (workload.id, workload.connections);
            assert!(!workload.subjects.is_empty() && !all.is_empty(), "{id}");
            assert!(workload.subjects.iter().all(|subject| subjects.contains(subject)), "{id}");
            assert!(all.is_sorted() && workload.quick.iter().all(|quick| all.contains(quick)), "{id}");
            assert!(!workload.title.is_empty() && workload.description.ends_with(['.', '?']), "{id}");
        }
    }

    #[test]
    fn each_round_begins_with_another_subject() {
        let mut plan = Plan::whole(&SERVERS);
        plan.workloads.retain(|workload| ["crowd", "conformance"].contains(&workload.id));
        let found =
            ["httpd", "httpd-blocking", "nginx"].map(|id| (Subject::find(id).unwrap(), PathBuf::new()));
        let order = |round| {
            let stages = plan.stages(&found, round).into_iter();
            stages.map(|(_, connections, found)| (connections, found.0.id)).collect::<Vec<_>>()
        };
        assert_eq!(order(2)[..3], [(64, "nginx"), (64, "httpd"), (64, "httpd-blocking")]);
        assert_eq!(order(3)[..3], [(64, "httpd"), (64, "httpd-blocking"), (64, "nginx")]);
        // The blocking server is not measured with ten thousand threads, and conformance only once.
        assert_eq!(order(2)[6..], [(10_000, "httpd"), (10_000, "nginx")]);
        assert_eq!((order(1).len(), order(2).len()), (8 + 3, 8));
    }
}
