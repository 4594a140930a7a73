//! `load-test lab`: runs the lab, and writes its report.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};
use load_test::lab::{self, Plan, Programs, Results, Stage, html, plot};

use super::print;

/// Starts the demo servers in every architecture, measures them under every workload, and writes a report.
///
/// If this program is in its workspace, it builds the servers first. Exit codes: 0 every answer was right; 1 a cell
/// failed; 2 wrong usage, or the lab itself failed.
#[derive(Args)]
pub struct Arguments {
    /// Directory for results.json, report.html and the pictures
    #[arg(long, value_name = "DIR", default_value = "target/lab")]
    out: PathBuf,

    /// Few connections, one round, half a second each: about a minute in all
    #[arg(long)]
    quick: bool,

    /// Measure only this workload or architecture; may be repeated
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Plan::names()))]
    only: Vec<String>,

    /// Number of measurements of each cell
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: Option<u16>,

    /// Duration of each measurement
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    secs: Option<f64>,

    /// Event loops, or processes, of the architectures that have several
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=64))]
    workers: Option<u16>,

    /// Directory of the servers; by default the directory of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let mut plan = if self.quick { Plan::quick() } else { Plan::default() };
        plan.rounds = self.rounds.map_or(plan.rounds, usize::from);
        plan.time = self.secs.map_or(plan.time, Duration::from_secs_f64);
        plan.workers = self.workers.map_or(plan.workers, usize::from);
        plan.only(&self.only)
    }
}

/// Runs the lab. Returns false if an answer was wrong.
pub fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let plan = arguments.plan();
    let programs = Programs::find(arguments.bin_dir.as_deref())?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
    let watch = |stage: Stage| {
        bar.set_length(stage.of as u64);
        bar.set_position(stage.done as u64);
        let (round, workload, architecture) = (stage.round, stage.workload.id, stage.architecture.title());
        bar.set_message(format!("round {round}: {workload}, {} × {architecture}", stage.connections));
    };
    let results = plan.run(&programs, &watch);
    bar.finish_and_clear();
    let results = results?;
    if results.cells.is_empty() {
        return Err("nothing to measure: no architecture in --only takes part in a workload in --only".into());
    }
    write(&results, arguments)?;
    print(&lab::table(&results))?;
    print(&format!("\n{}\n", arguments.out.join("report.html").display()))?;
    Ok(results.cells.iter().all(|cell| cell.failure.is_none()))
}

/// Writes the numbers first, so that they are kept even if drawing fails.
fn write(results: &Results, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let out = &arguments.out;
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    results.write(&out.join("results.json"))?;
    let drawings = plot::draw(results)?;
    for drawing in &drawings {
        fs::write(out.join(drawing.name).with_extension("svg"), &drawing.svg)?;
    }
    fs::write(out.join("report.html"), html::page(results, &drawings))?;
    Ok(())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // Reading the servers' resource use during the load takes time.
    if (0.5..=600.0).contains(&seconds) { Ok(seconds) } else { Err("must be between 0.5 and 600".into()) }
}
