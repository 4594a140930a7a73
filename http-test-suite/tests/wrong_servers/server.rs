//! The wrong servers: listening, finding requests, and running cases against them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use http_test_suite::report::{Outcome, Verdict};
use http_test_suite::{Options, Report, Target, cases, run};

/// The Date header of all servers.
pub const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// The headers that cases about validators and ranges need in the prior response; without them they would be skipped.
pub const VALIDATORS: &str = "ETag: \"wrong\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Ranges: bytes\r\nAllow: GET\r\n";

/// The timeout of cases for a response, where it is no harm if a late response makes a case fail.
pub const TIMEOUT: Duration = Duration::from_millis(250);

/// A server that responds without understanding the request.
#[derive(Clone, Copy)]
pub struct WrongServer {
    /// What is wrong with it.
    pub name: &'static str,
    /// The bytes that end a head: an empty line, or nothing if it responds to any bytes.
    pub end_of_head: &'static [u8],
    /// Makes the response to a head. An empty response stands for a server that never responds and never closes.
    pub respond: fn(head: &str) -> String,
    /// Whether it closes after the first response, even with unread bytes. Otherwise it takes the bytes behind a head for
    /// the next head, until the client closes.
    pub closes: bool,
}

impl WrongServer {
    /// Finds the end of the first head in the unread bytes, the first of which were `searched` before.
    fn end_of_head(self, unread: &[u8], searched: usize) -> Option<usize> {
        let len = self.end_of_head.len();
        if len == 0 {
            return Some(unread.len()).filter(|&end| end > 0);
        }
        // Without optimisation, `contains` is much faster than `windows`, and large bodies have few lines.
        let starts = (searched..unread.len()).step_by(4096);
        let mut pieces =
            starts.map(|start| (start, &unread[start..unread.len().min(start + 4096 + len - 1)]));
        pieces.find_map(|(start, piece)| {
            let is_end = |bytes: &[u8]| bytes == self.end_of_head;
            let at = piece.contains(&b'\n').then(|| piece.windows(len).position(is_end)).flatten();
            at.map(|at| start + at + len)
        })
    }

    /// Whether the server never responds and never closes.
    fn is_silent(self) -> bool {
        (self.respond)("").is_empty()
    }

    /// Starts the server on a port of its own.
    pub fn start(self) -> SocketAddr {
        listen(move |stream| self.serve(stream))
    }

    /// Serves one connection.
    fn serve(self, mut stream: TcpStream) {
        let (mut unread, mut searched, mut buffer) = (Vec::new(), 0, [0; 64 * 1024]);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            unread.extend_from_slice(&buffer[..count]);
            while let Some(end) = self.end_of_head(&unread, searched) {
                let head: Vec<u8> = unread.drain(..end).collect();
                searched = 0;
                let response = (self.respond)(String::from_utf8_lossy(&head).trim_start());
                if stream.write_all(response.as_bytes()).is_err() || self.closes {
                    return;
                }
            }
            searched = unread.len().saturating_sub(3);
        }
        if self.is_silent() {
            // Does not close though the client has, until every test has ended.
            thread::park();
        }
    }
}

/// Starts a server with a thread for each connection, which runs until the test ends.
pub fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Runs these cases against the server, whatever it offers, so many at the same time.
pub fn run_cases(server: SocketAddr, ids: &[String], timeout: Duration, jobs: usize) -> Report {
    let (only, quiet) = (ids.to_vec(), Duration::from_millis(30));
    run(&Target::new(server).unwrap(), &Options { only, jobs, timeout, quiet, probe: false }).unwrap()
}

/// The ids of all cases whose id begins with `prefix`.
pub fn ids(prefix: &str) -> Vec<String> {
    let cases = cases::all().iter().flat_map(|section| &section.cases);
    cases.map(|case| case.id.clone()).filter(|id| id.starts_with(prefix)).collect()
}

/// The outcomes of the cases that passed.
pub fn passed(report: &Report) -> impl Iterator<Item = &Outcome> {
    report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Passed)
}
