//! What a parser reads from the bytes of one connection, and how two readings of the same bytes differ.

use std::cmp::Ordering;

/// A request as a parser reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The target as it was sent; hyper returns another spelling of some.
    pub target: String,
    /// The content, without its framing.
    pub body: Vec<u8>,
}

/// How a connection ends after its last complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The parser has read all bytes, and waits for the next request.
    Idle,
    /// The last request says that the connection closes. This number of bytes follow and are not read.
    Closed(usize),
    /// The bytes end within a request.
    Unfinished,
    /// The next request is rejected, for this reason.
    Rejected(String),
}

/// All that a parser reads from the bytes of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The complete requests.
    pub requests: Vec<Request>,
    /// What follows them.
    pub end: End,
}

/// How another reading differs from ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both read the same requests.
    Same,
    /// We reject for this reason what the other accepts.
    Stricter(String),
    /// The other rejects for this reason what we accept.
    Laxer(String),
    /// Both accept the bytes, and find different requests in them.
    Differ(Difference),
}

/// What differs between two readings that accept the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The number of requests, or the content of one.
    Framing,
    /// Only a method or a target.
    Spelling,
    /// Only whether another request can follow on the connection.
    Persistence,
}

impl Reading {
    /// Compares `other` with this reading, which is ours.
    pub fn compare(&self, other: &Reading) -> Verdict {
        let mut verdict = Verdict::Same;
        for (ours, theirs) in self.requests.iter().zip(&other.requests) {
            if ours.method == "CONNECT" && theirs.method == "CONNECT" {
                // The bytes after it are for a tunnel, whatever the head says (RFC 9110 §9.3.6).
                return verdict;
            }
            if ours.body != theirs.body {
                return Verdict::Differ(Difference::Framing);
            }
            if (&ours.method, &ours.target) != (&theirs.method, &theirs.target) {
                verdict = Verdict::Differ(Difference::Spelling);
            }
        }
        let later = match self.requests.len().cmp(&other.requests.len()) {
            Ordering::Less => match &self.end {
                End::Rejected(reason) => Verdict::Stricter(reason.clone()),
                End::Closed(_) => Verdict::Differ(Difference::Persistence),
                End::Idle | End::Unfinished => Verdict::Differ(Difference::Framing),
            },
            Ordering::Greater => match &other.end {
                End::Rejected(reason) => Verdict::Laxer(reason.clone()),
                End::Closed(_) => Verdict::Differ(Difference::Persistence),
                End::Idle | End::Unfinished => Verdict::Differ(Difference::Framing),
            },
            Ordering::Equal => match (&self.end, &other.end) {
                (End::Rejected(_), End::Rejected(_)) | (End::Unfinished, End::Unfinished) => Verdict::Same,
                (End::Rejected(reason), _) => Verdict::Stricter(reason.clone()),
                (_, End::Rejected(reason)) => Verdict::Laxer(reason.clone()),
                (End::Unfinished, End::Idle) | (End::Idle, End::Unfinished) => {
                    Verdict::Differ(Difference::Framing)
                }
                (End::Unfinished, End::Closed(_)) | (End::Closed(_), End::Unfinished) => {
                    Verdict::Differ(Difference::Persistence)
                }
                (End::Idle | End::Closed(_), End::Idle | End::Closed(_)) => Verdict::Same,
            },
        };
        if later == Verdict::Same { verdict } else { later }
    }

    /// Whether this reading, of all that a proxy forwarded as one request, finds something else than one request: a
    /// part of its content is another request for us, or the next request is part of its content. `goes_on` says that
    /// the proxy has forwarded another request after it. A rejection is no danger, because nothing after it is read.
    pub fn is_smuggled(&self, goes_on: bool) -> bool {
        match (self.requests.len(), &self.end) {
            (0, End::Unfinished) => goes_on,
            (0, _) => false,
            (1, End::Idle | End::Closed(0)) => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a reading of requests, each a method, a target and content, and of how it ends.
    fn reading(requests: &[(&str, &str, &str)], end: End) -> Reading {
        let request = |(method, target, body): &(&str, &str, &str)| Request {
            method: (*method).to_owned(),
            target: (*target).to_owned(),
            body: body.as_bytes().to_vec(),
        };
        Reading { requests: requests.iter().map(request).collect(), end }
    }

    fn rejected() -> End {
        End::Rejected("reason".to_owned())
    }

    #[test]
    fn compares_readings() {
        let check = |ours: Reading, theirs: Reading, expected: Verdict| {
            assert_eq!(ours.compare(&theirs), expected, "{ours:?} and {theirs:?}");
        };
        const A: (&str, &str, &str) = ("POST", "/a", "x");
        const B: (&str, &str, &str) = ("GET", "/b", "");
        let framing = || Verdict::Differ(Difference::Framing);
        check(reading(&[A, B], End::Idle), reading(&[A, B], End::Closed(0)), Verdict::Same);
        check(reading(&[A], rejected()), reading(&[A], rejected()), Verdict::Same);
        check(reading(&[A], rejected()), reading(&[A, B], End::Idle), Verdict::Stricter("reason".to_owned()));
        check(reading(&[A, B], End::Idle), reading(&[A], rejected()), Verdict::Laxer("reason".to_owned()));
        check(reading(&[A, B], End::Idle), reading(&[A], End::Unfinished), framing());
        check(reading(&[A], End::Idle), reading(&[A, B], End::Idle), framing());
        check(reading(&[A], End::Idle), reading(&[("POST", "/a", "xy")], End::Idle), framing());
        check(
            reading(&[A], End::Closed(9)),
            reading(&[A, B], End::Idle),
            Verdict::Differ(Difference::Persistence),
        );
        check(
            reading(&[A], End::Idle),
            reading(&[("POST", "/A", "x")], End::Idle),
            Verdict::Differ(Difference::Spelling),
        );
        let tunnel = |body| reading(&[("CONNECT", "a:1", body)], End::Closed(1));
        check(tunnel("x"), tunnel(""), Verdict::Same);
    }

    #[test]
    fn finds_what_is_not_one_request() {
        const A: (&str, &str, &str) = ("GET", "/a", "");
        let check = |requests: &[_], end: End, goes_on: bool, expected: bool| {
            assert_eq!(reading(requests, end.clone()).is_smuggled(goes_on), expected, "{requests:?} {end:?}");
        };
        check(&[A], End::Idle, true, false);
        check(&[A], End::Closed(0), true, false);
        check(&[A], End::Closed(1), false, true);
        check(&[A], rejected(), false, true);
        check(&[A], End::Unfinished, false, true);
        check(&[A, A], End::Idle, false, true);
        check(&[], rejected(), true, false);
        check(&[], End::Unfinished, false, false);
        check(&[], End::Unfinished, true, true);
    }
}
