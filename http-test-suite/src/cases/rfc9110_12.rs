//! RFC 9110 §12: preferences of the client. A server may disregard all of them, but not stumble over one.

use crate::reply::Reply;

use super::prelude::*;

/// The cases of this file.
pub fn section() -> Section {
    let cases = [media_types(), languages(), malformed(), codings(), acceptable_codings(), varying()];
    Section::new("9110/12", "Content Negotiation", cases).on(Needs::Fixtures)
}

/// Text, and long enough to be worth encoding.
const TEXT: &str = "/httptest/wikipedia_russia.html";

/// §12.5.1: who has nothing acceptable says 406, or disregards the field.
fn media_types() -> Vec<Case> {
    let values = ["text/html;level=1;q=0.5, text/*", "application/json", "*/*;q=0.000", ""];
    let case = |(value, number)| {
        should(format!("9110/12.5.1/{number}"), format!("A page for {value:?} is served, or not acceptable"))
            .send(get("/page.html").with(format!("Accept: {value}")))
            .expect(any_of([200, 406]))
    };
    values.into_iter().zip(1..).map(case).collect()
}

/// §12.5.4 advises against 406: a text in another language is better than none.
fn languages() -> Vec<Case> {
    let lines = [
        ("12.5.2/1", "Accept-Charset: no-such-charset, *;q=0"),
        ("12.5.4/1", "Accept-Language: tlh"),
        ("12.5.4/2", "Accept-Language: de-CH-1996;q=0.3, *;q=0"),
    ];
    let case = |(id, line)| {
        should(format!("9110/{id}"), format!("A page is served in spite of {line:?}"))
            .send(get("/page.html").with(line))
            .expect(status(200))
    };
    lines.into_iter().map(case).collect()
}

/// What cannot be understood cannot be complied with either, and is no fault of the server.
fn malformed() -> Vec<Case> {
    let lines = [
        "Accept: ;;,,;q=",
        "Accept: text/html;q=1.5, text/;q=-1",
        "Accept-Encoding: gzip;q=nonsense",
        "Accept-Encoding: ;q=1,,gzip;;q",
        "Accept-Language: -, en-;q=9, 1234567890123",
        "Accept-Charset: \"",
    ];
    let case = |(line, number)| {
        robust(
            format!("9110/12.4/{number}"),
            format!("The field {line:?} makes no sense, and is ignored or refused"),
        )
        .send(get("/page.html").with(line))
        .expect([any_of([200, 400, 406]), stays_open_or_refuses()])
    };
    lines.into_iter().zip(1..).map(case).collect()
}

/// §12.5.3: whoever asks so gets what is not encoded.
fn codings() -> Vec<Case> {
    let values = ["", "identity", "no-such-coding", "GZIP;Q=0.000, br;q=0, deflate;q=0"];
    let case = |(value, number)| {
        should(
            format!("9110/12.5.3/{number}"),
            format!("Accept-Encoding {value:?} leaves only what is not encoded"),
        )
        .send(get(TEXT).with(format!("Accept-Encoding: {value}")))
        .expect([status(200), no_field("Content-Encoding")])
    };
    values.into_iter().zip(1..).map(case).collect()
}

fn acceptable_codings() -> Vec<Case> {
    vec![
        should("9110/12.5.3/20", "A coding that is used was asked for")
            .send(get(TEXT).with("Accept-Encoding: gzip, br;q=0"))
            .expect([status(200), coded_as(&["gzip", "x-gzip"])]),
        // §8.4.1.3: x-gzip is gzip.
        should("9110/12.5.3/21", "A coding that is used was asked for by its old name")
            .send(get(TEXT).with("Accept-Encoding: x-gzip"))
            .expect([status(200), coded_as(&["gzip", "x-gzip"])]),
        // §12.5.3 with §15.5.7: without an acceptable coding, 406 or what is not encoded.
        should("9110/12.5.3/22", "Who accepts no coding, and not even none, is served or refused")
            .send(get("/page.html").with("Accept-Encoding: identity;q=0, *;q=0"))
            .expect(any_of([200, 406, 415])),
        should("9110/12.5.3/23", "What is encoded already is not encoded again unasked")
            .send(get("/image.png").with("Accept-Encoding: *;q=0, identity"))
            .expect([status(200), no_field("Content-Encoding")]),
    ]
}

/// §12.5.5: a cache has to know which fields of the request decided.
fn varying() -> Vec<Case> {
    let compared = |id: &str, field_name: &'static str, with: &str, without: &str| {
        should(id, format!("If {field_name} decides, Vary says so"))
            .after(get(TEXT).with(format!("{field_name}: {without}")))
            .send(get(TEXT).with(format!("{field_name}: {with}")))
            .expect([
                status(200),
                compared_with_prior(
                    format!("the same reply, or a Vary that lists {field_name}"),
                    move |reply, prior| {
                        same_representation(reply, prior)
                            || (varies(reply, field_name) && varies(prior, field_name))
                    },
                ),
            ])
    };
    vec![
        compared("9110/12.5.5/1", "Accept-Encoding", "gzip, br, deflate", "identity"),
        compared("9110/12.5.5/2", "Accept-Language", "ru", "en"),
        compared("9110/12.5.5/3", "Accept", "text/plain", "text/html"),
        compared("9110/12.5.5/4", "User-Agent", "curl/8", "Mozilla/5.0 (iPhone)"),
    ]
}

fn coded_as(codings: &'static [&str]) -> Expect {
    of_reply(format!("no coding but {}", codings.join(" or ")), move |reply| {
        match reply.field("Content-Encoding") {
            Some(coding) if !codings.contains(&coding) => Err(format!("Content-Encoding: {coding}")),
            _ => Ok(()),
        }
    })
}

fn stays_open_or_refuses() -> Expect {
    either(client_error(), stays_open())
}

fn same_representation(one: &Reply, other: &Reply) -> bool {
    let same = |name| one.field(name) == other.field(name);
    one.body == other.body && same("Content-Encoding") && same("Content-Type") && same("Content-Language")
}

fn varies(reply: &Reply, name: &str) -> bool {
    reply.lists("Vary", name) || reply.lists("Vary", "*")
}
