//! Names and values of a form, as `application/x-www-form-urlencoded` content and query strings write them
//! (URL Standard §5.1).
//!
//! ```
//! let pairs: Vec<_> = http_core::form::pairs(b"city=S%C3%A3o+Paulo&days").collect();
//! assert_eq!(pairs, [("city".into(), "São Paulo".into()), ("days".into(), String::new())]);
//! ```

use percent_encoding::percent_decode;

/// The pairs in their order, decoded: `+` is a space, an escape that is none stays as it is, and what is not
/// UTF-8 becomes U+FFFD. No input is malformed.
pub fn pairs(input: &[u8]) -> impl Iterator<Item = (String, String)> {
    input.split(|&octet| octet == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let end = pair.iter().position(|&octet| octet == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(end);
        (decoded(name), decoded(value.strip_prefix(b"=").unwrap_or_default()))
    })
}

fn decoded(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|&octet| if octet == b'+' { b' ' } else { octet }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    fn check(input: &[u8], expected: &[(&str, &str)]) {
        let read: Vec<_> = pairs(input).collect();
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, expected, "{}", input.escape_ascii());
    }

    #[test]
    fn pairs_are_parted_at_the_first_sign() {
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
    fn escapes_are_decoded_after_the_parting() {
        check(b"a+b=c+%2B+d", &[("a b", "c + d")]);
        check(b"a%3Db=c%26d", &[("a=b", "c&d")]);
        check(b"%c3%A9=\xc3\xa9", &[("\u{e9}", "\u{e9}")]);
        check(b"a=%00%0d%0A", &[("a", "\0\r\n")]);
    }

    #[test]
    fn broken_escapes_stay_and_broken_text_is_replaced() {
        check(
            b"a=%&b=%4&c=%zz&d=%%41&e=100%+x",
            &[("a", "%"), ("b", "%4"), ("c", "%zz"), ("d", "%A"), ("e", "100% x")],
        );
        check(b"a=%FFb&c=\xffd", &[("a", "\u{fffd}b"), ("c", "\u{fffd}d")]);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back(sent in prop::collection::vec(("(?s).{0,9}", "(?s).{0,9}"), 0..5)) {
            let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let pair = |(name, value): &(String, String)| format!("{}={}", encoded(name), encoded(value));
            let input = sent.iter().map(pair).collect::<Vec<_>>().join("&").replace("%20", "+");
            prop_assert_eq!(pairs(input.as_bytes()).collect::<Vec<_>>(), sent);
        }
    }
}
