//! `httpd`: serves the files of a directory over HTTP/1.1.

use clap::{Parser, ValueEnum};
use http_daemon::{
    Application, MakeHandler, options,
    options::MAX_MILLIS,
    units::{Time, time},
};
use http_engine::Handler;
use http_files::{EntityTags, FileSystem, Files, Root};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
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

    /// Time for a file system to find or read a file; then the request gets status 504, or its connection closes
    #[arg(long, value_name = "TIME", help_heading = "Limits", value_parser = time(1..=MAX_MILLIS),
        default_value_t = Time(Root::DEFAULT_FILE_TIMEOUT))]
    file_timeout: Time,

    /// How long calls to the file systems below the directory may take
    #[arg(long, value_enum, default_value_t = FileSystemOption::Auto)]
    file_system: FileSystemOption,

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

/// The values of `--file-system`.
#[derive(Clone, Copy, ValueEnum)]
enum FileSystemOption {
    /// As the kernel says, for each file system
    Auto,
    /// In memory: calls never wait
    Memory,
    /// On a disk of this machine: what the kernel has cached is used at once, and threads wait for the disk
    Local,
    /// On a network or in another process: every call may take for ever, and a thread makes it
    Slow,
}

fn main() -> ExitCode {
    let Arguments { positional_root, root, common, engine, etag, file_timeout, file_system } =
        options::parse("httpd", "8080");
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
    let file_system = match file_system {
        FileSystemOption::Auto => None,
        FileSystemOption::Memory => Some(FileSystem::Memory),
        FileSystemOption::Local => Some(FileSystem::Local),
        FileSystemOption::Slow => Some(FileSystem::Slow),
    };
    let site = Site { root, entity_tags, file_timeout: file_timeout.0, file_system };
    common.run("httpd", Arc::new(site), engine)
}

/// The application that `httpd` runs: it serves the files of a directory.
#[derive(Debug)]
struct Site {
    /// The path of the directory, as the operator gave it. This program never changes its working directory.
    root: PathBuf,
    entity_tags: EntityTags,
    file_timeout: Duration,
    /// The kind of all file systems below the directory; `None` if each tells its own.
    file_system: Option<FileSystem>,
}

impl Application for Site {
    fn root(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn open(&self, root: Option<&Path>) -> io::Result<MakeHandler> {
        let root =
            Root::open_as(root.unwrap_or(&self.root), &self.root)?.with_file_timeout(self.file_timeout);
        let root = Arc::new(match self.file_system {
            Some(kind) => root.with_file_system(kind),
            None => root,
        });
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
