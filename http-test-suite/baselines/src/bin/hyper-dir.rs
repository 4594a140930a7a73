//! Serves a directory with hyper and tower-http's `ServeDir`: each worker has its own runtime and listening socket.

use clap::Parser;
use hyper_util::service::TowerToHyperService;
use baselines::{Listening, announce, hyper, on_threads};
use std::{io, path::PathBuf};
use tower_http::services::ServeDir;

/// Serves a directory with hyper and tower-http.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    listening: Listening,

    /// The directory
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

fn main() -> io::Result<()> {
    let Arguments { listening, root } = Arguments::parse();
    let listeners = listening.bind_each()?;
    announce("hyper-dir", &listeners[0])?;
    on_threads(listeners, |listener| hyper::serve(listener, TowerToHyperService::new(ServeDir::new(&root))));
    Ok(())
}
