//! `Content-Disposition: form-data`: what the parts of a form are called (RFC 7578 §4.2).
//!
//! Programs and browsers write quotes into a name by different rules. This file must never let either rule change
//! what needs no escape at all, such as the backslashes of `C:\dir\file`.

use crate::types::grammar::{parameters, split_token};

/// What the field says of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disposition {
    pub name: String,
    pub file_name: Option<String>,
}

impl Disposition {
    /// `None` if the field is malformed, of another kind, without a name, or says something twice.
    pub fn parse(value: &[u8]) -> Option<Disposition> {
        let (_, rest) = split_token(value).filter(|(kind, _)| kind.eq_ignore_ascii_case("form-data"))?;
        let (mut name, mut file_name) = (None, None);
        for parameter in parameters(rest) {
            let parameter = parameter.ok()?;
            if parameter.name.eq_ignore_ascii_case("name") {
                once(&mut name, text(parameter.raw))?;
            } else if parameter.name.eq_ignore_ascii_case("filename") {
                once(&mut file_name, text(parameter.raw))?;
            }
        }
        Some(Disposition { name: name?, file_name })
    }
}

/// Fills a place that is empty.
pub(super) fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// How writers say what no quoted string can hold: programs by backslash, browsers by percent sign (HTML Standard
/// §4.10.21.8). A backslash or a percent sign before anything else stands for itself.
const ESCAPES: [(&str, &str); 5] =
    [("\\\"", "\""), ("\\\\", "\\"), ("%22", "\""), ("%0D", "\r"), ("%0A", "\n")];

fn text(raw: &[u8]) -> String {
    let raw = String::from_utf8_lossy(raw);
    let (mut text, mut rest) = (String::with_capacity(raw.len()), &*raw);
    while let Some(at) = rest.find(['\\', '%']) {
        let (before, escape) = rest.split_at(at);
        let itself = (&escape[..1], &escape[..1]);
        let (written, meant) =
            ESCAPES.into_iter().find(|(written, _)| escape.starts_with(written)).unwrap_or(itself);
        text.extend([before, meant]);
        rest = &escape[written.len()..];
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows `form-data`, and the name and file name in it.
    fn check(parameters: &str, expected: Option<(&str, Option<&str>)>) {
        let read = Disposition::parse(format!("form-data{parameters}").as_bytes());
        let expected = expected.map(|(name, file_name)| Disposition {
            name: name.to_owned(),
            file_name: file_name.map(str::to_owned),
        });
        assert_eq!(read, expected, "{parameters:?}");
    }

    #[test]
    fn names() {
        check("; name=a", Some(("a", None)));
        check("; NAME=\"a; b\" ; x=y", Some(("a; b", None)));
        check("; name=\"\"; filename=\"\"", Some(("", Some(""))));
        check("; name=\"\u{e9}\"; filename=\"\u{20ac}.txt\"", Some(("\u{e9}", Some("\u{20ac}.txt"))));
        check("; name=a; filename*=utf-8''b; filename=c", Some(("a", Some("c"))));
        let latin = Disposition::parse(b"form-data; name=\"\xe9\"").expect("a name");
        assert_eq!(latin.name, "\u{fffd}");
    }

    #[test]
    fn escapes_of_programs_and_of_browsers() {
        check("; name=\"a\\\"\\\\b\"", Some(("a\"\\b", None)));
        check("; name=\"%22%0D%0A%\"", Some(("\"\r\n%", None)));
        check("; name=\"\\\\%22%%220\"", Some(("\\\"%\"0", None)));
        check("; name=a; filename=\"C:\\dir\\f%41%0d.txt\"", Some(("a", Some("C:\\dir\\f%41%0d.txt"))));
    }

    #[test]
    fn nothing_is_missing_or_said_twice() {
        for parameters in [
            "",
            "; name",
            "; filename=f",
            "; name=a; name=b",
            "; name=a; filename=f; filename=f",
            "; name=\"a",
            "; name=a b",
            "/x; name=a",
            "x; name=a",
        ] {
            check(parameters, None);
        }
    }
}
