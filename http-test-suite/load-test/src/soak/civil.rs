//! Well-behaved clients, some of them slow. Each must get exactly the bytes that it asked for.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::crowd::Visit;
use super::talk::{self, GET, HEAD, TIMEOUT, Talk};
use http_test_suite::byteranges::parts;
use http_test_suite::reply;
use http_test_suite::request::{get, head};

/// Requests on one keep-alive connection, and in one pipelined write.
const REQUESTS: u64 = 12;

/// How long an idle client stays silent.
const IDLE: Duration = Duration::from_secs(1);

/// A dripping client sends this many bytes, then waits this long; so a head takes more than a second.
const DRIP: (usize, Duration) = (4, Duration::from_millis(80));

/// A sipping client reads this many bytes, then waits this long: about 3 MB/s.
const SIP: (usize, Duration) = (16 * 1024, Duration::from_millis(5));

/// Sends requests one after the other on one connection.
pub(super) fn keeps_alive(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    for index in 0..REQUESTS {
        let document = visit.small(index);
        talk.send(get(&document.target));
        talk.expect(GET, 200, &document.bytes)?;
    }
    Ok(())
}

/// Sends all requests in one write, and expects the answers in their order.
pub(super) fn pipelines(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    let documents: Vec<_> = (0..REQUESTS).map(|index| visit.small(index)).collect();
    let requests = documents.iter().map(|document| Vec::from(get(&document.target)));
    talk.send(requests.collect::<Vec<_>>().concat());
    documents.iter().try_for_each(|document| talk.expect(GET, 200, &document.bytes).map(drop))
}

/// Sends one request on a connection, and expects the server to close it.
pub(super) fn asks_once(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    let document = visit.small(0);
    talk.send(get(&document.target).with("Connection: close"));
    talk.expect(GET, 200, &document.bytes)?;
    talk.expect_end()
}

/// Downloads the longest document at full speed.
pub(super) fn downloads(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    let document = visit.longest();
    talk.send(get(&document.target));
    talk.expect(GET, 200, &document.bytes).map(drop)
}

/// Sends HEAD, then GET on the same connection: content after HEAD would be read as the second answer.
pub(super) fn asks_for_heads(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    let (document, other) = (visit.any(0), visit.small(1));
    talk.send(head(&document.target));
    let reply = talk.expect(HEAD, 200, b"")?;
    let length = reply.field("Content-Length");
    if length != Some(document.bytes.len().to_string().as_str()) {
        return Err(format!("HEAD of {} has Content-Length {length:?}", document.target));
    }
    talk.send(get(&other.target));
    talk.expect(GET, 200, &other.bytes).map(drop)
}

/// Asks for a range in the middle, then for the last bytes.
pub(super) fn asks_for_ranges(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    let document = visit.longest();
    let length = document.bytes.len();
    let first = usize::try_from(visit.number * 7919).unwrap_or_default() % (length / 2);
    let piece = first..(first + length / 64);
    let tail = length - 1 - first % 9000..length;
    let asked = [format!("{}-{}", piece.start, piece.end - 1), format!("-{}", tail.len())];
    for (spec, range) in asked.iter().zip([piece, tail]) {
        talk.send(get(&document.target).with(format!("Range: bytes={spec}")));
        let reply = talk.expect(GET, 206, &document.bytes[range.clone()])?;
        if parts(&reply)?.iter().any(|part| part.first != range.start || part.complete != Some(length)) {
            return Err(format!("another range than bytes={spec}: {:?}", reply.field("Content-Range")));
        }
    }
    Ok(())
}

/// Asks for the content, then again with each validator of the reply, and once with a validator that does not match.
pub(super) fn asks_again(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    let document = visit.small(0);
    talk.send(get(&document.target));
    let reply = talk.expect(GET, 200, &document.bytes)?;
    for (condition, validator) in [("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")] {
        let value = reply.field(validator).ok_or_else(|| format!("no {validator}"))?;
        talk.send(get(&document.target).with(format!("{condition}: {value}")));
        talk.expect(GET, 304, b"")?;
    }
    talk.send(get(&document.target).with("If-None-Match: \"never\""));
    talk.expect(GET, 200, &document.bytes).map(drop)
}

/// Closes its sending side behind the request, and expects the whole answer.
pub(super) fn half_closes(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    let document = visit.any(0);
    talk.send(get(&document.target));
    talk.half_close();
    talk.expect(GET, 200, &document.bytes)?;
    talk.expect_end()
}

/// Stays idle between two requests, and expects the connection to stay open.
pub(super) fn idles(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    for index in 0..2 {
        let document = visit.small(index);
        talk.send(get(&document.target));
        talk.expect(GET, 200, &document.bytes)?;
        thread::sleep(IDLE);
    }
    Ok(())
}

/// Sends its head slowly, a few bytes at a time.
pub(super) fn drips(visit: Visit<'_>) -> Result<(), String> {
    let mut talk = Talk::dial(visit.server)?;
    let document = visit.small(0);
    for piece in Vec::from(get(&document.target).with("User-Agent: drip")).chunks(DRIP.0) {
        talk.send(piece);
        thread::sleep(DRIP.1);
    }
    talk.expect(GET, 200, &document.bytes).map(drop)
}

/// Reads the longest document slowly, so that the server has to wait for the client.
pub(super) fn sips(visit: Visit<'_>) -> Result<(), String> {
    let document = visit.longest();
    let request = Vec::from(get(&document.target).with("Connection: close"));
    // Not through a `Wire`, which reads as fast as it can.
    let sip = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&visit.server, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(&request)?;
        let (mut received, mut buffer) = (Vec::new(), vec![0; SIP.0]);
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(received),
                count => received.extend(&buffer[..count]),
            }
            thread::sleep(SIP.1);
        }
    };
    let received = sip().map_err(|error| format!("while sipping: {error}"))?;
    match reply::read(&received, GET, true)? {
        Some((reply, length)) if length == received.len() => talk::exact(&reply, 200, &document.bytes),
        _ => Err("more than was asked for".to_owned()),
    }
}
