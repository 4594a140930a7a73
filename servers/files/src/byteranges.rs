//! Responses to Range requests: one range, or several as `multipart/byteranges` (RFC 9110 §14).
//!
//! It never reads the file: a response with several ranges alternates text in memory with stretches of the document.

use crate::document::Document;
use http_core::{
    Body, Response, Status,
    range::{self, ByteRange, Ranges},
};
use std::{
    hash::{BuildHasher, RandomState},
    sync::OnceLock,
};

/// The most ranges that one response holds. A Range header with more is ignored.
const MAX_RANGES: usize = 16;

/// Responds to a Range header whose preconditions hold: 206 or 416. Returns `None` if the header must be ignored.
///
/// `if_range` says that the request has an If-Range header, so the client knows the document's headers already: a
/// response with one range then repeats only the ETag (RFC 9110 §15.3.7).
pub(super) fn respond(document: &Document, range: &[u8], if_range: bool) -> Option<Response> {
    match range::resolve(range, document.len(), MAX_RANGES) {
        Ranges::Whole => None,
        Ranges::Unsatisfiable => {
            let response = Response::error(Status::RANGE_NOT_SATISFIABLE)
                .with_shared_headers(document.validator_headers.clone());
            Some(response.with_header("Content-Range", range::unsatisfied(document.len())))
        }
        Ranges::Partial(ranges) => Some(match ranges[..] {
            [range] => single(document, range, if_range),
            _ => multipart(document, &ranges),
        }),
    }
}

fn single(document: &Document, range: ByteRange, if_range: bool) -> Response {
    let response = Response::new(Status::PARTIAL_CONTENT)
        .with_header("Content-Range", range.content_range(document.len()))
        .with_body(body(document, range));
    if if_range {
        response.with_header("ETag", &document.entity_tag)
    } else {
        response.with_shared_headers(document.headers.clone())
    }
}

/// Responds with several ranges, in the order in which the client listed them (RFC 9110 §14.6).
fn multipart(document: &Document, ranges: &[ByteRange]) -> Response {
    let boundary = boundary(document);
    let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
    let mut line_end = "";
    for range in ranges {
        let (media_type, content_range) = (document.media_type, range.content_range(document.len()));
        parts.push(Body::from(format!(
            "{line_end}--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {content_range}\r\n\r\n"
        )));
        parts.push(body(document, *range));
        line_end = "\r\n";
    }
    parts.push(Body::from(format!("\r\n--{boundary}--\r\n")));
    Response::new(Status::PARTIAL_CONTENT)
        .with_shared_headers(document.validator_headers.clone())
        .with_header("Content-Type", format!("multipart/byteranges; boundary={boundary}"))
        .with_body(Body::Parts(parts))
}

fn body(document: &Document, range: ByteRange) -> Body {
    document.body(range.first..range.last + 1)
}

/// A boundary that the document does not contain. It depends on a secret of this process, so no author can write a
/// document that contains it.
fn boundary(document: &Document) -> String {
    static SECRET: OnceLock<RandomState> = OnceLock::new();
    format!("part-{:016x}", SECRET.get_or_init(RandomState::new).hash_one(&document.entity_tag))
}
