//! What a case is, and the words it is written with.
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
    /// The RFC leaves it open, good sense does not. Never counts for the exit code.
    Robust,
}

/// What the server must be for a case to make sense. The runner asks it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any server that answers `GET /` with 200.
    Nothing,
    /// It serves what [`fixtures::write`](crate::fixtures::write) wrote.
    Fixtures,
    /// It answers a POST with the request's content, and `/echo` with the request's field lines.
    Echo,
}

/// A section of the suite: what one file of [`cases`](crate::cases) holds.
#[derive(Debug)]
pub struct Section {
    /// What the ids of its cases begin with: `9112/2`.
    pub prefix: &'static str,
    /// For the report: `Message`.
    pub title: &'static str,
    /// In the order of the RFC.
    pub cases: Vec<Case>,
}

impl Section {
    /// The cases of one file, in groups.
    pub fn new(
        prefix: &'static str,
        title: &'static str,
        groups: impl IntoIterator<Item = Vec<Case>>,
    ) -> Self {
        Section { prefix, title, cases: groups.into_iter().flatten().collect() }
    }

    /// Says for all its cases, but those that say so for themselves, what the server must be.
    pub fn on(mut self, needs: Needs) -> Self {
        for case in self.cases.iter_mut().filter(|case| case.needs == Needs::Nothing) {
            case.needs = needs;
        }
        self
    }

    /// `RFC 9112 §2 Message`, or the title alone where no RFC is behind it.
    pub fn heading(&self) -> String {
        match chapter(self.prefix) {
            Some(chapter) => format!("{chapter} {}", self.title),
            None => self.title.to_owned(),
        }
    }
}

/// A requirement, and how to find out whether a server meets it.
pub struct Case {
    /// Never changes, and is never used again: `9112/6.3/2`.
    pub id: String,
    /// How binding it is.
    pub level: Level,
    /// What the server has to do, in one sentence.
    pub requirement: String,
    /// What the server must be.
    pub needs: Needs,
    prior: Option<Vec<u8>>,
    script: Vec<Part>,
    expects: Vec<Expect>,
}

/// A part of a script.
enum Part {
    Fixed(Step),
    From(Template),
}

/// Makes a request out of an earlier reply; `None` if that has not what it takes.
type Template = Box<dyn Fn(&Reply) -> Option<Vec<u8>> + Send + Sync>;

/// A case for what the RFC demands.
pub fn must(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Must, id.into(), requirement.into())
}

/// A case for what the RFC recommends.
pub fn should(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Should, id.into(), requirement.into())
}

/// A case for what the RFC leaves open and good sense does not.
pub fn robust(id: impl Into<String>, requirement: impl Into<String>) -> Case {
    Case::new(Level::Robust, id.into(), requirement.into())
}

/// Writing one.
impl Case {
    fn new(level: Level, id: String, requirement: String) -> Self {
        let (prior, script, expects) = (None, Vec::new(), Vec::new());
        Case { id, level, requirement, needs: Needs::Nothing, prior, script, expects }
    }

    /// Says what the server must be.
    pub fn on(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// Sends `bytes`. Calls in a row make one write, hence one segment if it fits.
    pub fn send(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        match self.script.last_mut() {
            Some(Part::Fixed(Step::Send(before))) => before.extend(bytes.into()),
            _ => self.script.push(Part::Fixed(Step::Send(bytes.into()))),
        }
        self
    }

    /// Sends `bytes` one by one. For a few hundred at most: each takes a millisecond.
    pub fn send_bytewise(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::SendBytewise(bytes.into()))
    }

    /// Before anything else, sends `request` on a connection of its own. The reply is `prior` for
    /// [`Case::send_from`] and for expectations.
    pub fn after(mut self, request: impl Into<Vec<u8>>) -> Self {
        self.prior = Some(request.into());
        self
    }

    /// Sends the request that `template` makes out of the prior reply. If it makes none, because the reply lacks a
    /// field, the case is skipped.
    pub fn send_from(mut self, template: impl Fn(&Reply) -> Option<Request> + Send + Sync + 'static) -> Self {
        self.script.push(Part::From(Box::new(move |prior| template(prior).map(Vec::from))));
        self
    }

    /// Sends [`SMUGGLED`] behind what came before, in one write with it.
    pub fn smuggled(self) -> Self {
        self.send(SMUGGLED)
    }

    /// Waits a moment, so that the server sees what was sent apart from what follows.
    pub fn pause(self) -> Self {
        self.step(Step::Pause)
    }

    /// Waits until `count` final replies are in, counted from the start.
    pub fn await_replies(self, count: usize) -> Self {
        self.step(Step::AwaitReplies(count))
    }

    /// Waits for an interim reply such as 100, or a final one in its place. Goes on after the timeout;
    /// [`in_time`](crate::expect::in_time) makes that a failure.
    pub fn await_continue(self) -> Self {
        self.step(Step::AwaitContinue)
    }

    /// Ends our side of the connection. The server can still answer.
    pub fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    /// What must hold: one expectation or an array of them.
    pub fn expect(mut self, expects: impl Into<Vec<Expect>>) -> Self {
        self.expects.extend(expects.into());
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.script.push(Part::Fixed(step));
        self
    }
}

/// Carrying one out.
impl Case {
    /// `RFC 9112 §6.3`, or the name of the collection it belongs to.
    pub fn section(&self) -> String {
        let (section, _) = self.id.rsplit_once('/').unwrap_or((&self.id, ""));
        chapter(section).unwrap_or_else(|| section.to_owned())
    }

    /// The request to send before on a connection of its own.
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

    /// The script; `None` if the prior reply, or the lack of one, does not allow it.
    pub fn script(&self, prior: Option<&Reply>) -> Option<Vec<Step>> {
        let step = |part: &Part| match part {
            Part::Fixed(step) => Some(step.clone()),
            Part::From(template) => template(prior?).map(Step::Send),
        };
        self.script.iter().map(step).collect()
    }

    /// Whether it does anything at all.
    pub fn is_scripted(&self) -> bool {
        !self.script.is_empty()
    }

    /// What must hold, all of it.
    pub fn expects(&self) -> &[Expect] {
        &self.expects
    }

    /// Whether the server may meet it without a reply.
    pub fn allows_silence(&self) -> bool {
        self.expects.iter().any(Expect::allows_silence)
    }

    /// How many final replies to wait for.
    pub fn due(&self) -> usize {
        self.expects.iter().map(Expect::due).max().unwrap_or(1)
    }

    /// How to end the conversation: the strongest ending that an expectation wants.
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
    fn sends_in_a_row_are_one_write() {
        let case = must("9112/1/1", "x").send("a").send("b").pause().send("c").smuggled();
        let script = case.script(None).unwrap();
        assert!(matches!(&script[..], [Step::Send(ab), Step::Pause, Step::Send(_)] if ab == b"ab"));
    }

    #[test]
    fn a_script_without_its_prior_reply_is_none() {
        let case = must("9112/1/1", "x").send_from(|prior| prior.field("ETag").map(|_| get("/")));
        assert!(case.script(None).is_none());
    }

    #[test]
    fn expectations_say_how_long_to_listen() {
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
