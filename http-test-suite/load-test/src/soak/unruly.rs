//! Misbehaving clients: they send malformed requests, or abort. The server must answer a malformed request with 4xx and
//! close; it owes no answer to a client that has gone.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::crowd::Visit;
use super::talk::{GET, TIMEOUT, Talk};
use http_test_suite::request::{self, get};

/// The first bytes of a TLS client hello (RFC 8446 §5.1).
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x00\xba\x01\x00\x00\xb6\x03\x03";

/// Larger than any head that a server should accept, in bytes.
const OVERSIZE: usize = 200_000;

/// Heads with ambiguous framing (RFC 9112 §6.3), without the empty line.
const TWO_MEANINGS: [&str; 5] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: -1\r\n",
    "Content-Length : 5\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
];

/// How long a client that leaves in mid-request waits before it closes.
const HESITATION: Duration = Duration::from_millis(300);

/// Sends bytes that are not HTTP.
pub(super) fn sends_garbage(visit: Visit<'_>) -> Result<(), String> {
    let seed = visit.number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    refused(visit, [b"\0\xff".to_vec(), seed.repeat(40), b"\r\n\r\n".to_vec()].concat())
}

/// Sends a TLS client hello of the length in its record header.
pub(super) fn speaks_tls(visit: Visit<'_>) -> Result<(), String> {
    refused(visit, [TLS_HELLO, &[0x2a; 180]].concat())
}

/// Sends a field or a target, in turn, that is too long.
pub(super) fn sends_too_much(visit: Visit<'_>) -> Result<(), String> {
    let long = "a".repeat(OVERSIZE);
    let request = if visit.number.is_multiple_of(2) {
        get("/").with(format!("X: {long}"))
    } else {
        get(&format!("/{long}"))
    };
    refused(visit, request.into())
}

/// Sends a head with ambiguous framing, and behind it a request that must not be answered.
pub(super) fn frames_badly(visit: Visit<'_>) -> Result<(), String> {
    let index = usize::try_from(visit.number).unwrap_or_default() % TWO_MEANINGS.len();
    let head = format!("POST / HTTP/1.1\r\nHost: test\r\n{}\r\n", TWO_MEANINGS[index]);
    refused(visit, (head + request::SMUGGLED).into_bytes())
}

/// Resets the connection in mid-download.
pub(super) fn resets_download(visit: Visit<'_>) -> Result<(), String> {
    reset(visit, &Vec::from(get(&visit.longest().target)))
}

/// Resets the connection in mid-request, after an earlier request has been answered.
pub(super) fn resets_request(visit: Visit<'_>) -> Result<(), String> {
    let whole = Vec::from(get(&visit.any(0).target));
    let (half, _) = whole.split_at(whole.len() / 2);
    reset(visit, &[&whole, half].concat())
}

/// Closes the connection in mid-request.
pub(super) fn walks_away(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    talk.send("GET / HTTP/1.1\r\nHost: te");
    thread::sleep(HESITATION);
    Ok(())
}

/// Sends `bytes`, and expects one reply 4xx and then the close.
fn refused(visit: Visit<'_>, bytes: Vec<u8>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    talk.send(bytes);
    let reply = talk.reply(GET)?;
    if !(400..500).contains(&reply.status) {
        return Err(format!("{} where 4xx was due", reply.describe()));
    }
    talk.expect_end()
}

/// Sends `bytes`, waits until the answer begins, and closes with it unread, so the kernel sends a reset (RFC 2525
/// §2.17).
fn reset(visit: Visit<'_>, bytes: &[u8]) -> Result<(), String> {
    let begins = || -> io::Result<usize> {
        let mut stream = TcpStream::connect_timeout(&visit.server, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(bytes)?;
        stream.peek(&mut [0])
    };
    match begins() {
        Ok(0) => Err("closed without an answer".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("no answer begins: {error}")),
    }
}
