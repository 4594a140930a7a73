//! The exact form in which the servers of this repository send responses. Their tests and fuzz targets check it.
//!
//! It is stricter than the RFCs, so the suite does not require it of other servers: the RFCs let a sender choose
//! between forms, and a server that always chooses the same is easier to test and to read.

use crate::reader::BodyFraming;
use crate::response::Response;
use crate::rules::{ensure, parse_date};

/// The only interim response that has the exact form: 100, without headers.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Checks that a final response has the exact form:
///
/// - the version is HTTP/1.1, and the reason printable ASCII;
/// - one space stands before each header value, and nothing after it;
/// - Server, Date and Connection stand once each; Connection is `close` or `keep-alive`, with
///   `upgrade` if there is Upgrade; in a 101, which has Upgrade, it is only `upgrade`;
/// - Content-Length and chunk sizes are as short as possible, and there are no chunk extensions and no trailers;
/// - a 101, 204 or 304 has neither Content-Length nor Transfer-Encoding, and an HTTP/1.0 client gets no chunks;
/// - a body that ends with the connection comes with `Connection: close`;
/// - a 405 has Allow.
///
/// Any other interim response must be [`CONTINUE`].
///
/// # Errors
///
/// Describes the first deviation.
pub fn check(response: &Response) -> Result<(), String> {
    if !response.is_final() {
        return ensure(response.head == CONTINUE, || format!("not 100 Continue: {}", response.describe()));
    }
    check_lines(response)?;
    ensure(!once(response, "Server")?.is_empty(), || "an empty Server".into())?;
    let date = once(response, "Date")?;
    ensure(parse_date(date).is_some(), || format!("Date {date}"))?;
    let connection = once(response, "Connection")?;
    let connections: &[&str] = match response.header("Upgrade") {
        Some(_) if response.status == 101 => &["upgrade"],
        Some(_) => &["close, upgrade", "keep-alive, upgrade"],
        None => &["close", "keep-alive"],
    };
    ensure(connections.contains(&connection), || format!("Connection {connection}"))?;
    if response.status == 405 {
        once(response, "Allow")?;
    }
    check_framing(response)
}

/// The value of a header that must stand exactly once; an error if it is missing or stands twice.
fn once<'r>(response: &'r Response, name: &str) -> Result<&'r str, String> {
    match response.values(name).collect::<Vec<_>>()[..] {
        [value] => Ok(value),
        ref values => Err(format!("{} times {name}", values.len())),
    }
}

/// Checks that the version is HTTP/1.1, that the reason phrase is printable ASCII, and that each header line is
/// `name: value` with one space, and no white space after the value.
fn check_lines(response: &Response) -> Result<(), String> {
    let Response { version, status, reason, headers, head, .. } = response;
    let is_printable = |c: char| (' '..='~').contains(&c);
    ensure(*version == (1, 1) && reason.chars().all(is_printable), || {
        format!("status line of {}", response.describe())
    })?;
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let exact = format!("HTTP/1.1 {status} {reason}\r\n{lines}\r\n");
    // Each byte beyond ASCII is one character.
    ensure(exact.chars().eq(head.iter().map(|&byte| char::from(byte))), || {
        format!("white space in a header line: {}", head.escape_ascii())
    })
}

/// Checks that Content-Length, Transfer-Encoding, chunk sizes and trailers have the exact form.
fn check_framing(response: &Response) -> Result<(), String> {
    let lengths: Vec<_> = response.values("Content-Length").collect();
    let codings = response.values("Transfer-Encoding").count();
    let has_no_body = matches!(response.status, 101 | 204 | 304);
    let may_be_chunked = !has_no_body && !response.request.http10;
    let is_valid = match (&lengths[..], codings) {
        ([], 0) => response.framing != BodyFraming::UntilClose || response.lists("Connection", "close"),
        ([length], 0) => !has_no_body && (*length == "0" || !length.starts_with('0')),
        ([], _) => may_be_chunked && response.header("Transfer-Encoding") == Some("chunked"),
        _ => false,
    };
    ensure(is_valid, || format!("lengths {lengths:?} and {codings} codings for {}", response.status))?;
    ensure(!response.has_unusual_chunks, || "a chunk size that is not in its shortest form".into())?;
    ensure(response.trailers.is_empty(), || format!("trailers: {:?}", response.trailers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::RequestKind;

    const TO_HTTP10: RequestKind = RequestKind { head: false, http10: true };

    /// Checks a response with this status line, `Server` and `Date`, then `rest`. Expects an error with this text, or
    /// none if the text is empty.
    fn check_rest(request: RequestKind, expected: &str, status: &str, rest: &str) {
        let date = if rest.contains("Date") { "" } else { "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n" };
        let input = format!("HTTP/1.1 {status}\r\nServer: s\r\n{date}{rest}");
        let response = Response::read(input.as_bytes(), request, true).unwrap().unwrap();
        let error = check(&response).err().unwrap_or_default();
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{error:?} for {input}");
    }

    #[test]
    fn accepts_one_form_only() {
        let keep = |rest: &str| format!("Connection: keep-alive\r\n{rest}");
        let empty = |headers: &str| keep(&format!("{headers}Content-Length: 0\r\n\r\n"));
        let chunked = |chunks: &str| keep(&format!("Transfer-Encoding: chunked\r\n\r\n{chunks}"));
        let check = |expected, status, rest: &str| check_rest(RequestKind::GET, expected, status, rest);
        let chunks = chunked("a\r\n0123456789\r\n0\r\n\r\n");
        for rest in [&keep("Content-Length: 2\r\n\r\nab"), &empty("X: \u{e9}\r\n"), &chunks] {
            check("", "200 OK", rest);
        }
        check("", "200 OK", "Connection: close\r\n\r\nabc");
        check("", "304 Not Modified", &keep("\r\n"));
        check_rest(RequestKind::HEAD, "", "200 OK", &keep("\r\n"));
        check("not 100 Continue", "100 Continue", "\r\n");
        check("status line", "200 \u{e9}", &empty(""));
        check("white space", "200 OK", &empty("X:a\r\n"));
        check("white space", "200 OK", &empty("X: a \r\n"));
        check("2 times Connection", "200 OK", &empty("Connection: keep-alive\r\n"));
        check("0 times Connection", "200 OK", "Content-Length: 0\r\n\r\n");
        check("Connection upgrade", "200 OK", "Connection: upgrade\r\nContent-Length: 0\r\n\r\n");
        check(
            "",
            "426 Upgrade Required",
            &empty("Upgrade: a\r\n").replace("keep-alive", "keep-alive, upgrade"),
        );
        check("Connection keep-alive", "426 Upgrade Required", &empty("Upgrade: a\r\n"));
        check("", "101 Switching Protocols", "Connection: upgrade\r\nUpgrade: a\r\n\r\n");
        check(
            "Connection close, upgrade",
            "101 Switching Protocols",
            "Connection: close, upgrade\r\nUpgrade: a\r\n\r\n",
        );
        check("Connection upgrade", "101 Switching Protocols", "Connection: upgrade\r\n\r\n");
        check("2 times Server", "200 OK", &empty("Server: s\r\n"));
        check("Date Thu, 1", "200 OK", &empty("Date: Thu, 1 Jan 1970 00:00:00 GMT\r\n"));
        check("lengths [] and 0 codings", "200 OK", &keep("\r\nab"));
        check("lengths [\"02\"]", "200 OK", &keep("Content-Length: 02\r\n\r\nab"));
        check("lengths [\"0\"]", "304 Not Modified", &empty(""));
        check("shortest form", "200 OK", &chunked("01\r\na\r\n0\r\n\r\n"));
        check("shortest form", "200 OK", &chunked("1;x\r\na\r\n0\r\n\r\n"));
        check("trailers", "200 OK", &chunked("0\r\nT: u\r\n\r\n"));
        check("0 times Allow", "405 No", &empty(""));
        check_rest(TO_HTTP10, "1 codings", "200 OK", &chunks);
    }
}
