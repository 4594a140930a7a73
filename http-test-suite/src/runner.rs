//! Probes what the server offers, and runs every case against it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::always;
use crate::case::{Case, Needs, Section};
use crate::cases;
use crate::exchange::{Ending, Exchange, Step, hold};
use crate::expect::Expect;
use crate::fixtures;
use crate::report::{Failure, Outcome, Report, Verdict};
use crate::request::{Request, get, post};
use crate::wire::Patience;

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
    /// The number of simultaneous conversations.
    pub jobs: usize,
    /// The timeout for connecting, for a write, and for a reply.
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
    run_with(target, options, |_, _| {})
}

/// Like [`run`], but calls a function after each case with its id and the number of cases.
///
/// # Errors
///
/// If no connection can be made to begin with.
pub fn run_with(
    target: &Target,
    options: &Options,
    tell: impl Fn(&Outcome, usize) + Sync,
) -> io::Result<Report> {
    let chosen: Vec<(&Section, &Case)> = cases::all()
        .iter()
        .flat_map(|section| section.cases.iter().map(move |case| (section, case)))
        .filter(|(_, case)| options.chooses(&case.id))
        .collect();
    let bench = Bench::new(target, options)?;
    let outcomes = side_by_side(options.jobs, &chosen, |(section, case)| {
        let outcome = bench.outcome(section, case);
        tell(&outcome, chosen.len());
        outcome
    });
    Ok(Report { server: target.server.to_string(), outcomes })
}

/// Maps `items` on `jobs` threads; the results are in the order of `items`.
fn side_by_side<T: Sync, R: Send>(jobs: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let job = || {
        while let Some((index, item)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, item))
        } {
            let result = work(item);
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            scope.spawn(job);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The server, what the probes found, and the timeouts.
struct Bench {
    server: SocketAddr,
    serves_fixtures: bool,
    /// The echo server, if there is one.
    echo: Option<SocketAddr>,
    patience: Patience,
}

impl Bench {
    fn new(target: &Target, options: &Options) -> io::Result<Bench> {
        let patience = Patience { timeout: options.timeout, quiet: options.quiet };
        let echo = target.echo.unwrap_or(target.server);
        if !options.probe {
            return Ok(Bench { server: target.server, serves_fixtures: true, echo: Some(echo), patience });
        }
        let answers = |server: SocketAddr, request: Request, content: &[u8]| -> io::Result<bool> {
            let at = |error: io::Error| io::Error::new(error.kind(), format!("{server}: {error}"));
            let exchange = ask(server, patience, request).map_err(at)?;
            Ok(exchange.replies.first().is_some_and(|reply| reply.status == 200 && reply.body == content))
        };
        let serves_fixtures = answers(target.server, get("/smuggled.txt"), fixtures::SMUGGLED.as_bytes())?;
        let echoes = answers(echo, post("/", "an echo?"), b"an echo?")?;
        Ok(Bench { server: target.server, serves_fixtures, echo: echoes.then_some(echo), patience })
    }

    fn outcome(&self, section: &Section, case: &Case) -> Outcome {
        let began = Instant::now();
        let (verdict, exchange) = self.verdict(case);
        Outcome::new(section, case, verdict, exchange.unwrap_or_default(), began.elapsed())
    }

    fn verdict(&self, case: &Case) -> (Verdict, Option<Exchange>) {
        let server = match case.needs {
            Needs::Nothing => Ok(self.server),
            Needs::Fixtures if self.serves_fixtures => Ok(self.server),
            Needs::Fixtures => Err("the server does not serve the fixtures"),
            Needs::Echo => self.echo.ok_or("no echo server"),
        };
        let server = match server {
            Ok(server) => server,
            Err(why) => return (Verdict::Skipped { why: why.into() }, None),
        };
        match self.converse(case, server) {
            Ok(Some(exchange)) => (judge(case, &exchange), Some(exchange)),
            Ok(None) => {
                (Verdict::Skipped { why: "an earlier reply lacks what this request needs".into() }, None)
            }
            Err(error) => (Failure::of("a connection", error.to_string()), None),
        }
    }

    /// Runs the conversation of a case; `None` if the prior reply lacks what the script needs.
    fn converse(&self, case: &Case, server: SocketAddr) -> io::Result<Option<Exchange>> {
        let prior = match case.prior() {
            Some(request) => ask(server, self.patience, request)?.replies.into_iter().next(),
            None => None,
        };
        let Some(script) = case.script(prior.as_ref()) else { return Ok(None) };
        let exchange = hold(server, self.patience, &script, case.due(), case.ending())?;
        Ok(Some(Exchange { prior, ..exchange }))
    }
}

/// Sends one request and waits for one reply.
fn ask(server: SocketAddr, patience: Patience, request: impl Into<Vec<u8>>) -> io::Result<Exchange> {
    hold(server, patience, &[Step::Send(request.into())], 1, Ending::Leave)
}

/// Judges an exchange. Malformed replies come first, because no expectation applies to them; then the case's
/// expectations, which tell more than the rules for all replies; then those rules.
fn judge(case: &Case, exchange: &Exchange) -> Verdict {
    if let Some(why) = &exchange.broken {
        return Failure::of("well-formed replies", why.clone());
    }
    let unmet = |expect: &Expect| Some((expect.says().to_owned(), expect.judge(exchange).err()?));
    if let Some((expected, actual)) = case.expects().iter().find_map(unmet) {
        return Failure::of(expected, actual);
    }
    match always::fault(exchange) {
        None if exchange.replies.is_empty() && !case.allows_silence() => {
            Failure::of("a reply", exchange.absence(0))
        }
        Some(why) => Failure::of("replies that keep to the rules", why),
        None => Verdict::Passed,
    }
}

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
            side_by_side(7, &items, |item| item * 2),
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
        assert_eq!(side_by_side(0, &[1], |item| *item), [1]);
        assert!(side_by_side(3, &[], |item: &u8| *item).is_empty());
    }
}
