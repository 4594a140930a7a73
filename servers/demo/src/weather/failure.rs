//! What can go wrong with upstream, and the one map from there to an answer.

use crate::problem::{Format, Problem};
use http_engine::{Response, Status};
use std::fmt;

/// Which of upstream's services was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Where a city lies.
    Search,
    /// What the weather is there.
    Forecast,
}

/// How it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No address, or nobody there.
    Unreachable,
    /// Not done within the deadlines.
    Slow,
    /// The connection broke before the answer was whole.
    Broken,
    /// What came is not HTTP, or not what this service answers.
    Malformed,
    /// More than any such answer has.
    TooLarge,
    /// Another status than 200.
    Status(u16),
}

/// Why there is no weather to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Upstream is at fault.
    Upstream(Step, Fault),
    /// Upstream knows no city of this name.
    NoSuchCity,
    /// Whoever was to ask upstream never came to it, or not to an end.
    Abandoned,
}

impl Failure {
    /// The answer that tells it.
    pub(super) fn response(self, format: Format) -> Response {
        let problem = Problem::new(self.status(), self.to_string());
        match self {
            Failure::Upstream(..) => problem.response(format),
            Failure::NoSuchCity => problem.about("city").response(format),
            Failure::Abandoned => problem.response(format).header("Retry-After", "1"),
        }
    }

    /// RFC 9110 §15.6: a gateway got a wrong answer (502), or none in time (504).
    fn status(self) -> Status {
        match self {
            Failure::Upstream(_, Fault::Slow) => Status::GATEWAY_TIMEOUT,
            Failure::Upstream(..) => Status::BAD_GATEWAY,
            Failure::NoSuchCity => Status::NOT_FOUND,
            Failure::Abandoned => Status::SERVICE_UNAVAILABLE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Upstream(step, fault) => write!(f, "the {step} {fault}"),
            Failure::NoSuchCity => f.write_str("no city of this name is known"),
            Failure::Abandoned => f.write_str("too much else is being done; ask again"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Search => "search for the city",
            Step::Forecast => "forecast",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unreachable => f.write_str("failed: its server cannot be reached"),
            Fault::Slow => f.write_str("took too long"),
            Fault::Broken => f.write_str("failed: its server broke off"),
            Fault::Malformed => f.write_str("failed: its server's answer makes no sense"),
            Fault::TooLarge => f.write_str("failed: its server's answer is too large"),
            Fault::Status(code) => write!(f, "failed: its server answered with status {code}"),
        }
    }
}
