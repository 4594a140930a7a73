//! The requests of a workload, each with the expected response. The expected content is known, not taken from the
//! server.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http_test_suite::exchange::{Ending, Step, Timeouts, run_script};
use http_test_suite::request::{Request, get, head};
use http_test_suite::response::Response;

use crate::load::Exchange;
use crate::subject::programs::Program;
use crate::subject::site::{self, PAGE, PAGE_LEN};

/// The timeout for a request that is sent before the load.
const TIMEOUT: Duration = Duration::from_secs(10);

/// For how many different places a load requests the weather before it begins with the first again.
const PLACES: u32 = 20_000;
/// The number of the first place for the next load of weather requests, so that no server has a place in its cache.
static NEXT_PLACE: AtomicU32 = AtomicU32::new(0);

/// The requests that the clients of a workload send, and so the responses that they expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requests {
    /// GET for the file with this target. Servers without files respond with [`PAGE_LEN`] bytes.
    File(&'static str),
    /// GET for the text file with this target, with `Accept-Encoding: gzip`. The expected response is compressed; its
    /// bytes differ between servers.
    Gzip(&'static str),
    /// GET for the page, with If-None-Match and its current entity tag; the expected status is 304.
    PageIfChanged,
    /// HEAD for the page of 1 KiB.
    PageHead,
    /// GET for small files of a directory, in turn.
    Directory {
        /// The number of files in the directory.
        files: usize,
        /// The number of files that are requested, spread evenly over the directory.
        requested: usize,
    },
    /// GET for a file that does not exist; the expected status is 404.
    Absent,
    /// GET for `/hello`, a constant text of the demo application.
    Hello,
    /// GET for a response that the demo application sends after a wait without computing.
    Wait {
        /// The time to wait, in milliseconds.
        ms: u64,
    },
    /// GET for a count of primes: a response that takes computing.
    Primes {
        /// The bound below which primes are counted. Doubling it almost triples the work.
        below: u32,
        /// Whether the server computes on the thread that serves requests, instead of on a pool.
        inline: bool,
    },
    /// GET for the weather at another place each time: the server has to ask another server.
    Weather,
}

impl Requests {
    /// GET for the page of 1 KiB, which every server has.
    pub const PAGE: Requests = Requests::File(PAGE);

    /// Whether the responses are compressed.
    pub fn is_compressed(self) -> bool {
        matches!(self, Requests::Gzip(_))
    }

    /// The requests to send in turn, each with the expected response.
    ///
    /// # Errors
    ///
    /// If a request that is sent first, for an entity tag or for the weather, has no correct response; of the kind
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the server sends no entity tag.
    pub fn exchanges(
        self,
        server: SocketAddr,
        program: Program,
        keep_alive: bool,
    ) -> io::Result<Vec<Exchange>> {
        let exchange = |request: Request, status| {
            Exchange::new(if keep_alive { request } else { request.closing() }).expect_status(status)
        };
        let file = |target: &str| exchange(get(target), 200).expect_body(site::content(target));
        let json = |target: String, members: String| {
            exchange(get(&target), 200).expect_body(format!("{{{members}}}\n").into_bytes())
        };
        Ok(vec![match self {
            Requests::File(target) if matches!(program, Program::Constant(..)) => {
                exchange(get(target), 200).expect_body([b'x'; PAGE_LEN])
            }
            Requests::File(target) => file(target),
            Requests::Gzip(target) => exchange(get(target).with("Accept-Encoding: gzip"), 200)
                .expect_header("Content-Encoding", "gzip"),
            Requests::PageIfChanged => {
                let response = fetch(server, PAGE)?;
                let no_tag = || io::Error::new(io::ErrorKind::Unsupported, "it sends no entity tag");
                let tag = response.header("ETag").ok_or_else(no_tag)?;
                exchange(get(PAGE).with(format!("If-None-Match: {tag}")), 304).expect_length(0)
            }
            Requests::PageHead => exchange(head(PAGE), 200).expect_length(0),
            // The content of the response differs between servers.
            Requests::Absent => exchange(get("/absent.html"), 404),
            Requests::Directory { files, requested } => {
                let numbers = (0..requested).map(|number| number * files / requested);
                return Ok(numbers.map(|number| file(&site::target_in(files, number))).collect());
            }
            Requests::Hello => exchange(get("/hello"), 200).expect_body(*b"Hello, World!"),
            Requests::Wait { ms } => {
                json(format!("/io_task?ms={ms}"), format!("\"task\":\"io\",\"waited_ms\":{ms}"))
            }
            Requests::Primes { below: n, inline } => {
                let place = if inline { "&place=inline" } else { "" };
                let primes = primes_below(n);
                let members = format!("\"task\":\"cpu\",\"n\":{n},\"primes_below_n\":{primes}");
                json(format!("/cpu_task?n={n}{place}"), members)
            }
            Requests::Weather => {
                let first = NEXT_PLACE.fetch_add(PLACES, Ordering::Relaxed);
                let response = fetch(server, &weather_target(first))?;
                if !String::from_utf8_lossy(&response.body).contains("temperature") {
                    return Err(io::Error::other(
                        "a response to a request for the weather has no temperature",
                    ));
                }
                let targets = (1..PLACES).map(|number| weather_target(first.wrapping_add(number)));
                return Ok(targets.map(|target| exchange(get(&target), 200)).collect());
            }
        }])
    }
}

/// Whether a server responds to a request for the page with status 200.
pub fn serves_page(server: SocketAddr) -> bool {
    fetch(server, PAGE).is_ok()
}

/// Sends a GET request on a new connection, and returns the response.
///
/// # Errors
///
/// If there is no connection, or no response with status 200.
fn fetch(server: SocketAddr, target: &str) -> io::Result<Response> {
    let timeouts = Timeouts { response: TIMEOUT, quiet: Duration::ZERO };
    let exchange = run_script(server, timeouts, &[Step::Send(get(target).into())], 1, Ending::Close)?;
    let response = exchange.responses.into_iter().next().filter(|response| response.status == 200);
    response.ok_or_else(|| io::Error::other(format!("{target} has no response with status 200")))
}

/// The target of a request for the weather at a place. Different numbers give different places.
fn weather_target(number: u32) -> String {
    let (row, column) = (number / 10_000 % 10_000, number % 10_000);
    format!("/weather?latitude={}.{row:04}&longitude={}.{column:04}", row % 80, column % 170)
}

/// Counts the primes below `n` with the sieve of Eratosthenes: another algorithm than the trial division of the
/// servers.
fn primes_below(n: u32) -> usize {
    let n = n as usize;
    let mut is_composite = vec![false; n];
    let mut primes = 0;
    for number in 2..n {
        if !is_composite[number] {
            primes += 1;
            (number * number..n).step_by(number).for_each(|multiple| is_composite[multiple] = true);
        }
    }
    primes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn counts_primes() {
        // OEIS A000720.
        for (n, primes) in [(0, 0), (2, 0), (3, 1), (10, 4), (100, 25), (100_000, 9592)] {
            assert_eq!(primes_below(n), primes, "below {n}");
        }
    }

    #[test]
    fn requests_no_place_twice() {
        assert_eq!((0..100_000).map(weather_target).collect::<HashSet<_>>().len(), 100_000);
    }

    #[test]
    fn spreads_requests_over_a_directory() {
        let requests = Requests::Directory { files: 100_000, requested: 2 };
        let exchanges = requests.exchanges(([127, 0, 0, 1], 1).into(), Program::Httpd(&[]), true).unwrap();
        let starts = ["GET /100000/file-0.html ", "GET /100000/file-50000.html "];
        assert_eq!(exchanges.len(), 2);
        assert_ne!(exchanges[0].body, exchanges[1].body, "files have different content");
        assert!(
            exchanges
                .iter()
                .zip(starts)
                .all(|(exchange, line)| exchange.request.starts_with(line.as_bytes()))
        );
    }
}
