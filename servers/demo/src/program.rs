//! The command line of `sync-server` and `async-server`, which differ only in their engine.

use crate::{App, Url, WeatherSettings};
use clap::Parser;
use http_daemon::options;
use http_engine::Engine;
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// Serves the demo application over HTTP/1.1.
///
/// Exit codes: 0 after a signal or a handoff; 1 if the server could not start or continue; 2 for wrong usage.
#[derive(Parser)]
struct DemoOptions {
    /// Serve the files of this directory below /static/
    #[arg(short, long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,

    /// Ask this server for the weather instead of open-meteo.com
    #[arg(long, value_name = "URL", env = "WEATHER_URL")]
    weather_url: Option<Url>,

    /// The options of every server.
    #[command(flatten)]
    common: options::Common,
}

/// Runs one of the two programs: parses its arguments, serves until a signal or a handoff, and returns the exit code.
///
/// `name` is the program's name in messages, `served_by` the server's name in the response header `X-Served-By`, and
/// `port` the port to listen on without the option `--port`. Wrong arguments end the process with exit code 2.
pub fn run(name: &'static str, served_by: &'static str, port: &'static str, engine: Engine) -> ExitCode {
    let DemoOptions { common, root, weather_url } = options::parse(name, port);
    let weather = WeatherSettings { url: weather_url, ..WeatherSettings::default() };
    common.run(name, Arc::new(App { name: served_by, root, weather }), engine)
}
