//! The cookies that a client sends: the value of a `Cookie` header (RFC 6265 §4.2, §5.4).
//!
//! ```
//! let cookies: Vec<_> = http_core::cookies::parse(b"theme=dark; session=\"a=b\"").collect();
//! assert_eq!(cookies, [("theme", "dark"), ("session", "\"a=b\"")]);
//! ```

/// Returns the names and values in a `Cookie` header, in the order sent.
///
/// Accepts what browsers send: white space around names and values is removed, and a value may contain any character
/// but a semicolon. Quotes are part of the value (RFC 6265 §4.1.1). A cookie without `=` has an empty name, as in
/// browsers. Skips empty cookies, and those that are not UTF-8.
pub fn parse(value: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    value.split(|&byte| byte == b';').filter_map(|cookie| {
        let cookie = str::from_utf8(cookie.trim_ascii()).ok()?;
        let (name, value) = cookie.split_once('=').unwrap_or(("", cookie));
        (!cookie.is_empty()).then(|| (name.trim_ascii_end(), value.trim_ascii_start()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `expected` are the names and values in `value`, a Cookie header.
    fn check(value: &[u8], expected: &[(&str, &str)]) {
        assert_eq!(parse(value).collect::<Vec<_>>(), expected, "{}", value.escape_ascii());
    }

    #[test]
    fn splits_cookies_as_browsers_join_them() {
        check(b"", &[]);
        check(b" ;; ; ", &[]);
        check(b"a=b", &[("a", "b")]);
        check(b"a=b; c=d;e=f ;\tg = h i\t", &[("a", "b"), ("c", "d"), ("e", "f"), ("g", "h i")]);
        check(b"a=1; A=2; a=3", &[("a", "1"), ("A", "2"), ("a", "3")]);
    }

    #[test]
    fn accepts_values_beyond_the_grammar() {
        check(b"a=b=c==; =d; e=; f; =", &[("a", "b=c=="), ("", "d"), ("e", ""), ("", "f"), ("", "")]);
        check(b"a=\"b\"; c=\"d; e\"", &[("a", "\"b\""), ("c", "\"d"), ("", "e\"")]);
        check(
            b"a={\"b\":[1,2]}; c=caf\xc3\xa9; d=%20+",
            &[("a", "{\"b\":[1,2]}"), ("c", "café"), ("d", "%20+")],
        );
        check(b"a=\xff; b=c", &[("b", "c")]);
    }

    proptest! {
        #[test]
        fn reads_back_what_was_joined(sent in prop::collection::vec(("[!-:<>-~]{1,9}", "([!-:<-~]([ -:<-~]{0,9}[!-:<-~])?)?"), 0..5)) {
            let joined = sent.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            let read: Vec<_> = parse(joined.as_bytes()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn accepts_any_bytes(value in prop::collection::vec(any::<u8>(), 0..40)) {
            for (name, text) in parse(&value) {
                prop_assert!(!name.contains([';', '=']) && !text.contains(';') && name.trim_ascii() == name);
            }
        }
    }
}
