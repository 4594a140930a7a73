//! Sends bytes to a server as they are, and shows what comes back: to look at a single exchange, and for requests that
//! no client would write.
//!
//! It sends bytes unchanged unless `--complete` is given. The suite's strict reader finds the end of the responses, and
//! their parts for `--explain`; without that option they are printed byte for byte.

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use http_test_suite::connection::{Connection, ConnectionEnd};
use http_test_suite::duration;
use http_test_suite::exchange::Exchange;
use http_test_suite::reader::{BodyFraming, preview};
use http_test_suite::request::first_request;
use http_test_suite::response::Response;

/// How long to wait after the last response for further bytes or the end of the connection.
const QUIET: Duration = Duration::from_millis(100);

/// Sends a request to a server, exactly as it is written, and prints what comes back.
///
/// In REQUEST, \r \n \t \0 \\ and \xHH stand for bytes, so single quotes are best:
///
///   send-to-server localhost 8080 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
///   send-to-server localhost 8080 --complete 'GET / HTTP/1.1'
///
/// A file and standard input are sent unchanged, without escapes. It expects a response for each line of the request
/// that ends with HTTP/ and a version, at least one, and closes a moment after the last response.
///
/// Exit codes: 0 all responses came, and were well-formed; 1 a response is missing or malformed; 2 wrong usage, or the
/// server cannot be reached.
#[derive(Parser)]
#[command(name = "send-to-server", version, verbatim_doc_comment)]
struct Arguments {
    /// Name or address of the server
    host: String,

    /// Port of the server
    port: u16,

    /// The bytes to send; without it and --file, standard input is sent
    request: Option<String>,

    /// Send the content of this file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "request")]
    file: Option<PathBuf>,

    /// Add what the request lacks: CRLF line ends in its head, the empty line, Host, Content-Length
    #[arg(long)]
    complete: bool,

    /// Send in pieces: a number of pieces of equal length; or their lengths, as in 3,1,10, and then the rest
    #[arg(long, value_name = "N|LENGTHS", value_delimiter = ',')]
    pieces: Vec<NonZeroUsize>,

    /// Pause between two pieces, such as 500ms or 2s
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration::parse)]
    pause: Duration,

    /// Print the parts of each response and when it came, instead of its bytes
    #[arg(long)]
    explain: bool,

    /// Timeout for connecting, and for the next bytes of a response
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    timeout: Duration,
}

/// Runs the program. A closed pipe on standard output is not an error.
fn main() -> ExitCode {
    let is_closed_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match execute(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) if error.downcast_ref().is_some_and(is_closed_pipe) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("send-to-server: {error}");
            ExitCode::from(2)
        }
    }
}

/// Sends the request, and prints or explains the responses. Returns false if a response is missing or malformed.
fn execute(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let request = arguments.bytes()?;
    let pieces = cut(&request, &arguments.pieces);
    let mut session = Session {
        connection: arguments.connect()?,
        exchange: Exchange { expected_responses: expected_responses(&request), ..Exchange::default() },
        prints: !arguments.explain,
        first_byte_at: None,
        complete_at: Vec::new(),
    };
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            session.receive_for(arguments.pause)?;
        }
        session.connection.send(piece);
    }
    let sent_at = Instant::now();
    while session.awaits_response() && session.receive(Instant::now() + arguments.timeout)? {}
    session.receive_for(QUIET)?;
    if arguments.explain {
        let lengths: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
        let mut out = io::stdout().lock();
        let (sent, all) = (session.connection.sent.len(), request.len());
        writeln!(out, "sent {sent} of {all} bytes in pieces of {lengths:?}\n")?;
        session.explain(&mut out, sent_at)?;
    }
    let problem = session.problem();
    if let Some(problem) = &problem {
        eprintln!("send-to-server: {problem}");
    }
    Ok(problem.is_none())
}

impl Arguments {
    /// The bytes to send, from the argument, the file or standard input; with `--complete`, completed.
    fn bytes(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let bytes = match (&self.request, self.file.as_deref().unwrap_or(Path::new("-"))) {
            (Some(text), _) => unescape(text)?,
            (None, file) if file == Path::new("-") => {
                let mut bytes = Vec::new();
                io::stdin().read_to_end(&mut bytes)?;
                bytes
            }
            (None, file) => {
                fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?
            }
        };
        Ok(if self.complete { complete(&bytes, &self.host, self.port) } else { bytes })
    }

    /// Connects to the first address of the host that accepts the connection.
    fn connect(&self) -> Result<Connection, String> {
        let server = format!("{}:{}", self.host, self.port);
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        let mut cause = "the name has no address".to_owned();
        for address in addresses.map_err(|error| format!("cannot resolve {server}: {error}"))? {
            match Connection::connect(address, self.timeout) {
                Ok(connection) => return Ok(connection),
                Err(error) => cause = error.to_string(),
            }
        }
        Err(format!("cannot connect to {server}: {cause}"))
    }
}

/// A connection to the server, the responses on it, and when they came.
struct Session {
    /// The connection, with the bytes sent and received.
    connection: Connection,
    /// The responses, and how many final ones are expected.
    exchange: Exchange,
    /// Whether to print received bytes as soon as they arrive.
    prints: bool,
    /// When the first byte was received; `None` if none was.
    first_byte_at: Option<Instant>,
    /// When each response was complete, interim ones included.
    complete_at: Vec<Instant>,
}

impl Session {
    /// Whether an expected response has not come, and no response was malformed.
    fn awaits_response(&self) -> bool {
        let Exchange { responses, expected_responses, malformed, .. } = &self.exchange;
        malformed.is_none() && responses.len() < *expected_responses
    }

    /// All complete responses in order, interim ones included.
    fn responses(&self) -> impl Iterator<Item = &Response> {
        self.exchange.all_responses().chain(&self.exchange.interim)
    }

    /// Receives for this time, or until the connection has ended.
    fn receive_for(&mut self, time: Duration) -> io::Result<()> {
        let deadline = Instant::now() + time;
        while self.receive(deadline)? {}
        Ok(())
    }

    /// Receives once, prints the bytes unless they are to be explained, and reads the responses that are complete.
    /// Returns false if nothing came before the deadline.
    fn receive(&mut self, deadline: Instant) -> io::Result<bool> {
        let before = self.connection.received.len();
        let has_come = self.exchange.receive(&mut self.connection, deadline);
        let (new, now) = (&self.connection.received[before..], Instant::now());
        if !new.is_empty() {
            self.first_byte_at.get_or_insert(now);
        }
        if self.prints {
            io::stdout().write_all(new)?;
            io::stdout().flush()?;
        }
        let complete = self.responses().count();
        self.complete_at.resize(complete, now);
        Ok(has_come)
    }

    /// Describes the malformed response or the missing responses, if there are any.
    fn problem(&self) -> Option<String> {
        let (came, expected) = (self.exchange.responses.len(), self.exchange.expected_responses);
        let missing = || format!("{came} of {expected} responses came; the connection was {}", self.end());
        self.exchange.malformed.clone().or_else(|| (came < expected).then(missing))
    }

    /// Writes the parts of each response to `out`. Times count from `sent_at`, and are zero for what came before.
    fn explain(&self, out: &mut impl Write, sent_at: Instant) -> io::Result<()> {
        let after = |at: &Instant| format!("after {}", duration::show(at.saturating_duration_since(sent_at)));
        for (response, at) in self.responses().zip(&self.complete_at) {
            let (major, minor) = response.version;
            writeln!(out, "{}, complete {}", response.describe(), after(at))?;
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
        let first = self.first_byte_at.as_ref().map_or("none".to_owned(), after);
        writeln!(out, "first byte  {first}\nconnection  {}", self.end())
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

/// The number of responses to wait for: one for each request line in the request, at least one.
fn expected_responses(request: &[u8]) -> usize {
    let (mut count, mut rest) = (0, request);
    while let Some((_, len)) = first_request(rest) {
        count += 1;
        rest = &rest[len..];
    }
    count.max(1)
}

/// Adds what a request lacks: CRLF line ends in its head, the empty line, Host, and Content-Length. The body stays
/// unchanged.
fn complete(request: &[u8], host: &str, port: u16) -> Vec<u8> {
    let mut lines = request.split_inclusive(|&byte| byte == b'\n');
    let head = lines.by_ref().map(|line| line.trim_ascii_end().to_vec()).take_while(|line| !line.is_empty());
    let mut head: Vec<Vec<u8>> = head.collect();
    let body = lines.collect::<Vec<_>>().concat();
    let has = |name: &str| {
        head.iter().skip(1).any(|line| {
            line.split(|&byte| byte == b':').next().is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let host = (!has("Host")).then(|| format!("Host: {host}:{port}"));
    let framed = body.is_empty() || has("Content-Length") || has("Transfer-Encoding");
    let length = (!framed).then(|| format!("Content-Length: {}", body.len()));
    head.extend([host, length].into_iter().flatten().map(String::into_bytes));
    [head.join(&b"\r\n"[..]), b"\r\n\r\n".to_vec(), body].concat()
}

/// Replaces the escapes in `text`, such as `\r` and `\x0d`, with the bytes that they stand for.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend(plain.bytes());
        let hex = || escaped.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (byte, len) = match escaped.as_bytes().first() {
            Some(b'r') => (b'\r', 1),
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'0') => (0, 1),
            Some(b'\\') => (b'\\', 1),
            Some(b'x') => (hex().ok_or("two hexadecimal digits must follow \\x")?, 3),
            _ => return Err(format!("\\{escaped} is not an escape; write \\\\ for a backslash")),
        };
        bytes.push(byte);
        rest = &escaped[len..];
    }
    bytes.extend(rest.bytes());
    Ok(bytes)
}

/// Cuts the request into pieces, none of them empty. No number makes one piece; one number makes so many pieces of
/// equal length; several make pieces of these lengths, and one of the rest.
fn cut<'a>(request: &'a [u8], numbers: &[NonZeroUsize]) -> Vec<&'a [u8]> {
    if let [count] = numbers {
        return request.chunks(request.len().div_ceil(count.get()).max(1)).collect();
    }
    let mut rest = request;
    let mut pieces = Vec::new();
    for length in numbers {
        let (piece, after) = rest.split_at(length.get().min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_escapes_for_bytes() {
        let check =
            |text, expected: Option<&[u8]>| assert_eq!(unescape(text).ok().as_deref(), expected, "{text}");
        check(r"a\r\n\t\0\\b\xfF é", Some(b"a\r\n\t\0\\b\xff \xc3\xa9"));
        check(r"\\r", Some(b"\\r"));
        for text in [r"\", r"\q", r"\x1", r"\xzz", r"\xé"] {
            check(text, None);
        }
    }

    #[test]
    fn completes_what_is_missing() {
        let check = |request: &str, expected: &str| {
            let whole = complete(request.as_bytes(), "h", 80);
            assert_eq!(String::from_utf8_lossy(&whole), expected);
            assert_eq!(complete(&whole, "h", 80), whole, "a complete request stays unchanged");
        };
        check("GET / HTTP/1.1", "GET / HTTP/1.1\r\nHost: h:80\r\n\r\n");
        check("GET / HTTP/1.1\nhost: a\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        check("POST / HTTP/1.1\n\na\nb", "POST / HTTP/1.1\r\nHost: h:80\r\nContent-Length: 3\r\n\r\na\nb");
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        check(chunked, chunked);
        assert!(complete(b"GET / HTTP/1.1", "::1", 80).windows(13).any(|part| part == b"Host: [::1]:8"));
    }

    #[test]
    fn cuts_into_pieces() {
        for (numbers, expected) in [
            (&[][..], &["abcdefg"][..]),
            (&[1], &["abcdefg"]),
            (&[3], &["abc", "def", "g"]),
            (&[99], &["a", "b", "c", "d", "e", "f", "g"]),
            (&[3, 1], &["abc", "d", "efg"]),
            (&[3, 9, 9], &["abc", "defg"]),
        ] {
            let numbers: Vec<_> = numbers.iter().filter_map(|&number| NonZeroUsize::new(number)).collect();
            let expected: Vec<_> = expected.iter().map(|piece| piece.as_bytes()).collect();
            assert_eq!(cut(b"abcdefg", &numbers), expected, "{numbers:?}");
        }
    }
}
