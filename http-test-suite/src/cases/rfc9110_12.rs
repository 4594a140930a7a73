//! RFC 9110 §12: preferences of the client. A server may disregard all of them, but must not fail because of one.

use crate::response::Response;

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases =
        [media_types(), languages(), malformed_preferences(), codings(), acceptable_codings(), vary()];
    Section::new("9110/12", "Content Negotiation", cases).on(Needs::Fixtures)
}

/// Text, and long enough to be worth encoding.
const TEXT: &str = "/httptest/wikipedia_russia.html";

/// Cases for §12.5.1: a server without an acceptable type answers with 406, or disregards the header.
fn media_types() -> Vec<Case> {
    let values = ["text/html;level=1;q=0.5, text/*", "application/json", "*/*;q=0.000", ""];
    let case = |(value, number)| {
        should(
            format!("9110/12.5.1/{number}"),
            format!("A page for Accept {value:?} is served, or answered with 406"),
        )
        .send(get("/page.html").with(format!("Accept: {value}")))
        .expect(any_of([200, 406]))
    };
    values.into_iter().zip(1..).map(case).collect()
}

/// Cases for §12.5.4, which advises against 406: a text in another language is better than none.
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

/// Cases: A malformed preference is ignored or rejected; it is not an error of the server.
fn malformed_preferences() -> Vec<Case> {
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
            format!("The header {line:?} makes no sense, and is ignored or rejected"),
        )
        .send(get("/page.html").with(line))
        .expect([any_of([200, 400, 406]), stays_open_or_rejects()])
    };
    lines.into_iter().zip(1..).map(case).collect()
}

/// Cases for §12.5.3: a request that accepts no other coding gets a body that is not encoded.
fn codings() -> Vec<Case> {
    let values = ["", "identity", "no-such-coding", "GZIP;Q=0.000, br;q=0, deflate;q=0"];
    let case = |(value, number)| {
        should(
            format!("9110/12.5.3/{number}"),
            format!("Accept-Encoding {value:?} allows only a body that is not encoded"),
        )
        .send(get(TEXT).with(format!("Accept-Encoding: {value}")))
        .expect([status(200), no_header("Content-Encoding")])
    };
    values.into_iter().zip(1..).map(case).collect()
}

/// Cases for the coding of a response, which the client must have accepted.
fn acceptable_codings() -> Vec<Case> {
    vec![
        should("9110/12.5.3/20", "The server encodes only with a coding that was asked for")
            .send(get(TEXT).with("Accept-Encoding: gzip, br;q=0"))
            .expect([status(200), encoded_at_most_as(&["gzip", "x-gzip"])]),
        // §8.4.1.3: x-gzip is gzip.
        should(
            "9110/12.5.3/21",
            "The server encodes only with a coding that was asked for, if by its old name",
        )
        .send(get(TEXT).with("Accept-Encoding: x-gzip"))
        .expect([status(200), encoded_at_most_as(&["gzip", "x-gzip"])]),
        // §12.5.3 with §15.5.7: without an acceptable coding, 406 or a body that is not encoded.
        should("9110/12.5.3/22", "A request that excludes even the coding identity is served or rejected")
            .send(get("/page.html").with("Accept-Encoding: identity;q=0, *;q=0"))
            .expect(any_of([200, 406, 415])),
        should("9110/12.5.3/23", "A compressed image is not encoded again unless asked for")
            .send(get("/image.png").with("Accept-Encoding: *;q=0, identity"))
            .expect([status(200), no_header("Content-Encoding")]),
    ]
}

/// Cases for §12.5.5: Vary tells a cache which request headers selected the content.
fn vary() -> Vec<Case> {
    let compared = |id: &str, field_name: &'static str, with: &str, without: &str| {
        should(id, format!("If {field_name} changes the response, Vary lists it"))
            .after(get(TEXT).with(format!("{field_name}: {without}")))
            .send(get(TEXT).with(format!("{field_name}: {with}")))
            .expect([
                status(200),
                compared_with_prior(
                    format!("the same response, or a Vary that lists {field_name}"),
                    move |response, prior| {
                        same_representation(response, prior)
                            || (vary_lists(response, field_name) && vary_lists(prior, field_name))
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

/// Expects that the response has no Content-Encoding, or one of these.
fn encoded_at_most_as(codings: &'static [&str]) -> Expectation {
    check_response(format!("no coding but {}", codings.join(" or ")), move |response| {
        match response.header("Content-Encoding") {
            Some(coding) if !codings.contains(&coding) => Err(format!("Content-Encoding: {coding}")),
            _ => Ok(()),
        }
    })
}

/// Expects that the response is a 4xx, or the connection stays open.
fn stays_open_or_rejects() -> Expectation {
    either(client_error(), stays_open())
}

/// Whether two responses have the same body in the same coding, type and language.
fn same_representation(one: &Response, other: &Response) -> bool {
    let same = |name| one.header(name) == other.header(name);
    one.body == other.body && same("Content-Encoding") && same("Content-Type") && same("Content-Language")
}

/// Whether the Vary header of a response lists this header or an asterisk.
fn vary_lists(response: &Response, name: &str) -> bool {
    response.lists("Vary", name) || response.lists("Vary", "*")
}
