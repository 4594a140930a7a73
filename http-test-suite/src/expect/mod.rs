//! Expectations of cases. Every function here makes one [`Expect`]; a case passes if all its expectations hold.
//!
//! Unless it says otherwise, an expectation is about the first final reply; [`nth`] moves it to a later reply.
//! `one_reply` has the expectations about a single reply, `conversation` those about the whole conversation. This file
//! has the type, and the functions with which both files and single cases make an expectation.

use std::fmt;

use crate::exchange::{Ending, Exchange};
use crate::reply::Reply;

mod conversation;
mod one_reply;

pub use conversation::*;
pub use one_reply::*;

/// A statement about a conversation, and the function that tests it.
pub struct Expect {
    /// Ends the sentence "expected …".
    says: String,
    /// The number of final replies that the test needs.
    due: usize,
    /// How the conversation must end for the test.
    ending: Option<Ending>,
    /// Whether the suite must first send a GET for the same target.
    wants_get: bool,
    /// Whether the statement can be true without any reply.
    allows_silence: bool,
    judge: Judge,
}

/// The test of final reply number `index`; the error ends the sentence "but it was …".
type Judge = Box<dyn Fn(&Exchange, usize) -> Result<(), String> + Send + Sync>;

/// The reply passes `test`. `says` ends the sentence "expected …".
pub fn reply_that(says: impl Into<String>, test: impl Fn(&Reply) -> bool + Send + Sync + 'static) -> Expect {
    of_reply(says, move |reply| if test(reply) { Ok(()) } else { Err(reply.describe()) })
}

/// Like [`reply_that`], but the test returns what it found instead.
pub fn of_reply(
    says: impl Into<String>,
    judge: impl Fn(&Reply) -> Result<(), String> + Send + Sync + 'static,
) -> Expect {
    whole_at(says, 1, None, move |exchange, index| match exchange.replies.get(index) {
        Some(reply) => judge(reply),
        None => Err(exchange.absence(index)),
    })
}

/// A statement about the whole conversation, tested after `due` replies and an ending.
pub fn whole(
    says: impl Into<String>,
    due: usize,
    ending: Option<Ending>,
    judge: impl Fn(&Exchange) -> Result<(), String> + Send + Sync + 'static,
) -> Expect {
    whole_at(says, due, ending, move |exchange, _| judge(exchange))
}

/// A statement about the reply and the prior reply.
fn with_prior(
    says: impl Into<String>,
    judge: impl Fn(&Reply, &Reply) -> Result<(), String> + Send + Sync + 'static,
) -> Expect {
    whole_at(says, 1, None, move |exchange, index| match (exchange.replies.get(index), &exchange.prior) {
        (Some(reply), Some(prior)) => judge(reply, prior),
        (None, _) => Err(exchange.absence(index)),
        (_, None) => Err("no reply to the request before".into()),
    })
}

fn whole_at(
    says: impl Into<String>,
    due: usize,
    ending: Option<Ending>,
    judge: impl Fn(&Exchange, usize) -> Result<(), String> + Send + Sync + 'static,
) -> Expect {
    let judge = Box::new(judge);
    Expect { says: says.into(), due, ending, wants_get: false, allows_silence: false, judge }
}

impl Expect {
    /// Ends the sentence "expected …".
    pub fn says(&self) -> &str {
        &self.says
    }

    /// The number of final replies that the test needs.
    pub fn due(&self) -> usize {
        self.due
    }

    /// How the conversation must end for the test.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Whether the suite must first send a GET for the same target.
    pub fn wants_get(&self) -> bool {
        self.wants_get
    }

    /// Whether the statement can be true without any reply.
    pub fn allows_silence(&self) -> bool {
        self.allows_silence
    }

    /// Tests the statement on `exchange`.
    ///
    /// # Errors
    ///
    /// Describes what is true instead.
    pub fn judge(&self, exchange: &Exchange) -> Result<(), String> {
        (self.judge)(exchange, 0)
    }
}

impl From<Expect> for Vec<Expect> {
    fn from(expect: Expect) -> Self {
        vec![expect]
    }
}

impl fmt::Debug for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::{Asked, read};
    use crate::wire::End;

    const ALLOW: &str = "HTTP/1.1 405 No\r\nAllow: GET, HEAD\r\nContent-Length: 2\r\n\r\nno";
    const OK: &str = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 0\r\n\r\n";

    fn parse(text: &str) -> Reply {
        read(text.as_bytes(), Asked::default(), true).unwrap().unwrap().0
    }

    fn exchange(replies: &[&str]) -> Exchange {
        Exchange { replies: replies.iter().map(|text| parse(text)).collect(), due: 1, ..Exchange::default() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
    /// `actual` is the error if the statement is false.
    fn check(expect: Expect, exchange: &Exchange, actual: Option<&str>) {
        assert_eq!(expect.judge(exchange).err().as_deref(), actual, "expected {}", expect.says());
    }

    #[test]
    fn judges_one_reply() {
        let no = exchange(&[ALLOW]);
        check(status(405), &no, None);
        check(any_of([400, 501]), &no, Some("status 405 No"));
        check(client_error(), &no, None);
        check(field("allow", "GET, HEAD"), &no, None);
        check(field("Allow", listing("head")), &no, None);
        check(field("Allow", listing("PUT")), &no, Some("Allow: GET, HEAD"));
        check(field("ETag", any_value()), &no, Some("status 405 No without ETag"));
        check(no_field("Allow"), &no, Some("Allow: GET, HEAD"));
        check(body("no"), &no, None);
        check(body(""), &no, Some("status 405 No with the content \"no\""));
        check(interim(100), &no, Some("status 405 No without it"));
        check(status(200), &exchange(&[]), Some("no reply within the timeout"));
    }

    #[test]
    fn judges_several_replies() {
        let two = exchange(&[OK, ALLOW]);
        check(replies([200, 405]), &two, None);
        check(replies([200]), &two, Some("[200, 405]"));
        check(nth(1, status(405)), &two, None);
        check(nth(2, status(200)), &two, Some("only 2 of 3 replies within the timeout"));
        check(not_served(), &two, Some("one more reply"));
        check(either(status(405), replies([200, 405])), &two, None);
        check(either(status(405), silence()), &two, Some("status 200 OK"));
    }

    #[test]
    fn judges_the_connection() {
        let ended = |end| Exchange { end, ..exchange(&[OK]) };
        check(closes(), &ended(End::Open), Some("open"));
        check(closes(), &ended(End::Reset), None);
        check(no_reset(), &ended(End::Reset), Some("reset"));
        check(stays_open(), &ended(End::Closed), Some("closed"));
        check(in_time(), &ended(End::Open), None);
        check(in_time(), &Exchange { in_vain: true, ..exchange(&[OK]) }, Some("only after that, if at all"));
        let open = Exchange { farewell: Some(parse(OK)), ..ended(End::Closed) };
        check(stays_open(), &open, None);
        check(closes(), &open, Some("open"));
    }

    #[test]
    fn judges_a_reply_and_the_prior_reply() {
        let after = |before: &str, now: &str| Exchange { prior: Some(parse(before)), ..exchange(&[now]) };
        check(same_as_get(), &after(OK, OK), None);
        check(same_as_get(), &after(OK, ALLOW), Some("status 405 No, by GET status 200 OK"));
        let other_tag = OK.replace("\"a\"", "\"b\"");
        check(same_as_get(), &after(OK, &other_tag), Some("ETag: \"b\", by GET \"a\""));
        check(same_as_get(), &after(OK, &OK.replace("ETag", "X")), Some("no ETag, by GET \"a\""));
        check(same_as_get(), &after(OK, &OK.replace("Content-Length: 0\r\n", "")), None);
        check(same_field("ETag"), &after(OK, &other_tag), Some("ETag: \"b\", before \"a\""));
    }
}
