//! The command line of `sync-server` and `async-server`, which differ only in their engine.

use crate::{App, Url, WeatherSettings};
use clap::Parser;
use http_daemon::options;
use http_engine::Engine;
use std::{path::PathBuf, process::ExitCode, sync::Arc};

// The doc comment is the text of `--help`. A handoff passes the listening sockets to a new process of the same program,
// started by `--upgrade` or SIGUSR2. The old process then ends.
/// Serves the demo application over HTTP/1.1.
///
/// Exit codes: 0 after a signal or a handoff; 1 if the server could not start or continue; 2 for wrong usage.
#[derive(Parser)]
struct DemoOptions {
    /// Serve the files of this directory below /static/
    #[arg(short, long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,

    /// Ask this server for the weather instead of open-meteo.com
    #[arg(long, value_name = "URL", env = "WEATHER_URL", hide_env_values = true)]
    weather_url: Option<Url>,

    /// Trust the authorities in this PEM file if the URL is an https URL [default: those that Mozilla trusts]
    #[arg(long, value_name = "FILE", env = "WEATHER_CA", hide_env_values = true)]
    weather_ca: Option<PathBuf>,

    /// The options that all server programs of this project share, such as `--port` and `--workers`.
    #[command(flatten)]
    common: options::Common,
}

/// Runs `sync-server` or `async-server`: parses the arguments of the process, and serves until a signal stops the
/// server or a new process of the program takes over its sockets. Returns the exit code.
///
/// `name` is the program's name in messages, and `served_by` the server's name in the response header `X-Served-By`.
/// `port` is the default of the option `--port`: a number such as `8001`. `engine` selects how the server waits for
/// clients: in one thread per connection, or in event loops. Wrong arguments end the process with exit code 2.
pub fn run(name: &'static str, served_by: &'static str, port: &'static str, engine: Engine) -> ExitCode {
    let DemoOptions { common, root, weather_url, weather_ca } = options::parse(name, port);
    let weather = WeatherSettings { url: weather_url, authorities: weather_ca, ..WeatherSettings::default() };
    common.run(name, Arc::new(App { name: served_by, root, weather }), engine, None)
}
