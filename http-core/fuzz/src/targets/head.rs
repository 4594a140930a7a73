//! A request head is parsed as the grammar says, however it is split.
//!
//! Property: for any bytes in any pieces, `HeadIndex::parse` does not panic and has the same result as for all bytes at
//! once. Up to the limits, it accepts exactly the heads that a strict reader accepts. Every element is what that reader
//! found. An accepted head is parsed again: alone, without its last byte, and rewritten.
//!
//! Input: limits, three pieces, line feed; then the bytes.

use crate::{plan, requests};
use http_core::{
    HeadIndex, Limits, ParseError, Schemes,
    framing::{self, RequestFraming},
    head::{MAX_HEADERS, ParseStatus},
    testing::ReceivedRequest,
};
use std::time::Instant;

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let Some(([limits, pieces @ .., _], bytes)) = data.split_first_chunk::<5>() else { return };
    let limits = plan::limits(*limits);

    let mut index = HeadIndex::default();
    let whole = parse(&mut index, bytes, &limits, b"@");
    check_against_grammar(whole.0, bytes, &limits);
    for pieces in [pieces.as_slice(), b"a"] {
        // A reset index must equal a new one.
        index.reset();
        assert_eq!(parse(&mut index, bytes, &limits, pieces), whole, "the result depends on the split");
    }
}

type HeadOutcome = (Result<ParseStatus, ParseError>, Option<Result<RequestFraming, ParseError>>);

/// Parses up to the first result, and validates a complete head, so that the offsets are compared.
fn parse(index: &mut HeadIndex, bytes: &[u8], limits: &Limits, pieces: &[u8]) -> HeadOutcome {
    let mut status = index.parse(&[], limits);
    for end in plan::ends(pieces, bytes.len()) {
        if status != Ok(ParseStatus::Partial) {
            break;
        }
        status = index.parse(&bytes[..end], limits);
    }
    let complete = matches!(status, Ok(ParseStatus::Complete(_)));
    (status, complete.then(|| framing::validate(index, bytes, Schemes::HttpAndHttps)))
}

fn check_against_grammar(status: Result<ParseStatus, ParseError>, bytes: &[u8], limits: &Limits) {
    let head = requests::head(bytes);
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    match status {
        Ok(ParseStatus::Complete(len)) => {
            let head = head.expect("accepted a malformed head");
            assert_eq!(len, head.len);
            assert!(head.target.len() <= limits.target_bytes && head.headers.len() <= limits.headers);
            check_again(&bytes[..len], &head, limits);
        }
        Err(ParseError::MethodTooLong) => assert!(head.is_none_or(|head| head.method.len() > 32)),
        Err(ParseError::TargetTooLong) => assert!(bytes.len() > limits.target_bytes),
        Err(ParseError::HeadTooLarge) => assert!(bytes.len() > limits.head_bytes),
        Err(ParseError::TooManyHeaders) => assert!(lines > limits.headers.min(MAX_HEADERS)),
        Ok(ParseStatus::Partial) | Err(_) => assert_eq!(head, None, "rejected: {status:?}"),
    }
}

/// `text` is a complete head, and `head` what the strict reader found in it.
fn check_again(text: &[u8], head: &requests::Head<'_>, limits: &Limits) {
    let alone = |text: &[u8]| HeadIndex::default().parse(text, limits);
    assert_eq!(alone(text), Ok(ParseStatus::Complete(text.len())));
    assert_eq!(alone(&text[..text.len() - 1]), Ok(ParseStatus::Partial));

    // Invalid framing hides the elements, a body is not there, and the default limits may be lower than those of this
    // run.
    let Ok(received) = ReceivedRequest::with_any_target(text, Instant::now()) else { return };
    let request = received.as_request();
    assert_eq!(request.method_token().as_bytes(), head.method);
    assert_eq!(request.target().as_bytes(), head.target);
    let headers = || request.headers().map(|(name, value)| (name.as_bytes(), value));
    assert!(headers().eq(head.headers.iter().copied()), "the headers are not those that were sent");
    assert!(request.body().is_empty());

    let line = [head.method, b" ", head.target, b" HTTP/1.", &[head.minor], b"\r\n"].concat();
    let lines = headers().map(|(name, value)| [name, b": ", value, b"\r\n"].concat());
    let rewritten = [line, lines.collect::<Vec<_>>().concat(), b"\r\n".to_vec()].concat();
    // The rewritten head may be longer: a space for each header.
    if let Ok(again) = ReceivedRequest::with_any_target(&rewritten, Instant::now()) {
        let again = again.as_request();
        assert!(again.target() == request.target() && again.headers().eq(request.headers()));
        assert_eq!((again.method(), again.version()), (request.method(), request.version()));
        assert_eq!(
            (again.host(), again.path(), again.raw_query()),
            (request.host(), request.path(), request.raw_query())
        );
    } else {
        assert!(rewritten.len() > Limits::default().head_bytes, "the rewritten head is malformed");
    }
}
