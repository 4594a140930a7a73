//! A client reads a response as RFC 9112 says, however it is split.
//!
//! Property: for any bytes in any pieces, `ResponseReader` does not panic and has the same result as for all bytes at
//! once. Up to the limits, which the result never exceeds, it accepts exactly the responses that a strict reader
//! accepts, and finds the same status, headers and body, and whether the connection can be used again.
//!
//! Input: limits, three pieces, method (`h` for HEAD, `c` for CONNECT, anything else for GET), line feed; then the
//! bytes of the server, which then closes the connection.

use crate::{
    plan,
    received::{self, RequestMethod},
};
use http_core::{
    Limits, Method, ParseError, Version,
    client::{ClientResponse, ReadStatus, ResponseError, ResponseReader},
};

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let Some(([limits, pieces @ .., method, _], bytes)) = data.split_first_chunk::<6>() else { return };
    let limits = plan::limits(*limits);
    let (method, kind) = match method {
        b'h' => (Method::Head, RequestMethod::Head),
        b'c' => (Method::Connect, RequestMethod::Connect),
        _ => (Method::Get, RequestMethod::Other),
    };

    let whole = read(method, bytes, &limits, b"@");
    check_against_reader(&whole, kind, bytes, &limits);
    for pieces in [pieces.as_slice(), b"a"] {
        assert_eq!(read(method, bytes, &limits, pieces), whole, "the result depends on the split");
    }
}

type ClientOutcome = Result<ClientResponse, ResponseError>;

/// Reads piece by piece up to the first result, and then the end of the connection. Bytes that have not been received
/// when the response is complete also follow it.
fn read(method: Method, bytes: &[u8], limits: &Limits, pieces: &[u8]) -> ClientOutcome {
    let (mut reader, mut before) = (ResponseReader::new(method, limits.clone()), 0);
    for end in plan::ends(pieces, bytes.len()) {
        if let ReadStatus::Complete(mut response) = reader.receive(&bytes[before..end])? {
            assert_eq!(reader.receive(b"a"), Err(ResponseError::Finished));
            assert_eq!(reader.receive_eof(), Err(ResponseError::Finished));
            response.reusable &= end == bytes.len();
            return Ok(response);
        }
        before = end;
    }
    reader.receive_eof()
}

fn check_against_reader(outcome: &ClientOutcome, method: RequestMethod, bytes: &[u8], limits: &Limits) {
    let read = received::final_response(bytes, method);
    match outcome {
        Ok(response) => {
            let read = read.expect("accepted a malformed response");
            let version = if read.minor == b'0' { Version::Http10 } else { Version::Http11 };
            assert_eq!((response.status, response.version), (read.status, version));
            let lines = read.headers.iter().map(|&(name, value)| [name, b": ", value, b"\r\n"].concat());
            assert_eq!(response.headers.as_bytes(), lines.collect::<Vec<_>>().concat());
            assert_eq!((&response.body, response.reusable), (&read.body, read.reusable));
            assert!(response.body.len() <= limits.body_bytes && read.headers.len() <= limits.headers);
        }
        // A limit, which the reader does not know.
        Err(
            ResponseError::TooManyInterims
            | ResponseError::Malformed(
                ParseError::HeadTooLarge
                | ParseError::TooManyHeaders
                | ParseError::BodyTooLarge
                | ParseError::ChunkOverhead,
            ),
        ) => {}
        Err(error) => assert_eq!(read, None, "rejected: {error}"),
    }
}
