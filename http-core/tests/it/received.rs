//! What a simulated client receives: the responses in the output of a connection, read by http-test-suite, which shares
//! no code with http-core.

use http_test_suite::{exact_form, reader, response::Response};

/// The request that a response belongs to, as far as the framing of the response depends on it (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    Head,
    /// Any other method in HTTP/1.1.
    Http11,
    /// Any other method in HTTP/1.0, which has no chunked coding.
    Http10,
    /// A rejected request. It may have been a HEAD, so that its response, the last one, may have no body.
    Unknown,
}

impl RequestKind {
    pub fn of(method: &str, http11: bool) -> RequestKind {
        match (method, http11) {
            ("HEAD", _) => RequestKind::Head,
            (_, true) => RequestKind::Http11,
            (_, false) => RequestKind::Http10,
        }
    }
}

/// A final response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedResponse {
    /// The number of interim responses before it.
    pub interims: usize,
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub framing: reader::BodyFraming,
    pub body: Vec<u8>,
    pub close: bool,
    /// The whole response as received, without interim responses.
    pub raw: Vec<u8>,
}

impl ReceivedResponse {
    pub fn values<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        let named = self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice())
    }

    /// Returns a summary: `100 200 keep-alive length=5 body=5`. The length is the announced one.
    pub fn summary(&self) -> String {
        let framing = match (self.values("Content-Length").next(), self.values("Transfer-Encoding").next()) {
            (Some(length), _) => format!("length={}", String::from_utf8_lossy(length)),
            (None, Some(_)) => "chunked".to_owned(),
            (None, None) if self.framing == reader::BodyFraming::UntilClose => "until-close".to_owned(),
            (None, None) => "no-body".to_owned(),
        };
        let connection = if self.close { "close" } else { "keep-alive" };
        let interims = "100 ".repeat(self.interims);
        format!("{interims}{} {connection} {framing} body={}", self.status, self.body.len())
    }
}

/// Reads all responses to these requests. `closed`: the output is complete.
pub fn read(output: &[u8], requests: &[RequestKind], closed: bool) -> Result<Vec<ReceivedResponse>, String> {
    let mut rest = output;
    let mut responses: Vec<ReceivedResponse> = Vec::new();
    let mut interims = 0;
    while !rest.is_empty() {
        if responses.last().is_some_and(|last| last.close) {
            return Err("bytes after the last response".to_owned());
        }
        let Some(request) = requests.get(responses.len()) else {
            // The client may have closed the connection after it was asked for a body.
            let is_continue = rest == exact_form::CONTINUE;
            return if is_continue { Ok(responses) } else { Err("a response without a request".to_owned()) };
        };
        let response = read_one(rest, *request, closed)?;
        exact_form::check(&response)?;
        let (raw, behind) = rest.split_at(response.len);
        rest = behind;
        if response.is_final() {
            responses.push(ReceivedResponse {
                interims: std::mem::take(&mut interims),
                status: response.status,
                headers: response
                    .headers
                    .into_iter()
                    .map(|(name, value)| (name, from_latin1(&value)))
                    .collect(),
                framing: response.framing,
                body: response.body,
                close: !response.keeps_alive,
                raw: raw.to_vec(),
            });
        } else if *request == RequestKind::Http10 {
            return Err("an interim response to HTTP/1.0".to_owned());
        } else {
            interims += 1;
        }
    }
    // The client may have closed the connection within the content that it was asked for.
    let ends_within_content = closed && responses.len() + 1 == requests.len();
    if interims == 0 || ends_within_content {
        Ok(responses)
    } else {
        Err("no response after an interim response".to_owned())
    }
}

/// Reads the response at the start of `rest`.
fn read_one(rest: &[u8], request: RequestKind, closed: bool) -> Result<Response, String> {
    let kind =
        reader::RequestKind { head: request == RequestKind::Head, http10: request == RequestKind::Http10 };
    let read = Response::read(rest, kind, closed);
    if request == RequestKind::Unknown && !matches!(read, Ok(Some(_))) {
        let to_head = Response::read(rest, reader::RequestKind::HEAD, closed);
        if let Ok(Some(response)) = to_head
            && response.len == rest.len()
        {
            return Ok(response);
        }
    }
    read?.ok_or_else(|| "an unfinished response".to_owned())
}

/// The bytes of which the reader makes characters.
fn from_latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

    /// Reads the responses to these requests, each of which begins with a status line and `Server` and `Date`.
    fn check(texts: &[(&str, &str)], requests: &[RequestKind], closed: bool, expected: Result<&str, &str>) {
        let output: String =
            texts.iter().map(|(line, rest)| format!("HTTP/1.1 {line}\r\n{HEAD}{rest}")).collect();
        let read = read(output.as_bytes(), requests, closed);
        let summaries = read
            .map(|responses| responses.iter().map(ReceivedResponse::summary).collect::<Vec<_>>().join(", "));
        match (&summaries, expected) {
            (Ok(summaries), Ok(expected)) => assert_eq!(summaries, expected),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}, not {expected}"),
            _ => panic!("{summaries:?}, not {expected:?}, for {output}"),
        }
    }

    #[test]
    fn reads_responses_by_their_requests() {
        use RequestKind::{Head, Http11, Unknown};
        let ok = ("200 OK", "Connection: keep-alive\r\nContent-Length: 2\r\n\r\nab");
        let last = ("400 No", "Connection: close\r\nContent-Length: 2\r\n\r\n");
        let until_close = ("200 OK", "Connection: close\r\n\r\nabc");
        let two = "200 keep-alive length=2 body=2, 200 keep-alive length=2 body=2";
        check(&[ok, ok], &[Http11, Http11], false, Ok(two));
        check(
            &[ok, last],
            &[Http11, Unknown],
            true,
            Ok("200 keep-alive length=2 body=2, 400 close length=2 body=0"),
        );
        check(&[last], &[Head], true, Ok("400 close length=2 body=0"));
        check(&[until_close], &[Http11], true, Ok("200 close until-close body=3"));
        check(&[until_close], &[Http11], false, Err("unfinished"));
        check(&[last], &[Http11], true, Err("inside the body"));
        check(&[ok, ok], &[Http11], false, Err("without a request"));
        check(&[last, ok], &[Head, Http11], false, Err("bytes after the last response"));
        check(&[("200 OK", "Content-Length: 0\r\n\r\n")], &[Http11], false, Err("0 times Connection"));
    }
}
