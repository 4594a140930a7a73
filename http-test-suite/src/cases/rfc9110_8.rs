//! RFC 9110 §8: what a response says about the representation that it carries, and whether later responses say the
//! same.

use crate::fixtures::{MODIFIED, PATTERN_LEN};
use crate::response::Response;
use crate::rules::parse_date;

use super::prelude::*;

/// Makes the section of this file, with all its cases.
pub fn section() -> Section {
    let cases = [media_types(), codings(), lengths(), lengths_by_head(), last_modified(), entity_tags()];
    Section::new("9110/8", "Representations", cases).on(Needs::Fixtures)
}

/// Cases for §8.3: a sender should say which media type its body has.
fn media_types() -> Vec<Case> {
    let types: [(&str, &[&str]); 10] = [
        ("/page.html", &["text/html"]),
        ("/", &["text/html"]),
        ("/hello.txt", &["text/plain"]),
        ("/style.css", &["text/css"]),
        // RFC 9239 makes the second obsolete.
        ("/script.js", &["text/javascript", "application/javascript"]),
        ("/data.json", &["application/json"]),
        ("/image.svg", &["image/svg+xml"]),
        ("/image.png", &["image/png"]),
        ("/httptest/pic_ask.gif", &["image/gif"]),
        ("/httptest/160313.jpg", &["image/jpeg"]),
    ];
    let case = |((target, names), number): ((&str, &'static [&str]), _)| {
        should(format!("9110/8.3/{number}"), format!("The file at {target} is said to be {}", names[0]))
            .send(get(target))
            .expect([status(200), header("Content-Type", media_type(names))])
    };
    let mut cases: Vec<_> = types.into_iter().zip(1..).map(case).collect();
    cases.extend([
        // §8.3: where the type is not known, leave the header out or say octet-stream.
        robust("9110/8.3/20", "A file without an extension is not labelled as a type with scripts")
            .send(get("/no-extension"))
            .expect([status(200), text_or_unknown()]),
        robust("9110/8.3/21", "A query does not change the media type")
            .send(get("/hello.txt?page.html"))
            .expect(header("Content-Type", media_type(&["text/plain"]))),
        // Browsers take text without a charset for windows-1252.
        robust("9110/8.3/22", "The type of a text file names its charset")
            .send(get("/gr%C3%BC%C3%9Fe.txt"))
            .expect(header(
                "Content-Type",
                value_that("with charset=utf-8", |value| {
                    value.to_ascii_lowercase().ends_with("charset=utf-8")
                }),
            )),
    ]);
    cases
}

/// Cases for Content-Encoding.
fn codings() -> Vec<Case> {
    vec![
        // §12.5.3 lets the server choose, but a client that sends no Accept-Encoding often cannot decode.
        robust("9110/8.4/1", "A body is not encoded for a request without Accept-Encoding")
            .send(get("/page.html"))
            .expect([status(200), no_header("Content-Encoding")]),
        // Without the coding, browsers show no drawing.
        robust("9110/8.4/2", "A compressed drawing has the type of a drawing and the coding gzip")
            .send(get("/image.svgz"))
            .expect([
                status(200),
                header("Content-Type", media_type(&["image/svg+xml"])),
                header("Content-Encoding", "gzip"),
            ]),
        should("9110/8.4.1/1", "Content-Encoding never names the coding identity")
            .send(get("/page.html").with("Accept-Encoding: identity"))
            .expect([status(200), no_header("Content-Encoding")]),
    ]
}

/// Cases for §8.6: a server should say the length that it knows.
fn lengths() -> Vec<Case> {
    let sized = |id: &str, request: Request, length: usize| {
        should(id, format!("A response that has a body of {length} bytes says so"))
            .send(request)
            .expect([status(200), header("Content-Length", length.to_string())])
    };
    vec![
        sized("9110/8.6/1", get("/digits.txt"), 10),
        sized("9110/8.6/2", get("/empty.txt"), 0),
        sized("9110/8.6/3", get("/pattern.bin"), PATTERN_LEN),
        // Some characters take two bytes, so a count of characters would be less.
        sized("9110/8.6/4", get("/gr%C3%BC%C3%9Fe.txt"), "Grüße in UTF-8.\n".len()),
        should("9110/8.6/5", "An error says how long it is")
            .send(get("/no/such/thing"))
            .expect([status(404), header("Content-Length", any_value())]),
    ]
}

/// Cases for §8.6: a server MUST NOT send another length than GET would have.
fn lengths_by_head() -> Vec<Case> {
    let case = |needs| {
        move |(target, number): (&'static str, u32)| {
            must(
                format!("9110/8.6/{number}"),
                format!("HEAD {target} gives the length that GET has, or none"),
            )
            .on(needs)
            .after(get(target))
            .send(head(target))
            .expect([any_response(), length_of_prior()])
        }
    };
    let files = ["/hello.txt", "/", "/dir", "/no/such/thing", "/no-index/", "/hello.txt?|"];
    let handlers = ["/", "/no/such/thing"];
    let files = files.into_iter().zip(6..).map(case(Needs::Fixtures));
    files.chain(handlers.into_iter().zip(20..).map(case(Needs::Echo))).collect()
}

/// Cases for Last-Modified.
fn last_modified() -> Vec<Case> {
    vec![
        should("9110/8.8.2/1", "The Last-Modified of a file is its modification time")
            .send(get("/hello.txt"))
            .expect(header("Last-Modified", MODIFIED)),
        should("9110/8.8.2/2", "HEAD gives the same Last-Modified")
            .send(head("/hello.txt"))
            .expect(header("Last-Modified", MODIFIED)),
        must("9110/8.8.2/3", "Last-Modified is an IMF-fixdate, wherever it is")
            .on(Needs::Nothing)
            .send(get("/"))
            .expect([
                status(200),
                header_if_present("Last-Modified", "an IMF-fixdate", |date| parse_date(date).is_some()),
            ]),
        // §8.8.2.1. The rules for all responses say so; this file was modified in the year 2100.
        must("9110/8.8.2/4", "Last-Modified is not later than Date, even if the file is")
            .send(get("/future.txt"))
            .send(head("/future.txt"))
            .send(get("/future.txt").with("Range: bytes=0-3"))
            .send(get("/future.txt").with("If-None-Match: *"))
            .expect([
                status(200),
                nth(1, status(200)),
                nth(2, any_of([200, 206])),
                nth(3, any_of([200, 304])),
            ]),
    ]
}

/// Cases for ETag.
fn entity_tags() -> Vec<Case> {
    vec![
        should("9110/8.8.3/1", "A file has an entity tag")
            .send(get("/hello.txt"))
            .expect([status(200), header("ETag", any_value())]),
        must("9110/8.8.3/2", "An entity tag is quoted, with nothing before it but the prefix W/")
            .send(get("/hello.txt"))
            .expect([status(200), header_if_present("ETag", "an entity tag", is_entity_tag)]),
        should("9110/8.8.3/3", "An entity tag stays the same as long as the file does")
            .after(get("/hello.txt"))
            .send(get("/hello.txt"))
            .expect([status(200), same_header("ETag"), same_header("Last-Modified")]),
        robust("9110/8.8.3/4", "Files of the same age but of different content have different entity tags")
            .after(get("/hello.txt"))
            .send(get("/digits.txt"))
            .expect([status(200), another_tag()]),
        // The tag of a file must change with its content, although its length and time may stay, as in reproducible
        // builds. The suite cannot write to the server, so it compares two files.
        robust(
            "9110/8.8.3/7",
            "Files of the same age and length but of different content have different tags",
        )
        .after(get("/twin-1.txt"))
        .send(get("/twin-2.txt"))
        .expect([status(200), another_tag()]),
        // §8.8.1: prefer strong validators; only those resume a download.
        robust("9110/8.8.3/5", "The entity tag of a file that has not changed for long is strong")
            .send(get("/pattern.bin"))
            .expect(header("ETag", value_that("that is strong", |tag| tag.starts_with('"')))),
        // §8.8.3.3.
        must("9110/8.8.3/6", "Encoded and unencoded content have different strong entity tags")
            .after(get("/httptest/wikipedia_russia.html"))
            .send(get("/httptest/wikipedia_russia.html").with("Accept-Encoding: gzip, br"))
            .expect([
                status(200),
                compared_with_prior("another strong ETag, if encoded", tags_differ_if_encoded),
            ]),
    ]
}

/// Expects one of these media types, with or without parameters.
fn media_type(names: &'static [&str]) -> ExpectedValue {
    value_that(format!("with the media type {}", names[0]), |value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        names.iter().any(|name| essence.eq_ignore_ascii_case(name))
    })
}

/// Expects that the Content-Type is absent, text/plain or application/octet-stream.
fn text_or_unknown() -> Expectation {
    header_if_present("Content-Type", "text/plain or application/octet-stream", |value| {
        ["text/plain", "application/octet-stream"].iter().any(|name| value.starts_with(name))
    })
}

/// Expects that the response has no header `name`, or its value passes `fits`; `what` describes such a value.
fn header_if_present(name: &'static str, what: &str, fits: fn(&str) -> bool) -> Expectation {
    check_response(format!("no {name} but {what}"), move |response| match response.header(name) {
        Some(value) if !fits(value) => Err(format!("{name}: {value}")),
        _ => Ok(()),
    })
}

/// Expects that the response has no Content-Length, or the length of the prior body.
fn length_of_prior() -> Expectation {
    compared_with_prior("the Content-Length that GET has, or none", |response, prior| {
        response.header("Content-Length").is_none_or(|length| length == prior.body.len().to_string())
    })
}

/// Expects that the response has an entity tag that differs from the prior one.
fn another_tag() -> Expectation {
    compared_with_prior("another ETag", |response, prior| {
        response.header("ETag").is_some() && response.header("ETag") != prior.header("ETag")
    })
}

/// §8.8.3: `[ "W/" ] DQUOTE *etagc DQUOTE`; no space and no control is an etagc.
fn is_entity_tag(tag: &str) -> bool {
    let quoted = tag.strip_prefix("W/").unwrap_or(tag);
    let opaque = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    opaque.is_some_and(|opaque| opaque.chars().all(|c| c > ' ' && c != '"' && c != '\x7f'))
}

/// Whether two responses with different codings have different strong tags.
fn tags_differ_if_encoded(response: &Response, plain: &Response) -> bool {
    let same_coding = response.header("Content-Encoding") == plain.header("Content-Encoding");
    let weak = response.header("ETag").is_none_or(|tag| tag.starts_with("W/"));
    same_coding || weak || response.header("ETag") != plain.header("ETag")
}
