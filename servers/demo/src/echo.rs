//! `POST /echo`: the body of the request as JSON.
//!
//! | `Content-Type` | response |
//! |---|---|
//! | `application/json`, `…+json` | the body, as sent, without the white space around it |
//! | `application/x-www-form-urlencoded` | an object of at most [`MAX_PAIRS`] values; a repeated name has an array |
//! | `multipart/form-data` | `{"fields": […], "files": […]}`, together at most [`multipart::MAX_PARTS`] |
//! | `text/plain` | a string |
//! | any other, or none | `{"type", "length", "base64"}` |
//!
//! JSON is checked and never rebuilt, so the order of members, repeated members and the digits of numbers survive
//! (RFC 8259 leaves their meaning to the reader).
//!
//! The response is at most six times as long as the body and its `Content-Type` together (JSON writes a control
//! character as `\u0001`), plus 64 bytes. It is written straight from the body.

use crate::problem::{Format, HandlerResult, Problem};
use base64::{display::Base64Display, prelude::BASE64_STANDARD};
use http_engine::{
    MediaType, Reply, Request, Response, Status, form,
    multipart::{self, Boundary, MultipartError},
};
use serde::{Serialize, Serializer, de::IgnoredAny};
use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Display,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The maximum nesting depth of arrays and objects in a JSON body. Deeper JSON is rejected with a 400: `/echo` sends it
/// back, and a client with a recursive parser could overflow its stack.
const MAX_DEPTH: usize = 128;

/// The maximum number of values in an urlencoded form. A form with more is rejected with a 400: each value of a byte
/// would cost the server more memory than the client sends.
const MAX_PAIRS: usize = multipart::MAX_PARTS;

/// The maximum length in bytes of a body that is echoed on the event loop, which takes well below a millisecond. A
/// longer body goes to the thread pool.
const MAX_INLINE: usize = 16 * 1024;

/// The maximum number of bodies longer than [`MAX_INLINE`] that wait for the thread pool, are echoed there, or whose
/// responses are not sent yet, because each is held in memory. Further ones are rejected with a 503.
const MAX_OFFLOADED: usize = 32;

/// Replies to `POST /echo` with JSON that represents the body. `Content-Type` determines how: JSON stays as it is, a
/// form becomes an object, plain text a string, and any other body an object with its base64 encoding.
///
/// # Errors
///
/// 400 if the body is empty, if it is malformed JSON, a malformed multipart form or text that is not UTF-8, if a form
/// has too many values, or if `Content-Type` is invalid; 415 for text in an unsupported charset; 503 if too many long
/// bodies wait.
pub(crate) fn handle(request: &Request<'_>) -> HandlerResult {
    let mut content_types = request.header_values("Content-Type");
    let (content_type, body) = (content_types.next(), request.body());
    if content_types.next().is_some() {
        return Err(not_one_media_type());
    }
    reply(body, content_type, Format::preferred_by(request))
}

/// Replies to a body with this value of `Content-Type`: at once, or from the thread pool if the body is longer than
/// [`MAX_INLINE`]. `format` is that of errors.
fn reply(body: &[u8], content_type: Option<&[u8]>, format: Format) -> HandlerResult {
    if body.len() <= MAX_INLINE {
        return Ok(respond(body, content_type)?.into());
    }
    let slot = Slot::take()?;
    let (body, content_type) = (body.to_vec(), content_type.map(<[u8]>::to_vec));
    Ok(Reply::offload(move || {
        let response = respond(&body, content_type.as_deref());
        response.unwrap_or_else(|problem| problem.response(format)).on_sent(move |_| drop(slot))
    }))
}

/// The permission to hold a long body and its response; returned when it is dropped.
struct Slot;

/// The number of slots taken in this process.
static SLOTS_TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Slot {
    /// Takes a slot, or returns a 503 if [`MAX_OFFLOADED`] are taken.
    fn take() -> Result<Slot, Problem> {
        let taken = SLOTS_TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            (taken < MAX_OFFLOADED).then_some(taken + 1)
        });
        let busy = |_| Problem::new(Status::SERVICE_UNAVAILABLE, "too many long bodies are being echoed");
        taken.map(|_| Slot).map_err(busy)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        SLOTS_TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the response to a request with this body and value of `Content-Type`.
fn respond(body: &[u8], content_type: Option<&[u8]>) -> Result<Response, Problem> {
    let parse = |value| MediaType::parse(value).ok_or_else(not_one_media_type);
    let media_type = content_type.map(parse).transpose()?;
    if body.is_empty() {
        return Err(Problem::bad_request("there is no body to echo"));
    }
    let mut json = echo(body, media_type.as_ref())?;
    json.push('\n');
    Ok(Response::json(json))
}

/// Makes a 400 for a `Content-Type` that is malformed or repeated.
fn not_one_media_type() -> Problem {
    Problem::invalid("Content-Type", "must be one media type")
}

/// Returns JSON that represents the body. `media_type` alone determines how: JSON stays as it is, without the white
/// space around it; a form becomes an object; plain text becomes a string. Any other type, or `None`, gives an object
/// with the type, the length in bytes, and the body in base64.
///
/// # Errors
///
/// 400 if the body is malformed for its media type; 415 for plain text in an unsupported charset.
fn echo(body: &[u8], media_type: Option<&MediaType<'_>>) -> Result<String, Problem> {
    match media_type {
        Some(media_type) if is_json(media_type) => check_json(body).map(str::to_owned),
        Some(media_type) if media_type.is("application/x-www-form-urlencoded") => urlencoded_form(body),
        Some(media_type) if media_type.is("multipart/form-data") => multipart_form(body, media_type),
        Some(media_type) if media_type.is("text/plain") => to_json(&plain_text(body, media_type)?),
        media_type => to_json(&Binary {
            media_type: media_type.map(ToString::to_string),
            length: body.len(),
            base64: body,
        }),
    }
}

/// Writes `value` as JSON. A failure, which no value here causes, is a 500.
fn to_json(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value)
        .map_err(|error| Problem::new(Status::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// A body that is neither JSON nor a form nor plain text.
#[derive(Serialize)]
struct Binary<'b> {
    #[serde(rename = "type")]
    media_type: Option<String>,
    length: usize,
    #[serde(serialize_with = "in_base64")]
    base64: &'b [u8],
}

/// Writes bytes as a string in base64.
fn in_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes, &BASE64_STANDARD))
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
/// values of a repeated name become an array. An invalid percent escape stays as it is, and bytes that are not UTF-8
/// become U+FFFD. A form of more than [`MAX_PAIRS`] values is a 400.
fn urlencoded_form(body: &[u8]) -> Result<String, Problem> {
    let pairs: Vec<_> = form::pairs(body).take(MAX_PAIRS + 1).collect();
    if pairs.len() > MAX_PAIRS {
        return Err(Problem::bad_request(format!("the form has more than {MAX_PAIRS} values")));
    }
    let (mut names, mut values) = (Vec::new(), HashMap::<_, Values<'_>>::new());
    for (name, value) in &pairs {
        match values.entry(name) {
            Entry::Occupied(entry) => entry.into_mut().push(value),
            Entry::Vacant(entry) => {
                names.push(name);
                entry.insert(Values::One(value));
            }
        }
    }
    to_json(&Members(names.into_iter().filter_map(|name| Some((&**name, values.remove(name)?))).collect()))
}

/// The members of an object, in their order.
struct Members<'b>(Vec<(&'b str, Values<'b>)>);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, values)| (name, values)))
    }
}

/// The values of one name: a string, or an array if there are several.
#[derive(Serialize)]
#[serde(untagged)]
enum Values<'b> {
    One(&'b str),
    Several(Vec<&'b str>),
}

impl<'b> Values<'b> {
    fn push(&mut self, value: &'b str) {
        match self {
            Values::One(first) => *self = Values::Several(vec![first, value]),
            Values::Several(values) => values.push(value),
        }
    }
}

/// A `multipart/form-data` body.
#[derive(Default, Serialize)]
struct MultipartForm<'b> {
    fields: Vec<Field<'b>>,
    files: Vec<FileSummary>,
}

/// A field of a multipart form.
#[derive(Serialize)]
struct Field<'b> {
    name: String,
    value: &'b str,
}

/// A file of a multipart form, without its content.
#[derive(Serialize)]
struct FileSummary {
    name: String,
    file_name: String,
    #[serde(rename = "type")]
    media_type: String,
    size: usize,
}

/// Converts a `multipart/form-data` body to a JSON object with two arrays, each in the order of the form: the fields
/// with their values, and the files with their names, types and sizes in bytes. A malformed form is a 400.
fn multipart_form(body: &[u8], media_type: &MediaType<'_>) -> Result<String, Problem> {
    let mut form = MultipartForm::default();
    let boundary = Boundary::of(media_type).map_err(malformed_form)?;
    for part in multipart::parts(body, boundary) {
        let part = part.map_err(malformed_form)?;
        match part.file_name {
            None => form.fields.push(Field { name: part.name, value: utf8(part.content)? }),
            Some(file_name) => form.files.push(FileSummary {
                name: part.name,
                file_name,
                // RFC 7578 §4.4: the default type.
                media_type: part
                    .media_type
                    .map_or("text/plain".to_owned(), |media_type| media_type.to_string()),
                size: part.content.len(),
            }),
        }
    }
    to_json(&form)
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

#[cfg(test)]
mod tests;
