//! The command line of the suite: runs the cases, prints and writes the report.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use http_test_suite::exchange::Timeouts;
use http_test_suite::{Options, Target, cases, duration, fixtures, run};

/// Tests an HTTP/1.1 server for conformance by the bytes that it sends.
///
/// Exit codes: 0 every MUST is met (with --strict, every SHOULD too); 1 some are not met; 2 wrong usage, or the server
/// cannot be reached.
#[derive(Parser)]
#[command(version, propagate_version = true, args_conflicts_with_subcommands = true)]
struct CommandLine {
    /// The server
    #[arg(value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    server: String,

    /// An echo server, for the cases that need one
    #[arg(long, value_name = "HOST:PORT")]
    echo: Option<String>,

    /// Run only this case, or the cases of this section and its subsections: 9112/6.3/1, 9112/6.3, 9112/6; may be
    /// repeated
    #[arg(long, value_name = "ID")]
    only: Vec<String>,

    /// List the cases without running them
    #[arg(long)]
    list: bool,

    /// Count failed SHOULDs for the exit code, too
    #[arg(long)]
    strict: bool,

    /// Where to write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Cases that run at the same time
    #[arg(long, value_name = "N", default_value_t = Options::default().jobs)]
    jobs: usize,

    /// Timeout for a response
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    timeout: Duration,

    #[command(subcommand)]
    command: Option<Command>,
}

/// The command of the program, if it is not to test a server.
#[derive(Subcommand)]
enum Command {
    /// Write the document root that the cases expect
    Fixtures {
        /// Created if it does not exist
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    match execute(&CommandLine::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("http-test-suite: {error}");
            ExitCode::from(2)
        }
    }
}

/// Does what the command line asks for. Returns false if the server fails a required case.
fn execute(command_line: &CommandLine) -> Result<bool, Box<dyn Error>> {
    if let Some(Command::Fixtures { dir }) = &command_line.command {
        fixtures::write(dir)
            .map_err(|error| format!("cannot write the fixtures to {}: {error}", dir.display()))?;
        return Ok(true);
    }
    let timeouts = Timeouts { response: command_line.timeout, ..Timeouts::default() };
    let (only, jobs) = (command_line.only.clone(), command_line.jobs);
    let options = Options { only, jobs, timeouts, ..Options::default() };
    if command_line.list {
        print(&list(&options))?;
        return Ok(true);
    }
    let echo = command_line.echo.as_deref().map(resolve).transpose()?;
    let report = run(&Target { server: resolve(&command_line.server)?, echo }, &options)?;
    if report.outcomes.is_empty() {
        return Err(format!("no case or section {}; --list shows all", command_line.only.join(" or ")).into());
    }
    if let Some(file) = &command_line.json {
        fs::write(file, serde_json::to_string_pretty(&report)?)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    print(&format!("{report}\n"))?;
    Ok(report.passes(command_line.strict))
}

/// The first address of a `HOST:PORT`.
fn resolve(server: &str) -> Result<SocketAddr, String> {
    let addresses = server.to_socket_addrs().map_err(|error| format!("cannot resolve {server}: {error}"));
    addresses?.next().ok_or_else(|| format!("cannot resolve {server}: the name has no address"))
}

/// The chosen cases, one a line.
fn list(options: &Options) -> String {
    let cases =
        cases::all().iter().flat_map(|section| &section.cases).filter(|case| options.chooses(&case.id));
    cases.map(|case| format!("{:18} {:6} {}\n", case.id, case.level, case.requirement)).collect()
}

/// Writes to standard output; a closed pipe is not an error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
