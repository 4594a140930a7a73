//! An oracle: which responses a client finds in the output of a server, and whether they are the expected ones.
//!
//! It reads them with the reader of http-test-suite, which shares no code with http-core.

use http_test_suite::{
    exact_form::{self, CONTINUE},
    reader::{BodyFraming, RequestKind},
    response::Response,
};

/// A response that the client expects.
#[derive(Debug)]
pub struct ExpectedResponse {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: BodyRule,
    /// Whether it must be the last one. Others may be as well.
    pub last: bool,
    /// Whether the client supports the chunked coding.
    pub http11: bool,
    /// Whether an interim response may come before it.
    pub interim: bool,
}

/// The body that a response must have.
#[derive(Debug)]
pub enum BodyRule {
    /// These bytes, or none if the status allows none.
    Exactly(Vec<u8>),
    /// No body, though the headers announce one: the response to a HEAD.
    None,
    /// The body that the headers announce.
    Any,
    /// The same, or no body if the output ends: it may be the response to a HEAD.
    AnyOrNone,
}

/// Well-formed output.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadResponses<'o> {
    /// The complete responses as received, without interim ones.
    pub complete: Vec<&'o [u8]>,
    /// Whether the output ends within a response.
    pub truncated: bool,
}

/// Reads all output up to the end of the connection. `interim`: after the expected responses, an interim one may ask
/// for a body that never arrived.
///
/// # Errors
///
/// A description of the first error.
pub fn read<'o>(
    output: &'o [u8],
    expected: &[ExpectedResponse],
    interim: bool,
) -> Result<ReadResponses<'o>, String> {
    let (mut rest, mut complete, mut last) = (output, Vec::new(), false);
    while !rest.is_empty() {
        let Some(expected) = expected.get(complete.len()).filter(|_| !last) else {
            if interim && !last && CONTINUE.starts_with(rest) {
                return Ok(ReadResponses { complete, truncated: rest != CONTINUE });
            }
            return Err(format!("after the last response: {}", rest.escape_ascii()));
        };
        let error = |error| format!("response {}: {error}", complete.len());
        if expected.interim {
            rest = rest.strip_prefix(CONTINUE).unwrap_or(rest);
        }
        let Some(response) = read_one(rest, expected).map_err(error)? else {
            return Ok(ReadResponses { complete, truncated: true });
        };
        check_response(&response, expected).map_err(error)?;
        if is_truncated(&response, expected) {
            return Ok(ReadResponses { complete, truncated: true });
        }
        last = is_last(&response);
        let (raw, behind) = rest.split_at(response.len);
        complete.push(raw);
        rest = behind;
    }
    Ok(ReadResponses { complete, truncated: false })
}

/// Reads the response at the start of `rest`. Returns `None` if the output ends within it.
fn read_one(rest: &[u8], expected: &ExpectedResponse) -> Result<Option<Response>, String> {
    let kind = RequestKind { head: matches!(expected.body, BodyRule::None), http10: !expected.http11 };
    if let Some(response) = Response::read(rest, kind, false)? {
        return Ok(Some(response));
    }
    let to_head = RequestKind { head: true, ..kind };
    if let (BodyRule::AnyOrNone, Some(response)) = (&expected.body, Response::read(rest, to_head, false)?)
        && response.len == rest.len()
    {
        return Ok(Some(response));
    }
    // At the end of the connection, an incomplete response is an error.
    Ok(Response::read(rest, kind, true).ok().flatten())
}

/// Checks everything but the body that ends with the connection, which may be truncated.
fn check_response(response: &Response, expected: &ExpectedResponse) -> Result<(), String> {
    exact_form::check(response)?;
    if response.status != expected.status {
        return Err(format!("{}, not {}", response.describe(), expected.status));
    }
    if expected.last && !is_last(response) {
        return Err("must be the last response".to_owned());
    }
    match &expected.body {
        BodyRule::Exactly(body)
            if response.framing != BodyFraming::NoBody
                && response.body != *body
                && !is_truncated(response, expected) =>
        {
            Err(format!("{} instead of {}", response.body.escape_ascii(), body.escape_ascii()))
        }
        _ => Ok(()),
    }
}

/// Returns whether no response may follow: the connection closes, or continues with another protocol.
fn is_last(response: &Response) -> bool {
    !response.keeps_alive || response.status == 101
}

/// Returns whether a body that ends with the connection is shorter than expected.
fn is_truncated(response: &Response, expected: &ExpectedResponse) -> bool {
    let BodyRule::Exactly(body) = &expected.body else { return false };
    response.framing == BodyFraming::UntilClose
        && response.body.len() < body.len()
        && body.starts_with(&response.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER_AND_DATE: &str = "Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    const KEEP: &str = "Connection: keep-alive\r\n";
    const CLOSE: &str = "Connection: close\r\n";

    /// Reads one response. Expects the number of complete ones and whether one is truncated, or a part of the error.
    fn check_one(response: ExpectedResponse, start: &str, text: &str, expected: Result<(usize, bool), &str>) {
        let output = start.replacen("\r\n", &format!("\r\n{SERVER_AND_DATE}"), 1) + text;
        match (read(output.as_bytes(), &[response], false), expected) {
            (Ok(read), Ok(expected)) => {
                assert_eq!((read.complete.len(), read.truncated), expected, "{output}");
            }
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}, not {expected}"),
            (read, _) => panic!("{read:?} instead of {expected:?} for {output}"),
        }
    }

    fn response(status: u16, body: BodyRule) -> ExpectedResponse {
        ExpectedResponse { status, body, last: false, http11: true, interim: false }
    }

    fn check(text: &str, expected: Result<(usize, bool), &str>) {
        check_one(response(200, BodyRule::Exactly(b"ab".to_vec())), "HTTP/1.1 200 OK\r\n", text, expected);
    }

    #[test]
    fn accepts_valid_responses() {
        check(&format!("{KEEP}Content-Length: 2\r\n\r\nab"), Ok((1, false)));
        check(&format!("{KEEP}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"), Ok((1, false)));
        check(&format!("{CLOSE}\r\nab"), Ok((1, false)));
        let head = format!("{KEEP}Content-Length: 2\r\n\r\n");
        check_one(response(200, BodyRule::None), "HTTP/1.1 200 OK\r\n", &head, Ok((1, false)));
        let head = format!("{KEEP}\r\n");
        check_one(response(200, BodyRule::None), "HTTP/1.1 200 OK\r\n", &head, Ok((1, false)));
        let empty = format!("{KEEP}\r\n");
        check_one(response(204, BodyRule::Any), "HTTP/1.1 204 No Content\r\n", &empty, Ok((1, false)));
    }

    #[test]
    fn detects_truncated_responses() {
        for text in [
            String::new(),
            format!("{KEEP}Content-Le"),
            format!("{KEEP}Content-Length: 2\r\n\r\na"),
            format!("{KEEP}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"),
            format!("{CLOSE}\r\na"),
        ] {
            check(&text, Ok((0, true)));
        }
    }

    #[test]
    fn describes_errors() {
        let length = "Content-Length: 2\r\n";
        for (text, error) in [
            (format!("{KEEP}{length}\r\nabHTTP/1.1"), "after the last response"),
            (format!("{CLOSE}{length}\r\nabHTTP/1.1"), "after the last response"),
            (format!("{KEEP}{length}\r\nac"), "instead of ab"),
            (format!("{CLOSE}\r\nabc"), "instead of ab"),
            // The reader rejects this, and the exact form that.
            (format!("{KEEP}{length}\n"), "a bare LF"),
            (format!("{length}\r\nab"), "0 times Connection"),
        ] {
            check(&text, Err(error));
        }
        let empty = format!("{KEEP}Content-Length: 0\r\n\r\n");
        check_one(response(200, BodyRule::Any), "HTTP/1.1 201 C\r\n", &empty, Err("not 200"));
        let last = ExpectedResponse { last: true, ..response(200, BodyRule::Any) };
        check_one(last, "HTTP/1.1 200 OK\r\n", &empty, Err("must be the last"));
    }
}
