//! `load-test soak`: runs many kinds of clients against one server, and checks that it withstands them.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use load_test::experiments::soak::Soak;

use super::print;
use http_test_suite::duration;

/// The interval at which the spinner on a terminal moves.
const TICK: Duration = Duration::from_millis(200);

/// Runs good, slow, broken and resetting clients against a file server at the same time, checks every byte of the
/// answers, and checks that the server frees descriptors, threads and memory.
///
/// It starts the server on temporary files: HTTPD --port 0 ARGUMENTS DIR. It takes somewhat longer than the given time,
/// because the same clients first warm the server up. Exit codes: 0 the server had no faults; 1 it had faults; 2 wrong
/// usage, or the soak itself failed.
#[derive(Args)]
pub struct Arguments {
    /// The server program, which must print its address
    #[arg(value_name = "HTTPD")]
    program: PathBuf,

    /// Further arguments for the program
    #[arg(value_name = "ARGUMENTS", last = true)]
    arguments: Vec<OsString>,

    /// How long clients start conversations: 60s, 5m
    #[arg(short, long, value_name = "TIME", default_value = "60s", value_parser = duration::parse)]
    time: Duration,

    /// Write the verdict as JSON to this file; - writes only the JSON to standard output
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
}

/// Runs the soak. Returns false if the server had faults.
pub fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let Arguments { program, arguments, time, json } = arguments;
    let spinner =
        ProgressBar::new_spinner().with_message(format!("{}, and a warm-up", duration::show(*time)));
    spinner.enable_steady_tick(TICK);
    let soak = Soak { program: program.clone(), arguments: arguments.clone(), time: *time };
    let verdict = soak.run()?;
    spinner.finish_and_clear();
    let as_json = || serde_json::to_string_pretty(&verdict).map(|text| text + "\n");
    match json.as_deref() {
        Some("-") => print(&as_json()?)?,
        Some(file) => {
            fs::write(file, as_json()?).map_err(|error| format!("{file}: {error}"))?;
            print(&verdict.to_string())?;
        }
        None => print(&verdict.to_string())?,
    }
    Ok(verdict.passes())
}
