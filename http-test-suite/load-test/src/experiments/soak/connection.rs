//! One connection of a client: which documents the client requests, and the checks of the responses, as strict as those
//! of the conformance suite.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_test_suite::connection::{Connection, ConnectionEnd, Timeouts};
use http_test_suite::exchange::Exchange;
use http_test_suite::reader::{RequestKind, preview};
use http_test_suite::request::get;
use http_test_suite::response::Response;
use http_test_suite::rules;

use super::documents::Document;

/// The timeout for connecting, for a write, and for a whole response, under the load of all clients.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// What one client has to do on one connection: with which server, and with which of its documents.
#[derive(Clone, Copy)]
pub(super) struct ClientTask<'a> {
    /// The server under test.
    pub(super) server: SocketAddr,
    /// The documents that the server serves, at least one; the longest comes last.
    pub(super) documents: &'a [Document],
    /// The number of the connection among those of its kind; it selects the document and the fault.
    pub(super) number: u64,
}

impl<'a> ClientTask<'a> {
    /// Opens the connection.
    pub(super) fn connect(&self) -> Result<CheckedConnection, String> {
        CheckedConnection::connect(self.server)
    }

    /// The document of this task, of any length.
    pub(super) fn any(&self) -> &'a Document {
        self.select(self.documents, 0)
    }

    /// The small document of this task, or the `index`-th after it.
    pub(super) fn small(&self, index: u64) -> &'a Document {
        self.select(&self.documents[..self.documents.partition_point(Document::is_small)], index)
    }

    /// The longest document.
    pub(super) fn longest(&self) -> &'a Document {
        &self.documents[self.documents.len() - 1]
    }

    /// The document whose turn it is `index` connections after this one.
    fn select(&self, documents: &'a [Document], index: u64) -> &'a Document {
        &documents[usize::try_from(self.number + index).unwrap_or_default() % documents.len()]
    }
}

/// A connection whose responses are checked. An error describes what the server did wrong.
pub(super) struct CheckedConnection {
    connection: Connection,
}

impl CheckedConnection {
    /// Connects to the server.
    pub(super) fn connect(server: SocketAddr) -> Result<CheckedConnection, String> {
        let timeouts = Timeouts { response: TIMEOUT, quiet: Duration::ZERO };
        let connection = Connection::connect(server, timeouts);
        Ok(CheckedConnection { connection: connection.map_err(|error| format!("cannot connect: {error}"))? })
    }

    /// Sends bytes. A failed write is no error here: the responses show what the server has received.
    pub(super) fn send(&mut self, bytes: impl Into<Vec<u8>>) {
        self.connection.send(&bytes.into());
    }

    /// Closes the sending side.
    pub(super) fn half_close(&mut self) {
        self.connection.half_close();
    }

    /// Requests a document, and checks the response.
    pub(super) fn get(&mut self, document: &Document) -> Result<Response, String> {
        self.send(get(&document.target));
        self.expect(RequestKind::GET, 200, &document.bytes)
    }

    /// Waits for the next response, and checks its status and content.
    pub(super) fn expect(
        &mut self,
        request: RequestKind,
        status: u16,
        content: &[u8],
    ) -> Result<Response, String> {
        let response = self.response(request)?;
        check(&response, status, content)?;
        Ok(response)
    }

    /// Waits for the next response, and checks the rules for all responses. The caller checks the rest.
    pub(super) fn response(&mut self, request: RequestKind) -> Result<Response, String> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(response) = self.connection.next_response(request)? {
                self.connection.forget_responses();
                return follows_rules(response);
            }
            if !self.connection.receive(deadline) {
                let what = match self.connection.end {
                    ConnectionEnd::Open => format!("no complete response within {} s", TIMEOUT.as_secs()),
                    _ => "the server closed without a response".to_owned(),
                };
                return Err(format!("{what}; received {:?}", preview(self.connection.unread(), 60)));
            }
        }
    }

    /// Waits for the server to close the connection, and checks that no bytes come before.
    pub(super) fn expect_close(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + TIMEOUT;
        while self.connection.receive(deadline) {}
        let unread = self.connection.unread();
        match self.connection.end {
            _ if !unread.is_empty() => Err(format!("bytes after the last response: {}", preview(unread, 60))),
            ConnectionEnd::Open => {
                Err(format!("the connection is not closed within {} s", TIMEOUT.as_secs()))
            }
            ConnectionEnd::Closed | ConnectionEnd::Reset => Ok(()),
        }
    }
}

/// Checks the status and each byte of the content of a response.
pub(super) fn check(response: &Response, status: u16, content: &[u8]) -> Result<(), String> {
    if response.status != status {
        return Err(format!("{}, not {status}", response.describe()));
    }
    if response.body == content {
        return Ok(());
    }
    let same = response.body.iter().zip(content).take_while(|(actual, expected)| actual == expected).count();
    let (actual, expected) = (response.body.len(), content.len());
    Err(format!("wrong content from byte {same} on ({actual} bytes, expected {expected})"))
}

/// Checks the rules that every response must follow.
fn follows_rules(response: Response) -> Result<Response, String> {
    // `expect_close` checks how the connection ends.
    let exchange = Exchange {
        responses: vec![response],
        expected_responses: 1,
        client_closed: true,
        ..Exchange::default()
    };
    match rules::violation(&exchange) {
        Some(violation) => Err(violation),
        None => exchange.responses.into_iter().next().ok_or_else(|| "no response".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_wrong_status_and_each_wrong_byte() {
        let check = |status, body: &[u8], expected: Result<(), &str>| {
            let response = Response { status, body: body.to_vec(), ..Response::default() };
            assert_eq!(check(&response, 200, b"abc"), expected.map_err(str::to_owned));
        };
        check(200, b"abc", Ok(()));
        check(404, b"abc", Err("status 404, not 200"));
        check(200, b"abd", Err("wrong content from byte 2 on (3 bytes, expected 3)"));
        check(200, b"ab", Err("wrong content from byte 2 on (2 bytes, expected 3)"));
        check(200, b"abcd", Err("wrong content from byte 3 on (4 bytes, expected 3)"));
    }
}
