//! `httpd`: serves the files of a directory over HTTP/1.1.

use clap::{Parser, ValueEnum};
use servers::{engine, launch, prefork};
use std::{net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};

/// Serves the files of a directory over HTTP/1.1.
///
/// Exit codes: 0 stopped by a signal; 1 could not start or go on; 2 wrong usage.
#[derive(Parser)]
#[command(name = "httpd", version, max_term_width = 100)]
struct Arguments {
    /// The directory to serve
    #[arg(value_name = "ROOT", default_value = ".", conflicts_with = "root")]
    positional_root: PathBuf,

    /// The directory to serve, by name
    #[arg(short, long, value_name = "ROOT")]
    root: Option<PathBuf>,

    /// Port to listen on; 0 takes one that is free
    #[arg(short, long, default_value_t = 8080)]
    port: u16,

    /// Address to listen on; may be repeated [default: 127.0.0.1, and ::1 where there is IPv6]
    #[arg(short, long, value_name = "ADDRESS")]
    bind: Vec<IpAddr>,

    /// Event loops, threads kept ready, or processes [default: cores, at most 8]
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// How to wait for clients
    #[arg(long, value_enum, default_value_t = Engine::EventLoop)]
    engine: Engine,

    /// Run each worker as a process of its own, replaced when it dies
    #[arg(long)]
    prefork: bool,

    /// Seconds that what is in flight may take after SIGTERM or SIGINT
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=86_400))]
    grace: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// A few threads, each with many connections
    EventLoop,
    /// A thread for each connection
    Blocking,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.bind.len() > prefork::MAX_LISTENERS {
        eprintln!("httpd: at most {} addresses can be listened on", prefork::MAX_LISTENERS);
        return ExitCode::from(2);
    }
    match launch::run(&settings(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("httpd: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn settings(arguments: Arguments) -> launch::Settings {
    let default = engine::Settings::default();
    launch::Settings {
        name: "httpd",
        root: arguments.root.unwrap_or(arguments.positional_root),
        binds: arguments.bind,
        port: arguments.port,
        workers: arguments.workers.map_or(default.workers, usize::from),
        engine: match arguments.engine {
            Engine::EventLoop => engine::Engine::EventLoop,
            Engine::Blocking => engine::Engine::Blocking,
        },
        prefork: arguments.prefork,
        grace: Duration::from_secs(arguments.grace),
    }
}
