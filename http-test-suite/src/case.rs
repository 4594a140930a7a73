//! [`Case`], the test of one requirement, and the functions that cases are written with.
//!
//! ```
//! use http_test_suite::case::should;
//! use http_test_suite::expect::status;
//! use http_test_suite::request::get;
//!
//! should("9110/13.1.2/1", "An entity tag that still fits is answered with 304 and the same tag")
//!     .after(get("/hello.txt"))
//!     .send_from(|prior| Some(get("/hello.txt").with(format!("If-None-Match: {}", prior.header("ETag")?))))
//!     .expect(status(304));
//! ```

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::exchange::{Ending, Step};
use crate::expect::Expectation;
use crate::request::{Request, SMUGGLED};
use crate::response::Response;

/// How long [`Case::pause`] waits: a server on this machine reads the earlier bytes before the next arrive.
const PAUSE: Duration = Duration::from_millis(15);

/// How binding a requirement is: a MUST or a SHOULD of an RFC, or a requirement of this suite alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The RFC says MUST, MUST NOT or REQUIRED. A failure makes the exit code 1.
    Must,
    /// The RFC says SHOULD, SHOULD NOT or RECOMMENDED. A failure makes the exit code 1 with `--strict`.
    Should,
    /// This suite requires it; the RFC leaves it open. A failure never counts for the exit code.
    Robust,
}

/// What the server must offer for a case; otherwise the runner skips the case. It probes the servers before the first
/// case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but what any server does: it answers `GET /` with 200.
    Nothing,
    /// The files that [`fixtures::write`](crate::fixtures::write) writes.
    Fixtures,
    /// An echo: the response to a POST has the request's body, and the response to `/echo` has its header lines.
    Echo,
}

/// The cases of one file in [`cases`](crate::cases): a section of an RFC, or a topic such as `smuggling`.
#[derive(Debug)]
pub struct Section {
    /// The prefix that the ids of all its cases have: `9112/2`.
    pub prefix: &'static str,
    /// The title in the report, without the number of the section: `Message`.
    pub title: &'static str,
    /// The cases, in the order in which the report lists them.
    pub cases: Vec<Case>,
}

impl Section {
    /// Makes a section of the groups of cases in one file, in this order.
    pub fn new(
        prefix: &'static str,
        title: &'static str,
        groups: impl IntoIterator<Item = Vec<Case>>,
    ) -> Self {
        Section { prefix, title, cases: groups.into_iter().flatten().collect() }
    }

    /// Sets what the server must offer, for each case that has not set it with [`Case::on`].
    pub fn on(mut self, needs: Needs) -> Self {
        for case in self.cases.iter_mut().filter(|case| case.needs == Needs::Nothing) {
            case.needs = needs;
        }
        self
    }

    /// The section as a heading: `RFC 9112 §2 Message`, or the title alone if the section belongs to no RFC.
    pub fn heading(&self) -> String {
        match rfc_section(self.prefix) {
            Some(section) => format!("{section} {}", self.title),
            None => self.title.to_owned(),
        }
    }
}

/// A test of one requirement: what the client sends to the server, and what the server must do.
pub struct Case {
    /// The id, for example `9112/6.3/2`. It never changes, and is never given to another case.
    pub id: String,
    /// How binding the requirement is: a MUST, a SHOULD, or a requirement of this suite.
    pub level: Level,
    /// What the server has to do, in one sentence.
    pub requirement: String,
    /// What the server must offer; otherwise the case is skipped.
    pub needs: Needs,
    /// The request of [`Case::after`], which is sent first on a connection of its own.
    prior: Option<Vec<u8>>,
    /// What the client sends and waits for, in order.
    script: Vec<ScriptPart>,
    /// What must be true after the script has run. All expectations must hold.
    pub expectations: Vec<Expectation>,
}

/// A part of a script: a fixed step, or a request that depends on the prior response.
enum ScriptPart {
    /// A step that is the same in every run.
    Fixed(Step),
    /// Sends the request that the template makes from the prior response.
    FromPrior(Template),
}

/// Makes a request from the prior response, the response to the request of [`Case::after`]; returns `None` if that
/// response lacks a header that the request needs.
type Template = Box<dyn Fn(&Response) -> Option<Vec<u8>> + Send + Sync>;

/// Makes a case for a MUST of an RFC. `requirement` says in one sentence what the server has to do.
pub fn must(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Must, id, requirement)
}

/// Makes a case for a SHOULD of an RFC. `requirement` says in one sentence what the server has to do.
pub fn should(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Should, id, requirement)
}

/// Makes a case for a requirement of this suite that the RFC leaves open; it never counts for the exit code.
pub fn robust(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Robust, id, requirement)
}

/// Methods for writing a case.
impl Case {
    /// Makes a case without a script and without expectations.
    fn new(level: Level, id: impl Into<String>, requirement: impl Into<String>) -> Self {
        let (prior, script, expectations) = (None, Vec::new(), Vec::new());
        let (id, requirement, needs) = (id.into(), requirement.into(), Needs::Nothing);
        Case { id, level, requirement, needs, prior, script, expectations }
    }

    /// Sets what the server must offer; by default, nothing.
    pub fn on(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// Adds a step that sends `bytes`. Consecutive calls make one write, hence one segment if it fits.
    pub fn send(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        match self.script.last_mut() {
            Some(ScriptPart::Fixed(Step::Send(before))) => before.extend(bytes.into()),
            _ => self.script.push(ScriptPart::Fixed(Step::Send(bytes.into()))),
        }
        self
    }

    /// Adds a step that sends `bytes` one by one, a millisecond apart; use it for at most a few hundred bytes.
    pub fn send_bytewise(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::SendBytewise(bytes.into()))
    }

    /// Sets a request that the suite sends before the script, on a connection of its own. Its response is `prior` for
    /// [`Case::send_from`] and for expectations such as [`same_header`](crate::expect::same_header).
    pub fn after(mut self, request: impl Into<Vec<u8>>) -> Self {
        self.prior = Some(request.into());
        self
    }

    /// Adds a step that sends the request that `template` makes from the prior response. The case is skipped if there
    /// is no prior response, or if `template` returns `None` because a header is missing in it.
    pub fn send_from(
        mut self,
        template: impl Fn(&Response) -> Option<Request> + Send + Sync + 'static,
    ) -> Self {
        self.script.push(ScriptPart::FromPrior(Box::new(move |prior| template(prior).map(Vec::from))));
        self
    }

    /// Sends [`SMUGGLED`], which the server must not serve, in one write with the bytes before it.
    pub fn smuggled(self) -> Self {
        self.send(SMUGGLED)
    }

    /// Adds a pause of 15 ms, so that the server receives the earlier bytes apart from the next.
    pub fn pause(self) -> Self {
        self.pause_for(PAUSE)
    }

    /// Adds a pause of this length before the next step.
    pub fn pause_for(self, time: Duration) -> Self {
        self.step(Step::Pause(time))
    }

    /// Adds a step that waits until `count` final responses have arrived, counted from the start. The script continues
    /// after the timeout; [`in_time`](crate::expect::in_time) makes the timeout a failure.
    pub fn await_responses(self, count: usize) -> Self {
        self.step(Step::AwaitResponses(count))
    }

    /// Adds a step that waits for an interim response such as 100, or for a final response. The script continues after
    /// the timeout; [`in_time`](crate::expect::in_time) makes the timeout a failure.
    pub fn await_continue(self) -> Self {
        self.step(Step::AwaitContinue)
    }

    /// Adds a step that closes the client's sending side of the connection. The server can still respond.
    pub fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    /// Adds one expectation or an array of them. The case passes only if all hold.
    pub fn expect(mut self, expectations: impl Into<Vec<Expectation>>) -> Self {
        self.expectations.extend(expectations.into());
        self
    }

    /// Adds a fixed step to the script.
    fn step(mut self, step: Step) -> Self {
        self.script.push(ScriptPart::Fixed(step));
        self
    }
}

/// Methods for running a case.
impl Case {
    /// The section that the requirement comes from: `RFC 9112 §6.3`, or the name of the topic for a case outside the
    /// RFCs.
    pub fn section(&self) -> String {
        let (section, _) = self.id.rsplit_once('/').unwrap_or((&self.id, ""));
        rfc_section(section).unwrap_or_else(|| section.to_owned())
    }

    /// The request to send first, on a connection of its own: the request of [`Case::after`]; or, if an expectation
    /// compares HEAD with GET, the script's HEAD request as a GET. `None` if the case needs neither.
    pub fn prior(&self) -> Option<Vec<u8>> {
        let first = self.script.iter().find_map(|part| match part {
            ScriptPart::Fixed(Step::Send(bytes)) => Some(bytes),
            _ => None,
        });
        let as_get = || Some([b"GET ", first?.strip_prefix(b"HEAD ")?].concat());
        let needs_get = self.expectations.iter().any(|expectation| expectation.needs_get);
        self.prior.clone().or_else(|| needs_get.then(as_get).flatten())
    }

    /// The steps to run. Returns `None` if a step needs the prior response, and it is missing or lacks a header.
    pub fn script(&self, prior: Option<&Response>) -> Option<Vec<Step>> {
        let step = |part: &ScriptPart| match part {
            ScriptPart::Fixed(step) => Some(step.clone()),
            ScriptPart::FromPrior(template) => template(prior?).map(Step::Send),
        };
        self.script.iter().map(step).collect()
    }

    /// Whether the script has no steps, which is a mistake in the case.
    pub fn sends_nothing(&self) -> bool {
        self.script.is_empty()
    }

    /// Whether any of the expectations can hold without a response. Then the lack of a response is no failure by
    /// itself; all expectations must still hold.
    pub fn allows_no_response(&self) -> bool {
        self.expectations.iter().any(|expectation| expectation.allows_no_response)
    }

    /// The number of final responses to wait for: the most that any expectation needs.
    pub fn expected_responses(&self) -> usize {
        self.expectations.iter().map(|expectation| expectation.responses).max().unwrap_or(1)
    }

    /// How the client ends the connection: of the endings that the expectations require, the last in the order of
    /// [`Ending`].
    pub fn ending(&self) -> Ending {
        let endings = self.expectations.iter().filter_map(|expectation| expectation.ending);
        endings.max().unwrap_or(Ending::ClosingRequest)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.id, self.level, self.requirement)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::Robust => "ROBUST",
        })
    }
}

/// The section that an id or its prefix names: `9112/6.3` is `RFC 9112 §6.3`; `None` for a topic such as `limits`.
fn rfc_section(id: &str) -> Option<String> {
    let (rfc, section) = id.split_once('/')?;
    rfc.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("RFC {rfc} §{section}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::{closes, not_served, nth, same_as_get, status, stays_open};
    use crate::request::{get, head};

    #[test]
    fn makes_the_script() {
        let case = must("9112/1/1", "x").send("a").send("b").pause().send("c").smuggled();
        let script = case.script(None).unwrap();
        assert!(matches!(&script[..], [Step::Send(ab), Step::Pause(_), Step::Send(_)] if ab == b"ab"));
        let case = must("9112/1/1", "x").send_from(|prior| prior.header("ETag").map(|_| get("/")));
        assert!(case.script(None).is_none());
        let case = must("9110/9.3.2/1", "x").send(head("/a")).expect(same_as_get());
        assert_eq!(case.prior().unwrap(), Vec::from(get("/a")));
    }

    #[test]
    fn takes_count_and_ending_from_expectations() {
        let case = must("9112/1/1", "x").expect([status(200), nth(2, status(200)), closes()]);
        assert_eq!((case.expected_responses(), case.ending()), (3, Ending::AwaitClose));
        let case = must("9112/1/1", "x").expect([stays_open(), not_served()]);
        assert_eq!((case.expected_responses(), case.ending()), (1, Ending::ClosingRequest));
    }

    #[test]
    fn ids_name_their_section() {
        assert_eq!(must("9112/6.3/2", "x").section(), "RFC 9112 §6.3");
        assert_eq!(must("smuggling/2", "x").section(), "smuggling");
        assert_eq!(Section::new("9112/2", "Message", []).heading(), "RFC 9112 §2 Message");
        assert_eq!(Section::new("limits", "Limits", []).heading(), "Limits");
    }
}
