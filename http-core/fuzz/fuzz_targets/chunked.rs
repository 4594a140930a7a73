//! Chunked content is decoded the same however it is cut, and as the grammar says.
//!
//! Property: on any bytes in any pieces `ChunkedDecoder` does not panic and comes to the same end, with the same content, as in
//! one piece. It accepts exactly what a strict reader accepts, up to the limits; its content is what that reader found
//! and never longer than the limit; and it leaves alone what follows the content.
//!
//! Input: limits, three pieces, line feed; then the bytes.

#![no_main]

use http_core::{
    Limits, ParseError,
    chunked::{ChunkedDecoder, DecodeStatus},
};
use http_core_fuzz::{plan, requests};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(([limits, pieces @ .., _], coded)) = data.split_first_chunk::<5>() else { return };
    let limits = plan::limits(*limits);

    let whole = decode(coded, &limits, b"@");
    check_against_grammar(&whole, coded, &limits);
    for pieces in [pieces.as_slice(), b"a"] {
        assert_eq!(decode(coded, &limits, pieces), whole, "it depends on how the content is cut");
    }
});

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    content: Vec<u8>,
    end: Result<DecodeStatus, ParseError>,
}

/// Decodes as a connection does: piece behind piece, keeping nothing but content in between.
fn decode(coded: &[u8], limits: &Limits, pieces: &[u8]) -> Outcome {
    let (mut decoder, mut body, mut before) = (ChunkedDecoder::default(), Vec::new(), 0);
    for end in plan::ends(pieces, coded.len()) {
        let content_before = decoder.body_len();
        body.extend_from_slice(&coded[before..end]);
        let decoded = decoder.decode(&mut body, limits);
        let body_len = decoder.body_len();
        assert!(body_len <= limits.body_bytes && body_len <= body.len(), "{body_len} octets");
        match decoded {
            Ok(DecodeStatus::Partial) => body.truncate(body_len),
            Ok(DecodeStatus::Complete(rest)) => {
                let used = before + (rest - content_before);
                assert_eq!(body[rest..], coded[used..end], "what follows is not what it was");
                body.truncate(body_len);
                return Outcome { content: body, end: Ok(DecodeStatus::Complete(used)) };
            }
            // How much content came before a fault is not promised.
            Err(fault) => return Outcome { content: Vec::new(), end: Err(fault) },
        }
        before = end;
    }
    Outcome { content: body, end: Ok(DecodeStatus::Partial) }
}

fn check_against_grammar(outcome: &Outcome, coded: &[u8], limits: &Limits) {
    let read = requests::dechunk(coded);
    match outcome.end {
        Ok(DecodeStatus::Complete(len)) => {
            let read = read.expect("accepted what is no chunked content");
            assert_eq!((&outcome.content, len), (&read.content, read.len));
            assert!(read.overhead <= limits.chunk_overhead_bytes, "{} octets of overhead", read.overhead);
        }
        Err(ParseError::BodyTooLarge) => {
            assert!(read.is_none_or(|read| read.content.len() > limits.body_bytes))
        }
        Err(ParseError::ChunkOverhead) => {
            assert!(read.is_none_or(|read| read.overhead > limits.chunk_overhead_bytes));
        }
        Ok(DecodeStatus::Partial) | Err(ParseError::Chunk | ParseError::Trailer) => {
            assert_eq!(read, None, "refused: {:?}", outcome.end);
        }
        Err(other) => panic!("{other:?} is no fault of chunked content"),
    }
}
