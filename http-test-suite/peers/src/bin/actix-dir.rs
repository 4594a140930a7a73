//! A folder, served by actix-web and actix-files: a thread that accepts, and as many as asked for that serve.

use actix_files::Files;
use actix_web::{App, HttpServer, rt::System};
use clap::Parser;
use peers::{Listening, announce};
use std::{io, path::PathBuf, time::Duration};

/// As long as others wait for the next request; actix's own 5 seconds would close what is meant to idle.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Serves a folder with actix-web and actix-files.
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
    let listener = listening.bind()?;
    announce("actix-dir", &listener)?;
    let app = move || App::new().service(Files::new("/", &root).index_file("index.html"));
    // Graceful stopping is not what is measured, and signals are taken care of.
    let server =
        HttpServer::new(app).workers(listening.workers.get()).keep_alive(KEEP_ALIVE).disable_signals();
    System::new().block_on(server.listen(listener)?.run())
}
