//! What a case is, and the functions that cases are written with.
//!
//! ```
//! use http_test_suite::case::should;
//! use http_test_suite::expect::{field, status};
//! use http_test_suite::request::get;
//!
//! should("9110/13.1.2/1", "An entity tag that still fits is answered with 304 and the same tag")
//!     .after(get("/hello.txt"))
//!     .send_from(|prior| Some(get("/hello.txt").with(format!("If-None-Match: {}", prior.field("ETag")?))))
//!     .expect(status(304));
//! ```

use std::fmt;

use serde::Serialize;

use crate::exchange::{Ending, Step};
use crate::expect::Expect;
use crate::reply::Reply;
use crate::request::{Request, SMUGGLED};

/// How binding a requirement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// MUST, MUST NOT, REQUIRED.
    Must,
    /// SHOULD, SHOULD NOT, RECOMMENDED.
    Should,
    /// Required by this suite alone; the RFC leaves it open. Never counts for the exit code.
    Robust,
}

/// What the server must offer for a case to make sense. The runner probes the server once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any server that answers `GET /` with 200.
    Nothing,
    /// A server of the files that [`fixtures::write`](crate::fixtures::write) writes.
    Fixtures,
    /// A server that answers a POST with the request's content, and `/echo` with the request's field lines.
    Echo,
}

/// A section of the suite: what one file of [`cases`](crate::cases) holds.
#[derive(Debug)]
pub struct Section {
    /// The prefix of the ids of its cases: `9112/2`.
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

    /// Sets `needs` for all cases that have not set it themselves.
    pub fn on(mut self, needs: Needs) -> Self {
        for case in self.cases.iter_mut().filter(|case| case.needs == Needs::Nothing) {
            case.needs = needs;
        }
        self
    }

    /// `RFC 9112 §2 Message`; the title alone if the section belongs to no RFC.
    pub fn heading(&self) -> String {
        match chapter(self.prefix) {
            Some(chapter) => format!("{chapter} {}", self.title),
            None => self.title.to_owned(),
        }
    }
}

/// A requirement, and how to find out whether a server meets it.
pub struct Case {
    /// The id, for example `9112/6.3/2`. It never changes, and is never given to another case.
    pub id: String,
    /// How binding it is.
    pub level: Level,
    /// What the server has to do, in one sentence.
    pub requirement: String,
    /// What the server must offer.
    pub needs: Needs,
    prior: Option<Vec<u8>>,
    script: Vec<Part>,
    expects: Vec<Expect>,
}

/// A part of a script: fixed bytes and waits, or a request made from an earlier reply.
enum Part {
    Fixed(Step),
    From(Template),
}

/// Makes a request from an earlier reply; `None` if that reply lacks what the request needs.
type Template = Box<dyn Fn(&Reply) -> Option<Vec<u8>> + Send + Sync>;

/// Makes a case for a requirement of the RFC (MUST).
pub fn must(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Must, id.into(), requirement.into())
}

/// Makes a case for a recommendation of the RFC (SHOULD).
pub fn should(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Should, id.into(), requirement.into())
}

/// Makes a case for a requirement of this suite that the RFC leaves open.
pub fn robust(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Robust, id.into(), requirement.into())
}

/// Methods for writing a case.
impl Case {
    fn new(level: Level, id: String, requirement: String) -> Self {
        let (prior, script, expects) = (None, Vec::new(), Vec::new());
        Case { id, level, requirement, needs: Needs::Nothing, prior, script, expects }
    }

    /// Sets what the server must offer.
    pub fn on(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// Sends `bytes`. Consecutive calls make one write, hence one segment if it fits.
    pub fn send(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        match self.script.last_mut() {
            Some(Part::Fixed(Step::Send(before))) => before.extend(bytes.into()),
            _ => self.script.push(Part::Fixed(Step::Send(bytes.into()))),
        }
        self
    }

    /// Sends `bytes` one by one, a millisecond each; so use it for at most a few hundred bytes.
    pub fn send_bytewise(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::SendBytewise(bytes.into()))
    }

    /// Before anything else, sends `request` on a connection of its own. Its reply is `prior` for
    /// [`Case::send_from`] and for expectations.
    pub fn after(mut self, request: impl Into<Vec<u8>>) -> Self {
        self.prior = Some(request.into());
        self
    }

    /// Sends the request that `template` makes from the prior reply. The case is skipped if `template` returns `None`
    /// because the reply lacks a field.
    pub fn send_from(mut self, template: impl Fn(&Reply) -> Option<Request> + Send + Sync + 'static) -> Self {
        self.script.push(Part::From(Box::new(move |prior| template(prior).map(Vec::from))));
        self
    }

    /// Sends [`SMUGGLED`] in one write with the bytes before it.
    pub fn smuggled(self) -> Self {
        self.send(SMUGGLED)
    }

    /// Waits a moment, so that the server receives the earlier bytes apart from the next.
    pub fn pause(self) -> Self {
        self.step(Step::Pause)
    }

    /// Waits until `count` final replies have arrived, counted from the start.
    pub fn await_replies(self, count: usize) -> Self {
        self.step(Step::AwaitReplies(count))
    }

    /// Waits for an interim reply such as 100, or for a final reply. Continues after the timeout;
    /// [`in_time`](crate::expect::in_time) makes the timeout a failure.
    pub fn await_continue(self) -> Self {
        self.step(Step::AwaitContinue)
    }

    /// Closes the client's side of the connection. The server can still answer.
    pub fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    /// Adds expectations: one or an array. All must hold.
    pub fn expect(mut self, expects: impl Into<Vec<Expect>>) -> Self {
        self.expects.extend(expects.into());
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.script.push(Part::Fixed(step));
        self
    }
}

/// Methods for running a case.
impl Case {
    /// `RFC 9112 §6.3`, or the name of the topic for a case outside the RFCs.
    pub fn section(&self) -> String {
        let (section, _) = self.id.rsplit_once('/').unwrap_or((&self.id, ""));
        chapter(section).unwrap_or_else(|| section.to_owned())
    }

    /// The request to send first, on a connection of its own.
    pub fn prior(&self) -> Option<Vec<u8>> {
        let first_send = || {
            self.script.iter().find_map(|part| match part {
                Part::Fixed(Step::Send(bytes)) => Some(bytes.as_slice()),
                _ => None,
            })
        };
        let as_get = || Some([b"GET ", first_send()?.strip_prefix(b"HEAD ")?].concat());
        let wanted = self.expects.iter().any(Expect::wants_get);
        self.prior.clone().or_else(|| wanted.then(as_get).flatten())
    }

    /// The script; `None` if it needs a prior reply and `prior` is missing or lacks a field.
    pub fn script(&self, prior: Option<&Reply>) -> Option<Vec<Step>> {
        let step = |part: &Part| match part {
            Part::Fixed(step) => Some(step.clone()),
            Part::From(template) => template(prior?).map(Step::Send),
        };
        self.script.iter().map(step).collect()
    }

    /// Whether the script has any steps.
    pub fn is_scripted(&self) -> bool {
        !self.script.is_empty()
    }

    /// The expectations, all of which must hold.
    pub fn expects(&self) -> &[Expect] {
        &self.expects
    }

    /// Whether a server can pass without sending a reply.
    pub fn allows_silence(&self) -> bool {
        self.expects.iter().any(Expect::allows_silence)
    }

    /// The number of final replies to wait for.
    pub fn due(&self) -> usize {
        self.expects.iter().map(Expect::due).max().unwrap_or(1)
    }

    /// How to end the conversation: the strongest ending that any expectation requires.
    pub fn ending(&self) -> Ending {
        let wanted = |ending| self.expects.iter().any(|expect| expect.ending() == Some(ending));
        let strongest =
            [Ending::Farewell, Ending::Close, Ending::Quiet].into_iter().find(|&ending| wanted(ending));
        strongest.unwrap_or(Ending::Farewell)
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

/// `9112/6.3` is `RFC 9112 §6.3`.
fn chapter(id: &str) -> Option<String> {
    let (rfc, section) = id.split_once('/')?;
    rfc.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("RFC {rfc} §{section}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::{closes, nth, same_as_get, status};
    use crate::request::{get, head};

    #[test]
    fn joins_consecutive_sends_into_one_write() {
        let case = must("9112/1/1", "x").send("a").send("b").pause().send("c").smuggled();
        let script = case.script(None).unwrap();
        assert!(matches!(&script[..], [Step::Send(ab), Step::Pause, Step::Send(_)] if ab == b"ab"));
    }

    #[test]
    fn needs_the_prior_reply_for_its_script() {
        let case = must("9112/1/1", "x").send_from(|prior| prior.field("ETag").map(|_| get("/")));
        assert!(case.script(None).is_none());
    }

    #[test]
    fn takes_count_and_ending_from_expectations() {
        let case = must("9112/1/1", "x").expect([status(200), nth(2, status(200)), closes()]);
        assert_eq!((case.due(), case.ending()), (3, Ending::Close));
    }

    #[test]
    fn same_as_get_asks_by_get_before() {
        let case = must("9110/9.3.2/1", "x").send(head("/a")).expect(same_as_get());
        assert_eq!(case.prior().unwrap(), Vec::from(get("/a")));
    }

    #[test]
    fn ids_name_their_section() {
        assert_eq!(must("9112/6.3/2", "x").section(), "RFC 9112 §6.3");
        assert_eq!(must("smuggling/2", "x").section(), "smuggling");
        assert_eq!(Section::new("9112/2", "Message", []).heading(), "RFC 9112 §2 Message");
        assert_eq!(Section::new("limits", "Limits", []).heading(), "Limits");
    }
}
