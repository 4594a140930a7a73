//! What a case is, and the functions that cases are written with.
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

/// A pause long enough for a server on this machine to read the earlier bytes before the next arrive.
const PAUSE: Duration = Duration::from_millis(15);

/// How binding a requirement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The RFC says MUST, MUST NOT or REQUIRED.
    Must,
    /// The RFC says SHOULD, SHOULD NOT or RECOMMENDED.
    Should,
    /// This suite requires it; the RFC leaves it open. It never counts for the exit code.
    Robust,
}

/// What a server must offer so that a case makes sense. The runner probes the server once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any server that answers `GET /` with 200.
    Nothing,
    /// A server of the files that [`fixtures::write`](crate::fixtures::write) writes.
    Fixtures,
    /// A server that answers a POST with the request's body, and `/echo` with the request's header lines.
    Echo,
}

/// The cases of one file in [`cases`](crate::cases).
#[derive(Debug)]
pub struct Section {
    /// The start of the ids of its cases: `9112/2`.
    pub prefix: &'static str,
    /// The title of the section in the report: `Message`.
    pub title: &'static str,
    /// The cases, in the order of the RFC.
    pub cases: Vec<Case>,
}

impl Section {
    /// Makes a section of the groups of cases in one file.
    pub fn new(
        prefix: &'static str,
        title: &'static str,
        groups: impl IntoIterator<Item = Vec<Case>>,
    ) -> Self {
        Section { prefix, title, cases: groups.into_iter().flatten().collect() }
    }

    /// Sets what the server must offer, for all cases that have not set it themselves.
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

/// A requirement, and the bytes and expectations that show whether a server meets it.
pub struct Case {
    /// The id, for example `9112/6.3/2`. It never changes, and is never given to another case.
    pub id: String,
    /// How binding the requirement is.
    pub level: Level,
    /// What the server has to do, in one sentence.
    pub requirement: String,
    /// What the server must offer so that the case makes sense.
    pub needs: Needs,
    /// The request of [`Case::after`].
    prior: Option<Vec<u8>>,
    /// What the client sends and waits for, in order.
    script: Vec<ScriptPart>,
    /// What must be true afterwards. All expectations must hold.
    pub expectations: Vec<Expectation>,
}

/// A part of a script.
enum ScriptPart {
    /// A step that never changes.
    Fixed(Step),
    /// Sends a request that is made from an earlier response.
    FromPrior(Template),
}

/// Makes a request from an earlier response; returns `None` if the response lacks what the request needs.
type Template = Box<dyn Fn(&Response) -> Option<Vec<u8>> + Send + Sync>;

/// Makes a case for a requirement of the RFC (MUST).
pub fn must(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Must, id, requirement)
}

/// Makes a case for a recommendation of the RFC (SHOULD).
pub fn should(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Should, id, requirement)
}

/// Makes a case for a requirement of this suite that the RFC leaves open.
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

    /// Sets what the server must offer.
    pub fn on(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// Sends `bytes`. Consecutive calls make one write, hence one segment if it fits.
    pub fn send(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        match self.script.last_mut() {
            Some(ScriptPart::Fixed(Step::Send(before))) => before.extend(bytes.into()),
            _ => self.script.push(ScriptPart::Fixed(Step::Send(bytes.into()))),
        }
        self
    }

    /// Sends `bytes` one by one, a millisecond each; so use it for at most a few hundred bytes.
    pub fn send_bytewise(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::SendBytewise(bytes.into()))
    }

    /// Before anything else, sends `request` on a connection of its own. Its response is `prior` for [`Case::send_from`]
    /// and for expectations.
    pub fn after(mut self, request: impl Into<Vec<u8>>) -> Self {
        self.prior = Some(request.into());
        self
    }

    /// Sends the request that `template` makes from the prior response. The case is skipped if `template` returns `None`
    /// because the response lacks a header.
    pub fn send_from(
        mut self,
        template: impl Fn(&Response) -> Option<Request> + Send + Sync + 'static,
    ) -> Self {
        self.script.push(ScriptPart::FromPrior(Box::new(move |prior| template(prior).map(Vec::from))));
        self
    }

    /// Sends [`SMUGGLED`] in one write with the bytes before it.
    pub fn smuggled(self) -> Self {
        self.send(SMUGGLED)
    }

    /// Waits a moment, so that the server receives the earlier bytes apart from the next.
    pub fn pause(self) -> Self {
        self.pause_for(PAUSE)
    }

    /// Waits this long before the next step.
    pub fn pause_for(self, time: Duration) -> Self {
        self.step(Step::Pause(time))
    }

    /// Waits until `count` final responses have arrived, counted from the start.
    pub fn await_responses(self, count: usize) -> Self {
        self.step(Step::AwaitResponses(count))
    }

    /// Waits for an interim response such as 100, or for a final response. Continues after the timeout;
    /// [`in_time`](crate::expect::in_time) makes the timeout a failure.
    pub fn await_continue(self) -> Self {
        self.step(Step::AwaitContinue)
    }

    /// Closes the client's side of the connection. The server can still answer.
    pub fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    /// Adds one expectation or an array of them. All must hold.
    pub fn expect(mut self, expectations: impl Into<Vec<Expectation>>) -> Self {
        self.expectations.extend(expectations.into());
        self
    }

    /// Adds a step to the script.
    fn step(mut self, step: Step) -> Self {
        self.script.push(ScriptPart::Fixed(step));
        self
    }
}

/// Methods for running a case.
impl Case {
    /// The section of the requirement: `RFC 9112 §6.3`, or the name of the topic for a case outside the RFCs.
    pub fn section(&self) -> String {
        let (section, _) = self.id.rsplit_once('/').unwrap_or((&self.id, ""));
        rfc_section(section).unwrap_or_else(|| section.to_owned())
    }

    /// The request to send first, on a connection of its own.
    pub fn prior(&self) -> Option<Vec<u8>> {
        let first = self.script.iter().find_map(|part| match part {
            ScriptPart::Fixed(Step::Send(bytes)) => Some(bytes),
            _ => None,
        });
        let as_get = || Some([b"GET ", first?.strip_prefix(b"HEAD ")?].concat());
        let needs_get = self.expectations.iter().any(|expectation| expectation.needs_get);
        self.prior.clone().or_else(|| needs_get.then(as_get).flatten())
    }

    /// The script; `None` if it needs a prior response and `prior` is missing or lacks a header.
    pub fn script(&self, prior: Option<&Response>) -> Option<Vec<Step>> {
        let step = |part: &ScriptPart| match part {
            ScriptPart::Fixed(step) => Some(step.clone()),
            ScriptPart::FromPrior(template) => template(prior?).map(Step::Send),
        };
        self.script.iter().map(step).collect()
    }

    /// Whether the case sends and awaits nothing, which is a mistake.
    pub fn sends_nothing(&self) -> bool {
        self.script.is_empty()
    }

    /// Whether a server can pass without sending a response.
    pub fn allows_no_response(&self) -> bool {
        self.expectations.iter().any(|expectation| expectation.allows_no_response)
    }

    /// The number of final responses to wait for.
    pub fn expected_responses(&self) -> usize {
        self.expectations.iter().map(|expectation| expectation.responses).max().unwrap_or(1)
    }

    /// How to end the connection: the strongest ending that any expectation requires.
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

/// The section that an id or its prefix names: `9112/6.3` is `RFC 9112 §6.3`.
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
