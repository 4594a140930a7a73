//! The names and values of a form, as a browser sends them in a query or in a body of type
//! `application/x-www-form-urlencoded` (URL Standard §5.1).
//!
//! ```
//! let pairs: Vec<_> = http_core::form::pairs(b"city=S%C3%A3o+Paulo&days").collect();
//! assert_eq!(pairs, [("city".into(), "São Paulo".into()), ("days".into(), "".into())]);
//! ```

use crate::types::error::error_enum;
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// The media type of a form whose content is a list of pairs.
pub(crate) const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

error_enum! {
    /// The reason why a request has no form. As a reply, it becomes 415 with the header `Accept`, which names the type
    /// of a form (RFC 9110 §15.5.16).
    ///
    /// ```
    /// use http_core::{IntoResponse, Status, form::FormError};
    ///
    /// assert_eq!(FormError::Type.into_response().status(), Status::UNSUPPORTED_MEDIA_TYPE);
    /// ```
    FormError {
        /// The content is not of the type `application/x-www-form-urlencoded`.
        Type "the content is not of the type application/x-www-form-urlencoded"
    }
}

/// Returns the decoded names and values of a form, in order. `input` is in the format
/// `application/x-www-form-urlencoded`: a query without its `?`, or a body of this type.
///
/// Accepts any input. A name without `=` has an empty value. An empty pair, as between the two `&` of `a&&b`, is
/// skipped; `=` alone is an empty name with an empty value. `+` becomes a space. An incomplete percent-escape stays as
/// it is. Bytes that are not UTF-8 become U+FFFD.
pub fn pairs(input: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    input.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(end);
        (decode(name), decode(value.strip_prefix(b"=").unwrap_or_default()))
    })
}

/// Decodes a name or a value: replaces `+` by a space and each complete percent-escape by its byte. An incomplete
/// escape stays as it is. Bytes that are not UTF-8 become U+FFFD.
fn decode(text: &[u8]) -> Cow<'_, str> {
    if !text.contains(&b'+') {
        return percent_decode(text).decode_utf8_lossy();
    }
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    /// `expected` are the names and values in `input`.
    fn check(input: &[u8], expected: &[(&str, &str)]) {
        let read: Vec<_> = pairs(input).collect();
        let read: Vec<_> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(read, expected, "{}", input.escape_ascii());
    }

    #[test]
    fn splits_a_pair_at_its_first_equals_sign() {
        check(b"", &[]);
        check(b"&&", &[]);
        check(b"a", &[("a", "")]);
        check(b"a=", &[("a", "")]);
        check(b"=", &[("", "")]);
        check(b"=b", &[("", "b")]);
        check(b"a=b&a=c&&b=&", &[("a", "b"), ("a", "c"), ("b", "")]);
        check(b"a=b=c;d?e", &[("a", "b=c;d?e")]);
    }

    #[test]
    fn decodes_escapes_after_splitting() {
        check(b"a+b=c+%2B+d", &[("a b", "c + d")]);
        check(b"a%3Db=c%26d", &[("a=b", "c&d")]);
        check(b"%c3%A9=\xc3\xa9", &[("\u{e9}", "\u{e9}")]);
        check(b"a=%00%0d%0A", &[("a", "\0\r\n")]);
    }

    #[test]
    fn keeps_incomplete_escapes_and_replaces_invalid_utf_8() {
        check(b"a=%&b=%4&c=%zz", &[("a", "%"), ("b", "%4"), ("c", "%zz")]);
        check(b"d=%%41&e=100%+x", &[("d", "%A"), ("e", "100% x")]);
        check(b"a=%FFb&c=\xffd", &[("a", "\u{fffd}b"), ("c", "\u{fffd}d")]);
    }

    proptest! {
        #[test]
        fn reads_back_what_was_encoded(sent in prop::collection::vec(("(?s).{0,9}", "(?s).{0,9}"), 0..5)) {
            let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let pair = |(name, value): &(String, String)| format!("{}={}", encoded(name), encoded(value));
            let input = sent.iter().map(pair).collect::<Vec<_>>().join("&").replace("%20", "+");
            let read = pairs(input.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned()));
            prop_assert_eq!(read.collect::<Vec<_>>(), sent);
        }
    }
}
