//! Misbehaving clients: they send malformed requests, or abort. The server must respond to a malformed request with 4xx
//! and close; a client that has aborted expects nothing.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use http_test_suite::reader::RequestKind;
use http_test_suite::request::{self, get};

use super::connection::{ClientTask, TIMEOUT};

/// The first bytes of a TLS client hello (RFC 8446 §5.1).
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x00\xba\x01\x00\x00\xb6\x03\x03";

/// The length in bytes of a head that is larger than a server should accept.
const OVERSIZE: usize = 200_000;

/// Headers with ambiguous framing (RFC 9112 §6.3).
const AMBIGUOUS_FRAMING: [&str; 5] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: -1\r\n",
    "Content-Length : 5\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
];

/// How long a client that leaves during a request waits before it closes.
const LEAVE_AFTER: Duration = Duration::from_millis(300);

/// Sends bytes that are not HTTP.
pub(super) fn sends_garbage(task: ClientTask<'_>) -> Result<(), String> {
    let seed = task.number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    expect_rejection(task, [b"\0\xff".to_vec(), seed.repeat(40), b"\r\n\r\n".to_vec()].concat())
}

/// Sends a TLS client hello of the length in its record header.
pub(super) fn starts_tls(task: ClientTask<'_>) -> Result<(), String> {
    expect_rejection(task, [TLS_HELLO, &[0x2a; 180]].concat())
}

/// Sends a header or a target, in turn, that is too long.
pub(super) fn sends_too_much(task: ClientTask<'_>) -> Result<(), String> {
    let long = "a".repeat(OVERSIZE);
    let request = match task.number % 2 {
        0 => get("/").with(format!("X: {long}")),
        _ => get(&format!("/{long}")),
    };
    expect_rejection(task, request.into())
}

/// Sends a head with ambiguous framing, and behind it a request to which the server must not respond.
pub(super) fn frames_ambiguously(task: ClientTask<'_>) -> Result<(), String> {
    let index = usize::try_from(task.number).unwrap_or_default() % AMBIGUOUS_FRAMING.len();
    let head = format!("POST / HTTP/1.1\r\nHost: test\r\n{}\r\n", AMBIGUOUS_FRAMING[index]);
    expect_rejection(task, (head + request::SMUGGLED).into_bytes())
}

/// Resets the connection during a download.
pub(super) fn resets_download(task: ClientTask<'_>) -> Result<(), String> {
    reset_after_response(task, &Vec::from(get(&task.longest().target)))
}

/// Resets the connection during a request, after the response to an earlier request.
pub(super) fn resets_request(task: ClientTask<'_>) -> Result<(), String> {
    let request = Vec::from(get(&task.any().target));
    let half = &request[..request.len() / 2];
    reset_after_response(task, &[&request, half].concat())
}

/// Closes the connection during a request.
pub(super) fn leaves(task: ClientTask<'_>) -> Result<(), String> {
    let mut connection = task.connect()?;
    connection.send("GET / HTTP/1.1\r\nHost: te");
    thread::sleep(LEAVE_AFTER);
    Ok(())
}

/// Sends `bytes`, and expects one response 4xx and then the close.
fn expect_rejection(task: ClientTask<'_>, bytes: Vec<u8>) -> Result<(), String> {
    let mut connection = task.connect()?;
    connection.send(bytes);
    let response = connection.response(RequestKind::GET)?;
    if !(400..500).contains(&response.status) {
        return Err(format!("{}, not 4xx", response.describe()));
    }
    connection.expect_close()
}

/// Sends `bytes`, waits until the response begins, and closes with it unread, so the kernel sends a reset (RFC 2525
/// §2.17).
fn reset_after_response(task: ClientTask<'_>, bytes: &[u8]) -> Result<(), String> {
    let first_byte = || -> io::Result<usize> {
        let mut stream = TcpStream::connect_timeout(&task.server, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(bytes)?;
        stream.peek(&mut [0])
    };
    match first_byte() {
        Ok(0) => Err("the server closed without a response".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot receive a response: {error}")),
    }
}
