//! `httpd`: serves the files of a directory over HTTP/1.1.

use clap::{Parser, ValueEnum};
use http_daemon::{Application, options};
use http_engine::{Handler, MakeHandler};
use http_files::{Files, Root};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// Serves the files of a directory over HTTP/1.1.
///
/// Exit codes: 0 after a signal or a handoff; 1 if the server could not start or continue; 2 for wrong usage.
// The help text shows the lines above. The signals are SIGTERM and SIGINT. In a handoff, which SIGUSR2 starts, a new
// process of the program takes over the listening sockets, and the old one exits.
#[derive(Parser)]
struct Arguments {
    /// The directory to serve [default: .]
    #[arg(value_name = "ROOT")]
    positional_root: Option<PathBuf>,

    /// The directory to serve; the same as ROOT
    #[arg(short, long, value_name = "ROOT")]
    root: Option<PathBuf>,

    /// How to wait for clients
    #[arg(long, value_enum, help_heading = options::WORKERS, default_value_t = EngineOption::EventLoop)]
    engine: EngineOption,

    #[command(flatten)]
    common: options::Common,
}

/// The values of `--engine`.
#[derive(Clone, Copy, ValueEnum)]
enum EngineOption {
    /// A few threads, each serving many connections
    EventLoop,
    /// One thread per connection
    Blocking,
}

fn main() -> ExitCode {
    let Arguments { positional_root, root, common, engine } = options::parse("httpd", "8080");
    let root = match (positional_root, root) {
        (Some(positional), Some(root)) => {
            let (positional, root) = (positional.display(), root.display());
            let message = format!("the directory is given twice, as {positional} and as --root {root}");
            options::exit_with_usage_error::<Arguments>("httpd", message);
        }
        (positional, root) => root.or(positional).unwrap_or_else(|| ".".into()),
    };
    let engine = match engine {
        EngineOption::EventLoop => http_engine::Engine::EventLoop,
        EngineOption::Blocking => http_engine::Engine::Blocking,
    };
    common.run("httpd", Arc::new(Site(root)), engine)
}

/// The application that `httpd` runs: it serves the files of the directory at this path, as the operator gave it. This
/// program never changes its working directory.
#[derive(Debug)]
struct Site(PathBuf);

impl Application for Site {
    fn root(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn open(&self, root: Option<&Path>) -> io::Result<MakeHandler> {
        let root = Arc::new(Root::open_as(root.unwrap_or(&self.0), &self.0)?);
        Ok(Arc::new(move |_| -> Arc<dyn Handler> { Arc::new(Files::from_root(Arc::clone(&root))) }))
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}
