//! Reads the response to one request at a time, and compares it with the expected response as the bytes arrive. It
//! stores no body.

use http_test_suite::reader::{Event, RequestKind, ResponseReader};

use super::plan::Exchange;
use super::stats::Fault;

/// Reads and checks the responses of one connection, one after the other.
#[derive(Debug, Default)]
pub(super) struct ResponseChecker {
    /// Finds the head, the body and the end of the response.
    reader: ResponseReader,
    /// The number of bytes of the body that were read so far.
    body_len: usize,
    /// Whether a byte of the body so far differs from the expected body.
    differs: bool,
    /// Whether the final response, not only an interim one, was read to its end.
    is_complete: bool,
}

impl ResponseChecker {
    /// Prepares for the next response, or for a new connection if the last response was not complete.
    pub(super) fn reset(&mut self) {
        self.reader.reset();
        (self.body_len, self.differs, self.is_complete) = (0, false, false);
    }

    /// Reads bytes of the response to `exchange` from the start of `input`, and returns how many belong to it. Skips
    /// interim responses. Only [`Fault::Malformed`] is found here: the other faults need the complete response.
    pub(super) fn read(&mut self, input: &[u8], exchange: &Exchange) -> Result<usize, Fault> {
        let request = RequestKind { head: exchange.is_head, http10: false };
        let mut len = 0;
        while !self.is_complete {
            let (count, event) = self.reader.read(&input[len..], request).map_err(|_| Fault::Malformed)?;
            len += count;
            match event {
                Event::Incomplete => break,
                Event::Head => {}
                Event::Body(bytes) => self.compare(bytes, exchange.body.as_deref()),
                // No request asks for a switch of protocols.
                Event::Complete if self.status() == 101 => return Err(Fault::Malformed),
                Event::Complete => self.is_complete = self.status() >= 200,
            }
        }
        Ok(len)
    }

    /// Ends the response because the server has closed the connection. Returns whether the response is complete.
    pub(super) fn end(&mut self) -> bool {
        self.is_complete |= self.reader.end() == Ok(true);
        self.is_complete
    }

    /// Whether the final response was read to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The status code of the complete response.
    pub(super) fn status(&self) -> u16 {
        self.reader.status()
    }

    /// The value of the first header `name` of the complete response; empty without that header.
    pub(super) fn header(&self, name: &str) -> &[u8] {
        self.reader.header(name).unwrap_or_default()
    }

    /// Whether the server keeps the connection open after the complete response (RFC 9112 §9.3).
    pub(super) fn keeps_alive(&self) -> bool {
        self.reader.keeps_alive()
    }

    /// Compares status, header and content of the complete response with what the exchange expects.
    pub(super) fn check(&self, exchange: &Exchange) -> Result<(), Fault> {
        let length = exchange.body.as_deref().map(<[u8]>::len).or(exchange.length);
        if exchange.status.is_some_and(|status| status != self.status()) {
            Err(Fault::WrongStatus)
        } else if exchange.header.is_some_and(|(name, value)| self.header(name) != value.as_bytes()) {
            Err(Fault::WrongHeader)
        } else if self.differs || length.is_some_and(|length| length != self.body_len) {
            Err(Fault::WrongBody)
        } else {
            Ok(())
        }
    }

    /// Compares the next bytes of the body with the expected body, if there is one.
    fn compare(&mut self, bytes: &[u8], expected: Option<&[u8]>) {
        let end = self.body_len + bytes.len();
        self.differs |= expected.is_some_and(|expected| expected.get(self.body_len..end) != Some(bytes));
        self.body_len = end;
    }
}
