//! Expectations about one reply: status, fields, content; and whether an earlier reply had the same.

use crate::escape;
use crate::location;
use crate::reply::Reply;

use super::{Expect, of_reply, reply_that, with_prior};

/// The status is this one.
pub fn status(status: u16) -> Expect {
    any_of([status])
}

/// The status is one of these.
pub fn any_of<const N: usize>(statuses: [u16; N]) -> Expect {
    let names: Vec<_> = statuses.iter().map(u16::to_string).collect();
    reply_that(format!("status {}", names.join(" or ")), move |reply| statuses.contains(&reply.status))
}

/// The status is 4xx: the fault is the client's.
pub fn client_error() -> Expect {
    reply_that("status 4xx", |reply| (400..500).contains(&reply.status))
}

/// The status is 4xx or 5xx: the server refused, for any reason.
pub fn any_error() -> Expect {
    reply_that("status 4xx or 5xx", |reply| reply.status >= 400)
}

/// A well-formed reply comes, with any status.
pub fn any_reply() -> Expect {
    reply_that("a reply", |_| true)
}

/// The reply has exactly one field `name`, with this value: a text, or [`any_value`], [`listing`] or [`value_that`].
pub fn field(name: &'static str, value: impl Into<Value>) -> Expect {
    let Value { says, fits } = value.into();
    of_reply(format!("{name} {says}"), move |reply| {
        let values: Vec<_> = reply.values(name).collect();
        match values.as_slice() {
            [] => Err(format!("{} without {name}", reply.describe())),
            values if fits(&values.join(", ")) => Ok(()),
            values => Err(format!("{name}: {}", values.join(", "))),
        }
    })
}

/// The reply has no field `name`.
pub fn no_field(name: &'static str) -> Expect {
    of_reply(format!("no {name}"), move |reply| {
        reply.field(name).map_or(Ok(()), |value| Err(format!("{name}: {value}")))
    })
}

/// The reply to the request for `target` has a Location that leads to this path and query (RFC 9110 §10.2.2).
pub fn leads_to(target: &'static str, path: &'static str) -> Expect {
    field(
        "Location",
        value_that(format!("that leads from {target} to {path}"), move |to| {
            location::is_reference(to) && location::resolve(target, to).as_deref() == Some(path)
        }),
    )
}

/// The reply has no Location, or its Location leads to this host when a browser resolves it.
pub fn stays_here() -> Expect {
    of_reply("no Location but a URI reference to this host", |reply| match reply.field("Location") {
        Some(to) if !location::is_reference(to) || location::resolve("/", to).is_none() => {
            Err(format!("Location: {to}"))
        }
        _ => Ok(()),
    })
}

/// What the value of a field must be.
pub struct Value {
    says: String,
    fits: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// Any value.
pub fn any_value() -> Value {
    value_that("with any value", |_| true)
}

/// A comma-separated list that has this member, in any case of letters.
pub fn listing(member: &'static str) -> Value {
    value_that(format!("that lists {member}"), move |value| {
        value.split(',').any(|item| item.trim().eq_ignore_ascii_case(member))
    })
}

/// A value that passes the test `fits`; `says` follows the name of the field in messages.
pub fn value_that(says: impl Into<String>, fits: impl Fn(&str) -> bool + Send + Sync + 'static) -> Value {
    Value { says: says.into(), fits: Box::new(fits) }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        value_that(format!("with the value {text}"), move |value| value == text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        value_that(format!("with the value {text}"), move |value| value == text)
    }
}

/// The content is exactly `expected`.
pub fn body(expected: impl Into<Vec<u8>>) -> Expect {
    let expected = expected.into();
    of_reply(format!("the content {}", brief(&expected)), move |reply| same_content(&expected, reply))
}

/// The content passes `test`; `says` describes it: "content that ends with a line feed".
pub fn body_that(says: impl Into<String>, test: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Expect {
    of_reply(says, move |reply| if test(&reply.body) { Ok(()) } else { Err(content_of(reply)) })
}

/// An interim reply of this status comes before the final one.
pub fn interim(status: u16) -> Expect {
    of_reply(format!("an interim reply {status} first"), move |reply| {
        let came = reply.interim.iter().any(|interim| interim.status == status);
        if came { Ok(()) } else { Err(format!("{} without it", reply.describe())) }
    })
}

/// No interim reply comes before the final one.
pub fn no_interim() -> Expect {
    of_reply("no interim reply", |reply| {
        reply.interim.first().map_or(Ok(()), |interim| Err(interim.describe()))
    })
}

/// For HEAD: the reply has the status and the fields of the reply to GET, except fields that depend on the time (RFC
/// 9110 §9.3.2). The suite first sends the GET, on a connection of its own.
pub fn same_as_get() -> Expect {
    const MOMENTARY: [&str; 4] = ["Date", "Connection", "Keep-Alive", "Age"];
    const OF_CONTENT: [&str; 3] = ["Content-Length", "Transfer-Encoding", "Vary"];
    let among = |names: &[&str], name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
    let expect = with_prior("the status and fields that GET has", move |reply, get| {
        if reply.status != get.status {
            return Err(format!("{}, by GET {}", reply.describe(), get.describe()));
        }
        for (name, by_get) in get.fields.iter().filter(|(name, _)| !among(&MOMENTARY, name)) {
            match reply.field(name) {
                None if among(&OF_CONTENT, name) => {}
                Some(value) if reply.values(name).eq(get.values(name)) || value == by_get => {}
                Some(value) => return Err(format!("{name}: {value}, by GET {by_get}")),
                None => return Err(format!("no {name}, by GET {by_get}")),
            }
        }
        Ok(())
    });
    Expect { wants_get: true, ..expect }
}

/// Compares the reply with the prior reply, to the request of [`Case::after`](crate::case::Case::after).
pub fn compared_with_prior(
    says: impl Into<String>,
    test: impl Fn(&Reply, &Reply) -> bool + Send + Sync + 'static,
) -> Expect {
    with_prior(says, move |reply, prior| if test(reply, prior) { Ok(()) } else { Err(reply.describe()) })
}

/// Field `name` is the same as in the prior reply, to the request of [`Case::after`](crate::case::Case::after).
pub fn same_field(name: &'static str) -> Expect {
    with_prior(format!("{name} as before"), move |reply, prior| {
        match (reply.field(name), prior.field(name)) {
            (now, before) if now == before => Ok(()),
            (now, before) => {
                Err(format!("{name}: {}, before {}", now.unwrap_or("none"), before.unwrap_or("none")))
            }
        }
    })
}

fn same_content(expected: &[u8], reply: &Reply) -> Result<(), String> {
    if reply.body == expected { Ok(()) } else { Err(content_of(reply)) }
}

fn content_of(reply: &Reply) -> String {
    format!("{} with the content {}", reply.describe(), brief(&reply.body))
}

fn brief(content: &[u8]) -> String {
    match content {
        [] => "of no bytes".into(),
        content => format!("{:?}", escape::line(content, 60)),
    }
}
