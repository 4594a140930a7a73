//! The wrong servers: listening, finding requests, and running cases against them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use http_test_suite::exchange::Timeouts;
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
    /// Makes the response to a head. An empty response stands for a server that never responds and never closes.
    pub respond: fn(head: &str) -> String,
    /// Whether it responds to any bytes, without waiting for the empty line that ends a head.
    pub is_hasty: bool,
    /// Whether it closes after the first response, even with unread bytes. Otherwise it takes the bytes after a head for
    /// the next head, until the client closes.
    pub closes: bool,
}

impl WrongServer {
    /// Starts the server on a port of its own.
    pub fn start(self) -> SocketAddr {
        listen(move |stream| self.serve(stream))
    }

    /// Serves one connection.
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
    let (only, timeouts) = (ids.to_vec(), Timeouts { response: timeout, quiet: Duration::from_millis(30) });
    run(&Target { server, echo: None }, &Options { only, jobs, timeouts, probe: false }).unwrap()
}

/// The ids of all cases whose id begins with `prefix`.
pub fn ids(prefix: &str) -> Vec<String> {
    let cases = cases::all().iter().flat_map(|section| &section.cases);
    cases.map(|case| case.id.clone()).filter(|id| id.starts_with(prefix)).collect()
}

/// Returns, for each server, which of the cases `find` returns for it; the servers run at the same time. Panics if no
/// server returns a case, even with a long second timeout: a busy machine may delay the one server that a case needs.
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
