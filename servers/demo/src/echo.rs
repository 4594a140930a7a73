//! `POST /echo`: the JSON representation of what was posted.
//!
//! | posted as | comes back as |
//! |---|---|
//! | `application/json`, `…+json` | itself, character for character |
//! | `application/x-www-form-urlencoded` | an object; a name that comes again has an array |
//! | `multipart/form-data` | `{"fields": […], "files": […]}` |
//! | `text/plain` | a string |
//! | anything else, or nothing said | `{"type", "length", "base64"}` |

use super::{Outcome, Problem};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_engine::{
    MediaType, Request, Response, Status, form,
    multipart::{self, Fault},
};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
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
        sound(content).map(str::to_owned)
    } else if said.is("application/x-www-form-urlencoded") {
        Ok(url_encoded(content).to_string())
    } else if said.is("multipart/form-data") {
        multipart(content, &said).map(|form| form.to_string())
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

/// Arrays and objects within each other. Checking takes no stack, but who reads the answer may need it.
const MAX_DEPTH: usize = 128;

/// The content as text, without white space around it, if it is one JSON value.
///
/// # Errors
///
/// 400 that says where, if it is none or nests too deeply.
fn sound(content: &[u8]) -> Result<&str, Problem> {
    let text = text(content)?;
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| malformed(format!("malformed JSON: {error}")))?;
    match beyond_depth(text) {
        Some(offset) => {
            let place = place(content, offset);
            Err(malformed(format!("JSON nested deeper than {MAX_DEPTH} levels at {place}")))
        }
        None => Ok(text.trim_ascii()),
    }
}

/// The offset of the bracket that opens one level too many. For sound JSON, where a backslash stands in strings only.
fn beyond_depth(json: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    json.bytes().position(|octet| {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

/// An object of strings in the order of the form. A name that comes again has an array of them.
fn url_encoded(content: &[u8]) -> Value {
    let mut members = Map::new();
    for (name, value) in form::pairs(content) {
        match members.get_mut(&name) {
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = json!([first.take(), value]),
            None => drop(members.insert(name, value.into())),
        }
    }
    members.into()
}

/// Fields with their values, files with their names, types and sizes in bytes, both in the order of the form.
///
/// # Errors
///
/// 400 if the form is malformed or a field is not UTF-8.
fn multipart(content: &[u8], media_type: &MediaType<'_>) -> Result<Value, Problem> {
    let (mut fields, mut files) = (Vec::new(), Vec::new());
    for part in multipart::parts(media_type, content).map_err(told)? {
        let part = part.map_err(told)?;
        match part.file_name {
            None => fields.push(json!({ "name": part.name, "value": text(part.content)? })),
            Some(file_name) => files.push(json!({
                "name": part.name,
                "file_name": file_name,
                // RFC 7578 §4.4: what is not said is text/plain.
                "type": part.media_type.map_or("text/plain".to_owned(), |media_type| media_type.to_string()),
                "size": part.content.len(),
            })),
        }
    }
    Ok(json!({ "fields": fields, "files": files }))
}

fn told(fault: Fault) -> Problem {
    let problem = malformed(format!("malformed form: {fault}"));
    if fault == Fault::Boundary { problem.about("Content-Type") } else { problem }
}
