//! `load-test publish`: writes the figures and charts of a results file into the documents.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;
use load_test::report::Results;
use load_test::report::publish::{self, RESULTS};

use super::print;

/// The options of `load-test publish`.
#[derive(Args)]
pub struct PublishOptions {
    /// The results to publish; by default those that are published already
    #[arg(value_name = "RESULTS.json")]
    results: Option<PathBuf>,

    /// Change no file, and fail if one would change
    #[arg(long)]
    check: bool,

    /// The root directory of the repository with the documents
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

/// Publishes the results, or with --check only looks. Returns false if a checked file is not up to date.
pub fn run(options: &PublishOptions) -> Result<bool, Box<dyn Error>> {
    let path = options.results.clone().unwrap_or_else(|| options.root.join(RESULTS));
    let changed = publish::publish(&options.root, &Results::read(&path)?, options.check)?;
    let what = if options.check { "not up to date" } else { "written" };
    for path in &changed {
        print(&format!("{what}: {}\n", path.display()))?;
    }
    Ok(!options.check || changed.is_empty())
}
