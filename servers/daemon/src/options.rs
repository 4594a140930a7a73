//! Command lines: arguments to settings, failures to exit codes. What the programs have in common stands here once.

use crate::{
    launch::{self, reload},
    logs,
};
use clap::{Args, Parser};
use http_engine::{Config, Engine, Limits, Timeouts};
use std::{
    fmt,
    io::{self, Write},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

/// Addresses that can be listened on: more than anybody has, and with a socket for each of some workers still few
/// enough to be watched.
const MAX_BINDS: usize = 64;

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

    #[command(flatten)]
    bounds: Bounds,

    #[command(flatten)]
    service: Service,
}

/// What peers may take, and for how long.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
struct Bounds {
    /// Connections held at once, divided evenly among processes, as far as open files are allowed [default: 10000 on
    /// event loops, 1024 with a thread for each; in each process]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,

    /// Connections held at once by one address, in each process [default: no limit]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections_per_ip: Option<u32>,

    /// Bytes of a request's head; beyond it 431
    #[arg(long, value_name = "BYTES", default_value_t = narrow(Limits::default().head_bytes),
        value_parser = clap::value_parser!(u32).range(256..=65_535))]
    max_head: u32,

    /// Bytes of a request's content; beyond it 413
    #[arg(long, value_name = "BYTES", default_value_t = narrow(Limits::default().body_bytes))]
    max_body: u32,

    /// Time for a request's head, from its first byte on
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::default().head.into(), value_parser = Seconds::parse)]
    head_timeout: Seconds,

    /// Time between two pieces of a request's content
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::default().body_idle.into(), value_parser = Seconds::parse)]
    body_timeout: Seconds,

    /// Time for which a peer may take nothing of its answer
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::default().write_stall.into(), value_parser = Seconds::parse)]
    write_timeout: Seconds,

    /// Time between two requests on a connection
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::default().idle.into(), value_parser = Seconds::parse)]
    idle_timeout: Seconds,

    /// Time for what is in flight after SIGTERM or SIGINT, and after a reload
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=86_400))]
    grace: u64,
}

/// How it gets on with the rest of the system.
#[derive(Args, Debug)]
#[command(next_help_heading = "Service")]
struct Service {
    /// How requests are logged
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = logs::Format::Off)]
    log: logs::Format,

    /// File that requests are logged to, opened anew at SIGUSR1 and SIGHUP [default: standard output]
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// File that messages go to, opened anew likewise [default: standard error]
    #[arg(long, value_name = "FILE")]
    error_log: Option<PathBuf>,

    /// File that holds the process number while the server runs
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// User to become once the port is bound, by name or number
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// Group to become with it [default: the user's]
    #[arg(long, value_name = "GROUP", requires = "user")]
    group: Option<String>,

    /// Give up all files but those that are served and written (Landlock)
    #[arg(long)]
    confine: bool,

    /// Have the server with this pid file start the program anew and hand over to it, as SIGUSR2 does; then exit
    #[arg(long, requires = "pid_file")]
    reload: bool,
}

/// A time of at least a second, and of at most a day.
#[derive(Clone, Copy, Debug)]
struct Seconds(Duration);

impl Seconds {
    fn parse(text: &str) -> Result<Seconds, String> {
        match text.parse() {
            Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds).into()),
            _ => Err("it is not in 1..=86400".to_owned()),
        }
    }
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Seconds {
        Seconds(duration)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_secs().fmt(f)
    }
}

fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Bounds {
    fn protocol(&self) -> Config {
        let limits =
            Limits { head_bytes: wide(self.max_head), body_bytes: wide(self.max_body), ..Limits::default() };
        let timeouts = Timeouts {
            head: self.head_timeout.0,
            body_idle: self.body_timeout.0,
            write_stall: self.write_timeout.0,
            idle: self.idle_timeout.0,
            ..Timeouts::default()
        };
        Config { limits, timeouts }
    }
}

impl Common {
    /// What is to be started: this application on this engine, under this name.
    fn settings(
        self,
        name: &'static str,
        application: Arc<dyn launch::Application>,
        engine: Engine,
    ) -> launch::Settings {
        let Common { port, bind, workers, prefork, bounds, service } = self;
        launch::Settings {
            name,
            application,
            binds: bind,
            port,
            workers: workers.map_or_else(launch::default_workers, usize::from),
            engine,
            prefork,
            grace: Duration::from_secs(bounds.grace),
            max_connections: bounds.max_connections.map(wide),
            max_connections_per_address: bounds.max_connections_per_ip.map(wide),
            protocol: bounds.protocol(),
            log: logs::Settings { access: service.log, file: service.log_file, errors: service.error_log },
            pid_file: service.pid_file,
            user: service.user.map(|user| (user, service.group)),
            confine: service.confine,
        }
    }

    /// Does what is asked for: serves this until a signal, or has another process start a successor.
    pub fn run(
        self,
        name: &'static str,
        application: Arc<dyn launch::Application>,
        engine: Engine,
    ) -> ExitCode {
        if self.bind.len() > MAX_BINDS {
            eprintln!("{name}: at most {MAX_BINDS} addresses can be listened on");
            return ExitCode::from(2);
        }
        let outcome = match &self.service {
            Service { reload: true, pid_file: Some(pid_file), .. } => reload::reload(pid_file),
            _ => launch::run(&self.settings(name, application, engine)),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                // In one piece: workers that fail together share a standard error, which may be closed, too.
                let _ = io::stderr().write_all(format!("{name}: {failure}\n").as_bytes());
                ExitCode::FAILURE
            }
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
