//! `httpd`: serves the files of a directory over HTTP/1.1.

mod site;

use clap::{Parser, ValueEnum};
use http_daemon::options;
use site::Site;
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// Serves the files of a directory over HTTP/1.1.
///
/// Exit codes: 0 stopped by a signal, or handed over; 1 could not start or go on; 2 wrong usage.
#[derive(Parser)]
struct Arguments {
    /// The directory to serve
    #[arg(value_name = "ROOT", default_value = ".", conflicts_with = "root")]
    positional_root: PathBuf,

    /// The directory to serve, by name
    #[arg(short, long, value_name = "ROOT")]
    root: Option<PathBuf>,

    #[command(flatten)]
    common: options::Common,

    /// How to wait for clients
    #[arg(long, value_enum, default_value_t = Engine::EventLoop)]
    engine: Engine,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// A few threads, each with many connections
    EventLoop,
    /// A thread for each connection
    Blocking,
}

fn main() -> ExitCode {
    let Arguments { positional_root, root, common, engine } = options::parse("httpd", "8080");
    let engine = match engine {
        Engine::EventLoop => http_engine::Engine::EventLoop,
        Engine::Blocking => http_engine::Engine::Blocking,
    };
    common.run("httpd", Arc::new(Site(root.unwrap_or(positional_root))), engine)
}
