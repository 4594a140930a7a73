//! `load-test architectures` and `load-test servers`: run an experiment, and write its results.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http_test_suite::duration;
use indicatif::{ProgressBar, ProgressStyle};
use load_test::experiments::{Experiment, Plan, PlannedMeasurement, Workload};
use load_test::report::table;
use load_test::subject::programs::Programs;

use super::print;

/// The options of `load-test architectures` and `load-test servers`.
#[derive(Args)]
pub struct ExperimentOptions {
    /// Directory for results.json and report.html. Results of other workloads that it already holds are kept
    #[arg(long, value_name = "DIR", default_value = "target/load-test")]
    out: PathBuf,

    /// Run only some workloads, with one or two numbers of connections, once each for 500ms: one to two minutes in all
    #[arg(long)]
    quick: bool,

    /// Measure only these subjects, by the ids that --list shows; may be repeated
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',')]
    only: Vec<String>,

    /// Measure only these workloads, by the ids that --list shows, or by the first word of several ids; may be repeated
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    workload: Vec<String>,

    /// How often each workload is measured on each subject [default: 3, or 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: Option<u16>,

    /// Duration of each measurement [default: 900ms for architectures, 2s for servers, 500ms with --quick]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    time: Option<Duration>,

    /// Event loops, threads or processes of each server [default: 4 for architectures, 1 for servers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,

    /// Directory of httpd, sync-server, async-server and weather-stub [default: that of this program, which first
    /// builds them if that is in the workspace]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,

    /// Directory of the built programs of http-test-suite/baselines [default: its target/release in the workspace]
    #[arg(long, value_name = "DIR")]
    baselines: Option<PathBuf>,

    /// List the workloads with their subjects, and run nothing
    #[arg(long)]
    list: bool,
}

impl ExperimentOptions {
    /// The plan of the measurements that the options ask for. Fails if a subject or a workload is unknown.
    fn plan(&self, experiment: &'static Experiment) -> Result<Plan, Box<dyn Error>> {
        let mut plan = if self.quick { Plan::quick(experiment) } else { Plan::whole(experiment) };
        if !self.workload.is_empty() {
            let all = Plan::whole(experiment).workloads;
            let ids = self.workload.iter().flat_map(|word| with_first_word(word, &all)).collect::<Vec<_>>();
            plan.workloads = chosen(&ids, &all, |workload| workload.id)?;
        }
        if !self.only.is_empty() {
            plan.subjects = chosen(&self.only, &plan.subjects, |subject| subject.id)?;
        }
        let Experiment { rounds, time, workers, .. } = &mut plan.experiment;
        *rounds = self.rounds.map_or(*rounds, usize::from);
        *time = self.time.unwrap_or(*time);
        *workers = self.workers.map_or(*workers, usize::from);
        Ok(plan)
    }
}

/// Runs the experiment. Returns false if a response was wrong, or a subject could not be measured.
pub fn run(options: &ExperimentOptions, experiment: &'static Experiment) -> Result<bool, Box<dyn Error>> {
    let plan = options.plan(experiment)?;
    if options.list {
        print(&list(&plan))?;
        return Ok(true);
    }
    // Before the measurements, which take long: the file must be usable, and of this machine.
    plan.no_results().merged_into(&options.out.join("results.json"))?;
    let programs = Programs::in_directories(options.bin_dir.as_deref(), options.baselines.as_deref())?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
    let watch = |done: usize, total: usize, measurement: &PlannedMeasurement| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        let (round, workload, subject) = (measurement.round, measurement.workload.id, measurement.subject.id);
        bar.set_message(format!("round {round}: {workload}, {} × {subject}", measurement.connections));
    };
    let results = plan.run(&programs, &watch);
    bar.finish_and_clear();
    let results = results?;
    let (all_correct, tables) = (results.all_correct(), table::markdown(&results));
    results.save(&options.out)?;
    let [json, html] = ["results.json", "report.html"].map(|file| options.out.join(file));
    print(&format!("{tables}Wrote {} and {}\n", json.display(), html.display()))?;
    Ok(all_correct)
}

/// The text for --list: a line for each workload of a plan, with its title and the subjects that take part.
fn list(plan: &Plan) -> String {
    let line = |workload: &&Workload| {
        let subjects = plan.subjects.iter().filter(|subject| workload.includes(subject));
        let ids = subjects.map(|subject| subject.id);
        format!("{:24} {:44} {}\n", workload.id, workload.title, ids.collect::<Vec<_>>().join(" "))
    };
    plan.workloads.iter().map(line).collect()
}

/// The ids of the workloads whose first word this is; the word itself if it is an id, or the first of none.
fn with_first_word(word: &str, all: &[&Workload]) -> Vec<String> {
    let ids = || all.iter().map(|workload| workload.id);
    let begins = |id: &&str| id.strip_prefix(word).is_some_and(|rest| rest.starts_with('-'));
    let found: Vec<String> = ids().filter(begins).map(str::to_owned).collect();
    if found.is_empty() || ids().any(|id| id == word) { vec![word.to_owned()] } else { found }
}

/// The items with these ids, in the order of `all`. An unknown id is an error, which lists the known ones.
fn chosen<T: Copy>(ids: &[String], all: &[T], id: fn(&T) -> &'static str) -> Result<Vec<T>, String> {
    match ids.iter().find(|wanted| !all.iter().any(|item| id(item) == *wanted)) {
        Some(unknown) => {
            let known: Vec<_> = all.iter().map(id).collect();
            Err(format!("unknown: {unknown}; choose from {}", known.join(", ")))
        }
        None => Ok(all.iter().copied().filter(|item| ids.iter().any(|wanted| wanted == id(item))).collect()),
    }
}
