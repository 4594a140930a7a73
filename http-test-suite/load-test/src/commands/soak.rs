//! `load-test soak`: runs many kinds of clients against one server, and checks that it withstands them.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http_test_suite::duration;
use indicatif::ProgressBar;
use load_test::experiments::soak::Soak;

use super::print_result;

/// The interval at which the progress display on a terminal moves.
const SPINNER_INTERVAL: Duration = Duration::from_millis(200);

/// The options of `load-test soak`.
#[derive(Args, Clone)]
pub struct SoakOptions {
    /// The server program, which must print its address
    #[arg(value_name = "HTTPD")]
    program: PathBuf,

    /// Further arguments for the program, after --
    #[arg(value_name = "ARGUMENTS", last = true)]
    arguments: Vec<OsString>,

    /// Publish a new version of the site every second, by a symbolic link, and make the server reload with SIGHUP
    #[arg(long)]
    reload: bool,

    /// A program that mounts a file system that never answers on each directory given as its argument, prints a line,
    /// and unmounts them when its input ends: clients then also request files of these
    #[arg(long, value_name = "PROGRAM")]
    dead_mount: Option<PathBuf>,

    /// Make the server use TLS; clients connect through a tunnel
    #[arg(long)]
    tls: bool,

    /// How long clients open connections, without the warm-up: 60s, 5m
    #[arg(short, long, value_name = "TIME", default_value = "60s", value_parser = duration::parse)]
    time: Duration,

    /// How long the server may take to free the resources of closed connections
    #[arg(long, value_name = "TIME", default_value = "12s", value_parser = duration::parse)]
    free_within: Duration,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the soak. Returns false if the server had faults.
pub fn run(options: &SoakOptions) -> Result<bool, Box<dyn Error>> {
    let SoakOptions { program, arguments, reload, dead_mount, tls, time, free_within, json } =
        options.clone();
    let spinner = ProgressBar::new_spinner().with_message(format!("{} and a warm-up", duration::show(time)));
    spinner.enable_steady_tick(SPINNER_INTERVAL);
    let result = Soak { program, arguments, reload, dead_mount, tls, time, free_within }.run()?;
    spinner.finish_and_clear();
    print_result(&result, &result, json)?;
    Ok(result.passes())
}
