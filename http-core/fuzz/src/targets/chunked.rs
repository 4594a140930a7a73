//! A chunked body is decoded as the grammar says, however it is split.
//!
//! Property: for any bytes in any pieces, `ChunkedDecoder` does not panic and has the same result, with the same body,
//! as for all bytes at once. Up to the limits, it accepts exactly what a strict reader accepts, and decodes the same
//! body, which never exceeds the limit. It leaves the bytes after the body unchanged.
//!
//! Input: limits, three pieces, line feed; then the bytes.

use crate::{plan, requests};
use http_core::{
    Limits, ParseError,
    chunked::{ChunkedDecoder, DecodeStatus},
};

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let Some(([limits, pieces @ .., _], coded)) = data.split_first_chunk::<5>() else { return };
    let limits = plan::limits(*limits);

    let whole = decode(coded, &limits, b"@");
    check_against_grammar(&whole, coded, &limits);
    for pieces in [pieces.as_slice(), b"a"] {
        assert_eq!(decode(coded, &limits, pieces), whole, "the result depends on the split");
    }
}

#[derive(Debug, PartialEq, Eq)]
struct DecodeOutcome {
    body: Vec<u8>,
    end: Result<DecodeStatus, ParseError>,
}

/// Decodes piece by piece as a connection does, keeping only decoded bytes in between.
fn decode(coded: &[u8], limits: &Limits, pieces: &[u8]) -> DecodeOutcome {
    let (mut decoder, mut body, mut before) = (ChunkedDecoder::default(), Vec::new(), 0);
    for end in plan::ends(pieces, coded.len()) {
        let body_before = decoder.body_len();
        body.extend_from_slice(&coded[before..end]);
        let decoded = decoder.decode(&mut body, limits);
        let body_len = decoder.body_len();
        assert!(body_len <= limits.body_bytes && body_len <= body.len(), "{body_len} bytes");
        match decoded {
            Ok(DecodeStatus::Partial) => body.truncate(body_len),
            Ok(DecodeStatus::Complete(rest)) => {
                let used = before + (rest - body_before);
                assert_eq!(body[rest..], coded[used..end], "the bytes after the body have changed");
                body.truncate(body_len);
                return DecodeOutcome { body, end: Ok(DecodeStatus::Complete(used)) };
            }
            // The number of bytes decoded before an error is not specified.
            Err(error) => return DecodeOutcome { body: Vec::new(), end: Err(error) },
        }
        before = end;
    }
    DecodeOutcome { body, end: Ok(DecodeStatus::Partial) }
}

fn check_against_grammar(outcome: &DecodeOutcome, coded: &[u8], limits: &Limits) {
    let read = requests::dechunk(coded);
    match outcome.end {
        Ok(DecodeStatus::Complete(len)) => {
            let read = read.expect("accepted a malformed body");
            assert_eq!((&outcome.body, len), (&read.body, read.len));
            assert!(read.overhead <= limits.chunk_overhead_bytes, "{} bytes of overhead", read.overhead);
        }
        Err(ParseError::BodyTooLarge) => {
            assert!(read.is_none_or(|read| read.body.len() > limits.body_bytes));
        }
        Err(ParseError::ChunkOverhead) => {
            assert!(read.is_none_or(|read| read.overhead > limits.chunk_overhead_bytes));
        }
        Ok(DecodeStatus::Partial) | Err(ParseError::Chunk | ParseError::Trailer) => {
            assert_eq!(read, None, "rejected: {:?}", outcome.end);
        }
        Err(other) => panic!("{other:?} is not an error of a chunked body"),
    }
}
