//! `POST /echo`: the body of the request as JSON.
//!
//! | `Content-Type` | response |
//! |---|---|
//! | `application/json`, `…+json` | the body, as sent, without the white space around it |
//! | `application/x-www-form-urlencoded` | an object; a repeated name has an array |
//! | `multipart/form-data` | `{"fields": […], "files": […]}` |
//! | `text/plain` | a string |
//! | any other, or none | `{"type", "length", "base64"}` |
//!
//! JSON is checked and never rebuilt, so the order of members, repeated members and the digits of numbers survive
//! (RFC 8259 leaves their meaning to the reader).

use crate::problem::{HandlerResult, Problem};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_engine::{
    MediaType, Request, Response, Status, form,
    multipart::{self, MultipartError},
};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// The maximum nesting depth of arrays and objects in a JSON body. Deeper JSON is rejected with a 400: `/echo` sends it
/// back, and a client with a recursive parser could overflow its stack.
const MAX_DEPTH: usize = 128;

/// Replies to `POST /echo` with JSON that represents the body. `Content-Type` determines how: JSON stays as it is, a
/// form becomes an object, plain text a string, and any other body an object with its base64 encoding.
///
/// # Errors
///
/// 400 if the body is empty, if it is malformed JSON, a malformed multipart form or text that is not UTF-8, or if
/// `Content-Type` is invalid; 415 for text in an unsupported charset.
pub(crate) fn handle(request: &Request<'_>) -> HandlerResult {
    let media_type = media_type(request)?;
    match request.body() {
        [] => Err(Problem::bad_request("there is no body to echo")),
        body => Ok(Response::json(echo(body, media_type.as_ref())? + "\n").into()),
    }
}

/// Parses the `Content-Type` header. Returns `None` if there is none, and a 400 if it is malformed or repeated.
fn media_type<'r>(request: &Request<'r>) -> Result<Option<MediaType<'r>>, Problem> {
    let mut values = request.header_values("Content-Type");
    let Some(value) = values.next() else { return Ok(None) };
    match MediaType::parse(value) {
        Some(media_type) if values.next().is_none() => Ok(Some(media_type)),
        _ => Err(Problem::invalid("Content-Type", "must be one media type")),
    }
}

/// Returns JSON that represents the body. `media_type` alone determines how: JSON stays as it is, without the white
/// space around it; a form becomes an object; plain text becomes a string. Any other type, or `None`, gives an object
/// with the type, the length in bytes, and the body in base64.
///
/// # Errors
///
/// 400 if the body is malformed for its media type; 415 for plain text in an unsupported charset.
fn echo(body: &[u8], media_type: Option<&MediaType<'_>>) -> Result<String, Problem> {
    let value = match media_type {
        Some(media_type) if is_json(media_type) => return check_json(body).map(str::to_owned),
        Some(media_type) if media_type.is("application/x-www-form-urlencoded") => urlencoded_form(body),
        Some(media_type) if media_type.is("multipart/form-data") => multipart_form(body, media_type)?,
        Some(media_type) if media_type.is("text/plain") => plain_text(body, media_type)?.into(),
        media_type => json!({
            "type": media_type.map(ToString::to_string),
            "length": body.len(),
            "base64": BASE64_STANDARD.encode(body),
        }),
    };
    Ok(value.to_string())
}

/// Returns whether the media type is `application/json` or has the suffix `+json`.
fn is_json(media_type: &MediaType<'_>) -> bool {
    let suffix = media_type.suffix();
    media_type.is("application/json") || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"))
}

/// Returns the body, without white space around it, if it is one JSON value nested at most [`MAX_DEPTH`] levels deep.
/// Otherwise returns a 400 that names the line and column of the error.
fn check_json(body: &[u8]) -> Result<&str, Problem> {
    let text = utf8(body)?;
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| Problem::bad_request(format!("malformed JSON: {error}")))?;
    match find_too_deep(text) {
        Some(offset) => {
            Err(malformed_at(offset, body, format!("JSON nested deeper than {MAX_DEPTH} levels")))
        }
        None => Ok(text.trim_ascii()),
    }
}

/// Returns the byte offset of the first `[` or `{` that nests deeper than [`MAX_DEPTH`], or `None` if none does.
/// Brackets in strings do not count. `json` must be well-formed.
fn find_too_deep(json: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    json.bytes().position(|byte| {
        match byte {
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

/// Converts an `application/x-www-form-urlencoded` body to a JSON object of strings, in the order of the form. The
/// values of a repeated name become an array. Every body is accepted: an invalid percent escape stays as it is, and
/// bytes that are not UTF-8 become U+FFFD.
fn urlencoded_form(body: &[u8]) -> Value {
    let mut members = Map::new();
    for (name, value) in form::pairs(body) {
        match members.get_mut(&name) {
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = json!([first.take(), value]),
            None => drop(members.insert(name, value.into())),
        }
    }
    members.into()
}

/// Converts a `multipart/form-data` body to a JSON object with two arrays, each in the order of the form: the fields
/// with their values, and the files with their names, types and sizes in bytes. A malformed form is a 400.
fn multipart_form(body: &[u8], media_type: &MediaType<'_>) -> Result<Value, Problem> {
    let (mut fields, mut files) = (Vec::new(), Vec::new());
    for part in multipart::parts(media_type, body).map_err(malformed_form)? {
        let part = part.map_err(malformed_form)?;
        match part.file_name {
            None => fields.push(json!({ "name": part.name, "value": utf8(part.content)? })),
            Some(file_name) => files.push(json!({
                "name": part.name,
                "file_name": file_name,
                // RFC 7578 §4.4: the default type.
                "type": part.media_type.map_or("text/plain".to_owned(), |media_type| media_type.to_string()),
                "size": part.content.len(),
            })),
        }
    }
    Ok(json!({ "fields": fields, "files": files }))
}

/// Makes a 400 of an error in a form. If the boundary in `Content-Type` is missing or malformed, the 400 names that
/// header.
fn malformed_form(error: MultipartError) -> Problem {
    let problem = Problem::bad_request(format!("malformed form: {error}"));
    if error == MultipartError::Boundary { problem.with_field("Content-Type") } else { problem }
}

/// Returns a `text/plain` body as text. Without the parameter `charset`, the charset is UTF-8.
///
/// # Errors
///
/// 415 if the charset is neither UTF-8 nor US-ASCII; 400 if the body is not UTF-8.
fn plain_text<'b>(body: &'b [u8], media_type: &MediaType<'_>) -> Result<&'b str, Problem> {
    let charset = media_type.parameter("charset").map(|charset| charset.to_ascii_lowercase());
    if matches!(charset.as_deref(), None | Some(b"utf-8" | b"us-ascii")) {
        return utf8(body);
    }
    let detail = "the charset must be utf-8 or us-ascii";
    Err(Problem::new(Status::UNSUPPORTED_MEDIA_TYPE, detail).with_field("Content-Type"))
}

/// Returns the bytes as text, or a 400 that names the line and column of the first byte that is not UTF-8.
fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    str::from_utf8(bytes).map_err(|error| malformed_at(error.valid_up_to(), bytes, "not UTF-8"))
}

/// Makes a 400 from `detail` and the line and column of the byte at `offset`. Both count from 1; columns count bytes.
fn malformed_at(offset: usize, bytes: &[u8], detail: impl Display) -> Problem {
    let before = &bytes[..offset.min(bytes.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    Problem::bad_request(format!("{detail} at line {line} column {column}"))
}
