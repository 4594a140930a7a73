//! A folder, served by hyper and tower-http's `ServeDir`: a runtime and a listening socket for each worker.

use clap::Parser;
use hyper_util::service::TowerToHyperService;
use peers::{Listening, announce, hyper, on_threads};
use std::{io, path::PathBuf};
use tower_http::services::ServeDir;

/// Serves a folder with hyper and tower-http.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    listening: Listening,

    /// The folder
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
