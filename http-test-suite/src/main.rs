//! The command line of the suite: parses command_line, runs the cases with a progress bar, prints and writes the report.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use http_test_suite::{Options, Report, Target, cases, duration, fixtures, run};

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

    /// Run only cases whose id begins with this; may be repeated
    #[arg(long, value_name = "ID-PREFIX")]
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

impl CommandLine {
    /// The options of the run.
    fn options(&self) -> Options {
        Options { only: self.only.clone(), jobs: self.jobs, timeout: self.timeout, ..Options::default() }
    }
}

/// Does what the command_line ask for. Returns false if the server fails a required case.
fn execute(command_line: &CommandLine) -> Result<bool, Box<dyn Error>> {
    if let Some(Command::Fixtures { dir }) = &command_line.command {
        fixtures::write(dir)
            .map_err(|error| format!("cannot write the fixtures to {}: {error}", dir.display()))?;
        return Ok(true);
    }
    if command_line.list {
        print(&list(&command_line.options()))?;
        return Ok(true);
    }
    let report = test(command_line)?;
    if report.outcomes.is_empty() {
        return Err("no case has an id that begins with the value of --only; --list shows them".into());
    }
    if let Some(file) = &command_line.json {
        fs::write(file, report.json()?)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    print(&format!("{report}\n"))?;
    Ok(report.passes(command_line.strict))
}

/// Runs the cases.
fn test(command_line: &CommandLine) -> Result<Report, Box<dyn Error>> {
    let server = &command_line.server;
    let mut target = Target::new(server).map_err(|error| format!("cannot resolve {server}: {error}"))?;
    if let Some(echo) = &command_line.echo {
        target = target.with_echo(echo).map_err(|error| format!("cannot resolve {echo}: {error}"))?;
    }
    Ok(run(&target, &command_line.options())?)
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
