//! `load-test compare`: compares the results of two runs of the lab.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use load_test::lab::{Comparison, Metric, Results};

use super::print;

/// Compares a run of the lab with an earlier run, cell by cell.
///
/// A change counts if it is greater than the bound and the rounds of the two runs do not overlap. Exit codes: 0 nothing
/// has become worse; 1 something has become worse, or a cell has failed; 2 a file cannot be used, or the runs cannot be
/// compared.
#[derive(Args)]
pub struct Arguments {
    /// results.json of the earlier run
    before: PathBuf,

    /// results.json of the later run
    after: PathBuf,

    /// The tolerated change
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = share)]
    bound: f64,

    /// What to compare; may be repeated
    #[arg(long, value_name = "METRIC", default_values = ["throughput", "cpu"], value_parser = metric)]
    metric: Vec<Metric>,
}

/// Compares the runs. Returns false if something has become worse.
pub fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let read = |path: &Path| Results::read(path).map_err(|error| format!("{} {error}", path.display()));
    let (before, after) = (read(&arguments.before)?, read(&arguments.after)?);
    let comparison = Comparison::of(&before, &after, &arguments.metric, arguments.bound)?;
    print(&format!("{comparison}\n"))?;
    Ok(comparison.passes())
}

/// `10%` or `10` is 0.1.
fn share(text: &str) -> Result<f64, String> {
    let percent: f64 = text.trim_end_matches('%').parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1000.0).contains(&percent) { Ok(percent / 100.0) } else { Err("between 0 and 1000".into()) }
}

fn metric(name: &str) -> Result<Metric, String> {
    let known = || Metric::ALL.map(Metric::id).join(", ");
    Metric::named(name).ok_or_else(|| format!("one of {}", known()))
}
