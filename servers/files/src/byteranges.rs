//! Several ranges in one answer: `multipart/byteranges` (RFC 9110 §14.6), without buffering the file.

use super::document::Document;
use http_core::{Body, Response, Status, range::ByteRange};
use std::{
    hash::{BuildHasher, RandomState},
    sync::OnceLock,
};

/// Answers with these parts of a document, in the order they were asked for.
pub(super) fn answer(document: &Document, ranges: &[ByteRange]) -> Response {
    let boundary = boundary(document);
    let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
    for (number, range) in ranges.iter().enumerate() {
        let before = if number == 0 { "" } else { "\r\n" };
        let (media_type, content_range) = (document.media_type, range.content_range(document.len()));
        let head = format!(
            "{before}--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {content_range}\r\n\r\n"
        );
        parts.push(Body::from(head));
        parts.push(document.part(*range));
    }
    parts.push(Body::from(format!("\r\n--{boundary}--\r\n")));
    Response::new(Status::PARTIAL_CONTENT)
        .with_ready(document.validators.clone())
        .header("Content-Type", format!("multipart/byteranges; boundary={boundary}"))
        .with_body(Body::Parts(parts))
}

/// A line that the document does not contain: 64 bits of it depend on a secret of this process, so that nobody
/// can write a document that does.
fn boundary(document: &Document) -> String {
    static SECRET: OnceLock<RandomState> = OnceLock::new();
    let tag = document.fields.find("ETag");
    format!("part-{:016x}", SECRET.get_or_init(RandomState::new).hash_one(tag))
}
