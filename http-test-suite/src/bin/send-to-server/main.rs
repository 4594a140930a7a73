//! Sends bytes to a server as they are, and shows what comes back: to look at a single exchange, and for requests that no
//! client would write.
//!
//! It sends bytes unchanged unless `--complete` is given. The suite's strict reader finds the end of the responses, and
//! their parts for `--explain`; without that option they are printed byte for byte.

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use http_test_suite::connection::{Connection, Timeouts};
use http_test_suite::duration;

mod session;
mod text;

use session::{QUIET, Session};
use text::Pieces;

/// Sends a request to a server, exactly as it is written, and prints what comes back.
///
/// In REQUEST, \r \n \t \0 \\ and \xHH stand for bytes, so single quotes are best:
///
///   send-to-server localhost 8080 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
///   send-to-server localhost 8080 --complete 'GET / HTTP/1.1'
///
/// A file and standard input are sent unchanged, without escapes. It expects a response for each line of the request
/// that ends with HTTP/ and a version, at least one, and closes a moment after the last response.
///
/// Exit codes: 0 all responses came, and were well-formed; 1 a response is missing or malformed; 2 wrong usage, or the
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
    #[arg(long, value_name = "N|LENGTHS", value_parser = text::pieces)]
    pieces: Option<Pieces>,

    /// Pause between two pieces
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration::parse)]
    pause: Duration,

    /// Explain the parts of each response instead of printing it
    #[arg(long)]
    explain: bool,

    /// How long to wait for further bytes
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    timeout: Duration,
}

fn main() -> ExitCode {
    match execute(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Standard output is a closed pipe.
        Err(error)
            if error.downcast_ref().is_some_and(|e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("send-to-server: {error}");
            ExitCode::from(2)
        }
    }
}

/// Sends the request and shows the responses. Returns false if a response is missing or malformed.
fn execute(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let request = arguments.bytes()?;
    let pieces = text::cut(&request, arguments.pieces.as_ref());
    let mut session = Session::new(arguments.connect()?, &request, !arguments.explain);
    session.send(&pieces, arguments.pause)?;
    session.receive_responses(arguments.timeout)?;
    if arguments.explain {
        let lengths: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
        let mut out = io::stdout().lock();
        writeln!(out, "sent {} of {} bytes in pieces of {lengths:?}\n", session.sent_len(), request.len())?;
        session.explain(&mut out)?;
    }
    let problem = session.problem();
    if let Some(problem) = &problem {
        eprintln!("send-to-server: {problem}");
    }
    Ok(problem.is_none())
}

impl Arguments {
    /// The bytes to send.
    fn bytes(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let bytes = match (&self.request, self.file.as_deref().unwrap_or(Path::new("-"))) {
            (Some(text), _) => text::unescape(text)?,
            (None, file) if file == Path::new("-") => {
                let mut bytes = Vec::new();
                io::stdin().read_to_end(&mut bytes)?;
                bytes
            }
            (None, file) => {
                fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?
            }
        };
        Ok(if self.complete { text::complete(&bytes, &self.host, self.port) } else { bytes })
    }

    /// Connects to the first address of the host that accepts.
    fn connect(&self) -> Result<Connection, String> {
        let server = format!("{}:{}", self.host, self.port);
        let timeouts = Timeouts { response: self.timeout, quiet: QUIET };
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        let mut cause = "the name has no address".to_owned();
        for address in addresses.map_err(|error| format!("cannot resolve {server}: {error}"))? {
            match Connection::connect(address, timeouts) {
                Ok(connection) => return Ok(connection),
                Err(error) => cause = error.to_string(),
            }
        }
        Err(format!("cannot connect to {server}: {cause}"))
    }
}
