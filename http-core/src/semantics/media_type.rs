//! Media types, such as `text/html; charset=utf-8` (RFC 9110 §8.3).
//!
//! ```
//! use http_core::MediaType;
//!
//! let html = MediaType::parse(b"Text/HTML; Charset=\"utf-8\"").ok_or("malformed")?;
//! assert!(html.is("text/html"));
//! assert_eq!(html.parameter("charset").as_deref(), Some(&b"utf-8"[..]));
//! assert!(MediaType::parse(b"text/html; charset").is_none());
//! # Ok::<(), &str>(())
//! ```

use crate::types::grammar::{self, Parameter, split_token};
use std::borrow::Cow;

/// A valid media type: a type, a subtype, and parameters.
///
/// ```
/// use http_core::MediaType;
///
/// let problem = MediaType::parse(b"application/problem+json; charset=utf-8").ok_or("malformed")?;
/// assert_eq!((problem.top_level(), problem.subtype(), problem.suffix()), ("application", "problem+json", Some("json")));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MediaType<'a> {
    top_level: &'a str,
    subtype: &'a str,
    /// The text from the first semicolon on; empty if there is none.
    parameters: &'a [u8],
}

impl<'a> MediaType<'a> {
    /// Parses the value of a `Content-Type` header, or one member of an `Accept` header. Returns `None` if it is
    /// malformed.
    pub fn parse(value: &'a [u8]) -> Option<MediaType<'a>> {
        let (top_level, rest) = split_token(value.trim_ascii())?;
        let (subtype, parameters) = split_token(rest.strip_prefix(b"/")?)?;
        let valid = grammar::parameters(parameters).all(|parameter| parameter.is_some());
        valid.then_some(MediaType { top_level, subtype, parameters })
    }

    /// Returns the type before the slash, as sent: `text`. Compare it without case.
    pub fn top_level(&self) -> &'a str {
        self.top_level
    }

    /// Returns the subtype after the slash, as sent: `html`. Compare it without case.
    pub fn subtype(&self) -> &'a str {
        self.subtype
    }

    /// Returns the structured syntax suffix of the subtype, as sent: `json` for `problem+json` (RFC 6838 §4.2.8).
    /// Returns `None` if the subtype contains no `+`.
    pub fn suffix(&self) -> Option<&'a str> {
        self.subtype.rsplit_once('+').map(|(_, suffix)| suffix)
    }

    /// Returns whether type and subtype equal those in `essence`, such as `text/html`. Ignores case and parameters.
    pub fn is(&self, essence: &str) -> bool {
        essence.split_once('/').is_some_and(|(top_level, subtype)| {
            self.top_level.eq_ignore_ascii_case(top_level) && self.subtype.eq_ignore_ascii_case(subtype)
        })
    }

    /// Returns the value of the first parameter with this name, which is compared without case; `None` if there is
    /// none. A quoted value is returned unescaped: without its quotes, and `a` for `\a`.
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let mut parameters = self.parameters();
        Some(parameters.find(|parameter| parameter.name.eq_ignore_ascii_case(name))?.value())
    }

    /// Returns the names and raw values of all parameters, in order.
    pub(super) fn parameters(&self) -> impl Iterator<Item = Parameter<'a>> + use<'a> {
        grammar::parameters(self.parameters).flatten()
    }
}

/// The error of a conversion to [`MediaType`]: a text is not a media type.
///
/// ```
/// use http_core::MediaType;
///
/// assert_eq!(MediaType::try_from("text/html")?.subtype(), "html");
/// let error = MediaType::try_from("html").unwrap_err();
/// assert_eq!(error.to_string(), "malformed media type");
/// # Ok::<(), http_core::InvalidMediaType>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidMediaType;

impl std::fmt::Display for InvalidMediaType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed media type")
    }
}

impl std::error::Error for InvalidMediaType {}

impl<'a> TryFrom<&'a str> for MediaType<'a> {
    type Error = InvalidMediaType;

    fn try_from(text: &'a str) -> Result<MediaType<'a>, InvalidMediaType> {
        MediaType::parse(text.as_bytes()).ok_or(InvalidMediaType)
    }
}

/// Writes the type and the subtype in lower case, and the parameters as sent.
impl std::fmt::Display for MediaType<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parameters = String::from_utf8_lossy(self.parameters);
        write!(f, "{}/{}{parameters}", self.top_level.to_ascii_lowercase(), self.subtype.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` are the displayed media type and its charset, or `None` if `value` is malformed.
    fn check(value: &str, expected: Option<(&str, Option<&str>)>) {
        let read = MediaType::parse(value.as_bytes()).map(|media_type| {
            let charset = media_type.parameter("charset");
            (media_type.to_string(), charset.map(|charset| charset.escape_ascii().to_string()))
        });
        let read = read.as_ref().map(|(shown, charset)| (shown.as_str(), charset.as_deref()));
        assert_eq!(read, expected, "{value:?}");
    }

    #[test]
    fn parses_types_and_parameters() {
        check("text/html", Some(("text/html", None)));
        check("\tTEXT/Html ", Some(("text/html", None)));
        check("image/svg+xml ;", Some(("image/svg+xml ;", None)));
        check("text/html;charset=utf-8", Some(("text/html;charset=utf-8", Some("utf-8"))));
        let twice = "text/html; a=b; CHARSET=\"u\\tf-8\"; charset=c";
        check(twice, Some((twice, Some("utf-8"))));
        check("*/*", Some(("*/*", None)));
    }

    #[test]
    fn rejects_malformed_types() {
        for value in ["", "/", "text", "text/", "/html", "text /html", "text/ html", "te\u{e9}xt/html"] {
            check(value, None);
        }
        for rest in ["/x", " x", ",", "; a", "; a=\"", "; a=b, a/b"] {
            check(&format!("text/html{rest}"), None);
        }
    }

    /// Parses a media type that is not malformed.
    fn parse(value: &str) -> MediaType<'_> {
        MediaType::parse(value.as_bytes()).expect("a media type")
    }

    #[test]
    fn the_suffix_follows_the_last_plus() {
        assert_eq!(parse("application/problem+JSON; q=a+b").suffix(), Some("JSON"));
        assert_eq!(parse("application/a+b+xml").suffix(), Some("xml"));
        assert_eq!(parse("a+json/json").suffix(), None);
    }

    #[test]
    fn compares_the_whole_type_without_case() {
        let json = parse("Application/JSON; q=1");
        assert!(json.is("application/json"));
        for other in "application/jso,application/,application,text/json,application/json; q=1,".split(',') {
            assert!(!json.is(other), "{other}");
        }
    }
}
