//! Reads bytes with httparse, and finds the end of each request as RFC 9112 §6.3 says, with no check of its own.

use crate::reading::{End, Reading, Request};
use httparse::{EMPTY_HEADER, Header, Status, parse_chunk_size, parse_headers};

/// The number of headers for which there is room.
const HEADERS: usize = 100;

/// Reads the bytes of one connection, after which the client ends its side.
pub fn read(bytes: &[u8]) -> Reading {
    let mut requests = Vec::new();
    let mut rest = bytes;
    let end = loop {
        if rest.iter().all(|byte| b"\r\n".contains(byte)) {
            break End::Idle;
        }
        match read_request(rest) {
            Ok(Status::Complete((len, request, closes))) => {
                requests.push(request);
                rest = &rest[len..];
                if closes {
                    break End::Closed(rest.len());
                }
            }
            Ok(Status::Partial) => break End::Unfinished,
            Err(reason) => break End::Rejected(reason),
        }
    };
    Reading { requests, end }
}

/// Reads one request. Returns its length, the request, and whether the connection closes after it.
fn read_request(bytes: &[u8]) -> Result<Status<(usize, Request, bool)>, String> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let Status::Complete(head_len) = head.parse(bytes).map_err(|error| error.to_string())? else {
        return Ok(Status::Partial);
    };
    let rest = &bytes[head_len..];
    let (body_len, body) = if let Some(coding) = values(head.headers, "Transfer-Encoding").last() {
        let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        if !last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err("last transfer coding is not chunked".to_owned());
        }
        match read_chunks(rest)? {
            Status::Complete(chunks) => chunks,
            Status::Partial => return Ok(Status::Partial),
        }
    } else {
        let len = content_length(head.headers)?;
        match rest.get(..len) {
            Some(body) => (len, body.to_vec()),
            None => return Ok(Status::Partial),
        }
    };
    let lists = |option: &[u8]| {
        values(head.headers, "Connection")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|member| member.trim_ascii().eq_ignore_ascii_case(option))
    };
    let closes = lists(b"close") || head.version == Some(0) && !lists(b"keep-alive");
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let request = Request { method: text(head.method), target: text(head.path), body };
    Ok(Status::Complete((head_len + body_len, request, closes)))
}

/// The values of all header lines with this name.
fn values<'h>(headers: &'h [Header<'h>], name: &'static str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The value of Content-Length; 0 without one.
fn content_length(headers: &[Header<'_>]) -> Result<usize, String> {
    let mut values = values(headers, "Content-Length");
    let Some(value) = values.next() else { return Ok(0) };
    if values.any(|other| other != value) {
        return Err("different values of Content-Length".to_owned());
    }
    let digits =
        std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| "malformed Content-Length".to_owned())
}

/// Reads a chunked body. Returns its length with all framing, and its content.
fn read_chunks(bytes: &[u8]) -> Result<Status<(usize, Vec<u8>)>, String> {
    let (mut at, mut content) = (0, Vec::new());
    loop {
        let Status::Complete((size_len, size)) =
            parse_chunk_size(&bytes[at..]).map_err(|_| "malformed chunk size".to_owned())?
        else {
            return Ok(Status::Partial);
        };
        at += size_len;
        if size == 0 {
            let mut trailers = [EMPTY_HEADER; HEADERS];
            let parsed = parse_headers(&bytes[at..], &mut trailers).map_err(|error| error.to_string())?;
            let Status::Complete((trailers_len, _)) = parsed else { return Ok(Status::Partial) };
            return Ok(Status::Complete((at + trailers_len, content)));
        }
        let Some(data) = usize::try_from(size).ok().and_then(|size| bytes[at..].get(..size)) else {
            return Ok(Status::Partial);
        };
        content.extend_from_slice(data);
        at += data.len();
        match bytes[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [] | [b'\r'] => return Ok(Status::Partial),
            _ => return Err("no CRLF after the data of a chunk".to_owned()),
        }
    }
}
