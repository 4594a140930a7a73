//! An oracle: which response the bytes of a server contain, by a strict reading of RFC 9112.
//!
//! It gets all bytes that the server has sent before it closed the connection, and knows no limits.

use crate::requests::{Lines, dechunk, elements, header, number};

/// The method of the request, as far as the length of the response depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestMethod {
    /// HEAD, whose response has no body.
    Head,
    /// CONNECT, after whose success the bytes belong to a tunnel.
    Connect,
    /// Any other.
    Other,
}

/// A final response.
#[derive(Debug, PartialEq, Eq)]
pub struct FinalResponse<'m> {
    /// The digit of the minor version.
    pub minor: u8,
    /// The status code.
    pub status: u16,
    /// Names, and values without the white space around them.
    pub headers: Vec<(&'m [u8], &'m [u8])>,
    /// The body, without the chunked coding.
    pub body: Vec<u8>,
    /// Whether the server keeps the connection open for another request, and has sent nothing after this response.
    pub reusable: bool,
}

/// Returns the first final response, after any number of interim ones. Returns `None` if it is malformed or incomplete,
/// or the server switches protocols.
pub fn final_response(mut bytes: &[u8], method: RequestMethod) -> Option<FinalResponse<'_>> {
    loop {
        let (response, rest) = head(bytes)?;
        match response.status {
            101 => return None,
            200.. => return response.with_body(method, rest),
            _ => bytes = rest,
        }
    }
}

/// Returns the head at the front, and the bytes after it (RFC 9112 §4, §5).
fn head(bytes: &[u8]) -> Option<(FinalResponse<'_>, &[u8])> {
    let mut lines = Lines(bytes);
    let line = lines.next()??.strip_prefix(b"HTTP/1.")?;
    let ([minor @ b'0'..=b'9', b' ', code @ ..], reason) = line.split_at_checked("1 200".len())? else {
        return None;
    };
    let is_code = matches!(code, [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit));
    // §4 requires a space after the code. Some servers omit it if there is no reason phrase.
    let is_reason = reason.is_empty() || header(&[b"a:", reason].concat()).is_some() && reason[0] == b' ';
    if !is_code || !is_reason {
        return None;
    }
    let (minor, status) = (*minor, number(code)? as u16);
    let mut headers = Vec::new();
    loop {
        match lines.next()?? {
            b"" => {
                let response = FinalResponse { minor, status, headers, body: Vec::new(), reusable: true };
                return Some((response, lines.0));
            }
            line => headers.push(header(line)?),
        }
    }
}

impl FinalResponse<'_> {
    /// Reads the body after the head (§6.3), and whether the connection can be used again (§9.3).
    fn with_body(mut self, method: RequestMethod, rest: &[u8]) -> Option<Self> {
        let named = |name: &'static str| {
            let named =
                self.headers.iter().filter(move |header| header.0.eq_ignore_ascii_case(name.as_bytes()));
            named.map(|header| header.1)
        };
        let lengths: Vec<_> = named("Content-Length").collect();
        let is_length = |length: &[u8]| !length.is_empty() && length.iter().all(u8::is_ascii_digit);
        if lengths.len() > 1 || !lengths.iter().copied().all(is_length) {
            return None;
        }
        let codings: Vec<_> = named("Transfer-Encoding").flat_map(elements).collect();
        let has = |option: &[u8]| {
            named("Connection").flat_map(elements).any(|sent| sent.eq_ignore_ascii_case(option))
        };
        let keeps_alive = !has(b"close") && (self.minor > b'0' || has(b"keep-alive"));

        let is_tunnel = method == RequestMethod::Connect && matches!(self.status, 200..=299);
        let has_no_body = method == RequestMethod::Head || is_tunnel || matches!(self.status, 204 | 304);
        let (body, len, is_delimited) = match (&lengths[..], &codings[..]) {
            _ if has_no_body => (Vec::new(), 0, !is_tunnel),
            ([], []) => (rest.to_vec(), rest.len(), false),
            ([length], []) => {
                let length = number(length)?;
                (rest.get(..length)?.to_vec(), length, true)
            }
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && self.minor > b'0' => {
                let coded = dechunk(rest)?;
                (coded.body, coded.len, true)
            }
            _ => return None,
        };
        self.body = body;
        self.reusable = keeps_alive && is_delimited && len == rest.len();
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a response to GET. Expects its status, its body, and whether the connection is reusable.
    fn check(text: &str, expected: Option<(u16, &str, bool)>) {
        let read = final_response(text.as_bytes(), RequestMethod::Other);
        let read =
            read.map(|read| (read.status, String::from_utf8_lossy(&read.body).into_owned(), read.reusable));
        assert_eq!(
            read,
            expected.map(|(status, body, reusable)| (status, body.to_owned(), reusable)),
            "{text}"
        );
    }

    #[test]
    fn reads_responses() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", Some((200, "a", true)));
        check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", Some((200, "a", false)));
        check("HTTP/1.1 100 \r\n\r\nHTTP/1.9 299\r\n\r\na", Some((299, "a", false)));
        check("HTTP/1.0 204 \r\nConnection: keep-alive\r\n\r\n", Some((204, "", true)));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            Some((200, "a", true)),
        );
        for text in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200x\r\n\r\n",
            "HTTP/1.1 200 \0\r\n\r\n",
            "HTTP/1.1 101 \r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na",
            "HTTP/1.1 204 \r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn the_method_decides_whether_a_body_follows() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
        let check = |method, expected: Option<bool>| {
            assert_eq!(final_response(text, method).map(|read| read.reusable), expected, "{method:?}");
        };
        check(RequestMethod::Head, Some(true));
        check(RequestMethod::Connect, Some(false));
        check(RequestMethod::Other, None);
    }
}
