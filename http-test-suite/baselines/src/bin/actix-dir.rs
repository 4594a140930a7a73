//! Serves a directory with actix-web and actix-files: one thread accepts, and `--workers` threads serve.

use actix_files::Files;
use actix_web::{App, HttpServer, rt::System};
use baselines::{Listening, announce};
use clap::Parser;
use std::{io, path::PathBuf, time::Duration};

/// The keep-alive timeout of the other servers. The default of actix, 5 seconds, would close connections that are meant
/// to idle.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Serves a directory with actix-web and actix-files.
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
    let listener = listening.bind()?;
    announce("actix-dir", &listener)?;
    let app = move || App::new().service(Files::new("/", &root).index_file("index.html"));
    // `announce` handles signals, and a graceful shutdown is not measured.
    let server =
        HttpServer::new(app).workers(listening.workers.get()).keep_alive(KEEP_ALIVE).disable_signals();
    System::new().block_on(server.listen(listener)?.run())
}
