//! Parameters, as several fields carry them behind their value: `; name=token; name="quoted"` (RFC 9110 §5.6.6).
//!
//! Whoever reads a field knows what a parameter means; this file only finds where each begins and ends. It must
//! never take a semicolon inside quotes for the end of anything.

use std::borrow::Cow;

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameter<'a> {
    /// As sent; case does not matter.
    pub name: &'a str,
    /// A token, or what stands between the quotes, backslashes and all.
    pub raw: &'a [u8],
}

impl<'a> Parameter<'a> {
    /// The value, with quoted pairs resolved (§5.6.4). No token holds a backslash, so none is changed by this.
    pub fn value(&self) -> Cow<'a, [u8]> {
        if !self.raw.contains(&b'\\') {
            return Cow::Borrowed(self.raw);
        }
        let mut value = Vec::with_capacity(self.raw.len());
        let mut octets = self.raw.iter();
        while let Some(octet) = octets.next() {
            value.push(if *octet == b'\\' { *octets.next().unwrap_or(octet) } else { *octet });
        }
        Cow::Owned(value)
    }
}

/// Here stands what is no parameter; where the next one begins, nobody can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads what follows a value: parameters in their order, and nothing behind a fault. Empty ones are skipped.
pub(crate) fn parse(text: &[u8]) -> impl Iterator<Item = Result<Parameter<'_>, Malformed>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            // Inside a field value there is no white space but OWS.
            rest = rest.trim_ascii_start();
            if rest.is_empty() {
                return None;
            }
            match split_from(rest) {
                Some((parameter, behind)) => {
                    rest = behind;
                    if parameter.is_some() {
                        return parameter.map(Ok);
                    }
                }
                None => {
                    rest = b"";
                    return Some(Err(Malformed));
                }
            }
        }
    })
}

/// The parameter, if it is not an empty one, that `text` begins with from its semicolon on; and what follows it.
fn split_from(text: &[u8]) -> Option<(Option<Parameter<'_>>, &[u8])> {
    let text = text.strip_prefix(b";")?.trim_ascii_start();
    if text.is_empty() || text.starts_with(b";") {
        return Some((None, text));
    }
    let (name, text) = split_token(text)?;
    let text = text.strip_prefix(b"=")?;
    let (raw, rest) = match text.strip_prefix(b"\"") {
        Some(quoted) => split_quoted(quoted)?,
        None => split_token(text).map(|(token, rest)| (token.as_bytes(), rest))?,
    };
    Some((Some(Parameter { name, raw }), rest))
}

/// The token that `text` begins with, and what follows it (§5.6.2).
pub(crate) fn split_token(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|&octet| !is_token(octet)).unwrap_or(text.len());
    let (token, rest) = text.split_at(end);
    let token = str::from_utf8(token).ok().filter(|token| !token.is_empty())?;
    Some((token, rest))
}

/// What stands before the closing quote, and what follows that. `text` begins behind the opening one.
fn split_quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = text.iter().position(|&octet| {
        let closes = octet == b'"' && !escaped;
        escaped = octet == b'\\' && !escaped;
        closes || !is_field_content(octet)
    })?;
    Some((&text[..end], text[end..].strip_prefix(b"\"")?))
}

fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

/// Visible, SP, HTAB or obs-text (§5.5).
pub(crate) fn is_field_content(octet: u8) -> bool {
    octet == b'\t' || !octet.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` spells each parameter `name=value`, and what is malformed `!`.
    fn check(text: &[u8], expected: &[&str]) {
        let read = |parameter: Result<Parameter<'_>, _>| match parameter {
            Ok(parameter) => format!("{}={}", parameter.name, parameter.value().escape_ascii()),
            Err(Malformed) => "!".to_owned(),
        };
        assert_eq!(parse(text).map(read).collect::<Vec<_>>(), expected, "{}", text.escape_ascii());
    }

    #[test]
    fn tokens_and_quoted_strings() {
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
    fn nothing_is_read_behind_a_fault() {
        for faulty in [
            "a=b",
            ";a",
            ";a=",
            ";=b",
            ";a =b",
            ";a= b",
            ";a=b c",
            ";a=\"b",
            ";a=\"b\\\"",
            ";a=\"b\"c",
            ";a=\"\n\"",
        ] {
            let text = format!(";x=y {faulty};z=z");
            let read: Vec<_> = parse(text.as_bytes()).collect();
            assert_eq!(read.first(), Some(&Ok(Parameter { name: "x", raw: b"y" })), "{text}");
            assert_eq!(read.last(), Some(&Err(Malformed)), "{text}");
        }
    }
}
