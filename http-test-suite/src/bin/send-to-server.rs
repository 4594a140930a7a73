//! Sends bytes to a server as they are, and shows what comes back: for a look at a single exchange, and for requests that
//! no client would write.
//!
//! It never corrects anything unless told to. Replies are read by the same strict reader as in the suite, and only to
//! know when to leave and what to explain: without `--explain`, what comes is printed byte for byte.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use http_test_suite::escape;
use http_test_suite::reply::{self, Asked, Framing, Reply};
use http_test_suite::wire::{End, Patience, Wire};

#[path = "load-test/duration.rs"]
mod duration;

use duration::show;

/// How long to stay, once all replies are in, to see whether the server says more or closes.
const QUIET: Duration = Duration::from_millis(100);

/// Sends a request to a server, just as it is written, and prints what comes back.
///
/// In REQUEST, \r \n \t \0 \\ and \xHH stand for bytes, so single quotes are best:
///
///     send-to-server localhost 8080 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
///     send-to-server localhost 8080 --complete 'GET / HTTP/1.1'
///
/// A file and standard input are taken as they are, without escapes. It leaves a moment after the last reply is in:
/// as many as there are lines in the request that end with HTTP/1.0 or HTTP/1.1, one at least.
///
/// Exit codes: 0 all replies came, and were well-formed; 1 they did not, or were not; 2 wrong usage, or the server cannot
/// be reached.
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// Name or address
    host: String,

    /// Port
    port: u16,

    /// What to send; without it and --file, what standard input has
    request: Option<String>,

    /// The file with what to send; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "request")]
    file: Option<PathBuf>,

    /// Adds what a request lacks: CRLF line ends in its head, the empty line, Host, Content-Length
    #[arg(long)]
    complete: bool,

    /// Sends in pieces: a number of them, all of one length; or their lengths, as 3,1,10, and the rest behind them
    #[arg(long, value_name = "N|LENGTHS", value_parser = pieces)]
    pieces: Option<Pieces>,

    /// How long to wait from piece to piece
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration::parse)]
    pause: Duration,

    /// Tells what the parts of each reply are, instead of printing it
    #[arg(long)]
    explain: bool,

    /// How long to wait for more
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    timeout: Duration,
}

/// How to cut a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pieces {
    Count(usize),
    Lengths(Vec<usize>),
}

fn main() -> ExitCode {
    match act(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("send-to-server: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all replies came, and were well-formed.
fn act(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let request = arguments.bytes()?;
    let whole = Pieces::Count(1);
    let pieces = cut(&request, arguments.pieces.as_ref().unwrap_or(&whole));
    let mut talk = Talk::begin(dial(arguments)?, asked(&request), arguments);
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            talk.listen(Instant::now() + arguments.pause)?;
        }
        talk.wire.send(piece);
    }
    talk.sent = Instant::now();
    let well = talk.hear(arguments.timeout)?;
    if arguments.explain {
        let count = pieces.len();
        println!("sent {} of {} bytes in {count} pieces\n", talk.wire.sent.len(), request.len());
        talk.explain();
    }
    if !well {
        eprintln!("send-to-server: {}", talk.complaint());
    }
    Ok(well)
}

impl Arguments {
    /// What to send.
    fn bytes(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let stdin = PathBuf::from("-");
        let bytes = match (&self.request, self.file.as_ref().unwrap_or(&stdin)) {
            (Some(text), _) => unescape(text)?,
            (None, file) if *file == stdin => {
                let mut bytes = Vec::new();
                io::stdin().read_to_end(&mut bytes)?;
                bytes
            }
            (None, file) => fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?,
        };
        Ok(if self.complete { complete(&bytes, &self.host, self.port) } else { bytes })
    }
}

fn dial(arguments: &Arguments) -> Result<Wire, String> {
    let server = format!("{}:{}", arguments.host, arguments.port);
    let patience = Patience { timeout: arguments.timeout, quiet: QUIET };
    let addresses = (arguments.host.as_str(), arguments.port).to_socket_addrs();
    let mut why = "no address".to_owned();
    for address in addresses.map_err(|error| format!("{server}: {error}"))? {
        match Wire::dial(address, patience) {
            Ok(wire) => return Ok(wire),
            Err(error) => why = error.to_string(),
        }
    }
    Err(format!("{server}: {why}"))
}

/// A connection, and what is known of the replies on it.
struct Talk {
    wire: Wire,
    /// Whether what comes is printed as it comes.
    raw: bool,
    /// For each reply that is due, what it depends on.
    asked: Vec<Asked>,
    /// Since then nothing more was sent.
    sent: Instant,
    /// Replies in the order in which they came, interim ones too, each with its length in bytes.
    replies: Vec<(Reply, usize, Instant)>,
    /// How many of the received bytes those are.
    read: usize,
    /// Why the received bytes could not be read to their end.
    broken: Option<String>,
    first_byte: Option<Instant>,
}

impl Talk {
    fn begin(wire: Wire, asked: Vec<Asked>, arguments: &Arguments) -> Talk {
        Talk {
            wire,
            raw: !arguments.explain,
            asked,
            sent: Instant::now(),
            replies: Vec::new(),
            read: 0,
            broken: None,
            first_byte: None,
        }
    }

    /// Final replies that came. 101 is final here: what follows it is no HTTP/1.1.
    fn answered(&self) -> usize {
        self.replies.iter().filter(|(reply, ..)| reply.status >= 200 || reply.status == 101).count()
    }

    fn is_answered(&self) -> bool {
        self.answered() >= self.asked.len() || self.broken.is_some()
    }

    /// Waits for the replies, each time anew for more of them, and then a moment for the end. Whether they came.
    fn hear(&mut self, timeout: Duration) -> io::Result<bool> {
        while !self.is_answered() && self.receive(Instant::now() + timeout)? {}
        self.listen(Instant::now() + QUIET)?;
        Ok(self.answered() >= self.asked.len() && self.broken.is_none())
    }

    /// Takes what comes until then.
    fn listen(&mut self, until: Instant) -> io::Result<()> {
        while self.receive(until)? {}
        // An ended connection makes no wait; a pause lasts nevertheless.
        if self.wire.end != End::Open && !self.is_answered() {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// Takes what comes next. False if that is nothing.
    fn receive(&mut self, deadline: Instant) -> io::Result<bool> {
        let before = self.wire.received.len();
        if !self.wire.receive(deadline) {
            return Ok(false);
        }
        let now = Instant::now();
        let new = &self.wire.received[before..];
        if !new.is_empty() {
            self.first_byte.get_or_insert(now);
        }
        if self.raw {
            io::stdout().write_all(new)?;
            io::stdout().flush()?;
        }
        self.read(now);
        Ok(true)
    }

    /// Reads whatever replies are complete.
    fn read(&mut self, now: Instant) {
        let ended = self.wire.end != End::Open;
        while self.broken.is_none() && self.read < self.wire.received.len() {
            let asked = self.asked.get(self.answered()).copied().unwrap_or_default();
            match reply::read(&self.wire.received[self.read..], asked, ended) {
                Ok(Some((reply, len))) => {
                    self.replies.push((reply, len, now));
                    self.read += len;
                }
                Ok(None) => return,
                Err(why) => self.broken = Some(why),
            }
        }
    }

    fn explain(&self) {
        for (reply, len, at) in &self.replies {
            println!("{} after {}", reply.describe(), show(*at - self.sent.min(*at)));
            let (major, minor) = reply.version;
            println!("  version   HTTP/{major}.{minor}");
            for (name, value) in &reply.fields {
                println!("  field     {name}: {value}");
            }
            let delimited = match reply.framing {
                Framing::None => "there is none behind such a reply",
                Framing::Length => "delimited by Content-Length",
                Framing::Chunked => "delimited by its chunks",
                Framing::UntilClose => "delimited by the end of the connection",
            };
            println!("  content   {} bytes, {delimited}", reply.body.len());
            if !reply.body.is_empty() {
                println!("            {}", escape::line(&reply.body, 60));
            }
            for (name, value) in &reply.trailers {
                println!("  trailer   {name}: {value}");
            }
            println!("  in all    {len} bytes\n");
        }
        let unread = &self.wire.received[self.read..];
        if !unread.is_empty() {
            println!("{} bytes more: {}\n", unread.len(), escape::line(unread, 200));
        }
        let first = self.first_byte.map(|at| show(at - self.sent.min(at)));
        println!("first byte  {}", first.unwrap_or_else(|| "none".into()));
        println!("connection  {}", self.end());
    }

    fn end(&self) -> &'static str {
        match self.wire.end {
            End::Open => "left open by the server",
            End::Closed => "closed by the server",
            End::Reset => "reset by the server",
        }
    }

    /// What is wrong, if not all is well.
    fn complaint(&self) -> String {
        let (answered, due) = (self.answered(), self.asked.len());
        let missing = || format!("{answered} of {due} replies came; the connection was {}", self.end());
        self.broken.clone().unwrap_or_else(missing)
    }
}

/// What the replies depend on: for each request line in sight, its method and version.
fn asked(request: &[u8]) -> Vec<Asked> {
    let lines = request.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let asked = lines.filter_map(|line| {
        let http10 = line.ends_with(b" HTTP/1.0");
        (http10 || line.ends_with(b" HTTP/1.1")).then(|| Asked { head: line.starts_with(b"HEAD "), http10 })
    });
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() { vec![Asked::default()] } else { asked }
}

/// Adds to a request what it lacks. Content is left as it is.
fn complete(request: &[u8], host: &str, port: u16) -> Vec<u8> {
    let (mut head, mut rest) = (Vec::new(), request);
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        let line = rest[..end].trim_ascii_end();
        rest = &rest[end..];
        if line.is_empty() {
            break;
        }
        head.push(line.to_vec());
    }
    let has = |name: &str| {
        head.iter().skip(1).any(|line| {
            line.split(|&byte| byte == b':').next().is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let host = (!has("Host")).then(|| format!("Host: {host}:{port}"));
    let framed = rest.is_empty() || has("Content-Length") || has("Transfer-Encoding");
    let length = (!framed).then(|| format!("Content-Length: {}", rest.len()));
    head.extend([host, length].into_iter().flatten().map(String::into_bytes));
    head.push(Vec::new());
    let mut whole: Vec<u8> =
        head.iter().flat_map(|line| [line.as_slice(), b"\r\n"]).flatten().copied().collect();
    whole.extend(rest);
    whole
}

/// Takes the escapes in `text` for the bytes they stand for.
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
            Some(b'x') => (hex().ok_or("two hexadecimal digits have to follow \\x")?, 3),
            _ => return Err(format!("\\{escaped}: no escape; a backslash is \\\\")),
        };
        bytes.push(byte);
        rest = &escaped[len..];
    }
    bytes.extend(rest.bytes());
    Ok(bytes)
}

fn pieces(text: &str) -> Result<Pieces, String> {
    let numbers: Option<Vec<usize>> =
        text.split(',').map(|number| number.parse().ok().filter(|&number| number > 0)).collect();
    match numbers.ok_or("numbers from 1, with commas between them")?.as_slice() {
        [count] => Ok(Pieces::Count(*count)),
        lengths => Ok(Pieces::Lengths(lengths.to_vec())),
    }
}

fn cut<'a>(request: &'a [u8], pieces: &Pieces) -> Vec<&'a [u8]> {
    let lengths = match pieces {
        Pieces::Count(count) => {
            return request.chunks(request.len().div_ceil(*count).max(1)).collect();
        }
        Pieces::Lengths(lengths) => lengths,
    };
    let mut rest = request;
    let mut cut = Vec::new();
    for length in lengths {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        cut.push(piece);
        rest = behind;
    }
    cut.push(rest);
    cut.retain(|piece| !piece.is_empty());
    cut
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
            assert_eq!(complete(&whole, "h", 80), whole, "nothing is missing now");
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
        let check = |text, expected: &[&str]| {
            let pieces = pieces(text).unwrap();
            let actual = cut(b"abcdefg", &pieces);
            assert_eq!(actual, expected.iter().map(|piece| piece.as_bytes()).collect::<Vec<_>>(), "{text}");
        };
        check("1", &["abcdefg"]);
        check("3", &["abc", "def", "g"]);
        check("99", &["a", "b", "c", "d", "e", "f", "g"]);
        check("3,1", &["abc", "d", "efg"]);
        check("3,9,9", &["abc", "defg"]);
        for text in ["", "0", "a", "1,", "1,0"] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_what_is_asked() {
        let check = |request: &str, expected: &[(bool, bool)]| {
            let actual: Vec<_> =
                asked(request.as_bytes()).iter().map(|asked| (asked.head, asked.http10)).collect();
            assert_eq!(actual, expected, "{request}");
        };
        check("HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.0\n\n", &[(true, false), (false, true)]);
        check("rubbish", &[(false, false)]);
    }
}
