//! Runs all measurements of a plan, in an order in which no subject has an advantage: each round measures every
//! workload on every subject in turn, and each round begins with another subject. A subject is started for each
//! measurement and stopped after it, so that its caches hold nothing from another workload.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use http_test_suite::fixtures;

use super::machine;
use super::measure::Measurement;
use super::requests::Requests;
use super::workload::{Experiment, Task, Workload};
use crate::report::results::VERSION;
use crate::report::{Cell, Metric, Results, Run, Sample, SubjectLabel};
use crate::subject::catalog::{self, Subject};
use crate::subject::configuration::Environment;
use crate::subject::process::{Cpus, Server, bind_to, raise_descriptor_limit};
use crate::subject::programs::{MissingProgram, Program, Programs};
use crate::subject::site;

/// The duration of each measurement in a quick run.
const QUICK_TIME: Duration = Duration::from_millis(500);

/// The number of workers of a server that `ab` measures, if the server can have several.
const AB_WORKERS: usize = 8;

/// The number of workers of a server whose connections are counted.
const SHARING_WORKERS: usize = 4;

/// The name of the document root in the temporary directory.
const SITE: &str = "site";
/// The name of the directory of the conformance suite's fixtures in the temporary directory.
const FIXTURES: &str = "fixtures";

/// Which workloads and subjects one run of an experiment measures, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The experiment, with the rounds, the time and the workers of this run.
    pub experiment: Experiment,
    /// The workloads to measure, in order.
    pub workloads: Vec<&'static Workload>,
    /// The subjects to measure. The run leaves out those that are not installed or built.
    pub subjects: Vec<&'static Subject>,
    /// Whether to measure only the numbers of connections in [`Workload::quick`].
    pub is_quick: bool,
}

/// A measurement of a plan: one workload on one subject with one number of connections, in one round.
#[derive(Clone, Copy, Debug)]
pub struct PlannedMeasurement {
    /// The number of the round, from 1.
    pub round: usize,
    /// The workload to measure.
    pub workload: &'static Workload,
    /// The number of connections, one of [`Workload::connections`].
    pub connections: usize,
    /// The subject to measure.
    pub subject: &'static Subject,
}

impl Plan {
    /// The plan of the whole experiment: all workloads, on all subjects that take part.
    pub fn whole(experiment: &Experiment) -> Plan {
        let workloads: Vec<_> = experiment.workloads.iter().collect();
        Plan {
            experiment: *experiment,
            subjects: taking_part(catalog::ALL.iter(), &workloads),
            workloads,
            is_quick: false,
        }
    }

    /// A plan that takes one to two minutes: the workloads that have [`Workload::quick`], each in one short round.
    pub fn quick(experiment: &Experiment) -> Plan {
        let workloads = experiment.workloads.iter().filter(|workload| !workload.quick.is_empty()).collect();
        let experiment = Experiment { rounds: 1, time: QUICK_TIME, ..*experiment };
        Plan { workloads, is_quick: true, ..Plan::whole(&experiment) }
    }

    /// Results that describe this machine, and have no measurements yet.
    pub fn no_results(&self) -> Results {
        Results { version: VERSION, machine: machine::this(), runs: BTreeMap::new(), cells: Vec::new() }
    }

    /// Runs all measurements. Calls `watch` before each, with the number of finished measurements and their total.
    ///
    /// # Errors
    ///
    /// If nothing can be measured. The failure of a subject is recorded in its cells.
    pub fn run(
        &self,
        programs: &Programs,
        watch: &dyn Fn(usize, usize, &PlannedMeasurement),
    ) -> Result<Results, Box<dyn Error>> {
        let Found { subjects, labels, missing, mut left_out } = self.find_subjects(programs);
        let planned = self.measurements(&subjects);
        if planned.is_empty() {
            let why = match missing.is_empty() {
                true => "no chosen subject takes part in a chosen workload".to_owned(),
                false => MissingProgram::describe(missing),
            };
            return Err(format!("nothing to measure: {why}").into());
        }
        let (date, load_before) = (machine::now()?, machine::load_average());
        // Before this thread is bound to some of the CPUs.
        let mut results = self.no_results();
        let cpus = Cpus::halves()?;
        raise_descriptor_limit();
        bind_to(&cpus.driver)?;
        let temp_dir = tempfile::tempdir()?;
        // Some servers started by root read files as another user.
        fs::set_permissions(&temp_dir, Permissions::from_mode(0o755))?;
        let weather_service = self.prepare(programs, temp_dir.path(), missing)?;
        let setup = Setup { plan: self, programs, temp_dir: temp_dir.path(), weather_service, cpus };
        setup.measure_all(&planned, watch, &mut results.cells, &mut left_out);
        bind_to(&setup.cpus.driver)?;
        let run = Run {
            date,
            load_before,
            rounds: self.experiment.rounds,
            seconds: self.experiment.time.as_secs_f64(),
            workers: self.experiment.workers,
            server_cpus: setup.cpus.server,
            driver_cpus: setup.cpus.driver,
            workloads: self.workloads.iter().map(|workload| workload.label(&self.experiment)).collect(),
            subjects: labels,
            left_out,
        };
        results.runs.insert(self.experiment.id.to_owned(), run);
        Ok(results)
    }

    /// Finds the programs of the subjects that take part.
    fn find_subjects(&self, programs: &Programs) -> Found {
        let mut found = Found::default();
        for subject in taking_part(self.subjects.iter().copied(), &self.workloads) {
            match programs.find(subject.program) {
                Ok(program) => {
                    found.subjects.push(subject);
                    found.labels.push(subject.label(&program));
                }
                Err(program) => {
                    found.left_out.push(format!("{}: {program}", subject.id));
                    found.missing.push(program);
                }
            }
        }
        found
    }

    /// Writes the files that the workloads need, and starts the stub of the weather service if one asks for it.
    /// An error names all missing programs if the stub is one of them.
    fn prepare(
        &self,
        programs: &Programs,
        temp_dir: &Path,
        mut missing: Vec<MissingProgram>,
    ) -> Result<Option<Server>, Box<dyn Error>> {
        let mut needs_weather = false;
        let mut directories = Vec::new();
        for workload in &self.workloads {
            match workload.task {
                Task::Load(Requests::Directory { files, .. }) => directories.push(files),
                Task::Load(Requests::Weather) => needs_weather = true,
                Task::Conformance => fixtures::write(temp_dir.join(FIXTURES))?,
                _ => {}
            }
        }
        site::write(&temp_dir.join(SITE), &directories)?;
        if !needs_weather {
            return Ok(None);
        }
        let stub = programs.find(Program::Demo("weather-stub", &[])).map_err(|stub| {
            missing.push(stub);
            MissingProgram::describe(missing)
        });
        let mut command = Command::new(stub?);
        command.arg("127.0.0.1:0");
        Ok(Some(Server::announced(command, temp_dir)?))
    }

    /// All measurements of these subjects, in the order in which they are made.
    fn measurements(&self, subjects: &[&'static Subject]) -> Vec<PlannedMeasurement> {
        let mut all = Vec::new();
        for round in 1..=self.experiment.rounds {
            for &workload in &self.workloads {
                // The result of the conformance suite does not vary.
                if round > 1 && workload.task == Task::Conformance {
                    continue;
                }
                for &connections in if self.is_quick { workload.quick } else { workload.connections } {
                    let mut group: Vec<_> = subjects
                        .iter()
                        .filter(|subject| workload.measures(subject, connections))
                        .map(|subject| PlannedMeasurement { round, workload, connections, subject })
                        .collect();
                    // So that no subject is always measured first or last.
                    let first = round % group.len().max(1);
                    group.rotate_left(first);
                    all.extend(group);
                }
            }
        }
        all
    }
}

/// The subjects of a plan whose programs are there, and those whose programs are not.
#[derive(Default)]
struct Found {
    /// The subjects that are measured.
    subjects: Vec<&'static Subject>,
    /// The label of each of them.
    labels: Vec<SubjectLabel>,
    /// The programs that are not installed or built.
    missing: Vec<MissingProgram>,
    /// What is not measured, and why: a line for each subject whose program is missing.
    left_out: Vec<String>,
}

/// What all measurements of one run of a plan use.
struct Setup<'a> {
    /// The plan that is run.
    plan: &'a Plan,
    /// Finds the file of each subject's program.
    programs: &'a Programs,
    /// The temporary directory of the run: document root, fixtures, and one directory per subject for its own files.
    temp_dir: &'a Path,
    /// The stub of the weather service, if a workload needs it.
    weather_service: Option<Server>,
    /// The CPUs of the servers and of the load driver, unless a workload makes them share all.
    cpus: Cpus,
}

impl Setup<'_> {
    /// Makes these measurements, and adds their samples and failures to `cells`. Adds to `left_out` what a subject
    /// does not support. Calls `watch` as [`Plan::run`] does.
    fn measure_all(
        &self,
        planned: &[PlannedMeasurement],
        watch: &dyn Fn(usize, usize, &PlannedMeasurement),
        cells: &mut Vec<Cell>,
        left_out: &mut Vec<String>,
    ) {
        for (done, measurement) in planned.iter().enumerate() {
            watch(done, planned.len(), measurement);
            match self.measure(measurement, least_capacity(cells, measurement.round)) {
                Ok(sample) => cell(cells, measurement).samples.push(sample),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    let line = format!("{} in {}: {error}", measurement.subject.id, measurement.workload.id);
                    if !left_out.contains(&line) {
                        left_out.push(line);
                    }
                }
                Err(error) => {
                    // Results hold no path of this machine.
                    let why = error.to_string().replace(&*self.temp_dir.to_string_lossy(), "");
                    cell(cells, measurement).failures.push(format!("round {}: {why}", measurement.round));
                }
            }
        }
    }

    /// Makes a measurement: chooses the workers and the CPUs, and runs it with an empty directory for the subject.
    fn measure(&self, measurement: &PlannedMeasurement, least_capacity: Option<f64>) -> io::Result<Sample> {
        let PlannedMeasurement { round, workload, connections, subject } = *measurement;
        let subject_dir = self.temp_dir.join(subject.id);
        fs::create_dir_all(&subject_dir)?;
        let is_conformance = workload.task == Task::Conformance;
        let cpus = if workload.shares_cpus { self.cpus.shared() } else { self.cpus.clone() };
        let workers = match workload.task {
            _ if subject.has_one_worker => 1,
            Task::Ab => AB_WORKERS,
            Task::Workers => SHARING_WORKERS,
            _ if workload.shares_cpus => cpus.server.len(),
            _ if subject.is_packaged() && self.plan.experiment.packaged_per_cpu => cpus.server.len(),
            _ => self.plan.experiment.workers,
        };
        let environment = Environment {
            root: self.temp_dir.join(if is_conformance { FIXTURES } else { SITE }),
            subject_dir: subject_dir.clone(),
            workers,
            access_log: workload.access_log,
            tls: workload.tls,
            compress: match workload.task {
                Task::Load(requests) => requests.is_compressed(),
                task => task == Task::Mix,
            },
            is_fast: !is_conformance,
            weather_service: self.weather_service.as_ref().map(|server| server.address),
        };
        bind_to(&cpus.driver)?;
        let program = self.programs.find(subject.program).map_err(io::Error::other)?;
        let time = self.plan.experiment.time;
        let measurement =
            Measurement { workload, connections, subject, program, environment, cpus, time, least_capacity };
        let sample = measurement.run();
        // An error here is ignored: files of an earlier measurement do not matter to a server.
        let _ = fs::remove_dir_all(&subject_dir);
        Ok(Sample { round, ..sample? })
    }
}

/// The subjects that take part in at least one of the workloads.
fn taking_part(
    subjects: impl Iterator<Item = &'static Subject>,
    workloads: &[&Workload],
) -> Vec<&'static Subject> {
    subjects.filter(|subject| workloads.iter().any(|workload| workload.includes(subject))).collect()
}

/// The least capacity that a round has measured so far.
fn least_capacity(cells: &[Cell], round: usize) -> Option<f64> {
    let samples = cells.iter().flat_map(|cell| &cell.samples).filter(|sample| sample.round == round);
    samples.filter_map(|sample| sample.value(Metric::Capacity)).min_by(f64::total_cmp)
}

/// The [`Cell`] of a measurement, which is added to `cells` if it is not there.
fn cell<'c>(cells: &'c mut Vec<Cell>, measurement: &PlannedMeasurement) -> &'c mut Cell {
    let key = (measurement.workload.id, measurement.subject.id, measurement.connections);
    let index = cells.iter().position(|cell| cell.key() == key).unwrap_or_else(|| {
        let (workload, subject) = (key.0.to_owned(), key.1.to_owned());
        cells.push(Cell { workload, subject, connections: key.2, ..Cell::default() });
        cells.len() - 1
    });
    &mut cells[index]
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
        let workloads = || ARCHITECTURES.workloads.iter().chain(SERVERS.workloads);
        let ids: HashSet<&str> = workloads().map(|workload| workload.id).collect();
        assert_eq!(ids.len(), workloads().count(), "two workloads have one id");
        for Workload { id, title, description, subjects: taking_part, connections, quick, .. } in workloads()
        {
            assert!(taking_part.split(' ').all(|subject| subjects.contains(subject)), "{id}");
            assert!(!connections.is_empty() && connections.is_sorted(), "{id}");
            assert!(quick.iter().all(|quick| connections.contains(quick)), "{id}");
            assert!(!title.is_empty() && description.ends_with(['.', '?']), "{id}");
        }
    }

    #[test]
    fn each_round_begins_with_another_subject() {
        let mut plan = Plan::whole(&SERVERS);
        plan.workloads.retain(|workload| ["crowd", "conformance"].contains(&workload.id));
        plan.subjects.retain(|subject| ["httpd", "httpd-blocking", "nginx"].contains(&subject.id));
        let planned = plan.measurements(&plan.subjects);
        let order = |round| {
            let planned = planned.iter().filter(move |measurement| measurement.round == round);
            planned.map(|measurement| (measurement.connections, measurement.subject.id)).collect::<Vec<_>>()
        };
        assert_eq!(order(2)[..3], [(64, "nginx"), (64, "httpd"), (64, "httpd-blocking")]);
        assert_eq!(order(3)[..3], [(64, "httpd"), (64, "httpd-blocking"), (64, "nginx")]);
        // The blocking server is not measured with ten thousand threads, and conformance only once.
        assert_eq!(order(2)[6..], [(10_000, "httpd"), (10_000, "nginx")]);
        assert_eq!((order(1).len(), order(2).len()), (8 + 3, 8));
    }
}
