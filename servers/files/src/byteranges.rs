//! Responses to Range requests: one range, or several as `multipart/byteranges` (RFC 9110 §14).
//!
//! This file never reads a document's content: it only combines parts of it with headers and delimiters.

use crate::{
    document::{Document, OpenDocument},
    file_body::Piece,
};
use http_core::{
    Response, Status,
    range::{self, ByteRange, Ranges},
};
use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// The maximum number of ranges in a Range header. A header with more is ignored. zsync asks for 20, Apache allows 200.
/// Each part of a response takes about 120 bytes in addition to its content.
const MAX_RANGES: usize = 200;

/// Returns the response to a Range header with the value `range`: a 206 with the ranges, or a 416 if the document
/// contains no byte of them.
///
/// Returns `None` if the header must be ignored and the whole document sent: see [`range::resolve`]. At most
/// [`MAX_RANGES`] ranges are allowed.
///
/// Call this only if all preconditions of the request hold. `has_if_range` tells whether the request has an If-Range
/// header. If it has one, the client already knows the document's headers: a 206 then has those of a 304, but not
/// Last-Modified and Accept-Ranges (RFC 9110 §15.3.7). `client` is the client's address.
pub(super) fn respond(
    document: &OpenDocument,
    range: &[u8],
    has_if_range: bool,
    client: Option<SocketAddr>,
) -> Option<Response> {
    match range::resolve(range, document.len, MAX_RANGES) {
        Ranges::Whole => None,
        Ranges::Unsatisfiable => {
            let response = Response::error(Status::RANGE_NOT_SATISFIABLE)
                .with_shared_headers(document.validator_headers.clone());
            Some(response.with_header("Content-Range", range::unsatisfied(document.len)))
        }
        Ranges::Partial(ranges) => Some(match ranges[..] {
            [range] => partial_content(document, has_if_range)
                .with_header("Content-Range", range.content_range(document.len))
                .with_body(document.part(range.first..range.last + 1, client)),
            _ => multipart_response(document, &ranges, has_if_range, client),
        }),
    }
}

/// Returns a 206 without a body. If the request has an If-Range header (`has_if_range`), it has only some of the
/// document's headers ([`respond`]). Otherwise it has all of them.
fn partial_content(document: &Document, has_if_range: bool) -> Response {
    let response = Response::new(Status::PARTIAL_CONTENT);
    if has_if_range {
        let headers = document.not_modified_headers.iter();
        let needed = headers.filter(|(name, _)| !["Last-Modified", "Accept-Ranges"].contains(name));
        needed.fold(response, |response, (name, value)| response.append_header(name, value))
    } else {
        response.with_shared_headers(document.headers.clone())
    }
}

/// Returns a 206 with several ranges as `multipart/byteranges`, in the order of the Range header (RFC 9110 §14.6).
fn multipart_response(
    document: &OpenDocument,
    ranges: &[ByteRange],
    has_if_range: bool,
    client: Option<SocketAddr>,
) -> Response {
    let boundary = boundary();
    let mut pieces = Vec::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        let (media_type, content_range) = (&document.media_type, range.content_range(document.len));
        // An empty line before the first delimiter too, as nginx and Apache send it: zsync takes the first line for
        // one.
        pieces.push(Piece::Text(format!(
            "\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {content_range}\r\n\r\n"
        )));
        pieces.push(Piece::File(range.first..range.last + 1));
    }
    pieces.push(Piece::Text(format!("\r\n--{boundary}--\r\n")));
    partial_content(document, has_if_range)
        .with_header("Content-Type", format!("multipart/byteranges; boundary={boundary}"))
        .with_body(document.parts(pieces, client))
}

/// Returns a new multipart boundary. The author of the document cannot predict it, even one who changes the document
/// after each response, so the document does not contain it: it is the hash of a number with a random key of this
/// process.
fn boundary() -> String {
    /// The key of the hash that becomes the boundary. The first call in the process makes it at random.
    static SECRET: OnceLock<RandomState> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("part-{:016x}", SECRET.get_or_init(RandomState::new).hash_one(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_response_has_a_boundary_of_its_own() {
        let [one, other] = [boundary(), boundary()];
        assert!(one != other && one.len() == "part-".len() + 16, "{one} {other}");
    }
}
