//! Grammar that several headers share: lists, numbers, tokens, quoted strings, parameters and authorities (RFC 9110
//! §5.6).
//!
//! The functions find where each element begins and ends. They never interpret an element: the module that reads the
//! header does. A header value contains no white space other than SP and HTAB, so `trim_ascii` removes just those.

use super::chars;
use core::net::Ipv6Addr;
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

/// Parses a decimal number: `1*DIGIT`. Returns `None` if `text` is empty or contains another character, such as a sign
/// or a space. A number beyond 64 bits becomes `u64::MAX`, which exceeds every limit.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let append = |number: u64, &digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(text.iter().fold(0, append))
}

/// Returns whether `text` is a token: not empty, and only characters that a token allows (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(chars::is_token)
}

/// Returns whether `text` begins with a percent-escape: `%` and two hexadecimal digits (RFC 3986 §2.1).
pub(crate) fn begins_escape(text: &[u8]) -> bool {
    matches!(text, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// Returns whether `text` is a host with an optional port and without userinfo (RFC 9110 §4.2).
pub(crate) fn is_authority(text: &[u8]) -> bool {
    split_port(text).is_some()
}

/// Returns whether `text` is a host with a port and without userinfo: the target of CONNECT (RFC 9112 §3.2.3).
pub(crate) fn is_authority_with_port(text: &[u8]) -> bool {
    split_port(text).is_some_and(|port| !port.is_empty())
}

/// Returns the digits of the port in `text`, a host with an optional port; an empty slice if it has no port or no
/// digits (RFC 3986 §3.2.3). Returns `None` if `text` has another form, or the port more than five digits.
fn split_port(text: &[u8]) -> Option<&[u8]> {
    let (host, rest) = text.split_at(host_len(text));
    let port = if rest.is_empty() { rest } else { rest.strip_prefix(b":")? };
    (!host.is_empty() && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)).then_some(port)
}

/// Returns the length of the host at the front of `text`: a registered name, an IPv4 address, or an IP literal in
/// brackets (RFC 3986 §3.2.2). Returns 0 if `text` begins with none. A registered name ends before an incomplete
/// percent-escape.
fn host_len(text: &[u8]) -> usize {
    if let [b'[', rest @ ..] = text {
        let len = rest.iter().position(|&byte| byte == b']').filter(|&len| is_ip_literal(&rest[..len]));
        return len.map_or(0, |len| len + 2);
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

/// Returns whether `text`, which was in brackets, is an IPv6 address or the address of a future version (RFC 3986
/// §3.2.2). A zone identifier (RFC 6874) is not accepted: it means something only on the client's host.
fn is_ip_literal(text: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = text {
        let digits = future.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let address = future[digits..].strip_prefix(b".").unwrap_or_default();
        let is_legal = |byte: &u8| chars::is_host(*byte) || matches!(byte, b',' | b':');
        return digits > 0 && !address.is_empty() && address.iter().all(is_legal);
    }
    // The parser of the standard library accepts exactly the grammar of the RFC.
    str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
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
    /// Returns the value, with each quoted pair (a backslash and a character) replaced by its character (RFC 9110
    /// §5.6.4).
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

/// Splits `text`, which begins after an opening quote, into the text before and after the closing quote. Returns `None`
/// if there is no closing quote, or a control character comes before it.
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
    use proptest::{collection::vec, prelude::*, sample::select};

    #[test]
    fn lists_skip_empty_elements() {
        let check = |value: &[u8], plain: &[&[u8]], quoted: &[&[u8]]| {
            assert_eq!(list(value).collect::<Vec<_>>(), plain, "{}", value.escape_ascii());
            assert_eq!(quoted_list(value).collect::<Vec<_>>(), quoted, "{}", value.escape_ascii());
        };
        check(b"", &[], &[]);
        check(b" ,\t, a ,b c,", &[b"a", b"b c"], &[b"a", b"b c"]);
        check(b"ab=\"c,d\", e", &[b"ab=\"c", b"d\"", b"e"], &[b"ab=\"c,d\"", b"e"]);
        check(b"\"ab\", c", &[b"\"ab\"", b"c"], &[b"\"ab\"", b"c"]);
        check(b"a=\"b,\\\",c\", d", &[b"a=\"b", b"\\\"", b"c\"", b"d"], &[b"a=\"b,\\\",c\"", b"d"]);
    }

    #[test]
    fn hosts_and_ports() {
        let check = |text: &str, is_expected: bool, has_port: bool| {
            let found = (is_authority(text.as_bytes()), is_authority_with_port(text.as_bytes()));
            assert_eq!(found, (is_expected, has_port), "{text}");
        };
        let hosts = "x|a.b-c_d|127.0.0.1|1.2.3.4.5|%41|a%c3%a9|[::1]|[1::8]|[v1.a]|[V1F.,:~]";
        for text in hosts.split('|') {
            check(text, true, false);
            check(&format!("{text}:"), true, false);
            check(&format!("{text}:80"), true, true);
            for after in "[:|]|:80:80|:123456|:8a|:-1|/|?|@b| |,a|%4|%zz|\u{e9}".split('|') {
                check(&format!("{text}{after}"), false, false);
            }
        }
        let malformed = "|:80|[]|[|[::1|::1|[.]|[:]|[:::]|[1]|[abc]|[::g]|[1::2::3]|[12345::]|[1.2.3.4]|[1:2:3:4:5:6:7]|\
            [1:2:3:4:5:6:7:8:9]|[1:2:3:4:5:6:7::8]|[::1.2.3]|[::1.2.3.256]|[::1.2.3.04]|[1.2.3.4::]|[::1.2.3.4:5]|\
            [::1%25eth0]|[::1%eth0]|[ ::1]|[[::1]]|[v1.]|[v.a]|[vg.a]|[v1a]|[v1.a/b]|[v1.a%41]|[\u{e9}]";
        for text in malformed.split('|') {
            check(text, false, false);
            check(&format!("{text}:80"), false, false);
        }
    }

    /// Returns whether `text` is an IPv6 address: as many groups as the nine alternatives of RFC 3986 §3.2.2 allow. An
    /// IPv4 address at the end counts as two groups.
    fn is_ipv6_by_rfc(text: &str) -> bool {
        let is_octet = |octet: &str| octet.parse::<u8>().is_ok_and(|number| number.to_string() == octet);
        let is_ipv4 = |text: &str| text.split('.').count() == 4 && text.split('.').all(is_octet);
        let is_h16 =
            |text: &str| (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        // The number of groups in a part before or after the `::`.
        let groups = |part: &str, is_last: bool| -> Option<usize> {
            let mut groups: Vec<&str> = if part.is_empty() { Vec::new() } else { part.split(':').collect() };
            let ipv4 = groups.pop_if(|last| is_last && is_ipv4(last)).map_or(0, |_| 2);
            groups.iter().all(|group| is_h16(group)).then_some(groups.len() + ipv4)
        };
        match text.split_once("::") {
            Some((left, right)) => {
                groups(left, false).zip(groups(right, true)).is_some_and(|(left, right)| left + right <= 7)
            }
            None => groups(text, true) == Some(8),
        }
    }

    /// Generates the IPv6 addresses of RFC 3986 §3.2.2.
    fn ipv6() -> impl Strategy<Value = String> {
        let octets = vec(any::<u8>(), 4)
            .prop_map(|octets| octets.iter().map(u8::to_string).collect::<Vec<_>>().join("."));
        let ls32 = prop_oneof![octets, "[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}"];
        let groups = vec("[0-9A-Fa-f]{1,4}", 8);
        (groups, ls32, 0..=8usize, 0..=7usize).prop_map(|(groups, ls32, right, left)| {
            // `right` groups after the `::`; those of ls32 are the last two.
            let left = left.min(7usize.saturating_sub(right));
            let before = groups[..left].join(":");
            let after = match right {
                0 => String::new(),
                1 => groups[7].clone(),
                right => [&groups[8 - right + 2..], &[ls32]].concat().join(":"),
            };
            if right == 8 { after } else { format!("{before}::{after}") }
        })
    }

    proptest! {
        #[test]
        fn accepts_the_ipv6_addresses_of_the_rfc(address in ipv6()) {
            let host = format!("[{address}]");
            prop_assert!(is_ipv6_by_rfc(&address) && is_authority(host.as_bytes()), "{}", host);
        }

        #[test]
        fn accepts_no_other_ipv6_addresses(
            parts in vec(select(vec!["1", "ab", "12345", "g", ":", ":", "::", ".", "0", "255", "256", "1.2.3.4", "%"]), 0..20),
            address in ipv6(),
            at in any::<prop::sample::Index>(),
            inserted in "[0-9a-g:.%]{0,2}",
        ) {
            let at = at.index(address.len());
            for text in [
                parts.concat(),
                [&address[..at], &inserted, &address[at..]].concat(),
                [&address[..at], &inserted, &address[at + 1..]].concat(),
            ] {
                prop_assert_eq!(is_authority(format!("[{text}]").as_bytes()), is_ipv6_by_rfc(&text), "{}", text);
            }
        }
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
