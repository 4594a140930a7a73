//! `load-test versus`: compares servers, and writes a table, a picture and the numbers.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};
use load_test::versus::{Plan, Results, Rival, Stage, Work, plot, rivals, table, works};

use super::print;
use http_test_suite::duration;

/// Compares httpd with other servers on the same work: CPU time per request, throughput, latency, memory, start time.
///
/// nginx, lighttpd and h2o are those installed on the system; a server that is missing is left out and reported. Exit
/// codes: 0 every answer was right; 1 some were not, or a server could not be measured; 2 wrong usage, or no server
/// could be measured.
#[derive(Args)]
pub struct Arguments {
    /// Directory for table.md, results.json and versus.svg
    #[arg(long, value_name = "DIR", default_value = "target/versus")]
    out: PathBuf,

    /// Run one short round of a few works: about a minute in all
    #[arg(long)]
    quick: bool,

    /// The server of the project; by default beside this program
    #[arg(long, value_name = "PATH")]
    httpd: Option<PathBuf>,

    /// Directory of the built programs of http-test-suite/baselines; by default in the workspace of this program
    #[arg(long, value_name = "DIR")]
    baselines: Option<PathBuf>,

    /// Measure only these servers
    #[arg(long, value_name = "SERVER", value_delimiter = ',', value_parser = servers())]
    only: Vec<String>,

    /// Measure only these works
    #[arg(long, value_name = "WORK", value_delimiter = ',', value_parser = works())]
    work: Vec<String>,

    /// Number of measurements of each work [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: Option<u16>,

    /// Duration of each measurement [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    time: Option<Duration>,

    /// Threads or processes of each server
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
}

impl Arguments {
    fn plan(&self) -> Result<Plan, Box<dyn Error>> {
        let plan = if self.quick { Plan::quick()? } else { Plan::whole()? };
        Ok(Plan {
            httpd: self.httpd.clone().unwrap_or(plan.httpd),
            baselines: self.baselines.clone().unwrap_or(plan.baselines),
            rivals: named(&self.only, Rival::named).unwrap_or(plan.rivals),
            works: named(&self.work, Work::named).unwrap_or(plan.works),
            rounds: self.rounds.map_or(plan.rounds, usize::from),
            time: self.time.unwrap_or(plan.time),
            workers: usize::from(self.workers),
        })
    }
}

/// Runs the comparison. Returns false if an answer was wrong, or a server could not be measured.
pub fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let plan = arguments.plan()?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
    let watch = |stage: Stage| {
        bar.set_length(stage.of as u64);
        bar.set_position(stage.done as u64);
        let Stage { round, work, point, server, .. } = stage;
        bar.set_message(format!("round {round}: {} {} × {server}", work.id, point.name));
    };
    let results = plan.run(&watch);
    bar.finish_and_clear();
    let results = results?;
    write(&results, arguments)?;
    print(&table::page(&results))?;
    print(&format!("\n{}\n", arguments.out.join("table.md").display()))?;
    Ok(results.all_right())
}

/// Writes the numbers first, so that they are kept even if a later step fails.
fn write(results: &Results, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let out = &arguments.out;
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    results.write(&out.join("results.json"))?;
    fs::write(out.join("table.md"), table::page(results))?;
    fs::write(out.join("versus.svg"), plot::svg(results))?;
    Ok(())
}

/// The items with these names, in that order; `None` if there are no names.
fn named<T>(names: &[String], find: fn(&str) -> Option<&'static T>) -> Option<Vec<&'static T>> {
    (!names.is_empty()).then(|| names.iter().filter_map(|name| find(name)).collect())
}

fn servers() -> PossibleValuesParser {
    PossibleValuesParser::new(rivals::ALL.iter().map(|rival| rival.id))
}

fn works() -> PossibleValuesParser {
    PossibleValuesParser::new(works::ALL.iter().map(|work| work.id))
}
