//! How a path or a query may be spelled (RFC 3986 §3.3, §3.4), and how one that is not ought to be.
//!
//! Browsers send some octets raw that a URI has no room for, `|` in a path among them. They are understood well
//! enough to be answered with a redirect to what was meant (RFC 9112 §3).

use crate::types::grammar::begins_escape;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// All that `pchar`, `/` and `?` leave out, but for `%`, which is another matter.
const UNSOUND: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Whether a path or query consists of what may stand in one, its escapes being whole.
///
/// ```
/// use http_core::uri::is_valid;
///
/// assert!(is_valid("/a%20b/c?d") && is_valid("q=100%25"));
/// assert!(!is_valid("/a|b") && !is_valid("q=100%") && !is_valid("q=%zz"));
/// ```
#[must_use]
pub fn is_valid(part: &str) -> bool {
    let bytes = part.as_bytes();
    bytes.iter().enumerate().all(|(place, &byte)| match byte {
        b'%' => begins_escape(&bytes[place..]),
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'?' | b':' | b'@' => {
            true
        }
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => true,
        _ => false,
    })
}

/// A query that says what `query` meant: its escapes are kept, a `%` that begins none is escaped, and so is all
/// that may not stand there.
///
/// ```
/// assert_eq!(http_core::uri::normalize_query("a=<1>&b=100%&c=%2f"), "a=%3C1%3E&b=100%25&c=%2f");
/// ```
#[must_use]
pub fn normalize_query(query: &str) -> String {
    let mut mended = String::with_capacity(query.len() + 16);
    let mut rest = query;
    while let Some(place) = rest.find('%') {
        mended.extend(utf8_percent_encode(&rest[..place], UNSOUND));
        mended.push_str(if begins_escape(&rest.as_bytes()[place..]) { "%" } else { "%25" });
        rest = &rest[place + 1..];
    }
    mended.extend(utf8_percent_encode(rest, UNSOUND));
    mended
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_sound_stays_as_it_is() {
        for sound in ["", "/", "a=b&c=d", "%41%2f", "/?:@!$&'()*+,;=-._~"] {
            assert!(is_valid(sound), "{sound}");
            assert_eq!(normalize_query(sound), sound);
        }
        for octet in (0..=255u8).filter(|octet| !octet.is_ascii_alphanumeric()) {
            let part = char::from(octet).to_string();
            let sound = octet.is_ascii() && "/?:@!$&'()*+,;=-._~".contains(char::from(octet));
            assert_eq!(is_valid(&part), sound, "{part:?}");
        }
    }

    #[test]
    fn escapes_are_whole_or_mended() {
        for (broken, mended) in
            [("%", "%25"), ("%4", "%254"), ("%zz", "%25zz"), ("%%41", "%25%41"), ("é", "%C3%A9")]
        {
            assert!(!is_valid(broken), "{broken}");
            assert_eq!(normalize_query(broken), mended);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_mended_is_sound(query in ".{0,40}") {
            prop_assert!(is_valid(&normalize_query(&query)), "{}", normalize_query(&query));
        }
    }
}
