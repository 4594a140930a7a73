//! `httpd`: serves the files of a directory over HTTP/1.1.

use clap::{Parser, ValueEnum};
use http_daemon::{Application, MakeHandler, options};
use http_engine::Handler;
use http_files::{EntityTags, Files, Root};
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

    /// How to make entity tags (the ETag header)
    #[arg(long, value_enum, default_value_t = EtagOption::Strong)]
    etag: EtagOption,

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

/// The values of `--etag`.
#[derive(Clone, Copy, ValueEnum)]
enum EtagOption {
    /// Strong tags: a hash of the content for a file of at most 64 KiB, which is the same on all hosts, and of length,
    /// times, inode and device for a longer one, which is not
    Strong,
    /// Weak tags of length and modification time: the same on all hosts behind a balancer, but not for If-Range
    Mtime,
}

fn main() -> ExitCode {
    let Arguments { positional_root, root, common, engine, etag } = options::parse("httpd", "8080");
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
    let entity_tags = match etag {
        EtagOption::Strong => EntityTags::Strong,
        EtagOption::Mtime => EntityTags::Mtime,
    };
    let site = Site { root, entity_tags };
    common.run("httpd", Arc::new(site), engine)
}

/// The application that `httpd` runs: it serves the files of a directory.
#[derive(Debug)]
struct Site {
    /// The path of the directory, as the operator gave it. This program never changes its working directory.
    root: PathBuf,
    entity_tags: EntityTags,
}

impl Application for Site {
    fn root(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn open(&self, root: Option<&Path>) -> io::Result<MakeHandler> {
        let root = Arc::new(Root::open_as(root.unwrap_or(&self.root), &self.root)?);
        let entity_tags = self.entity_tags;
        Ok(Arc::new(move |_| -> Arc<dyn Handler> {
            Arc::new(Files::from_root(Arc::clone(&root)).with_entity_tags(entity_tags))
        }))
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.display().fmt(f)
    }
}
