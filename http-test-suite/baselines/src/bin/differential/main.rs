//! Finds bytes that http-core and other parsers, servers and proxies read differently: see `README.md`.

mod causes;
mod comparison;
mod http_core;
mod httparse;
mod hyper;
mod lane;
mod messages;
mod network;
mod parsers;
mod pipe;
mod proxies;
mod reading;
mod report;

use clap::Parser as _;
use comparison::Comparison;
use messages::Messages;
use network::Subject;
use parsers::Parser;
use report::{Differences, Kind};
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// How many messages a proxy or a server gets at the same time.
const LANES: usize = 24;

/// The beginning of the tables.
const TITLE: &str = "# The same bytes, read by others

What http-core (we) and others (they) read in the same bytes. Each message has a valid request behind it, here `PROBE`.
The program `differential` writes this file; [README.md](../README.md#the-same-bytes-read-by-others) explains it.
";

/// Sends the same bytes to http-core and to other parsers, servers and proxies, and prints how they read them
/// differently.
///
/// The exit code is 1 if there is a smuggling pair: a proxy that forwards what we read as other requests, or a parser
/// that accepts what we accept, and finds other requests in it. It is 1, too, if all other parsers reject what we
/// accept; a minor version after 1 is no reason.
#[derive(clap::Parser)]
struct Arguments {
    /// Messages for the parsers
    #[arg(long, value_name = "N", default_value = "200000")]
    messages: usize,

    /// Messages for each server and each proxy
    #[arg(long, value_name = "N", default_value = "20000")]
    sent: usize,

    /// Compare only this server
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<SocketAddr>,

    /// Compare only this proxy, which forwards to --origin
    #[arg(long, value_name = "HOST:PORT", requires = "origin", conflicts_with = "server")]
    proxy: Option<SocketAddr>,

    /// Where the recording origin listens
    #[arg(long, value_name = "HOST:PORT", requires = "proxy")]
    origin: Option<SocketAddr>,

    /// The directory of httpd and async-server, to compare them with http-core
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,

    /// Write the tables to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seeds = directory.join("../../http-core/fuzz/seeds");
    let parsers = Parser::all(&directory.join("differential"));
    let mut comparison =
        Comparison { parsers, differences: Differences::default(), summary: TITLE.to_owned() };
    let to_send: Vec<_> = Messages::new(&seeds)?.take(arguments.sent).collect();
    let scratch = tempfile::tempdir()?;
    match (arguments.server, arguments.proxy, arguments.origin) {
        (Some(server), ..) => comparison.servers(&[Subject::server(server)?], &to_send)?,
        (None, Some(proxy), Some(origin)) => comparison.proxies([Subject::proxy(proxy, origin)], &to_send)?,
        _ => {
            comparison.parsers(Messages::new(&seeds)?.take(arguments.messages))?;
            let started = proxies::ALL.iter().map(|proxy| proxy.start(scratch.path(), LANES));
            comparison.proxies(started, &to_send)?;
            if let Some(bin_dir) = &arguments.bin_dir {
                comparison.servers(&Subject::ours(bin_dir, scratch.path())?, &to_send)?;
            }
        }
    }
    print!("{}", comparison.summary);
    if let Some(file) = &arguments.out {
        fs::write(file, &comparison.summary)?;
    }
    let alone =
        comparison.differences.causes(Kind::Alone).filter(|(cause, _)| *cause != causes::LATER_VERSION);
    let dangers = alone.chain(comparison.differences.causes(Kind::Pair)).count();
    Ok(if dangers == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
