//! Checks whether a path or a query contains only the characters of a URI (RFC 3986 §3.3, §3.4), and escapes the other
//! characters of a query.
//!
//! Browsers send some characters unescaped that a URI does not allow, such as `|`. A connection redirects a request
//! with such a target to the corrected target (RFC 9112 §3).

use super::{
    chars::{self, URI_PUNCTUATION},
    grammar::begins_escape,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The ASCII characters that [`normalize_query`] always escapes: those that a URI does not allow in a query. `%` is not
/// among them, because only a `%` that begins no complete escape is escaped.
const ESCAPED: &AsciiSet = &all_ascii_except(URI_PUNCTUATION).remove(b'%');

/// Returns the set of all ASCII characters except letters, digits and the characters in `kept`.
pub(super) const fn all_ascii_except(mut kept: &[u8]) -> AsciiSet {
    let mut set = NON_ALPHANUMERIC.add(b'%');
    while let [byte, rest @ ..] = kept {
        set = set.remove(*byte);
        kept = rest;
    }
    set
}

/// Returns whether `part`, a path or a query, contains only characters that a URI allows, and complete percent-escapes.
///
/// ```
/// use http_core::uri::is_valid;
///
/// assert!(is_valid("/a%20b/c?d") && is_valid("q=100%25"));
/// assert!(!is_valid("/a|b") && !is_valid("q=100%") && !is_valid("q=%zz"));
/// ```
pub fn is_valid(part: impl AsRef<[u8]>) -> bool {
    let bytes = part.as_ref();
    bytes.iter().enumerate().all(|(at, &byte)| chars::is_uri(byte) || begins_escape(&bytes[at..]))
}

/// Escapes the characters that a URI does not allow in a query, and each `%` that begins no complete escape. Keeps
/// complete escapes. [`is_valid`] accepts the result.
///
/// ```
/// assert_eq!(http_core::uri::normalize_query("a=<1>&b=100%&c=%2f"), "a=%3C1%3E&b=100%25&c=%2f");
/// ```
pub fn normalize_query(query: &str) -> String {
    let mut normalized = String::with_capacity(query.len() + 16);
    let mut rest = query;
    while let Some(at) = rest.find('%') {
        normalized.extend(utf8_percent_encode(&rest[..at], ESCAPED));
        normalized.push_str(if begins_escape(&rest.as_bytes()[at..]) { "%" } else { "%25" });
        rest = &rest[at + 1..];
    }
    normalized.extend(utf8_percent_encode(rest, ESCAPED));
    normalized
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keeps_valid_text() {
        for valid in ["", "/", "a=b&c=d", "%41%2f", "/?:@!$&'()*+,;=-._~"] {
            assert!(is_valid(valid), "{valid}");
            assert_eq!(normalize_query(valid), valid);
        }
        for byte in (0..=255u8).filter(|byte| !byte.is_ascii_alphanumeric()) {
            let text = char::from(byte).to_string();
            let valid = byte.is_ascii() && "/?:@!$&'()*+,;=-._~".contains(char::from(byte));
            assert_eq!(is_valid(&text), valid, "{text:?}");
        }
    }

    #[test]
    fn escapes_invalid_text() {
        for (invalid, normalized) in
            [("%", "%25"), ("%4", "%254"), ("%zz", "%25zz"), ("%%41", "%25%41"), ("é", "%C3%A9")]
        {
            assert!(!is_valid(invalid), "{invalid}");
            assert_eq!(normalize_query(invalid), normalized);
        }
    }

    proptest! {
        #[test]
        fn a_normalized_query_is_valid(query in ".{0,40}") {
            prop_assert!(is_valid(normalize_query(&query)), "{}", normalize_query(&query));
        }
    }
}
