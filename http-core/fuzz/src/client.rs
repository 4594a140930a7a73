//! The client of a fuzzed connection: knows what it has sent, and which responses it expects.
//!
//! It compares each request that is served with what a strict reader finds in the bytes received. It never asks
//! http-core what was sent.

use crate::{
    app, requests,
    responses::{BodyRule, ExpectedResponse},
};
use http_core::{Admit, Limits, Request};

/// The client.
pub struct Client<'i> {
    /// All bytes that it sends.
    pub input: &'i [u8],
    /// The number of bytes received by the engine.
    pub sent: usize,
    /// The number of bytes of the requests served so far.
    pub used: usize,
    /// The head of the last of them, if the application did not want its body: the body comes after the `used` bytes.
    dropped: Option<requests::Head<'i>>,
    /// Whether the last of them offers [`app::PROTOCOL`].
    offers: bool,
    /// Whether the last of them has content that the application has not taken to its end.
    in_content: bool,
}

impl<'i> Client<'i> {
    /// Creates a client that sends `input`.
    pub fn new(input: &'i [u8]) -> Client<'i> {
        Client { input, sent: 0, used: 0, dropped: None, offers: false, in_content: false }
    }

    /// Returns the received bytes after the requests served so far.
    pub fn unused(&self) -> &'i [u8] {
        &self.input[self.used + self.dropped_len().unwrap_or(self.sent - self.used)..self.sent]
    }

    /// Returns the length of the body that the application did not want: 0 if there is none. Returns `None` if it is
    /// incomplete or malformed: then no request may follow.
    fn dropped_len(&self) -> Option<usize> {
        let Some(head) = &self.dropped else { return Some(0) };
        head.body(&self.input[self.used..self.sent]).map(|(_, len)| len)
    }

    /// Ends the content that follows the head of the last request, and returns it; `None` if it is incomplete or
    /// malformed.
    pub fn end_content(&mut self) -> Option<Vec<u8>> {
        self.in_content = false;
        let head = self.dropped.as_ref()?;
        head.body(&self.input[self.used..self.sent]).map(|(content, _)| content)
    }

    /// Returns whether a 101 may be sent now.
    pub fn may_switch(&self) -> bool {
        self.offers && !self.in_content
    }

    /// Returns whether the client waits for a 100 response before it sends the content of the last request.
    pub fn withholds_content(&self) -> bool {
        let expects_interim = self.dropped.as_ref().is_some_and(requests::Head::expects_interim);
        self.in_content && expects_interim && self.sent == self.used
    }

    /// Returns whether a response within the content of the last request leads to the same result however the content
    /// is split: the client waits for no 100 response, and the content is complete, well-formed and within the limits.
    pub fn sends_regular_content(&self, limits: &Limits) -> bool {
        let Some(head) = self.dropped.as_ref().filter(|head| !head.expects_interim()) else { return false };
        head.body(&self.input[self.used..]).is_some_and(|(content, len)| {
            content.len() as u64 <= limits.streamed_bytes.min(limits.body_bytes as u64)
                && len - content.len() <= limits.chunk_overhead_bytes
        })
    }

    /// Returns the head of the next request, if it is complete.
    pub fn next(&self) -> Option<requests::Head<'i>> {
        requests::head(self.unused())
    }

    /// Returns whether the head of the next request announces a body.
    pub fn next_has_body(&self) -> bool {
        self.next().is_none_or(|head| head.has_content())
    }

    /// Checks that a served request is the one that was sent, and that a handler may see its target. Returns the
    /// expected response.
    pub fn served(&mut self, request: &Request<'_>) -> ExpectedResponse {
        if request.path() != "*" && request.method_token() != "CONNECT" {
            check_path(request.path_bytes());
        }
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/?:@!$&'()*+,;=%".contains(&byte);
        assert!(request.raw_query().unwrap_or_default().bytes().all(is_valid), "an invalid query");
        // The content of a CONNECT is not received: the connection ends with the response.
        let is_early = request.method_token() == "CONNECT" || app::admit(request) == Admit::AtHead;
        let expected = self.received(request, is_early);
        assert_eq!(request.upgrades_to(app::PROTOCOL), self.offers, "another offer than was sent");
        ExpectedResponse { last: expected.last || app::asks(request, "close"), ..expected }
    }

    /// Checks that a request that is redirected is the one that was sent. Returns the expected response.
    pub fn redirected(&mut self, request: &Request<'_>) -> ExpectedResponse {
        let expected = self.received(request, true);
        // Its body is not received.
        ExpectedResponse { last: expected.last || self.dropped_len() != Some(0), ..expected }
    }

    /// Checks that a request is the one that was sent: without its body if `is_early`. Returns the expected response,
    /// if no application wants to close the connection.
    fn received(&mut self, request: &Request<'_>, is_early: bool) -> ExpectedResponse {
        self.used += self.dropped_len().expect("served a request behind a body without a certain end");
        self.dropped = None;
        let head = self.next().expect("served bytes that are not a request");
        let body = if is_early { Some((Vec::new(), 0)) } else { head.body(&self.unused()[head.len..]) };
        let (body, body_len) = body.expect("served a request without a certain end");
        let headers = request.headers().map(|(name, value)| (name.as_bytes(), value));
        assert_eq!(request.method_token().as_bytes(), head.method);
        assert_eq!(request.target().as_bytes(), head.target);
        assert!(headers.eq(head.headers.iter().copied()), "the headers are not those that were sent");
        assert_eq!(request.body(), body);
        self.used += head.len + body_len;
        let expected = ExpectedResponse {
            status: 200,
            body: if head.method == b"HEAD" { BodyRule::None } else { BodyRule::Any },
            last: head.is_last(),
            http11: head.minor > b'0',
            interim: head.expects_interim(),
        };
        self.offers = head.offers(app::PROTOCOL.as_bytes());
        self.in_content = is_early && head.has_content();
        self.dropped = is_early.then_some(head);
        expected
    }

    /// Returns the expected response to a rejected request.
    pub fn rejected(&self) -> ExpectedResponse {
        let blank = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let line = &self.unused()[self.unused().iter().take_while(|byte| blank(byte)).count()..];
        let body = if line.starts_with(b"HEAD ") { BodyRule::AnyOrNone } else { BodyRule::Any };
        let interim = self.next().is_some_and(|head| head.expects_interim());
        ExpectedResponse { status: 400, body, last: true, http11: false, interim }
    }
}

/// Checks that a path is normalised: it begins with a slash, and has no empty segment, no dot segment and no NUL.
fn check_path(path: &[u8]) {
    let names = path.strip_prefix(b"/").expect("a slash at the beginning of a path");
    let names = names.strip_suffix(b"/").unwrap_or(names);
    let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
    assert!(path == b"/" || names.split(|&byte| byte == b'/').all(is_name), "{}", path.escape_ascii());
}
