//! Sends bytes to a server as they are, and shows what comes back: for a look at a single exchange, and for requests
//! that no client would write.
//!
//! It sends bytes unchanged unless `--complete` is given. The suite's strict reader reads the replies, to find their
//! end and for `--explain`; without that option they are printed byte for byte.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use http_test_suite::duration;
use http_test_suite::wire::{Patience, Wire};

mod request;
mod talk;

use request::Pieces;
use talk::{QUIET, Talk};

/// Sends a request to a server, exactly as it is written, and prints what comes back.
///
/// In REQUEST, \r \n \t \0 \\ and \xHH stand for bytes, so single quotes are best:
///
///   send-to-server localhost 8080 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
///   send-to-server localhost 8080 --complete 'GET / HTTP/1.1'
///
/// A file and standard input are sent unchanged, without escapes. It expects a reply for each line of the request that
/// ends with HTTP/1.0 or HTTP/1.1, at least one, and closes a moment after the last reply.
///
/// Exit codes: 0 all replies came, and were well-formed; 1 a reply is missing or malformed; 2 wrong usage, or the
/// server cannot be reached.
#[derive(Parser)]
#[command(name = "send-to-server", version, verbatim_doc_comment)]
struct Arguments {
    /// Name or address
    host: String,

    /// Port
    port: u16,

    /// What to send; without it and --file, standard input
    request: Option<String>,

    /// Send the content of this file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "request")]
    file: Option<PathBuf>,

    /// Add what the request lacks: CRLF line ends in its head, the empty line, Host, Content-Length
    #[arg(long)]
    complete: bool,

    /// Send in pieces: a number of pieces of equal length; or their lengths, as in 3,1,10, and then the rest
    #[arg(long, value_name = "N|LENGTHS", value_parser = request::pieces)]
    pieces: Option<Pieces>,

    /// Pause between two pieces
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration::parse)]
    pause: Duration,

    /// Explain the parts of each reply instead of printing it
    #[arg(long)]
    explain: bool,

    /// How long to wait for further bytes
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    timeout: Duration,
}

fn main() -> ExitCode {
    match act(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("send-to-server: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the exchange. Returns false if a reply is missing or malformed.
fn act(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let request = arguments.bytes()?;
    let pieces = request::cut(&request, arguments.pieces.as_ref());
    let mut talk = Talk::new(dial(arguments)?, request::asked(&request), !arguments.explain);
    talk.say(&pieces, arguments.pause)?;
    let well = talk.hear(arguments.timeout)?;
    if arguments.explain {
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "sent {} of {} bytes in pieces of {:?}\n",
            talk.sent_len(),
            request.len(),
            lengths(&pieces)
        )?;
        talk.explain(&mut out)?;
    }
    if !well {
        eprintln!("send-to-server: {}", talk.complaint());
    }
    Ok(well)
}

impl Arguments {
    /// The bytes to send.
    fn bytes(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let stdin = PathBuf::from("-");
        let bytes = match (&self.request, self.file.as_ref().unwrap_or(&stdin)) {
            (Some(text), _) => request::unescape(text)?,
            (None, file) if *file == stdin => {
                let mut bytes = Vec::new();
                io::stdin().read_to_end(&mut bytes)?;
                bytes
            }
            (None, file) => fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?,
        };
        Ok(if self.complete { request::complete(&bytes, &self.host, self.port) } else { bytes })
    }
}

fn dial(arguments: &Arguments) -> Result<Wire, String> {
    let server = format!("{}:{}", arguments.host, arguments.port);
    let patience = Patience { timeout: arguments.timeout, quiet: QUIET };
    let addresses = (arguments.host.as_str(), arguments.port).to_socket_addrs();
    let mut why = "no address".to_owned();
    for address in addresses.map_err(|error| format!("{server}: {error}"))? {
        match Wire::dial(address, patience) {
            Ok(wire) => return Ok(wire),
            Err(error) => why = error.to_string(),
        }
    }
    Err(format!("{server}: {why}"))
}

fn lengths(pieces: &[&[u8]]) -> Vec<usize> {
    pieces.iter().map(|piece| piece.len()).collect()
}

/// Whether the error is a closed pipe on standard output.
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe)
}
