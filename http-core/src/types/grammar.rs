//! Grammar that several headers share: lists, numbers, tokens, quoted strings, parameters and authorities (RFC 9110 §5.6).
//!
//! The functions find where each element begins and ends. They never interpret an element: the module that reads the
//! header does. A header value contains no white space other than SP and HTAB, so `trim_ascii` removes just those.

use super::chars;
use std::borrow::Cow;

/// Returns the non-empty elements of a comma-separated list, without the white space around them (RFC 9110 §5.6.1). The
/// elements must not contain quoted strings: every comma separates.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Returns the non-empty elements of a comma-separated list, without the white space around them. A comma inside a
/// quoted string belongs to its element. The escaped quote `\"` does not close the string. A string that is not closed
/// extends to the end of `value`.
pub(crate) fn quoted_list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let elements = value.split(move |&byte| {
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && quoted && !escaped;
        byte == b',' && !quoted
    });
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Parses a decimal number: `1*DIGIT`. Returns `None` if `text` is empty or contains another character, such as a sign or
/// a space. A number beyond 64 bits becomes `u64::MAX`, which exceeds every limit.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let append = |number: u64, &digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(text.iter().fold(0, append))
}

/// Returns whether `text` begins with a percent-escape: `%` and two hexadecimal digits (RFC 3986 §2.1).
pub(crate) fn begins_escape(text: &[u8]) -> bool {
    matches!(text, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// Returns whether `text` is a host with an optional port and without userinfo (RFC 9110 §4.2, RFC 3986 §3.2.2).
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let (host, port) = text.split_at(host_len(text));
    let is_port = |digits: &[u8]| digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit);
    !host.is_empty() && (port.is_empty() || port.strip_prefix(b":").is_some_and(is_port))
}

/// Returns the length of the host at the front of `text`: a registered name, an IPv4 address, or an IPv6 address in
/// brackets. Returns 0 if `text` begins with none. A registered name ends before an incomplete percent-escape.
fn host_len(text: &[u8]) -> usize {
    if let [b'[', rest @ ..] = text {
        let allowed = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let len = rest.iter().take_while(allowed).count();
        return if len > 0 && rest.get(len) == Some(&b']') { len + 2 } else { 0 };
    }
    let mut at = 0;
    loop {
        at = chars::host_end(text, at);
        if !begins_escape(&text[at..]) {
            return at;
        }
        at += 3;
    }
}

/// One parameter of a header value: `name=token` or `name="quoted string"` (RFC 9110 §5.6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameter<'a> {
    /// The name as sent. Names are case-insensitive.
    pub name: &'a str,
    /// The value as sent, without the quotes around a quoted string, but with the backslashes in it.
    pub raw: &'a [u8],
}

impl<'a> Parameter<'a> {
    /// Returns the value, with each quoted pair (a backslash and a character) replaced by its character (RFC 9110 §5.6.4).
    pub fn value(&self) -> Cow<'a, [u8]> {
        if !self.raw.contains(&b'\\') {
            return Cow::Borrowed(self.raw);
        }
        let mut value = Vec::with_capacity(self.raw.len());
        let mut bytes = self.raw.iter();
        while let Some(byte) = bytes.next() {
            value.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
        }
        Cow::Owned(value)
    }
}

/// Returns the parameters in `text`, such as `; a=b; c="d"`, in order. Skips empty parameters. The iterator yields
/// `None` for a malformed parameter, and then ends: the start of the next parameter is unknown.
pub(crate) fn parameters(text: &[u8]) -> impl Iterator<Item = Option<Parameter<'_>>> {
    let mut rest = text.trim_ascii_start();
    std::iter::from_fn(move || {
        while let [b';', after @ ..] = rest
            && let after @ ([] | [b';', ..]) = after.trim_ascii_start()
        {
            rest = after;
        }
        if rest.is_empty() {
            return None;
        }
        let parameter = split_parameter(rest);
        rest = parameter.map_or(b"", |(_, after)| after.trim_ascii_start());
        Some(parameter.map(|(parameter, _)| parameter))
    })
}

/// Splits `text`, which begins with a semicolon, into the first parameter and the text after it. Returns `None` if the
/// parameter is malformed.
fn split_parameter(text: &[u8]) -> Option<(Parameter<'_>, &[u8])> {
    let (name, text) = split_token(text.strip_prefix(b";")?.trim_ascii_start())?;
    let text = text.strip_prefix(b"=")?;
    let (raw, rest) = match text.strip_prefix(b"\"") {
        Some(quoted) => split_quoted(quoted)?,
        None => split_token(text).map(|(token, rest)| (token.as_bytes(), rest))?,
    };
    Some((Parameter { name, raw }, rest))
}

/// Splits `text` into the token at its front (RFC 9110 §5.6.2) and the text after the token. Returns `None` if `text`
/// does not begin with a token.
pub(crate) fn split_token(text: &[u8]) -> Option<(&str, &[u8])> {
    let (token, rest) = text.split_at(chars::token_end(text, 0));
    let token = str::from_utf8(token).ok().filter(|token| !token.is_empty())?;
    Some((token, rest))
}

/// Splits `text`, which begins after an opening quote, into the text before and after the closing quote. Returns `None` if
/// there is no closing quote, or a control character comes before it.
fn split_quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = text.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes || !chars::is_header_value(byte)
    })?;
    Some((&text[..end], text[end..].strip_prefix(b"\"")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_skip_empty_elements() {
        let check = |value: &[u8], plain: &[&[u8]], quoted: &[&[u8]]| {
            assert_eq!(list(value).collect::<Vec<_>>(), plain, "{}", value.escape_ascii());
            assert_eq!(quoted_list(value).collect::<Vec<_>>(), quoted, "{}", value.escape_ascii());
        };
        check(b"", &[], &[]);
        check(b" ,\t, a ,b c,", &[b"a", b"b c"], &[b"a", b"b c"]);
        check(b"a=\"b,\\\",c\", d", &[b"a=\"b", b"\\\"", b"c\"", b"d"], &[b"a=\"b,\\\",c\"", b"d"]);
    }

    /// Compares the parameters in `text`, each written as `name=value`, and a malformed one as `!`.
    fn check(text: &[u8], expected: &[&str]) {
        let read = |parameter: Option<Parameter<'_>>| match parameter {
            Some(parameter) => format!("{}={}", parameter.name, parameter.value().escape_ascii()),
            None => "!".to_owned(),
        };
        assert_eq!(parameters(text).map(read).collect::<Vec<_>>(), expected, "{}", text.escape_ascii());
    }

    #[test]
    fn parses_tokens_and_quoted_strings() {
        check(b"", &[]);
        check(b";a=b", &["a=b"]);
        check(b" ;\ta=b ; C=\"d\" ", &["a=b", "C=d"]);
        check(b";a=\"\"", &["a="]);
        check(b";a=\"b; c=d, e\";f=g", &["a=b; c=d, e", "f=g"]);
        check(b";a=\"\\\"\\\\\\x\"", &["a=\\\"\\\\x"]);
        check(b";a=\"\t\xc3\xa9\"", &["a=\\t\\xc3\\xa9"]);
        check(b";", &[]);
        check(b" ; ;; a=b;", &["a=b"]);
    }

    #[test]
    fn stops_after_a_malformed_parameter() {
        let values = ["", "=", "= b", "=b c", " =b", "=\"b", "=\"b\\\"", "=\"b\"c", "=\"\n\""];
        let with_values = values.map(|value| format!(";a{value}"));
        for malformed in with_values.iter().map(String::as_str).chain(["a=b", ";=b"]) {
            let text = format!(";x=y {malformed};z=z");
            let read: Vec<_> = parameters(text.as_bytes()).collect();
            assert_eq!(read.first(), Some(&Some(Parameter { name: "x", raw: b"y" })), "{text}");
            assert_eq!(read.last(), Some(&None), "{text}");
        }
    }
}
