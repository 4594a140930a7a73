//! The command line of `load-test`: runs the chosen kind of test, and exits with its result.

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod commands;

use commands::{compare, experiment, publish, quick, soak};
use load_test::experiments::{architectures::ARCHITECTURES, servers::SERVERS};

/// Puts load on an HTTP/1.1 server, checks its responses, and reports throughput and latency.
///
/// Example: load-test -c 100 -n 50000 http://localhost:8080/
///
/// It sends 50,000 requests on 100 connections, each as soon as the last response has arrived. Connections are kept
/// alive unless --close is given (`ab` without -k does not keep them alive). Without -n and -z the test takes ten
/// seconds.
///
/// Exit codes: 0 every response was right; 1 some were not; 2 wrong usage, or the server cannot be reached.
#[derive(Parser)]
#[command(name = "load-test", version, propagate_version = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[group(skip)]
struct Arguments {
    /// The URLs and options of one load on one server, if there is no command.
    #[command(flatten)]
    quick: quick::QuickOptions,

    /// The command; without one, one load on one server.
    #[command(subcommand)]
    command: Option<Command>,
}

/// The commands of `load-test`, apart from one load on one server (`load-test URL`).
#[derive(Subcommand)]
enum Command {
    /// Compares one application as threads, as processes and as event loops: throughput, latency, CPU time and memory.
    ///
    /// Exit codes: 0 every response was right; 1 some were not, or a server could not be measured; 2 wrong usage, or
    /// nothing could be measured.
    Architectures(experiment::ExperimentOptions),

    /// Compares httpd with other servers: CPU time per request, throughput, latency, memory, start time, conformance.
    ///
    /// nginx, lighttpd, h2o and Apache are those installed on the system; a server that is missing is left out and
    /// reported. Exit codes: 0 every response was right; 1 some were not, or a server could not be measured; 2 wrong
    /// usage, or nothing could be measured.
    Servers(experiment::ExperimentOptions),

    /// Compares a results file with an earlier one, cell by cell, for both experiments.
    ///
    /// A cell is one workload on one server with one number of connections. A change counts if it is greater than the
    /// bound and the rounds of the two files do not overlap. Exit codes: 0 nothing has become worse; 1 something has
    /// become worse, or a cell has failed; 2 a file cannot be used, or the files cannot be compared.
    Compare(compare::CompareOptions),

    /// Writes the figures of a results file into README files and pages, and the charts into www/charts.
    ///
    /// A figure stands between `<!-- figures: NAME -->` and `<!-- end of figures -->`. The results are copied to
    /// http-test-suite/results. Prints the files that change. Exit codes: 0 done, or nothing to do; 1 with --check, a
    /// file would change; 2 the results or a document cannot be used.
    Publish(publish::PublishOptions),

    /// Runs well-behaved, slow, malformed and aborting clients against a file server at the same time, checks every
    /// byte of the responses, and checks that the server frees descriptors, threads and memory.
    ///
    /// It starts the server on temporary files: HTTPD --port 0 ARGUMENTS DIR. It takes somewhat longer than the given
    /// time, because it first warms the server up with the same clients. Exit codes: 0 the server had no faults; 1 it
    /// had faults; 2 wrong usage, or the soak itself failed.
    Soak(soak::SoakOptions),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run_command(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("load-test: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the chosen command. Returns false for exit code 1.
fn run_command(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    match &arguments.command {
        None => quick::run(&arguments.quick),
        Some(Command::Architectures(arguments)) => experiment::run(arguments, &ARCHITECTURES),
        Some(Command::Servers(arguments)) => experiment::run(arguments, &SERVERS),
        Some(Command::Compare(arguments)) => compare::run(arguments),
        Some(Command::Publish(arguments)) => publish::run(arguments),
        Some(Command::Soak(arguments)) => soak::run(arguments),
    }
}
