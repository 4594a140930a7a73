//! The clients of a soak: what each kind sends, what it must receive, how many there are, and how often they connect.
//! The load leaves some CPU time free on a machine with two cores, so that a slow response is the server's fault and
//! not the machine's.
//!
//! Most clients run a case of the conformance suite, so their responses must also follow the suite's rules for all
//! responses. Clients that must control how the socket is read or closed use it themselves.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use http_test_suite::case::{Case, must};
use http_test_suite::exchange::{Ending, Step, Timeouts, run_script};
use http_test_suite::expect::{Expectation, check_response, client_error, closes, header, nth, status};
use http_test_suite::reader::RequestKind;
use http_test_suite::report::Verdict;
use http_test_suite::request::{SMUGGLED, get, head};
use http_test_suite::response::Response;
use http_test_suite::runner::judge;
use serde::Serialize;

use super::documents::Document;
use super::operator::DEAD_DIR;

/// The timeout for connecting, for a write, and for a response, under the load of all clients.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most error messages that are kept for each kind of client; further failures are only counted.
const MESSAGES_MAX: usize = 3;

/// The number of requests on one keep-alive connection, and in one pipelined write.
const REQUESTS: usize = 12;

/// How long an idle client waits between its two requests.
const IDLE: Duration = Duration::from_secs(1);

/// A slow sender sends this many bytes, then waits this long; so a head takes more than a second.
const SLOW_SEND: (usize, Duration) = (4, Duration::from_millis(80));

/// A slow reader reads this many bytes, then waits this long: about 3 MB/s.
const SLOW_READ: (usize, Duration) = (16 * 1024, Duration::from_millis(5));

/// The first bytes of a TLS client hello (RFC 8446 §5.1).
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x00\xba\x01\x00\x00\xb6\x03\x03";

/// The length in bytes of a head that is larger than a server should accept.
const OVERSIZE: usize = 200_000;

/// Headers that make the length of the body ambiguous, so that the server must reject them (RFC 9112 §6.3).
const AMBIGUOUS_FRAMING: [&str; 5] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: -1\r\n",
    "Content-Length : 5\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
];

/// How long a client that leaves during a request waits before it closes.
const LEAVE_AFTER: Duration = Duration::from_millis(300);

/// A kind of client: a row of the table [`KINDS`].
struct Kind {
    /// The name of the kind in the table of results.
    name: &'static str,
    /// The number of simultaneous clients of the kind.
    clients: usize,
    /// Connections per second of all these clients together, if they are fast enough.
    per_second: f64,
    /// What a client of the kind does on each connection.
    behaviour: Behaviour,
}

/// What a client does on one connection.
enum Behaviour {
    /// The client runs a case of the conformance suite: it sends the script, and checks the expectations.
    TestCase(fn(&ClientTask<'_>) -> Case),
    /// The client reads and writes the socket itself. An error describes what the server did wrong.
    Socket(fn(&ClientTask<'_>) -> io::Result<()>),
}

use Behaviour::{Socket, TestCase};

/// Makes a row of the table [`KINDS`].
const fn kind(name: &'static str, clients: usize, per_second: f64, behaviour: Behaviour) -> Kind {
    Kind { name, clients, per_second, behaviour }
}

/// The kinds of clients of every soak. Each well-behaved client must receive exactly the bytes that it requested. The
/// server must reject a malformed request with 4xx, and then close.
const KINDS: &[Kind] = &[
    kind("keep-alive", 4, 20.0, TestCase(keeps_alive)),
    kind("pipelining", 2, 20.0, TestCase(pipelines)),
    kind("one request", 4, 60.0, TestCase(requests_once)),
    kind("download", 2, 2.0, TestCase(|task| get_next(case(), 0, task.longest()))),
    kind("HEAD", 1, 20.0, TestCase(requests_heads)),
    kind("ranges", 2, 20.0, TestCase(requests_ranges)),
    kind("conditional", 1, 20.0, TestCase(revalidates)),
    kind(
        "half-close",
        2,
        15.0,
        TestCase(|task| get_next(case(), 0, task.any()).half_close().expect(closes())),
    ),
    kind("idle", 40, 10.0, TestCase(idles)),
    kind("slow sender", 24, 12.0, TestCase(sends_slowly)),
    kind("slow reader", 6, 2.0, Socket(reads_slowly)),
    kind("garbage", 1, 15.0, TestCase(sends_garbage)),
    kind("TLS hello", 1, 15.0, TestCase(|_| rejected(malformed_hello()))),
    kind("bad handshake", 2, 15.0, Socket(breaks_handshake)),
    kind("too large", 1, 10.0, TestCase(sends_too_much)),
    kind("bad framing", 1, 15.0, TestCase(frames_ambiguously)),
    kind("reset download", 2, 20.0, Socket(|task| task.reset_after(&Vec::from(get(&task.longest().target))))),
    kind("reset request", 2, 20.0, Socket(resets_request)),
    kind("leaves early", 10, 20.0, Socket(|task| task.leave_after(b"GET / HTTP/1.1\r\nHost: te"))),
];

/// The kind of clients for a file system that never answers.
const DEAD_MOUNT: Kind = kind("dead mount", 2, 5.0, Socket(requests_from_dead_mount));

/// The kinds of clients of a soak.
fn kinds(has_dead_mount: bool) -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().chain(has_dead_mount.then_some(&DEAD_MOUNT))
}

/// The results of all clients of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientResults {
    /// The name of the kind of client, such as `slow sender`.
    pub name: &'static str,
    /// The number of connections on which the server did everything right.
    pub passed: u64,
    /// The number of connections on which the server did something wrong.
    pub failed: u64,
    /// What the server did wrong: the first messages, each only once.
    pub messages: Vec<String>,
}

impl ClientResults {
    /// Results of each kind of client before its first connection, in the order of [`kinds`].
    pub(super) fn of_all_kinds(has_dead_mount: bool) -> Vec<ClientResults> {
        let empty =
            |kind: &Kind| ClientResults { name: kind.name, passed: 0, failed: 0, messages: Vec::new() };
        kinds(has_dead_mount).map(empty).collect()
    }

    /// Counts the result of a connection, and keeps the message of an error if it is new.
    fn record(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(message) => {
                self.failed += 1;
                if self.messages.len() < MESSAGES_MAX && !self.messages.contains(&message) {
                    self.messages.push(message);
                }
            }
        }
    }
}

/// Runs all clients for `time`, each for at least one connection, and adds to the `results` of each kind. They connect
/// to `entry`: the server, or a tunnel to it. Returns when the last client has finished.
pub(super) fn run(
    entry: SocketAddr,
    server: SocketAddr,
    documents: &[Document],
    time: Duration,
    results: &mut [ClientResults],
) -> io::Result<()> {
    let start = Instant::now();
    let results: Vec<_> = results.iter_mut().map(Mutex::new).collect();
    thread::scope(|scope| {
        // The last kind has results only if the soak has it.
        for (kind, results) in kinds(true).zip(&results) {
            for number in 0..kind.clients {
                let first = ClientTask { entry, server, documents, number };
                let run = move || run_client(kind, first, start, time, results);
                thread::Builder::new().spawn_scoped(scope, run)?;
            }
        }
        Ok(())
    })
}

/// Runs one client: connections at even intervals, with another offset for each client of the kind. Late connections
/// are not made up for.
fn run_client(
    kind: &Kind,
    first: ClientTask<'_>,
    start: Instant,
    time: Duration,
    results: &Mutex<&mut ClientResults>,
) {
    let mut task = first;
    let interval = Duration::from_secs_f64(kind.clients as f64 / kind.per_second);
    let mut due = start + interval.mul_f64(first.number as f64 / kind.clients as f64).min(time);
    loop {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let result = match kind.behaviour {
            TestCase(case) => task.run(&case(&task)),
            Socket(socket) => socket(&task).map_err(|error| format!("connection failed: {error}")),
        };
        results.lock().unwrap_or_else(PoisonError::into_inner).record(result);
        task.number += kind.clients;
        due = (due + interval).max(Instant::now());
        if due >= start + time {
            return;
        }
    }
}

/// What one client has to do on one connection: with which server, and with which of its documents.
#[derive(Clone, Copy)]
struct ClientTask<'a> {
    /// The address to which the client connects: that of the server, or of a tunnel to it.
    entry: SocketAddr,
    /// The address of the server under test.
    server: SocketAddr,
    /// The documents that the server serves, at least one; the longest comes last.
    documents: &'a [Document],
    /// The number of the connection among those of its kind; it selects the document and the fault.
    number: usize,
}

impl<'a> ClientTask<'a> {
    /// The document of this task, of any length: tasks with successive numbers use all in turn.
    fn any(&self) -> &'a Document {
        &self.documents[self.number % self.documents.len()]
    }

    /// The small document of this task, or the `index`-th after it.
    fn small(&self, index: usize) -> &'a Document {
        let small = self.documents.partition_point(Document::is_small);
        &self.documents[(self.number + index) % small]
    }

    /// The longest document: larger than any socket buffer.
    fn longest(&self) -> &'a Document {
        &self.documents[self.documents.len() - 1]
    }

    /// Runs a case on a new connection. The client closes it, unless the server has to close it first.
    fn run(&self, case: &Case) -> Result<(), String> {
        let timeouts = Timeouts { response: TIMEOUT, quiet: Duration::ZERO };
        let run = |script: &[Step], responses, ending| {
            let exchange = run_script(self.entry, timeouts, script, responses, ending);
            exchange.map_err(|error| format!("cannot connect: {error}"))
        };
        let prior = match case.prior() {
            Some(request) => run(&[Step::Send(request)], 1, Ending::Close)?.responses.pop(),
            None => None,
        };
        let script = case.script(prior.as_ref()).ok_or("no response with the validators")?;
        let ending = if case.ending() == Ending::AwaitClose { Ending::AwaitClose } else { Ending::Close };
        let exchange = run(&script, case.expected_responses(), ending)?;
        match judge(case, &exchange) {
            Verdict::Failed { expected, actual } => Err(format!("expected {expected}, but it was {actual}")),
            Verdict::Skipped { .. } => Err("the case does not apply".to_owned()),
            Verdict::Passed => Ok(()),
        }
    }

    /// Connects to the server, with timeouts, and sends `bytes`.
    fn open(&self, bytes: &[u8]) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&self.entry, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(bytes)?;
        Ok(stream)
    }

    /// Sends `bytes`, waits a moment, and closes the connection, whether the server has responded or not.
    fn leave_after(&self, bytes: &[u8]) -> io::Result<()> {
        let _stream = self.open(bytes)?;
        thread::sleep(LEAVE_AFTER);
        Ok(())
    }

    /// Sends `bytes`, waits until the response begins, and closes with it unread, so the kernel sends a reset (RFC 2525
    /// §2.17).
    fn reset_after(&self, bytes: &[u8]) -> io::Result<()> {
        match self.open(bytes)?.peek(&mut [0])? {
            0 => Err(io::Error::other("the server closed without a response")),
            _ => Ok(()),
        }
    }
}

/// An empty test case, to which each client adds what it sends and what it expects.
fn case() -> Case {
    must("soak", "The server responds correctly, whatever other clients do")
}

/// Sends GET for the document as request number `index`, counted from 0, and expects its content.
fn get_next(case: Case, index: usize, document: &Document) -> Case {
    case.send(get(&document.target)).expect(nth(index, content(200, &document.bytes)))
}

/// Sends `bytes`, and expects one response 4xx and then the close.
fn rejected(bytes: impl Into<Vec<u8>>) -> Case {
    case().send(bytes).expect([client_error(), closes()])
}

/// A client hello of the right length, but with a session id that is too long (RFC 8446 §4.1.2).
fn malformed_hello() -> Vec<u8> {
    [TLS_HELLO, &[0x2a; 180]].concat()
}

/// Expects a response with this status and exactly this content.
fn content(status: u16, bytes: &[u8]) -> Expectation {
    let expected: Arc<[u8]> = bytes.into();
    check_response(format!("status {status} with the right {} bytes", bytes.len()), move |response| {
        let actual = &response.body;
        if response.status != status {
            return Err(response.describe());
        }
        if **actual == *expected {
            return Ok(());
        }
        let same = actual.iter().zip(&*expected).take_while(|(actual, expected)| actual == expected).count();
        Err(format!("{} bytes, wrong from byte {same} on", actual.len()))
    })
}

/// Sends several requests on one connection, each after the response to the last.
fn keeps_alive(task: &ClientTask<'_>) -> Case {
    (0..REQUESTS)
        .fold(case(), |case, index| get_next(case, index, task.small(index)).await_responses(index + 1))
}

/// Sends several requests in one write, and expects the responses in their order.
fn pipelines(task: &ClientTask<'_>) -> Case {
    (0..REQUESTS).fold(case(), |case, index| get_next(case, index, task.small(index)))
}

/// Sends one request with `Connection: close`, and expects the server to close.
fn requests_once(task: &ClientTask<'_>) -> Case {
    let document = task.small(0);
    case().send(get(&document.target).closing()).expect([content(200, &document.bytes), closes()])
}

/// Sends HEAD, then GET on the same connection: content after HEAD would be read as the second response.
fn requests_heads(task: &ClientTask<'_>) -> Case {
    let document = task.any();
    let length = header("Content-Length", document.bytes.len().to_string());
    let case = case().send(head(&document.target)).expect([status(200), length]).await_responses(1);
    get_next(case, 1, task.small(1))
}

/// Requests a range in the middle of the longest document, then its last bytes.
fn requests_ranges(task: &ClientTask<'_>) -> Case {
    let Document { target, bytes } = task.longest();
    let length = bytes.len();
    let first = task.number * 7919 % (length / 2);
    let last = first + length / 64;
    let start = length - 1 - first % 9000;
    let request = |case: Case, index: usize, spec: String, range: std::ops::RangeInclusive<usize>| {
        let content_range = format!("bytes {}-{}/{length}", range.start(), range.end());
        case.send(get(target).with(format!("Range: bytes={spec}"))).await_responses(index + 1).expect(
            [content(206, &bytes[range]), header("Content-Range", content_range)].map(|e| nth(index, e)),
        )
    };
    let case = request(case(), 0, format!("{first}-{last}"), first..=last);
    request(case, 1, format!("-{}", length - start), start..=length - 1)
}

/// Requests a document, then again with each validator of the response, and with a validator that does not match.
fn revalidates(task: &ClientTask<'_>) -> Case {
    let Document { target, bytes } = task.small(0);
    let with_validator = |condition: &'static str, validator: &'static str| {
        let request = get(target);
        move |prior: &Response| {
            Some(request.clone().with(format!("{condition}: {}", prior.header(validator)?)))
        }
    };
    case()
        .after(get(target))
        .send_from(with_validator("If-None-Match", "ETag"))
        .await_responses(1)
        .send_from(with_validator("If-Modified-Since", "Last-Modified"))
        .await_responses(2)
        .send(get(target).with("If-None-Match: \"never\""))
        .expect([nth(0, status(304)), nth(1, status(304)), nth(2, content(200, bytes))])
}

/// Waits between two requests on one connection, and expects the connection to stay open.
fn idles(task: &ClientTask<'_>) -> Case {
    let case = get_next(case(), 0, task.small(0)).await_responses(1).pause_for(IDLE);
    get_next(case, 1, task.small(1))
}

/// Sends the head of its request slowly, a few bytes at a time, and expects a right response.
fn sends_slowly(task: &ClientTask<'_>) -> Case {
    let document = task.small(0);
    let request = Vec::from(get(&document.target).with("User-Agent: slow"));
    let send = |case: Case, piece: &[u8]| case.send(piece).pause_for(SLOW_SEND.1);
    request.chunks(SLOW_SEND.0).fold(case(), send).expect(content(200, &document.bytes))
}

/// Reads the longest document slowly, so that the server has to wait for the client.
fn reads_slowly(task: &ClientTask<'_>) -> io::Result<()> {
    let document = task.longest();
    let mut stream = task.open(&Vec::from(get(&document.target).closing()))?;
    let (mut received, mut buffer) = (Vec::new(), vec![0; SLOW_READ.0]);
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            count => received.extend(&buffer[..count]),
        }
        thread::sleep(SLOW_READ.1);
    }
    match Response::read(&received, RequestKind::GET, true).map_err(io::Error::other)? {
        Some(response) if response.len == received.len() && response.status == 200 => {
            let is_right = response.body == *document.bytes;
            if is_right { Ok(()) } else { Err(io::Error::other("wrong content")) }
        }
        _ => Err(io::Error::other("not one response with status 200")),
    }
}

/// Sends bytes that are not HTTP, and expects a response 4xx and the close.
fn sends_garbage(task: &ClientTask<'_>) -> Case {
    let seed = (task.number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    rejected([&b"\0\xff"[..], &seed.repeat(40), b"\r\n\r\n"].concat())
}

/// Connects to the server without the tunnel. In turn: sends a part of a client hello and leaves; sends a malformed
/// client hello, or a request without TLS, and expects an answer and the close.
fn breaks_handshake(task: &ClientTask<'_>) -> io::Result<()> {
    let direct = ClientTask { entry: task.server, ..*task };
    let mut stream = match task.number % 3 {
        0 => return direct.leave_after(TLS_HELLO),
        1 => direct.open(&malformed_hello())?,
        _ => direct.open(&Vec::from(get(&task.small(0).target).closing()))?,
    };
    match stream.read_to_end(&mut Vec::new())? {
        0 => Err(io::Error::other("the server closed without an answer")),
        _ => Ok(()),
    }
}

/// Sends a header or a target, in turn, that is too long, and expects a response 4xx and the close.
fn sends_too_much(task: &ClientTask<'_>) -> Case {
    let long = "a".repeat(OVERSIZE);
    rejected(match task.number % 2 {
        0 => get("/").with(format!("X: {long}")),
        _ => get(&format!("/{long}")),
    })
}

/// Sends a head with ambiguous framing, and after it a request to which the server must not respond.
fn frames_ambiguously(task: &ClientTask<'_>) -> Case {
    let headers = AMBIGUOUS_FRAMING[task.number % AMBIGUOUS_FRAMING.len()];
    rejected(format!("POST / HTTP/1.1\r\nHost: test\r\n{headers}\r\n{SMUGGLED}"))
}

/// Resets the connection during a request, after the response to an earlier request.
fn resets_request(task: &ClientTask<'_>) -> io::Result<()> {
    let request = Vec::from(get(&task.any().target));
    task.reset_after(&[&request, &request[..request.len() / 2]].concat())
}

/// Requests a file whose file system never answers, and leaves.
fn requests_from_dead_mount(task: &ClientTask<'_>) -> io::Result<()> {
    task.leave_after(&Vec::from(get(&format!("/{DEAD_DIR}/file"))))
}

#[cfg(test)]
mod tests {
    use http_test_suite::exchange::Exchange;

    use super::*;

    #[test]
    fn finds_a_wrong_status_and_each_wrong_byte() {
        let check = |status, body: &[u8], expected: Result<(), &str>| {
            let response = Response { status, body: body.to_vec(), ..Response::default() };
            let exchange = Exchange { responses: vec![response], ..Exchange::default() };
            assert_eq!(content(200, b"abc").check(&exchange), expected.map_err(str::to_owned));
        };
        check(200, b"abc", Ok(()));
        check(404, b"abc", Err("status 404"));
        check(200, b"abd", Err("3 bytes, wrong from byte 2 on"));
        check(200, b"ab", Err("2 bytes, wrong from byte 2 on"));
        check(200, b"abcd", Err("4 bytes, wrong from byte 3 on"));
    }
}
