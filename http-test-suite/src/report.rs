//! The outcomes of a run: as text and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::case::{Case, Level, Section};
use crate::exchange::Exchange;
use crate::reader::preview;

/// How many of the bytes sent, and of the bytes received, a report shows for each case.
const SHOWN: usize = 2048;

/// The report of a run: the outcome of each case that ran or was skipped, in the order of [`cases`](crate::cases). As
/// JSON, it has the fields of these types.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The address and port of the tested server.
    pub server: String,
    /// One outcome for each case that the options select.
    pub outcomes: Vec<Outcome>,
}

/// The outcome of one case: its verdict, and the bytes that were sent and received.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The id of the case: `9112/2.2/11`.
    pub id: String,
    /// The heading of the case's [`Section`]: `RFC 9112 §2 Message`.
    pub heading: String,
    /// The section of the requirement: `RFC 9112 §2.2`.
    pub section: String,
    /// How binding the requirement is: a MUST, a SHOULD, or a requirement of this suite.
    pub level: Level,
    /// What the server has to do, in one sentence.
    pub requirement: String,
    /// Whether the case passed, failed or was skipped, and why.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The first bytes that the client sent, escaped, one string a line.
    pub sent: Vec<String>,
    /// The first bytes that the client received, escaped, one string a line.
    pub received: Vec<String>,
    /// How long the case took, in milliseconds.
    pub milliseconds: u64,
}

/// Whether a case passed, failed or was skipped, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// All expectations hold, and all responses keep to the rules.
    Passed,
    /// An expectation does not hold, a response is malformed or breaks a rule, or no connection could be made.
    Failed {
        /// The first statement that is not true; ends the sentence "expected …".
        expected: String,
        /// What the server did; ends the sentence "but it was …".
        actual: String,
    },
    /// The case was not run, because something that it needs is missing.
    Skipped {
        /// What is missing: `no echo server`.
        why: String,
    },
}

/// The number of cases that passed, that failed, and that were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of cases that passed.
    pub passed: usize,
    /// The number of cases that failed.
    pub failed: usize,
    /// The number of cases that were skipped.
    pub skipped: usize,
}

impl Verdict {
    /// Makes the verdict on a case that failed: what was expected, and what the server did.
    pub fn failed(expected: impl Into<String>, actual: impl Into<String>) -> Verdict {
        Verdict::Failed { expected: expected.into(), actual: actual.into() }
    }

    /// Makes the verdict on a case that was not run, with the reason.
    pub fn skipped(why: impl Into<String>) -> Verdict {
        Verdict::Skipped { why: why.into() }
    }
}

impl Outcome {
    /// Makes the outcome of `case` in `section`, with the bytes of `exchange` and the time that the case took.
    pub fn new(
        section: &Section,
        case: &Case,
        verdict: Verdict,
        exchange: &Exchange,
        time: Duration,
    ) -> Self {
        Outcome {
            id: case.id.clone(),
            heading: section.heading(),
            section: case.section(),
            level: case.level,
            requirement: case.requirement.clone(),
            verdict,
            sent: lines(&exchange.sent),
            received: lines(&exchange.received),
            milliseconds: time.as_millis().try_into().unwrap_or(u64::MAX),
        }
    }
}

impl Report {
    /// Whether no MUST failed, and with `strict` no SHOULD either. Skipped cases do not count.
    pub fn passes(&self, strict: bool) -> bool {
        self.failures().all(|outcome| match outcome.level {
            Level::Must => false,
            Level::Should => !strict,
            Level::Robust => true,
        })
    }

    /// The outcomes of the cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed { .. }))
    }

    /// The number of cases of this level by verdict.
    pub fn counts_of(&self, level: Level) -> Counts {
        Counts::of(self.outcomes.iter().filter(|outcome| outcome.level == level))
    }
}

impl Counts {
    /// Counts the verdicts of these outcomes.
    fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Counts {
        let mut counts = Counts::default();
        for outcome in outcomes {
            match outcome.verdict {
                Verdict::Passed => counts.passed += 1,
                Verdict::Failed { .. } => counts.failed += 1,
                Verdict::Skipped { .. } => counts.skipped += 1,
            }
        }
        counts
    }
}

/// The failures, a table, the reasons for skipped cases, and one line with the totals.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in self.failures() {
            writeln!(f, "{outcome}")?;
        }
        let width = self.outcomes.iter().map(|outcome| outcome.heading.chars().count()).max().unwrap_or(0);
        writeln!(f, "{:width$}  passed  failed  skipped", "")?;
        // The outcomes are in the order of the headings.
        for section in self.outcomes.chunk_by(|a, b| a.heading == b.heading) {
            let Counts { passed, failed, skipped } = Counts::of(section);
            writeln!(f, "{:width$}  {passed:6}  {failed:6}  {skipped:7}", section[0].heading)?;
        }
        writeln!(f)?;
        let mut skipped = BTreeMap::<&str, usize>::new();
        for outcome in &self.outcomes {
            if let Verdict::Skipped { why } = &outcome.verdict {
                *skipped.entry(why).or_default() += 1;
            }
        }
        for (why, count) in skipped {
            writeln!(f, "{count} skipped: {why}")?;
        }
        let Counts { passed, failed, skipped } = Counts::of(&self.outcomes);
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The requirement, the verdict and the bytes of one case, over several lines.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { id, section, level, requirement, .. } = self;
        writeln!(f, "{id}  {level}  {requirement} ({section})")?;
        match &self.verdict {
            Verdict::Passed => writeln!(f, "    passed")?,
            Verdict::Skipped { why } => writeln!(f, "    skipped: {why}")?,
            Verdict::Failed { expected, actual } => {
                writeln!(f, "    expected {expected}\n    but it was {actual}")?;
            }
        }
        self.sent.iter().try_for_each(|line| writeln!(f, "    > {line}"))?;
        self.received.iter().try_for_each(|line| writeln!(f, "    < {line}"))
    }
}

/// Escapes the first [`SHOWN`] bytes, and splits them after each line feed.
fn lines(bytes: &[u8]) -> Vec<String> {
    preview(bytes, SHOWN).split_inclusive("\\n").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{must, robust, should};

    fn report(cases: Vec<(Case, Verdict)>) -> Report {
        let section = Section::new("9112/2", "Message", []);
        let exchange = Exchange { received: b"a\r\nb".to_vec(), ..Exchange::default() };
        let outcome = |(case, verdict): (Case, _)| {
            Outcome::new(&section, &case, verdict, &exchange, Duration::from_millis(7))
        };
        Report { server: "here".into(), outcomes: cases.into_iter().map(outcome).collect() }
    }

    fn failed() -> Verdict {
        Verdict::failed("status 400", "status 200 \"<OK>\"")
    }

    #[test]
    fn musts_count_always_shoulds_when_strict() {
        let one = |case| report(vec![(case, failed())]);
        let all = |report: Report| (report.passes(false), report.passes(true));
        assert_eq!(all(one(must("9112/2/1", "x"))), (false, false));
        assert_eq!(all(one(should("9112/2/1", "x"))), (true, false));
        assert_eq!(all(one(robust("9112/2/1", "x"))), (true, true));
    }

    #[test]
    fn ends_with_the_count() {
        let skipped = Verdict::skipped("no echo");
        let cases = vec![
            (must("a/1", "x"), failed()),
            (must("a/2", "y"), Verdict::Passed),
            (must("a/3", "z"), skipped),
        ];
        let text = report(cases).to_string();
        assert!(text.ends_with("\n1 passed, 1 failed, 1 skipped"), "{text}");
        assert!(text.contains("\n1 skipped: no echo\n"), "{text}");
        assert!(text.contains("expected status 400\n    but it was status 200"), "{text}");
    }

    #[test]
    fn json_has_the_verdict_beside_the_id() {
        let value = serde_json::to_value(report(vec![(must("9112/2/1", "x"), failed())])).unwrap();
        let outcome = &value["outcomes"][0];
        assert_eq!((&outcome["verdict"], &outcome["expected"]), (&"failed".into(), &"status 400".into()));
        assert_eq!(outcome["level"], "MUST");
    }
}
