//! `load-test compare`: compares two results files.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;
use load_test::report::compare::Comparison;
use load_test::report::{Metric, Results};

use super::print;

/// The options of `load-test compare`.
#[derive(Args)]
pub struct CompareOptions {
    /// The earlier results file (results.json)
    before: PathBuf,

    /// The later results file (results.json)
    after: PathBuf,

    /// The change that is tolerated, as a percentage of the earlier median
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = share)]
    bound: f64,

    /// Metric to compare; may be repeated [default: throughput, cpu, and the first metric of each workload]
    #[arg(long, value_name = "METRIC", value_enum)]
    metric: Vec<Metric>,
}

/// Compares the files, and prints the report. Returns false if something has become worse, or a cell has failed.
pub fn run(options: &CompareOptions) -> Result<bool, Box<dyn Error>> {
    let (before, after) = (Results::read(&options.before)?, Results::read(&options.after)?);
    let comparison = Comparison::of(&before, &after, &options.metric, options.bound)?;
    print(&comparison.text)?;
    Ok(comparison.passes)
}

/// Parses the value of --bound as a share: `10%` and `10` are 0.1.
fn share(text: &str) -> Result<f64, String> {
    let percent: f64 = text.trim_end_matches('%').parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1000.0).contains(&percent) { Ok(percent / 100.0) } else { Err("between 0 and 1000".into()) }
}
