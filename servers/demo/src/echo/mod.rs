//! `POST /echo`: the JSON representation of what was posted.
//!
//! | posted as | comes back as |
//! |---|---|
//! | `application/json`, `…+json` | itself, character for character |
//! | `application/x-www-form-urlencoded` | an object; a name that comes again has an array |
//! | `multipart/form-data` | `{"fields": […], "files": […]}` |
//! | `text/plain` | a string |
//! | anything else, or nothing said | `{"type", "length", "base64"}` |

mod forms;
mod json;

use super::{Outcome, Problem};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_engine::{MediaType, Request, Response, Status};
use serde_json::{Value, json};
use std::borrow::Cow;

pub(super) fn handle(request: &Request<'_>) -> Outcome {
    let media_type = media_type(request)?;
    match request.body() {
        [] => Err(malformed("there is no content to echo")),
        content => Ok(Response::json(represent(content, media_type)? + "\n").into()),
    }
}

/// What the content is said to be, if anything is said.
fn media_type<'r>(request: &Request<'r>) -> Result<Option<MediaType<'r>>, Problem> {
    let mut values = request.fields_named("Content-Type");
    let Some(value) = values.next() else { return Ok(None) };
    let sole = MediaType::parse(value).filter(|_| values.next().is_none());
    sole.map(Some).ok_or_else(|| malformed("must be one media type").about("Content-Type"))
}

fn represent(content: &[u8], media_type: Option<MediaType<'_>>) -> Result<String, Problem> {
    let Some(said) = media_type else { return Ok(opaque(content, None).to_string()) };
    if is_json(&said) {
        json::sound(content).map(str::to_owned)
    } else if said.is("application/x-www-form-urlencoded") {
        Ok(forms::url_encoded(content).to_string())
    } else if said.is("multipart/form-data") {
        forms::multipart(content, &said).map(|form| form.to_string())
    } else if said.is("text/plain") {
        plain(content, &said).map(|text| Value::from(text).to_string())
    } else {
        Ok(opaque(content, Some(said)).to_string())
    }
}

fn is_json(said: &MediaType<'_>) -> bool {
    said.is("application/json") || said.suffix().is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"))
}

fn plain<'c>(content: &'c [u8], said: &MediaType<'_>) -> Result<&'c str, Problem> {
    let charset = said.parameter("charset");
    let known = |charset: &[u8]| {
        ["utf-8", "us-ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name.as_bytes()))
    };
    if !charset.is_none_or(|charset| known(&charset)) {
        let detail = "the charset must be utf-8 or us-ascii";
        return Err(Problem::new(Status::UNSUPPORTED_MEDIA_TYPE, detail).about("Content-Type"));
    }
    text(content)
}

/// Text in UTF-8, of which US-ASCII is a part.
fn text(content: &[u8]) -> Result<&str, Problem> {
    str::from_utf8(content)
        .map_err(|error| malformed(format!("not UTF-8 at {}", place(content, error.valid_up_to()))))
}

fn opaque(content: &[u8], said: Option<MediaType<'_>>) -> Value {
    json!({
        "type": said.map(|media_type| media_type.to_string()),
        "length": content.len(),
        "base64": BASE64_STANDARD.encode(content),
    })
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Status::BAD_REQUEST, detail)
}

/// Line and column of an octet, both from 1, the column in octets.
fn place(content: &[u8], offset: usize) -> String {
    let before = &content[..offset.min(content.len())];
    let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|octet| **octet != b'\n').count() + 1;
    format!("line {line} column {column}")
}
