//! One connection: sends the request, receives the responses with their times, and explains them.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use http_test_suite::connection::{Connection, ConnectionEnd};
use http_test_suite::duration::show;
use http_test_suite::reader::{BodyFraming, RequestKind, preview};
use http_test_suite::request::first_request;
use http_test_suite::response::Response;

/// How long to wait after the last response for further bytes or the end of the connection.
pub(crate) const QUIET: Duration = Duration::from_millis(100);

/// A connection, and the responses on it.
pub(crate) struct Session {
    connection: Connection,
    /// Whether to print received bytes at once.
    prints: bool,
    /// The requests whose responses are expected.
    requests: Vec<RequestKind>,
    /// When the last piece was sent.
    sent_at: Instant,
    /// The responses in order, interim ones included, each with the time when it was complete.
    responses: Vec<(Response, Instant)>,
    /// Why the reader rejected the received bytes, if it did.
    malformed: Option<String>,
    /// When the first byte was received.
    first_byte_at: Option<Instant>,
}

impl Session {
    /// Makes a session that expects a response for each request line in `request`, at least one. `prints` says whether
    /// to print received bytes at once.
    pub(crate) fn new(connection: Connection, request: &[u8], prints: bool) -> Session {
        let (mut requests, mut rest) = (Vec::new(), request);
        while let Some((kind, len)) = first_request(rest) {
            requests.push(kind);
            rest = &rest[len..];
        }
        if requests.is_empty() {
            requests.push(RequestKind::GET);
        }
        let (responses, malformed, first_byte_at) = (Vec::new(), None, None);
        Session { connection, prints, requests, sent_at: Instant::now(), responses, malformed, first_byte_at }
    }

    /// Sends the pieces, and receives during the pauses between them.
    pub(crate) fn send(&mut self, pieces: &[&[u8]], pause: Duration) -> io::Result<()> {
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                self.receive_for(pause)?;
            }
            self.connection.send(piece);
        }
        self.sent_at = Instant::now();
        Ok(())
    }

    /// Waits for the responses, with a new timeout after each receive, and then a moment for the end of the connection.
    pub(crate) fn receive_responses(&mut self, timeout: Duration) -> io::Result<()> {
        while self.answered() < self.requests.len() && self.malformed.is_none() {
            if !self.receive(Instant::now() + timeout)? {
                break;
            }
        }
        self.receive_for(QUIET)
    }

    /// How many bytes could be sent.
    pub(crate) fn sent_len(&self) -> usize {
        self.connection.sent.len()
    }

    /// What is wrong with the responses, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let (answered, expected) = (self.answered(), self.requests.len());
        let missing =
            || format!("{answered} of {expected} responses came; the connection was {}", self.end());
        self.malformed.clone().or_else(|| (answered < expected).then(missing))
    }

    /// Explains the parts of the responses. Times count from when the last piece was sent.
    pub(crate) fn explain(&self, out: &mut impl Write) -> io::Result<()> {
        for (response, at) in &self.responses {
            let (major, minor) = response.version;
            writeln!(out, "{}, complete after {}", response.describe(), self.since_sent(*at))?;
            writeln!(out, "  version   HTTP/{major}.{minor}")?;
            for (name, value) in &response.headers {
                writeln!(out, "  header    {name}: {value}")?;
            }
            let end = match response.framing {
                BodyFraming::NoBody => "because such a response has no body",
                BodyFraming::Length(_) => "delimited by Content-Length",
                BodyFraming::Chunked => "delimited by its chunks",
                BodyFraming::UntilClose => "delimited by the end of the connection",
            };
            writeln!(out, "  body      {} bytes, {end}", response.body.len())?;
            if !response.body.is_empty() {
                writeln!(out, "            {}", preview(&response.body, 60))?;
            }
            for (name, value) in &response.trailers {
                writeln!(out, "  trailer   {name}: {value}")?;
            }
            writeln!(out, "  in all    {} bytes\n", response.len)?;
        }
        let unread = self.connection.unread();
        if !unread.is_empty() {
            writeln!(out, "{} bytes more: {}\n", unread.len(), preview(unread, 200))?;
        }
        let first =
            self.first_byte_at.map_or("none".to_owned(), |at| format!("after {}", self.since_sent(at)));
        writeln!(out, "first byte  {first}\nconnection  {}", self.end())
    }

    /// The number of final responses received.
    fn answered(&self) -> usize {
        self.responses.iter().filter(|(response, _)| response.is_final()).count()
    }

    /// Receives for this time, or until the connection has ended.
    fn receive_for(&mut self, time: Duration) -> io::Result<()> {
        let deadline = Instant::now() + time;
        while self.receive(deadline)? {}
        Ok(())
    }

    /// Receives once, and reads the responses that are complete. Returns false if nothing came.
    fn receive(&mut self, deadline: Instant) -> io::Result<bool> {
        let before = self.connection.received.len();
        if !self.connection.receive(deadline) {
            return Ok(false);
        }
        let now = Instant::now();
        let new = &self.connection.received[before..];
        if !new.is_empty() {
            self.first_byte_at.get_or_insert(now);
        }
        if self.prints {
            io::stdout().write_all(new)?;
            io::stdout().flush()?;
        }
        while self.malformed.is_none() {
            let request = self.requests.get(self.answered()).copied().unwrap_or_default();
            match self.connection.next_response(request) {
                Ok(Some(response)) => self.responses.push((response, now)),
                Ok(None) => break,
                Err(error) => self.malformed = Some(error),
            }
        }
        Ok(true)
    }

    /// The time since the last piece was sent; zero for what came before that.
    fn since_sent(&self, at: Instant) -> String {
        show(at.saturating_duration_since(self.sent_at))
    }

    /// How the connection ended, as the end of a sentence.
    fn end(&self) -> &'static str {
        match self.connection.end {
            ConnectionEnd::Open => "left open by the server",
            ConnectionEnd::Closed => "closed by the server",
            ConnectionEnd::Reset => "reset by the server",
        }
    }
}
