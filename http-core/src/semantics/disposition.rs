//! `Content-Disposition`: in a form, the header with the name and the file name of a part (RFC 7578 §4.2); in a
//! response, the file name for a download (RFC 6266).
//!
//! A browser writes a quote in a name as `%22`. Other clients write `\"`, as in other quoted strings (RFC 9110
//! §5.6.4). This module resolves both kinds of escapes, and never changes other text, such as the backslashes of
//! `C:\dir\file`.

use crate::types::grammar::{parameters, split_token};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The bytes that an extended parameter contains without an escape, apart from letters and digits: `attr-char` of RFC
/// 8187 §3.2.1.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Returns the value of a `Content-Disposition` header that makes a browser save a response as a file with this name. A
/// name that is not plain ASCII is sent twice: for all clients, and with `_` for each other character for old ones (RFC
/// 6266 §4.3).
pub(crate) fn attachment(file_name: &str) -> String {
    // Some clients decode `%41` in a quoted string, and some do not unescape `\"`.
    let is_plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%');
    let plain: String = file_name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let value = format!("attachment; filename=\"{plain}\"");
    if plain == file_name {
        return value;
    }
    format!("{value}; filename*=UTF-8''{}", utf8_percent_encode(file_name, UNESCAPED))
}

/// Parses the value of a `Content-Disposition` header. Returns the name of the part, and its file name if it has one.
/// Returns `None` if the value is malformed, is not `form-data`, has no name, or repeats a parameter.
pub(super) fn parse(value: &[u8]) -> Option<(String, Option<String>)> {
    let (_, rest) = split_token(value).filter(|(kind, _)| kind.eq_ignore_ascii_case("form-data"))?;
    let (mut name, mut file_name) = (None, None);
    for parameter in parameters(rest) {
        let parameter = parameter?;
        if parameter.name.eq_ignore_ascii_case("name") {
            set_once(&mut name, unescape(parameter.raw))?;
        } else if parameter.name.eq_ignore_ascii_case("filename") {
            set_once(&mut file_name, unescape(parameter.raw))?;
        }
    }
    Some((name?, file_name))
}

/// Stores `value` in `slot`. Returns `Some(())` if `slot` was empty, or `None` if it held a value, which is replaced.
pub(super) fn set_once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// The escapes in a name or a file name. Each pair is an escape as sent, and the character that it means. Browsers send
/// the escapes with a percent sign (HTML Standard §4.10.21.8), other clients those with a backslash (RFC 9110 §5.6.4).
/// Any other backslash or percent sign is literal.
const ESCAPES: [(&str, &str); 5] =
    [("\\\"", "\""), ("\\\\", "\\"), ("%22", "\""), ("%0D", "\r"), ("%0A", "\n")];

/// Replaces each escape in `raw`, such as `%22`, by its character. `raw` is the value of a parameter without its
/// quotes. Text that is not one of the [`ESCAPES`] stays as it is. Bytes that are not UTF-8 become U+FFFD.
fn unescape(raw: &[u8]) -> String {
    let raw = String::from_utf8_lossy(raw);
    let (mut text, mut rest) = (String::with_capacity(raw.len()), &*raw);
    while let Some(at) = rest.find(['\\', '%']) {
        let (before, escape) = rest.split_at(at);
        let literal = (&escape[..1], &escape[..1]);
        let (written, meant) =
            ESCAPES.into_iter().find(|(written, _)| escape.starts_with(written)).unwrap_or(literal);
        text.extend([before, meant]);
        rest = &escape[written.len()..];
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `form-data` followed by `parameters`, and compares the name and the file name.
    fn check(parameters: &str, expected: Option<(&str, Option<&str>)>) {
        let names = parse(format!("form-data{parameters}").as_bytes());
        let names = names.as_ref().map(|(name, file_name)| (name.as_str(), file_name.as_deref()));
        assert_eq!(names, expected, "{parameters:?}");
    }

    #[test]
    fn an_attachment_has_a_name_for_all_clients() {
        let check = |name: &str, expected: &str| {
            assert_eq!(attachment(name), format!("attachment; filename={expected}"));
        };
        check("report 2024 (final).pdf", "\"report 2024 (final).pdf\"");
        check("", "\"\"");
        check("\u{20ac} rates.txt", "\"_ rates.txt\"; filename*=UTF-8''%E2%82%AC%20rates.txt");
        check("a\"b\\c%41'.txt", "\"a_b_c_41'.txt\"; filename*=UTF-8''a%22b%5Cc%2541%27.txt");
        check("a\r\nX: y", "\"a__X: y\"; filename*=UTF-8''a%0D%0AX%3A%20y");
    }

    #[test]
    fn parses_names() {
        check("; name=a", Some(("a", None)));
        check("; NAME=\"a; b\" ; x=y", Some(("a; b", None)));
        check("; name=\"\"; filename=\"\"", Some(("", Some(""))));
        check("; name=\"\u{e9}\"; filename=\"\u{20ac}.txt\"", Some(("\u{e9}", Some("\u{20ac}.txt"))));
        check("; name=a; filename*=utf-8''b; filename=c", Some(("a", Some("c"))));
        assert_eq!(parse(b"form-data; name=\"\xe9\""), Some(("\u{fffd}".to_owned(), None)));
    }

    #[test]
    fn resolves_escapes_of_programs_and_browsers() {
        check("; name=\"a\\\"\\\\b\"", Some(("a\"\\b", None)));
        check("; name=\"%22%0D%0A%\"", Some(("\"\r\n%", None)));
        check("; name=\"\\\\%22%%220\"", Some(("\\\"%\"0", None)));
        check("; name=a; filename=\"C:\\dir\\f%41%0d.txt\"", Some(("a", Some("C:\\dir\\f%41%0d.txt"))));
    }

    #[test]
    fn rejects_missing_and_repeated_names() {
        for parameters in ["", "; name", "; name=\"a", "; name=a b", "/x; name=a", "x; name=a"] {
            check(parameters, None);
        }
        check("; filename=f", None);
        check("; name=a; name=b", None);
        check("; name=a; filename=f; filename=f", None);
    }
}
