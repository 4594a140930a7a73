//! Well-behaved clients, some of them slow. Each must receive exactly the bytes that it requested.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use http_test_suite::byteranges::parts;
use http_test_suite::reader::RequestKind;
use http_test_suite::request::{get, head};
use http_test_suite::response::Response;

use super::connection::{self, ClientTask, TIMEOUT};

/// The number of requests on one keep-alive connection, and in one pipelined write.
const REQUESTS: u64 = 12;

/// How long an idle client waits between two requests.
const IDLE: Duration = Duration::from_secs(1);

/// A slow sender sends this many bytes, then waits this long; so a head takes more than a second.
const SLOW_SEND: (usize, Duration) = (4, Duration::from_millis(80));

/// A slow reader reads this many bytes, then waits this long: about 3 MB/s.
const SLOW_READ: (usize, Duration) = (16 * 1024, Duration::from_millis(5));

/// Sends requests one after the other on one connection.
pub(super) fn keeps_alive(task: ClientTask<'_>) -> Result<(), String> {
    let mut connection = task.connect()?;
    (0..REQUESTS).try_for_each(|index| connection.get(task.small(index)).map(drop))
}

/// Sends all requests in one write, and expects the responses in their order.
pub(super) fn pipelines(task: ClientTask<'_>) -> Result<(), String> {
    let mut connection = task.connect()?;
    let documents: Vec<_> = (0..REQUESTS).map(|index| task.small(index)).collect();
    let requests: Vec<_> = documents.iter().map(|document| Vec::from(get(&document.target))).collect();
    connection.send(requests.concat());
    documents
        .iter()
        .try_for_each(|document| connection.expect(RequestKind::GET, 200, &document.bytes).map(drop))
}

/// Sends one request with `Connection: close`, and expects the server to close.
pub(super) fn requests_once(task: ClientTask<'_>) -> Result<(), String> {
    let mut connection = task.connect()?;
    let document = task.small(0);
    connection.send(get(&document.target).closing());
    connection.expect(RequestKind::GET, 200, &document.bytes)?;
    connection.expect_close()
}

/// Downloads the longest document at full speed.
pub(super) fn downloads(task: ClientTask<'_>) -> Result<(), String> {
    task.connect()?.get(task.longest()).map(drop)
}

/// Sends HEAD, then GET on the same connection: content after HEAD would be read as the second response.
pub(super) fn requests_heads(task: ClientTask<'_>) -> Result<(), String> {
    let mut connection = task.connect()?;
    let document = task.any();
    connection.send(head(&document.target));
    let response = connection.expect(RequestKind::HEAD, 200, b"")?;
    let length = response.header("Content-Length");
    if length != Some(document.bytes.len().to_string().as_str()) {
        return Err(format!("HEAD of {} has Content-Length {length:?}", document.target));
    }
    connection.get(task.small(1)).map(drop)
}

/// Requests a range in the middle, then the last bytes.
pub(super) fn requests_ranges(task: ClientTask<'_>) -> Result<(), String> {
    let mut connection = task.connect()?;
    let document = task.longest();
    let length = document.bytes.len();
    let first = usize::try_from(task.number * 7919).unwrap_or_default() % (length / 2);
    let middle = first..(first + length / 64);
    let end = length - 1 - first % 9000..length;
    let specs = [format!("{}-{}", middle.start, middle.end - 1), format!("-{}", end.len())];
    for (spec, range) in specs.iter().zip([middle, end]) {
        connection.send(get(&document.target).with(format!("Range: bytes={spec}")));
        let response = connection.expect(RequestKind::GET, 206, &document.bytes[range.clone()])?;
        if parts(&response)?.iter().any(|part| part.first != range.start || part.complete != Some(length)) {
            let actual = response.header("Content-Range");
            return Err(format!("another range than bytes={spec}: {actual:?}"));
        }
    }
    Ok(())
}

/// Requests a document, then again with each validator of the response, and with a validator that does not match.
pub(super) fn revalidates(task: ClientTask<'_>) -> Result<(), String> {
    let mut connection = task.connect()?;
    let document = task.small(0);
    let response = connection.get(document)?;
    for (condition, validator) in [("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")] {
        let value = response.header(validator).ok_or_else(|| format!("no {validator}"))?;
        connection.send(get(&document.target).with(format!("{condition}: {value}")));
        connection.expect(RequestKind::GET, 304, b"")?;
    }
    connection.send(get(&document.target).with("If-None-Match: \"never\""));
    connection.expect(RequestKind::GET, 200, &document.bytes).map(drop)
}

/// Closes its sending side after the request, and expects the whole response.
pub(super) fn half_closes(task: ClientTask<'_>) -> Result<(), String> {
    let mut connection = task.connect()?;
    let document = task.any();
    connection.send(get(&document.target));
    connection.half_close();
    connection.expect(RequestKind::GET, 200, &document.bytes)?;
    connection.expect_close()
}

/// Waits between two requests, and expects the connection to stay open.
pub(super) fn idles(task: ClientTask<'_>) -> Result<(), String> {
    let mut connection = task.connect()?;
    connection.get(task.small(0))?;
    thread::sleep(IDLE);
    connection.get(task.small(1)).map(drop)
}

/// Sends its head slowly, a few bytes at a time.
pub(super) fn sends_slowly(task: ClientTask<'_>) -> Result<(), String> {
    let mut connection = task.connect()?;
    let document = task.small(0);
    for piece in Vec::from(get(&document.target).with("User-Agent: slow")).chunks(SLOW_SEND.0) {
        connection.send(piece);
        thread::sleep(SLOW_SEND.1);
    }
    connection.expect(RequestKind::GET, 200, &document.bytes).map(drop)
}

/// Reads the longest document slowly, so that the server has to wait for the client.
pub(super) fn reads_slowly(task: ClientTask<'_>) -> Result<(), String> {
    let document = task.longest();
    // Not through a `CheckedConnection`, which reads as fast as it can.
    let read = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&task.server, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(&Vec::from(get(&document.target).closing()))?;
        let (mut received, mut buffer) = (Vec::new(), vec![0; SLOW_READ.0]);
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(received),
                count => received.extend(&buffer[..count]),
            }
            thread::sleep(SLOW_READ.1);
        }
    };
    let received = read().map_err(|error| format!("cannot read the response: {error}"))?;
    match Response::read(&received, RequestKind::GET, true)? {
        Some(response) if response.len == received.len() => {
            connection::check(&response, 200, &document.bytes)
        }
        _ => Err("bytes after the last response".to_owned()),
    }
}
