//! `load-test soak`: a mixed crowd of clients at one server, and whether it stands.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http_test_suite::soak::Soak;
use indicatif::ProgressBar;

use crate::{duration, print};

/// How often a terminal shows that it goes on.
const TICK: Duration = Duration::from_millis(200);

/// Lets good, slow, broken and resetting clients at a file server all at once, checks every answer to the byte, and
/// looks whether descriptors, threads and memory are given back.
///
/// The server is started on files of its own: HTTPD --port 0 ARGUMENTS DIR. It takes somewhat longer than the time that
/// is given, for the same crowd comes once before to warm the server up. Exit codes: 0 the server stands; 1 something
/// was wrong; 2 the soak could not work.
#[derive(Args)]
pub struct Arguments {
    /// The program; it prints where it listens
    #[arg(value_name = "HTTPD")]
    program: PathBuf,

    /// What the program is told besides
    #[arg(value_name = "ARGUMENTS", last = true)]
    arguments: Vec<OsString>,

    /// How long clients keep coming: 60s, 5m
    #[arg(short, long, value_name = "TIME", default_value = "60s", value_parser = duration::parse)]
    time: Duration,

    /// Where to write the verdict as JSON; - is standard output, which then has nothing else
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
}

/// Whether the server stands.
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
