//! A client's connection: it sends requests unchanged, and checks each response as strictly as the conformance suite.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_test_suite::always;
use http_test_suite::escape;
use http_test_suite::exchange::Exchange;
use http_test_suite::reply::{self, Asked, Reply};
use http_test_suite::request::get;
use http_test_suite::wire::{End, Patience, Wire};

use super::documents::Document;

/// The timeout for connecting, for a write, and for a whole response, under the load of all clients.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A request with any method but HEAD.
pub(super) const GET: Asked = Asked { head: false, http10: false };

/// A HEAD request.
pub(super) const HEAD: Asked = Asked { head: true, http10: false };

/// A connection whose responses are checked. An error describes what the server did wrong.
pub(super) struct CheckedConnection {
    wire: Wire,
}

impl CheckedConnection {
    /// Connects to the server.
    pub(super) fn connect(server: SocketAddr) -> Result<CheckedConnection, String> {
        let patience = Patience { timeout: TIMEOUT, quiet: Duration::ZERO };
        let wire = Wire::dial(server, patience).map_err(|error| format!("cannot connect: {error}"))?;
        Ok(CheckedConnection { wire })
    }

    /// Sends bytes. A failed write is no error here: the responses show what the server has received.
    pub(super) fn send(&mut self, bytes: impl Into<Vec<u8>>) {
        self.wire.send(&bytes.into());
    }

    /// Closes the sending side.
    pub(super) fn half_close(&mut self) {
        self.wire.half_close();
    }

    /// Requests a document, and checks the response.
    pub(super) fn get(&mut self, document: &Document) -> Result<Reply, String> {
        self.send(get(&document.target));
        self.expect(GET, 200, &document.bytes)
    }

    /// Waits for the next response, and checks its status and content.
    pub(super) fn expect(&mut self, request: Asked, status: u16, content: &[u8]) -> Result<Reply, String> {
        let response = self.response(request)?;
        check(&response, status, content)?;
        Ok(response)
    }

    /// Waits for the next response, and checks the rules for all responses. The caller checks the rest.
    pub(super) fn response(&mut self, request: Asked) -> Result<Reply, String> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let ended = self.wire.end != End::Open;
            if let Some((response, length)) = reply::read(&self.wire.received, request, ended)? {
                self.wire.received.drain(..length);
                return follows_rules(response);
            }
            if !self.wire.receive(deadline) {
                let received = escape::line(&self.wire.received, 60);
                return Err(format!("no complete response in {} s, only {received:?}", TIMEOUT.as_secs()));
            }
        }
    }

    /// Waits for the server to close the connection, and checks that no bytes come before.
    pub(super) fn expect_close(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + TIMEOUT;
        while self.wire.receive(deadline) {}
        match self.wire.end {
            _ if !self.wire.received.is_empty() => {
                Err(format!("bytes after the last response: {}", escape::line(&self.wire.received, 60)))
            }
            End::Open => Err(format!("the connection is not closed within {} s", TIMEOUT.as_secs())),
            End::Closed | End::Reset => Ok(()),
        }
    }
}

/// Checks the status and each byte of the content of a response.
pub(super) fn check(response: &Reply, status: u16, content: &[u8]) -> Result<(), String> {
    if response.status != status {
        return Err(format!("{}, not {status}", response.describe()));
    }
    if response.body == content {
        return Ok(());
    }
    let same = response.body.iter().zip(content).take_while(|(actual, expected)| actual == expected).count();
    let (actual, expected) = (response.body.len(), content.len());
    Err(format!("content of {actual} bytes, not {expected}, or other bytes: wrong from byte {same} on"))
}

/// Checks the rules that every response must follow.
fn follows_rules(response: Reply) -> Result<Reply, String> {
    // `expect_close` checks how the connection ends.
    let exchange = Exchange { replies: vec![response], due: 1, left: true, ..Exchange::default() };
    match always::fault(&exchange) {
        Some(fault) => Err(fault),
        None => exchange.replies.into_iter().next().ok_or_else(|| "no response".to_owned()),
    }
}
