//! Runs the script of a case on one connection, and records what happened.
//!
//! [`run_script`] sends what a case says, and returns an [`Exchange`]. It does not judge: [`rules`](crate::rules) and
//! [`expect`](crate::expect) do that, by looking at the exchange.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Connection, ConnectionEnd};
use crate::request::CLOSING_REQUEST;
use crate::response::Response;

/// The pause after each byte of [`Step::SendBytewise`].
const BYTE_PAUSE: Duration = Duration::from_millis(1);

/// The timeouts with which a script runs.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// The timeout for connecting, for each write, and for each wait for responses.
    pub response: Duration,
    /// How long to wait for unexpected bytes before assuming that none will come.
    pub quiet: Duration,
}

impl Default for Timeouts {
    /// Five seconds for a response, and 250 ms for unexpected bytes.
    fn default() -> Self {
        Timeouts { response: Duration::from_secs(5), quiet: Duration::from_millis(250) }
    }
}

/// One step of a script: what the client sends, or what it waits for.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes with one write.
    Send(Vec<u8>),
    /// Sends these bytes one by one, a millisecond apart.
    SendBytewise(Vec<u8>),
    /// Waits this long before the next step.
    Pause(Duration),
    /// Waits until this many final responses have arrived, counted from the start.
    AwaitResponses(usize),
    /// Waits for an interim response, or for one more final response.
    AwaitContinue,
    /// Closes the client's sending side of the connection.
    HalfClose,
}

/// How the client ends the connection after the expected responses. If the expectations of a case require several, the
/// last in this order applies. After `Connection: close`, all but `Close` wait for the server to close; without the
/// expected responses, the client closes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Closes at once, without waiting for the server.
    Close,
    /// Waits a moment for one more response, which must not come; if none comes and the connection is open, sends the
    /// closing request. Only [`not_served`](crate::expect::not_served) uses it.
    Quiet,
    /// Waits until the server closes, or the timeout for a response expires.
    AwaitClose,
    /// Sends [`CLOSING_REQUEST`] as one more request: its response proves that the connection is open, and unexpected
    /// bytes before that response are found.
    ClosingRequest,
}

/// What happened on one connection: the bytes, the responses, and the end. `Default` is a connection without any
/// events.
#[derive(Debug, Default)]
pub struct Exchange {
    /// All bytes that could be sent, the closing request included.
    pub sent: Vec<u8>,
    /// All bytes received from the server.
    pub received: Vec<u8>,
    /// The final responses, without the response to the closing request.
    pub responses: Vec<Response>,
    /// The number of final responses that the case expects.
    pub expected_responses: usize,
    /// The response to the closing request, if one came.
    pub closing_response: Option<Response>,
    /// What is wrong with the received bytes, if a response is malformed or incomplete.
    pub malformed: Option<String>,
    /// Whether a step of the script waited for a response that did not come before the timeout or the end of the
    /// connection.
    pub timed_out: bool,
    /// The interim responses that have come for a final response that has not.
    pub interim: Vec<Response>,
    /// How the server ended its side of the connection.
    pub end: ConnectionEnd,
    /// Whether the client closed at once ([`Ending::Close`]), so that the server had no time to close first.
    pub client_closed: bool,
    /// The response to the request that the case sent first, on a connection of its own: see
    /// [`Case::after`](crate::case::Case::after).
    pub prior: Option<Response>,
}

impl Exchange {
    /// All complete final responses in order, that to the closing request included, each after its interim responses.
    pub fn all_responses(&self) -> impl Iterator<Item = &Response> {
        let finals = self.responses.iter().chain(&self.closing_response);
        finals.flat_map(|response| response.interim.iter().chain([response]))
    }

    /// Says that final response number `index` (the first is 0) did not come: `no response within the timeout`.
    pub fn absence(&self, index: usize) -> String {
        let end = match self.end {
            ConnectionEnd::Open => "within the timeout",
            ConnectionEnd::Closed => "before the connection closed",
            ConnectionEnd::Reset => "before the connection was reset",
        };
        match (index, self.responses.len()) {
            (0, _) => format!("no response {end}"),
            (_, 0) => format!("no response at all {end}"),
            (_, count) => format!("only {count} of {} responses {end}", index + 1),
        }
    }

    /// Receives once, and stores the responses that are then complete, each read as the response to its own request.
    /// Returns false if nothing came before the deadline.
    pub fn receive(&mut self, connection: &mut Connection, deadline: Instant) -> bool {
        if !connection.receive(deadline) {
            return false;
        }
        while self.malformed.is_none() {
            match connection.next_response() {
                Ok(Some(mut response)) if response.is_final() => {
                    response.interim = std::mem::take(&mut self.interim);
                    self.responses.push(response);
                }
                Ok(Some(response)) => self.interim.push(response),
                Ok(None) => break,
                Err(error) => self.malformed = Some(error),
            }
        }
        true
    }
}

/// Connects to the server, runs `script`, waits for this number of final responses, ends the connection as `ending`
/// says, and returns what happened.
///
/// # Errors
///
/// If the connection cannot be made.
pub fn run_script(
    server: SocketAddr,
    timeouts: Timeouts,
    script: &[Step],
    expected_responses: usize,
    ending: Ending,
) -> io::Result<Exchange> {
    let exchange = Exchange { expected_responses, ..Exchange::default() };
    let connection = Connection::connect(server, timeouts.response)?;
    let mut run = ScriptRun { connection, timeouts, exchange };
    for step in script {
        run.step(step);
    }
    run.receive_until(timeouts.response, |exchange| exchange.responses.len() >= expected_responses);
    run.end(ending);
    Ok(run.into_exchange())
}

/// A script that is being run on a connection.
struct ScriptRun {
    /// The connection that the script sends on.
    connection: Connection,
    /// The timeouts of the script's waits.
    timeouts: Timeouts,
    /// What has happened so far; [`ScriptRun::into_exchange`] sets `sent`, `received` and `end`.
    exchange: Exchange,
}

impl ScriptRun {
    /// Runs one step: sends, waits, or closes the sending side.
    fn step(&mut self, step: &Step) {
        match step {
            Step::Send(bytes) => self.connection.send(bytes),
            Step::SendBytewise(bytes) => {
                for byte in bytes {
                    self.connection.send(&[*byte]);
                    thread::sleep(BYTE_PAUSE);
                }
            }
            Step::Pause(time) => thread::sleep(*time),
            Step::AwaitResponses(count) => self.wait_for(|exchange| exchange.responses.len() >= *count),
            Step::AwaitContinue => {
                let before = self.exchange.responses.len();
                self.wait_for(|exchange| !exchange.interim.is_empty() || exchange.responses.len() > before);
            }
            Step::HalfClose => self.connection.half_close(),
        }
    }

    /// Receives until `is_met` is true; sets `timed_out` if the timeout expires or the connection ends first.
    fn wait_for(&mut self, is_met: impl Fn(&Exchange) -> bool) {
        self.receive_until(self.timeouts.response, &is_met);
        self.exchange.timed_out |= !is_met(&self.exchange);
    }

    /// Ends the connection after the expected responses, as `ending` says.
    fn end(&mut self, ending: Ending) {
        let expected = self.exchange.expected_responses;
        let closes = self.exchange.responses.last().is_some_and(|last| last.lists("Connection", "close"));
        match ending {
            Ending::Close => self.exchange.client_closed = true,
            // A server that has not sent the expected responses in time will not answer another request either.
            _ if self.exchange.responses.len() < expected => {}
            _ if closes || self.connection.is_write_closed => self.receive_for(self.timeouts.response),
            Ending::AwaitClose => self.receive_for(self.timeouts.response),
            Ending::ClosingRequest => self.send_closing_request(),
            Ending::Quiet => {
                self.receive_for(self.timeouts.quiet);
                if self.connection.end == ConnectionEnd::Open && self.exchange.responses.len() == expected {
                    self.send_closing_request();
                }
            }
        }
    }

    /// Sends the closing request, and waits for its response and for bytes after it. Stores its response apart from the
    /// others.
    fn send_closing_request(&mut self) {
        let expected = self.exchange.expected_responses;
        self.connection.send(CLOSING_REQUEST.as_bytes());
        self.receive_until(self.timeouts.response, |exchange| exchange.responses.len() > expected);
        self.receive_for(self.timeouts.quiet);
        if self.exchange.responses.len() > expected {
            self.exchange.closing_response = self.exchange.responses.pop();
        }
    }

    /// Receives for this time, or until the connection ends or a response is malformed.
    fn receive_for(&mut self, time: Duration) {
        self.receive_until(time, |_| false);
    }

    /// Receives until `is_met` is true, the connection ends, a response is malformed, or the timeout expires.
    fn receive_until(&mut self, timeout: Duration, is_met: impl Fn(&Exchange) -> bool) {
        let deadline = Instant::now() + timeout;
        while !is_met(&self.exchange)
            && self.exchange.malformed.is_none()
            && self.exchange.receive(&mut self.connection, deadline)
        {}
    }

    /// Returns what happened. Bytes that are no complete response make it malformed.
    fn into_exchange(mut self) -> Exchange {
        let mut exchange = self.exchange;
        if exchange.malformed.is_none() && !self.connection.unread().is_empty() {
            exchange.malformed = Some("a response that was not complete when the timeout expired".into());
        }
        exchange.sent = std::mem::take(&mut self.connection.sent);
        exchange.received = std::mem::take(&mut self.connection.received);
        // The server's kernel answers unread bytes with a reset, even if the end of the stream was read before.
        exchange.end =
            if self.connection.is_write_reset { ConnectionEnd::Reset } else { self.connection.end };
        exchange
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::reader::RequestKind;

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const LAST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    const GET: &str = "GET / HTTP/1.1\r\n\r\n";

    /// Runs the script against a server that reads once before it sends each of `outputs`, and then closes.
    fn run(outputs: &[&str], script: &[Step], expected_responses: usize, ending: Ending) -> Exchange {
        let timeouts = Timeouts { response: Duration::from_secs(5), quiet: Duration::from_millis(50) };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                for output in outputs {
                    drop(stream.read(&mut [0; 4096]));
                    drop(stream.write_all(output.as_bytes()));
                }
            });
            run_script(server, timeouts, script, expected_responses, ending).unwrap()
        })
    }

    fn send(text: &str) -> Step {
        Step::Send(text.into())
    }

    #[test]
    fn sends_a_closing_request_on_an_open_connection() {
        let exchange = run(&[OK, LAST], &[send(GET)], 1, Ending::ClosingRequest);
        assert_eq!(exchange.responses.len(), 1);
        assert_eq!((exchange.end, exchange.malformed), (ConnectionEnd::Closed, None));
        assert!(exchange.closing_response.is_some());
        let exchange = run(&[&format!("{OK}{OK}"), LAST], &[send(GET)], 1, Ending::ClosingRequest);
        assert_eq!((exchange.responses.len(), exchange.closing_response.is_some()), (2, true));
    }

    #[test]
    fn reads_each_response_by_its_own_request() {
        let script = [send("HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n")];
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let exchange = run(&[&format!("{interim}{head}{LAST}")], &script, 2, Ending::AwaitClose);
        let requests: Vec<_> = exchange.responses.iter().map(|response| response.request).collect();
        assert_eq!(requests, [RequestKind::HEAD, RequestKind { head: false, http10: true }]);
        let body = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let exchange = run(&[body], &[send("HEAD / HTTP/1.1\r\n\r\n")], 1, Ending::AwaitClose);
        assert!(exchange.malformed.unwrap().contains("hello"));
    }

    #[test]
    fn waits_for_interim_responses() {
        let script = [send(GET), Step::AwaitContinue, send("x")];
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let exchange = run(&[interim, LAST], &script, 1, Ending::AwaitClose);
        assert_eq!((exchange.responses[0].interim[0].status, exchange.timed_out), (100, false));
        assert!(!run(&[LAST], &script[..2], 1, Ending::AwaitClose).timed_out);
        assert!(run(&[""], &script[..2], 1, Ending::AwaitClose).timed_out);
    }

    #[test]
    fn describes_a_missing_response() {
        let exchange = run(&[OK], &[send(GET)], 2, Ending::AwaitClose);
        assert_eq!(exchange.absence(1), "only 1 of 2 responses before the connection closed");
        let exchange = run(&["HTTP/1.1 200 OK\r\n"], &[send(GET)], 1, Ending::AwaitClose);
        assert!(exchange.malformed.unwrap().contains("ended inside the head"));
    }
}
