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

/// Tests an HTTP/1.1 server for conformance to RFC 9110 and RFC 9112.
///
/// Exit codes: 0 every MUST is met (with --strict, every SHOULD too); 1 some are not met; 2 wrong usage, or the server
/// cannot be reached.
#[derive(Parser)]
#[command(version, propagate_version = true, args_conflicts_with_subcommands = true)]
struct CommandLine {
    /// The server to test
    #[arg(value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    server: String,

    /// The server for the cases that need an echo, if that is another one
    #[arg(long, value_name = "HOST:PORT")]
    echo: Option<String>,

    /// Run only this case, or the cases of this section and its subsections: 9112/6.3/1, 9112/6.3, 9112/6; may be
    /// repeated
    #[arg(long, value_name = "ID")]
    only: Vec<String>,

    /// List the cases that would run, without running them
    #[arg(long)]
    list: bool,

    /// Exit with 1 if a SHOULD fails, too
    #[arg(long)]
    strict: bool,

    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// The number of cases that run at the same time
    #[arg(long, value_name = "N", default_value_t = Options::default().jobs)]
    jobs: usize,

    /// Timeout for connecting and for a response, such as 500ms or 5s
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    timeout: Duration,

    /// A command other than testing a server
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the program does instead of testing a server.
#[derive(Subcommand)]
enum Command {
    /// Write the document root that the cases expect
    Fixtures {
        /// The document root; it is created if it does not exist
        dir: PathBuf,
    },
}

/// Runs the program, and makes its result an exit code: 0, 1 or 2.
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

/// Runs the command that the command line asks for. Returns false if the server fails a required case.
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

/// Resolves a `HOST:PORT` to its first address.
fn resolve(server: &str) -> Result<SocketAddr, String> {
    let addresses = server.to_socket_addrs().map_err(|error| format!("cannot resolve {server}: {error}"));
    addresses?.next().ok_or_else(|| format!("cannot resolve {server}: the name has no address"))
}

/// Lists the cases that `options` select, one a line: id, level and requirement.
fn list(options: &Options) -> String {
    let cases =
        cases::all().iter().flat_map(|section| &section.cases).filter(|case| options.chooses(&case.id));
    cases.map(|case| format!("{:18} {:6} {}\n", case.id, case.level, case.requirement)).collect()
}

/// Writes `text` to standard output; a closed pipe is not an error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
