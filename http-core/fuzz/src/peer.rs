//! The peer of a fuzzed connection: knows what it has asked for, and what it has coming.
//!
//! It holds each request that is served against what a strict reader makes of the bytes that have arrived. It must never
//! ask http-core what was sent: it knows.

use crate::{
    answers::{Content, Owed},
    requests,
};
use http_core::Request;

/// The peer.
pub struct Peer<'i> {
    /// All that it sends.
    pub input: &'i [u8],
    /// Octets received by the engine.
    pub sent: usize,
    /// Octets that the requests served so far consist of.
    pub used: usize,
}

impl<'i> Peer<'i> {
    /// One that sends `input`.
    pub fn new(input: &'i [u8]) -> Peer<'i> {
        Peer { input, sent: 0, used: 0 }
    }

    /// What was received and is no part of a request served so far.
    pub fn unused(&self) -> &'i [u8] {
        &self.input[self.used..self.sent]
    }

    /// The head of the request that is next, if it is all there.
    pub fn next(&self) -> Option<requests::Head<'i>> {
        requests::head(self.unused())
    }

    /// Checks that a request is what was asked for, no more and no less; says what it has coming.
    pub fn asked(&mut self, request: &Request<'_>) -> Owed {
        let head = self.next().expect("served what is no request");
        let content = head.content(&self.unused()[head.len..]);
        let (content, body_len) = content.expect("served what has no certain end");
        let fields = request.headers().map(|(name, value)| (name.as_bytes(), value));
        assert_eq!(request.method_token().as_bytes(), head.method);
        assert_eq!(request.target().as_bytes(), head.target);
        assert!(fields.eq(head.fields.iter().copied()), "the fields are not those that were sent");
        assert_eq!(request.body(), content);
        self.used += head.len + body_len;
        Owed {
            status: 200,
            content: if head.method == b"HEAD" { Content::Withheld } else { Content::Any },
            last: head.is_last() || request.query() == Some("close"),
            http11: head.minor > b'0',
            interim: head.expects_interim(),
        }
    }

    /// What it has coming for something that was not understood.
    pub fn refused(&self) -> Owed {
        let blank = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let line = &self.unused()[self.unused().iter().take_while(|byte| blank(byte)).count()..];
        let content = if line.starts_with(b"HEAD ") { Content::AnyOrWithheld } else { Content::Any };
        let interim = self.next().is_some_and(|head| head.expects_interim());
        Owed { status: 400, content, last: true, http11: false, interim }
    }
}
