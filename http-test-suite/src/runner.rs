//! Probes what the server offers, and runs every case against it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::case::{Case, Needs, Section};
use crate::cases;
use crate::exchange::{Ending, Exchange, Step, Timeouts, run_script};
use crate::fixtures;
use crate::report::{Outcome, Report, Verdict};
use crate::request::{Request, get, post};
use crate::response::Response;
use crate::rules;

/// The server to test, and the server for the cases that need an echo, if that is another one.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The server to test. Most cases need it to serve the files of [`fixtures::write`].
    pub server: SocketAddr,
    /// The server for the cases that need an echo; `None` uses `server` for them, too.
    pub echo: Option<SocketAddr>,
}

/// The options of a run: which cases run, how many at the same time, and their timeouts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cases to run, by id or by the start of an id up to a slash or a dot: `9112/9`. Empty runs all cases.
    pub only: Vec<String>,
    /// The number of cases that run at the same time, at least 1.
    pub jobs: usize,
    /// The timeouts of each case.
    pub timeouts: Timeouts,
    /// Whether to probe the server first, and to skip cases that need what it does not offer.
    pub probe: bool,
}

impl Default for Options {
    /// All cases, eight at the same time, with probes before them.
    fn default() -> Self {
        Options { only: Vec::new(), jobs: 8, timeouts: Timeouts::default(), probe: true }
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

/// Runs each case that `options` select against the servers of `target`, and reports the outcomes.
///
/// # Errors
///
/// If [`Options::probe`] is set and a server accepts no connection at the start. Later, that fails the case.
pub fn run(target: &Target, options: &Options) -> io::Result<Report> {
    let runner = Runner::new(target, options)?;
    let cases = cases::all().iter().flat_map(|section| section.cases.iter().map(move |case| (section, case)));
    let chosen: Vec<(&Section, &Case)> = cases.filter(|(_, case)| options.chooses(&case.id)).collect();
    let mut outcomes: Vec<Option<Outcome>> = chosen.iter().map(|_| None).collect();
    let queue = Mutex::new(chosen.iter().zip(&mut outcomes));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run_cases = || {
        while let Some((&(section, case), outcome)) = next() {
            *outcome = Some(runner.run(section, case));
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, chosen.len().max(1)) {
            scope.spawn(run_cases);
        }
    });
    Ok(Report { server: target.server.to_string(), outcomes: outcomes.into_iter().flatten().collect() })
}

/// Runs single cases: the servers to test, what the probes found, and the timeouts.
struct Runner {
    /// The server for all cases that need no echo.
    server: SocketAddr,
    /// Whether `server` serves the fixtures, by the probe or by assumption.
    serves_fixtures: bool,
    /// The server for the cases that need an echo; `None` if the probe showed that it does not echo.
    echo: Option<SocketAddr>,
    /// The timeouts of each case.
    timeouts: Timeouts,
}

impl Runner {
    /// Makes a runner. Probes what the servers offer; without `Options::probe`, assumes that they offer everything.
    fn new(target: &Target, options: &Options) -> io::Result<Runner> {
        let echo = target.echo.unwrap_or(target.server);
        let mut runner = Runner {
            server: target.server,
            serves_fixtures: true,
            echo: Some(echo),
            timeouts: options.timeouts,
        };
        if options.probe {
            let fixture = fixtures::SMUGGLED.as_bytes();
            runner.serves_fixtures = runner.answers(target.server, get("/smuggled.txt"), fixture)?;
            let echoes = runner.answers(echo, post("/", "an echo?"), b"an echo?")?;
            runner.echo = runner.echo.filter(|_| echoes);
        }
        Ok(runner)
    }

    /// Sends this request to the server, and returns whether the response has status 200 and this body.
    fn answers(&self, server: SocketAddr, request: Request, body: &[u8]) -> io::Result<bool> {
        let explain =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot connect to {server}: {error}"));
        let response = self.fetch(server, request).map_err(explain)?;
        Ok(response.is_some_and(|response| response.status == 200 && response.body == body))
    }

    /// Sends one request on a connection of its own. Returns the first final response, if one came.
    fn fetch(&self, server: SocketAddr, request: impl Into<Vec<u8>>) -> io::Result<Option<Response>> {
        let script = [Step::Send(request.into())];
        let exchange = run_script(server, self.timeouts, &script, 1, Ending::Close)?;
        Ok(exchange.responses.into_iter().next())
    }

    /// Runs one case, if the server offers what it needs, and returns its outcome.
    fn run(&self, section: &Section, case: &Case) -> Outcome {
        let start = Instant::now();
        let server = match case.needs {
            Needs::Fixtures if !self.serves_fixtures => Err("the server does not serve the fixtures"),
            Needs::Nothing | Needs::Fixtures => Ok(self.server),
            Needs::Echo => self.echo.ok_or("no echo server"),
        };
        let (verdict, exchange) = match server.map(|server| self.exchange(case, server)) {
            Err(why) => (Verdict::skipped(why), None),
            Ok(Ok(Some(exchange))) => (judge(case, &exchange), Some(exchange)),
            Ok(Ok(None)) => (Verdict::skipped("an earlier response lacks what this request needs"), None),
            Ok(Err(error)) => (Verdict::failed("a connection", error.to_string()), None),
        };
        Outcome::new(section, case, verdict, &exchange.unwrap_or_default(), start.elapsed())
    }

    /// Runs the script of a case, after its prior request. Returns `None` if the prior response lacks what the script
    /// needs.
    fn exchange(&self, case: &Case, server: SocketAddr) -> io::Result<Option<Exchange>> {
        let prior = case.prior().map(|request| self.fetch(server, request)).transpose()?.flatten();
        let Some(script) = case.script(prior.as_ref()) else { return Ok(None) };
        let exchange = run_script(server, self.timeouts, &script, case.expected_responses(), case.ending())?;
        Ok(Some(Exchange { prior, ..exchange }))
    }
}

/// Decides whether an exchange passes the case. Malformed responses come first, because no expectation applies to them;
/// then the case's expectations, which tell more than the rules for all responses; then those rules.
pub fn judge(case: &Case, exchange: &Exchange) -> Verdict {
    if let Some(error) = &exchange.malformed {
        return Verdict::failed("well-formed responses", error);
    }
    for expectation in &case.expectations {
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
}
