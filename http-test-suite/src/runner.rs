//! Probes what the server offers, and runs every case against it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::{Case, Needs, Section};
use crate::cases;
use crate::connection::Timeouts;
use crate::exchange::{Ending, Exchange, Step, run_script};
use crate::fixtures;
use crate::report::{Outcome, Report, Verdict};
use crate::request::{Request, get, post};
use crate::response::Response;
use crate::rules;

/// The server or servers to test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The server. Most cases need it to serve the files of [`fixtures::write`].
    pub server: SocketAddr,
    /// The echo server, if `server` is not an echo server itself.
    pub echo: Option<SocketAddr>,
}

impl Target {
    /// Makes a target of the server at `address`, a `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// If there is no such address.
    pub fn new(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Target { server: resolve(address)?, echo: None })
    }

    /// Adds another server for cases that need an echo.
    ///
    /// # Errors
    ///
    /// If there is no such address.
    pub fn with_echo(self, address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Target { echo: Some(resolve(address)?), ..self })
    }
}

/// Options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Run only cases whose id begins with one of these, up to a slash or a dot; empty runs all cases.
    pub only: Vec<String>,
    /// The number of cases that run at the same time.
    pub jobs: usize,
    /// The timeout for connecting, for a write, and for a response.
    pub timeout: Duration,
    /// How long to wait for unexpected bytes before assuming that none will come.
    pub quiet: Duration,
    /// Whether to probe the server first, and to skip cases that need what it does not offer.
    pub probe: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (timeout, quiet) = (Duration::from_secs(5), Duration::from_millis(250));
        Options { only: Vec::new(), jobs: 8, timeout, quiet, probe: true }
    }
}

impl Options {
    /// Whether `only` selects the case with this id: `9112/9` selects `9112/9.3/1`, but not `9112/91/1`.
    pub fn chooses(&self, id: &str) -> bool {
        let begins = |prefix: &String| {
            let rest = id.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
        };
        self.only.is_empty() || self.only.iter().any(begins)
    }
}

/// Runs every chosen case against the server.
///
/// # Errors
///
/// If no connection can be made to begin with.
pub fn run(target: &Target, options: &Options) -> io::Result<Report> {
    let chosen: Vec<(&Section, &Case)> = cases::all()
        .iter()
        .flat_map(|section| section.cases.iter().map(move |case| (section, case)))
        .filter(|(_, case)| options.chooses(&case.id))
        .collect();
    let runner = Runner::new(target, options)?;
    let outcomes = map_in_parallel(options.jobs, &chosen, |(section, case)| runner.run(section, case));
    Ok(Report { server: target.server.to_string(), outcomes })
}

/// Maps `items` on `jobs` threads; the results are in the order of `items`.
fn map_in_parallel<T: Sync, R: Send>(jobs: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let job = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.clamp(1, items.len().max(1))).map(|_| scope.spawn(job)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    done.sort_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The servers to test, what the probes found, and the timeouts.
struct Runner {
    server: SocketAddr,
    /// Whether `server` serves the fixtures.
    serves_fixtures: bool,
    /// The echo server, if there is one.
    echo: Option<SocketAddr>,
    timeouts: Timeouts,
}

impl Runner {
    /// Probes the servers, unless the options say otherwise.
    fn new(target: &Target, options: &Options) -> io::Result<Runner> {
        let timeouts = Timeouts { response: options.timeout, quiet: options.quiet };
        let echo = target.echo.unwrap_or(target.server);
        let mut runner = Runner { server: target.server, serves_fixtures: true, echo: Some(echo), timeouts };
        if options.probe {
            let fixture = fixtures::SMUGGLED.as_bytes();
            runner.serves_fixtures = runner.answers(target.server, get("/smuggled.txt"), fixture)?;
            let echoes = runner.answers(echo, post("/", "an echo?"), b"an echo?")?;
            runner.echo = runner.echo.filter(|_| echoes);
        }
        Ok(runner)
    }

    /// Whether the server answers this request with 200 and this body.
    fn answers(&self, server: SocketAddr, request: Request, body: &[u8]) -> io::Result<bool> {
        let response = self.ask(server, request);
        let response = response
            .map_err(|error| io::Error::new(error.kind(), format!("cannot connect to {server}: {error}")))?;
        Ok(response.is_some_and(|response| response.status == 200 && response.body == body))
    }

    /// Sends one request on a connection of its own, and returns the response, if one came.
    fn ask(&self, server: SocketAddr, request: impl Into<Vec<u8>>) -> io::Result<Option<Response>> {
        let script = [Step::Send(request.into())];
        let exchange = run_script(server, self.timeouts, &script, 1, Ending::Close)?;
        Ok(exchange.responses.into_iter().next())
    }

    /// Runs one case.
    fn run(&self, section: &Section, case: &Case) -> Outcome {
        let start = Instant::now();
        let (verdict, exchange) = self.verdict(case);
        Outcome::new(section, case, verdict, &exchange.unwrap_or_default(), start.elapsed())
    }

    /// Runs one case, if the server offers what it needs, and judges it.
    fn verdict(&self, case: &Case) -> (Verdict, Option<Exchange>) {
        let server = match case.needs {
            Needs::Fixtures if !self.serves_fixtures => Err("the server does not serve the fixtures"),
            Needs::Nothing | Needs::Fixtures => Ok(self.server),
            Needs::Echo => self.echo.ok_or("no echo server"),
        };
        match server.map(|server| self.exchange(case, server)) {
            Err(why) => (Verdict::skipped(why), None),
            Ok(Ok(Some(exchange))) => (judge(case, &exchange), Some(exchange)),
            Ok(Ok(None)) => (Verdict::skipped("an earlier response lacks what this request needs"), None),
            Ok(Err(error)) => (Verdict::failed("a connection", error.to_string()), None),
        }
    }

    /// Runs the script of a case. Returns `None` if the prior response lacks what the script needs.
    fn exchange(&self, case: &Case, server: SocketAddr) -> io::Result<Option<Exchange>> {
        let prior = match case.prior() {
            Some(request) => self.ask(server, request)?,
            None => None,
        };
        let Some(script) = case.script(prior.as_ref()) else { return Ok(None) };
        let exchange = run_script(server, self.timeouts, &script, case.expected_responses(), case.ending())?;
        Ok(Some(Exchange { prior, ..exchange }))
    }
}

/// Judges an exchange. Malformed responses come first, because no expectation applies to them; then the case's
/// expectations, which tell more than the rules for all responses; then those rules.
pub fn judge(case: &Case, exchange: &Exchange) -> Verdict {
    if let Some(error) = &exchange.malformed {
        return Verdict::failed("well-formed responses", error);
    }
    for expectation in case.expectations() {
        if let Err(actual) = expectation.check(exchange) {
            return Verdict::failed(&expectation.description, actual);
        }
    }
    match rules::violation(exchange) {
        None if exchange.responses.is_empty() && !case.allows_no_response() => {
            Verdict::failed("a response", exchange.absence(0))
        }
        Some(violation) => Verdict::failed("responses that keep to the rules", violation),
        None => Verdict::Passed,
    }
}

/// The first address of `HOST:PORT`.
fn resolve(address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "no such address");
    address.to_socket_addrs()?.next().ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_by_whole_parts_of_an_id() {
        let chooses = |only: &str, id| Options { only: vec![only.into()], ..Options::default() }.chooses(id);
        assert!(chooses("9112/9", "9112/9.3.2/1") && chooses("9112/9.3.2/1", "9112/9.3.2/1"));
        assert!(chooses("9112/", "9112/2/1") && chooses("files", "files/1"));
        assert!(!chooses("9112/9.3/1", "9112/9.3/10") && !chooses("9110/1", "9110/14.2/1"));
        assert!(Options::default().chooses("files/1"));
    }

    #[test]
    fn keeps_the_order() {
        let items: Vec<_> = (0..100).collect();
        assert_eq!(
            map_in_parallel(7, &items, |item| item * 2),
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
        assert_eq!(map_in_parallel(0, &[1], |item| *item), [1]);
        assert!(map_in_parallel(3, &[], |item: &u8| *item).is_empty());
    }
}
