//! The wrong servers: listening, finding requests, and running cases against them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use http_test_suite::exchange::Timeouts;
use http_test_suite::report::{Outcome, Verdict};
use http_test_suite::{Options, Report, Target, cases, run};

/// The Date header that all wrong servers send.
pub const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// The headers that cases about validators and ranges need in the prior response; without them they would be skipped.
pub const VALIDATORS: &str = "ETag: \"wrong\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Ranges: bytes\r\nAllow: GET\r\n";

/// A short timeout for a response, for tests in which a late response does no harm.
pub const TIMEOUT: Duration = Duration::from_millis(250);

/// A server that responds to each head with a fixed function, without understanding the request.
#[derive(Clone, Copy)]
pub struct WrongServer {
    /// What is wrong with the server, for messages.
    pub name: &'static str,
    /// Makes the response to a head. An empty response stands for a server that never responds and never closes.
    pub respond: fn(head: &str) -> String,
    /// Whether it responds to any bytes, without waiting for the empty line that ends a head.
    pub is_hasty: bool,
    /// Whether it closes after the first response, even with unread bytes. Otherwise it reads the bytes after a head as
    /// the next head, until the client closes.
    pub closes: bool,
}

impl WrongServer {
    /// Starts the server on a port of its own, and returns its address.
    pub fn start(self) -> SocketAddr {
        listen(move |stream| self.serve(stream))
    }

    /// Reads heads from one connection and responds to each, until the client or the server closes.
    fn serve(self, mut stream: TcpStream) {
        let (mut reader, mut head) = (BufReader::new(stream.try_clone().unwrap()), Vec::new());
        // Without optimisation, `read_until` finds the end of a long body much faster than any code here.
        let mut read = |head: &mut Vec<u8>| match self.is_hasty {
            true => {
                head.resize(64 * 1024, 0);
                reader.read(head).inspect(|&count| head.truncate(count))
            }
            false => reader.read_until(b'\n', head),
        };
        while let Ok(1..) = read(&mut head) {
            if self.is_hasty || head.ends_with(b"\r\n\r\n") {
                let response = (self.respond)(String::from_utf8_lossy(&head).trim_start());
                if stream.write_all(response.as_bytes()).is_err() || self.closes {
                    return;
                }
                head.clear();
            }
        }
        if (self.respond)("").is_empty() {
            // Does not close though the client has, until every test has ended.
            thread::park();
        }
    }
}

/// Starts a server that calls `serve` for each connection, on a thread of its own, until the test ends. Returns its
/// address.
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

/// Runs the cases with these ids against the server, `jobs` at the same time, without probing what it offers.
pub fn run_cases(server: SocketAddr, ids: &[String], timeout: Duration, jobs: usize) -> Report {
    let (only, timeouts) = (ids.to_vec(), Timeouts { response: timeout, quiet: Duration::from_millis(30) });
    run(&Target { server, echo: None }, &Options { only, jobs, timeouts, probe: false }).unwrap()
}

/// The ids of all cases whose id begins with `prefix`.
pub fn ids(prefix: &str) -> Vec<String> {
    let cases = cases::all().iter().flat_map(|section| &section.cases);
    cases.map(|case| case.id.clone()).filter(|id| id.starts_with(prefix)).collect()
}

/// Calls `find` for all servers at the same time, and returns which of the cases it returned for each. Panics if a case
/// is returned for no server, even with a long second timeout: a busy machine may delay the one server that a case
/// needs.
pub fn search<S: Copy + Send + Sync>(
    servers: &[S],
    mut ids: Vec<String>,
    timeout: Duration,
    find: impl Fn(S, &[String], Duration) -> Vec<String> + Sync,
) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = servers.iter().map(|_| Vec::new()).collect();
    for timeout in [timeout, TIMEOUT * 16] {
        thread::scope(|scope| {
            for (found, server) in found.iter_mut().zip(servers) {
                scope.spawn(|| found.extend(find(*server, &ids, timeout)));
            }
        });
        ids.retain(|id| !found.iter().flatten().any(|found| found == id));
        if ids.is_empty() {
            break;
        }
    }
    assert!(ids.is_empty(), "no wrong server makes these cases fail: {ids:?}");
    found
}

/// The outcomes of the cases that passed.
pub fn passed(report: &Report) -> impl Iterator<Item = &Outcome> {
    report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Passed)
}
