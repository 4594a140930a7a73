//! Command lines: arguments to settings, failures to exit codes. What the programs have in common stands here once.

#[cfg(feature = "demo")]
use crate::app::{self, weather};
use crate::{
    launch::{self, Engine},
    prefork,
};
use clap::{Args, Parser};
use std::{net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};

/// What every server is asked.
#[derive(Args, Debug)]
pub struct Common {
    /// Port to listen on; 0 takes one that is free
    #[arg(short, long)]
    port: u16,

    /// Address to listen on; may be repeated [default: 127.0.0.1, and ::1 where there is IPv6]
    #[arg(short, long, value_name = "ADDRESS")]
    bind: Vec<IpAddr>,

    /// Event loops, threads kept ready, or processes [default: cores, at most 8]
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// Run each worker as a process of its own, replaced when it dies
    #[arg(long)]
    prefork: bool,

    /// Seconds that what is in flight may take after SIGTERM or SIGINT
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=86_400))]
    grace: u64,
}

impl Common {
    /// What is to be started: this application on this engine, under this name.
    pub fn settings(
        self,
        name: &'static str,
        application: launch::Application,
        engine: Engine,
    ) -> launch::Settings {
        launch::Settings {
            name,
            application,
            binds: self.bind,
            port: self.port,
            workers: self.workers.map_or_else(launch::default_workers, usize::from),
            engine,
            prefork: self.prefork,
            grace: Duration::from_secs(self.grace),
        }
    }
}

/// Reads the arguments of the program `name`; whoever gives wrong ones is told so, and the process ends with code 2.
pub fn parse<P: Parser>(name: &'static str, port: &'static str) -> P {
    let command =
        P::command().name(name).bin_name(name).version(env!("CARGO_PKG_VERSION")).max_term_width(100);
    let command = command.mut_arg("port", |argument| argument.required(false).default_value(port));
    P::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

/// Serves until a signal.
pub fn run(settings: &launch::Settings) -> ExitCode {
    let name = settings.name;
    if settings.binds.len() > prefork::MAX_LISTENERS {
        eprintln!("{name}: at most {} addresses can be listened on", prefork::MAX_LISTENERS);
        return ExitCode::from(2);
    }
    match launch::run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{name}: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Serves the demo application over HTTP/1.1.
///
/// Exit codes: 0 stopped by a signal; 1 could not start or go on; 2 wrong usage.
#[cfg(feature = "demo")]
#[derive(Parser)]
struct Demo {
    #[command(flatten)]
    common: Common,

    /// A directory whose files are served as /static/
    #[arg(short, long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,

    /// Where the weather comes from, in the place of open-meteo.com
    #[arg(long, value_name = "URL", env = "WEATHER_URL")]
    weather_url: Option<weather::Url>,
}

/// The demo application on one engine: all there is to its two programs.
#[cfg(feature = "demo")]
pub fn demo(name: &'static str, served_by: &'static str, port: &'static str, engine: Engine) -> ExitCode {
    let Demo { common, root, weather_url } = parse(name, port);
    let weather = weather::Settings { url: weather_url, ..weather::Settings::default() };
    let app = app::Settings { name: served_by, root, weather };
    run(&common.settings(name, launch::Application::Demo(app), engine))
}
