//! Headers by path: what an operator adds to the responses, and how long clients may cache a file.
//!
//! The headers of a file are computed once, when its document is made, and are part of the headers that all its
//! responses share. Only errors and redirects are matched with the rules for each response.

use crate::{
    glob::{Glob, file_name},
    options::InvalidOption,
};
use http_core::{HeaderError, Headers};
use std::str::FromStr;

/// The names of headers that no rule may set. The file server computes them, and other values would contradict the
/// response. (`Headers` rejects those that delimit the message and control the connection.)
const OWN_HEADERS: [&str; 15] = [
    "Accept-Ranges",
    "Age",
    "Allow",
    "Content-Encoding",
    "Content-Location",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Last-Modified",
    "Location",
    "Proxy-Authenticate",
    "Proxy-Connection",
    "Retry-After",
    "Vary",
    "WWW-Authenticate",
];

/// The names of headers that describe the content of a file. An error page has other content, and a 304 should not have
/// them (RFC 9110 §15.4.5).
const OF_CONTENT: [&str; 2] = ["Content-Disposition", "Content-Language"];

/// The Cache-Control of files whose names contain a hash of the content: a changed file has another name.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Which headers the responses get, in order: a later rule replaces the value that an earlier one has set.
///
/// ```
/// use http_files::{HeaderRule, HeaderRules, Options, SecurityHeaders};
///
/// let mut headers = HeaderRules::security(SecurityHeaders::Basic);
/// headers.push(HeaderRule::smart_cache());
/// headers.push("/embed/**: X-Frame-Options:".parse()?);
/// let options = Options { headers, ..Options::default() };
/// # Ok::<(), http_files::InvalidOption>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HeaderRules {
    rules: Vec<HeaderRule>,
    /// The directory of the URLs of the files, without a slash at either end. Globs are matched with the paths below
    /// it.
    prefix: Box<[u8]>,
}

/// A header for the responses to requests for some paths, or for all.
///
/// It is written as `[GLOB:] Name: value`. Without a value, the rule removes what earlier rules have set. A [`Glob`] is
/// matched with the path of the file that is sent (of a directory, its index); for errors, redirects and listings, with
/// that of the request, below the URL of the files. It must contain a character other than letters, digits, `-` and
/// `_`, as in `/README`: otherwise it would be taken for the name of a header.
///
/// The header is part of all responses: also of errors, redirects and listings, unless it describes the content of the
/// file (Content-Disposition and Content-Language).
#[derive(Clone, Debug)]
pub struct HeaderRule {
    /// The paths that the rule is for; `None` for all.
    glob: Option<Glob>,
    name: Box<str>,
    value: Value,
    /// Whether the rule is only for responses with a file, not for errors and redirects.
    is_for_files: bool,
}

#[derive(Clone, Debug)]
enum Value {
    /// The value of the header. If it is empty, the header is removed.
    Text(Box<str>),
    /// The Cache-Control that [`HeaderRule::smart_cache`] describes.
    SmartCache,
}

/// Headers that make browsers stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityHeaders {
    /// Browsers do not guess types (X-Content-Type-Options), only pages of the same origin embed the pages
    /// (X-Frame-Options and the frame-ancestors of Content-Security-Policy), other origins see only the origin in
    /// Referer (Referrer-Policy), and windows of other origins cannot reach the pages (Cross-Origin-Opener-Policy).
    Basic,
    /// Those of `Basic`, and: pages embed from other origins only what permits it (Cross-Origin-Embedder-Policy), and
    /// other origins cannot embed the files (Cross-Origin-Resource-Policy).
    Strict,
}

impl SecurityHeaders {
    const BASIC: [(&str, &str); 5] = [
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Content-Security-Policy", "frame-ancestors 'self'"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ];
    const STRICT: [(&str, &str); 2] =
        [("Cross-Origin-Embedder-Policy", "require-corp"), ("Cross-Origin-Resource-Policy", "same-origin")];
}

impl HeaderRules {
    /// The rules that set these headers in all responses.
    pub fn security(headers: SecurityHeaders) -> HeaderRules {
        let strict = match headers {
            SecurityHeaders::Basic => &[][..],
            SecurityHeaders::Strict => &SecurityHeaders::STRICT,
        };
        let all = SecurityHeaders::BASIC.iter().chain(strict);
        let rules = all.map(|(name, value)| HeaderRule::new(None, name, value)).collect();
        HeaderRules { rules, prefix: Box::default() }
    }

    /// Adds a rule, which takes precedence over those before it.
    pub fn push(&mut self, rule: HeaderRule) {
        self.rules.push(rule);
    }

    /// Returns whether there are no rules.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The same rules, for files with URLs below `prefix`.
    pub(super) fn below(&self, prefix: &[u8]) -> HeaderRules {
        HeaderRules { rules: self.rules.clone(), prefix: prefix.into() }
    }

    /// Sets the headers of the responses with the file at `path`, relative to the document root.
    pub(super) fn set_for_file(&self, headers: &mut Headers, path: &[u8], media_type: &str) {
        let rules = self.rules.iter().filter(|rule| rule.is_for(Some(path)));
        rules.for_each(|rule| rule.set(headers, path, media_type));
    }

    /// Sets the headers of a response without a file to a request for `path`: an error, a redirect or a listing. The
    /// path is that of the URL; `None` if it is not known.
    pub(super) fn set_without_file(&self, headers: &mut Headers, path: Option<&[u8]>) {
        let path = path.and_then(|path| self.relative(path));
        let rules =
            self.rules.iter().filter(|rule| !rule.is_for_files && !rule.is_of_content() && rule.is_for(path));
        rules.for_each(|rule| rule.set(headers, path.unwrap_or_default(), ""));
    }

    /// Returns the part of a normalised path below `prefix`; `None` if it is not below.
    fn relative<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let path = path.strip_prefix(b"/")?.strip_prefix(&*self.prefix)?;
        let is_root = self.prefix.is_empty() || path.is_empty();
        if is_root { Some(path) } else { path.strip_prefix(b"/") }
    }
}

impl Extend<HeaderRule> for HeaderRules {
    fn extend<I: IntoIterator<Item = HeaderRule>>(&mut self, rules: I) {
        self.rules.extend(rules);
    }
}

/// Removes the headers that describe the content of a file, for a response without its content.
pub(super) fn remove_content_headers(headers: &mut Headers) {
    OF_CONTENT.iter().for_each(|name| headers.remove(name));
}

impl HeaderRule {
    /// A rule for all responses whose paths match. The name and the value must be valid.
    fn new(glob: Option<Glob>, name: &str, value: &str) -> HeaderRule {
        HeaderRule { glob, name: name.into(), value: Value::Text(value.into()), is_for_files: false }
    }

    /// Parses `GLOB=VALUE`: the Cache-Control of the files that match. Without a value, they get none. It is not part
    /// of errors and redirects.
    ///
    /// # Errors
    ///
    /// If the text is malformed.
    pub fn cache_control(text: &str) -> Result<HeaderRule, InvalidOption> {
        let expected =
            || InvalidOption::new("must be GLOB=VALUE, as in *.css=max-age=600 or /assets/=no-cache");
        let (glob, value) = text.split_once('=').filter(|(glob, _)| !is_name(glob)).ok_or_else(expected)?;
        check("Cache-Control", value)?;
        let rule = HeaderRule::new(Some(glob.trim().parse()?), "Cache-Control", value.trim());
        Ok(HeaderRule { is_for_files: true, ..rule })
    }

    /// The Cache-Control of files by their names and types:
    ///
    /// * HTML: `no-cache`, so that clients ask for a new version each time.
    /// * Other files with a hash in their names, as build tools make them: `public, max-age=31536000, immutable`.
    /// * All others: `public, max-age=3600, must-revalidate`.
    ///
    /// A name contains a hash if one of the parts before its extension, divided by `.` and `-`, has
    ///
    /// * at least eight lower-case hexadecimal digits, both letters and decimal digits, as in `app.3f9c2a1b.js`,
    /// * or exactly eight letters, digits and underscores, with a letter after a digit, and upper- and lower-case
    ///   letters, as in `index-BX7d0q2_.css`,
    /// * or exactly eight upper-case letters and digits from 2 to 7, with a letter after a digit, as in
    ///   `chunk-5PQJ3VXG.js`.
    ///
    /// So some hashes are not recognised, but `report-20240101.pdf`, `hero-1280x720.jpg` and `photo-IMG_2024.jpg` are
    /// not taken for hashes.
    pub fn smart_cache() -> HeaderRule {
        let value = Value::SmartCache;
        HeaderRule { glob: None, name: "Cache-Control".into(), value, is_for_files: true }
    }

    /// The name of the header, as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the rule is for this path. A rule without a glob is also for requests whose path is not known.
    fn is_for(&self, path: Option<&[u8]>) -> bool {
        self.glob.as_ref().is_none_or(|glob| path.is_some_and(|path| glob.matches(path)))
    }

    fn is_of_content(&self) -> bool {
        OF_CONTENT.iter().any(|name| name.eq_ignore_ascii_case(&self.name))
    }

    fn set(&self, headers: &mut Headers, path: &[u8], media_type: &str) {
        let value = match &self.value {
            Value::Text(value) => value,
            Value::SmartCache => smart_cache(path, media_type),
        };
        if value.is_empty() {
            return headers.remove(&self.name);
        }
        let set = headers.set(&self.name, value);
        debug_assert_eq!(set, Ok(()), "{}", self.name);
    }
}

impl FromStr for HeaderRule {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<HeaderRule, InvalidOption> {
        let expected =
            || InvalidOption::new("must be [GLOB:] Name: value, as in /docs/: X-Robots-Tag: noindex");
        let (first, rest) = text.split_once(':').ok_or_else(expected)?;
        let (glob, name, value) = if is_name(first.trim()) {
            (None, first, rest)
        } else {
            let (name, value) = rest.split_once(':').ok_or_else(expected)?;
            (Some(first.trim().parse()?), name, value)
        };
        let name = name.trim();
        check(name, value)?;
        Ok(HeaderRule::new(glob, name, value.trim()))
    }
}

/// Returns whether a text is a name of a header, and not a glob.
fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Checks a header that an operator wants to set.
fn check(name: &str, value: &str) -> Result<(), InvalidOption> {
    if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Err(InvalidOption::new(format!("cannot set {name}: the server computes this header")));
    }
    Headers::default().append(name, value).map_err(|error| {
        let reason = match error {
            HeaderError::Reserved => {
                "the server sets this header, and it cannot be changed or removed".to_owned()
            }
            error => error.to_string(),
        };
        InvalidOption::new(format!("cannot set {name:?}: {reason}"))
    })
}

/// Returns the Cache-Control that [`HeaderRule::smart_cache`] describes.
fn smart_cache(path: &[u8], media_type: &str) -> &'static str {
    let essence = media_type.split(';').next().unwrap_or_default();
    if ["text/html", "application/xhtml+xml"].contains(&essence) {
        "no-cache"
    } else if has_hash(file_name(path)) {
        IMMUTABLE
    } else {
        "public, max-age=3600, must-revalidate"
    }
}

/// Returns whether the name of a file contains a hash ([`HeaderRule::smart_cache`]).
fn has_hash(name: &[u8]) -> bool {
    let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else { return false };
    name[..dot].split(|byte| b".-".contains(byte)).any(is_hash)
}

fn is_hash(part: &[u8]) -> bool {
    let has = |class: fn(&u8) -> bool| part.iter().any(class);
    let only = |class: fn(&u8) -> bool| part.iter().all(class);
    let is_hex = || {
        part.len() >= 8
            && only(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_alphabetic)
    };
    let is_short = || {
        part.len() == 8
            && part.windows(2).any(|two| two[0].is_ascii_digit() && two[1].is_ascii_alphabetic())
            && has(u8::is_ascii_uppercase)
            && (only(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
                || has(u8::is_ascii_lowercase) && only(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'))
    };
    is_hex() || is_short()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_in_names_are_recognised() {
        for name in [
            "app.3f9c2a1b.js",
            "app.3f9c2a1b.js.map",
            "app-3f9c2a1b4d5e6f708192.min.css",
            "3f9c2a1b4d5e6f70.woff2",
            "index-BX7d0q2_.css",
            "a-b-logo.D3x0Zk1a.svg",
            "chunk-5PQJ3VXG.js",
        ] {
            assert!(has_hash(name.as_bytes()), "{name}");
        }
        for name in [
            "app.js",
            "index.html",
            "3f9c2a1b",
            ".3f9c2a1b",
            "report-20240101.pdf",
            "report-20240101T120000Z.pdf",
            "hero-1280x720.jpg",
            "photo-IMG_2024.jpg",
            "photo-DSCN0001.jpg",
            "slides-Chapter1.pdf",
            "Photo-Summer24.jpg",
            "jquery-3.7.1.min.js",
            "bootstrap.bundle.min.js",
            "effaced-deadbeef.css",
            "app-3f9c2a1.js",
            "index-BX7d0q2.css",
            "a.pdf-3f9c2a1b",
        ] {
            assert!(!has_hash(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn later_rules_win() {
        let check = |rules: &[&str], path: &str, (of_file, of_error): (&str, &str)| {
            let rules = rules.iter().map(|text| match text.strip_prefix("cache ") {
                Some("smart") => HeaderRule::smart_cache(),
                Some(text) => HeaderRule::cache_control(text).expect("a rule"),
                None => text.parse().expect("a rule"),
            });
            let rules = HeaderRules { rules: rules.collect(), ..HeaderRules::default() };
            let (mut file, mut error) = (Headers::default(), Headers::default());
            rules.set_for_file(&mut file, path.as_bytes(), "text/css");
            rules.set_without_file(&mut error, Some(format!("/{path}").as_bytes()));
            let text = |headers: &Headers| String::from_utf8_lossy(headers.as_bytes()).replace("\r\n", ";");
            assert_eq!((&*text(&file), &*text(&error)), (of_file, of_error), "{path}");
        };
        check(&[], "a", ("", ""));
        check(&["A: 1", "b:2", "a: 3"], "x", ("b: 2;a: 3;", "b: 2;a: 3;"));
        check(&["A: 1", "a:", "B: 2"], "x", ("B: 2;", "B: 2;"));
        check(&["*.css: A: 1:2", "/x/: A:", "/y/ : A : 3"], "a.css", ("A: 1:2;", "A: 1:2;"));
        check(&["*.css: A: 1:2", "/x/: A:", "/y/ : A : 3"], "x/a.css", ("", ""));
        check(&["*.css: A: 1:2", "/x/: A:", "/y/ : A : 3"], "y/a.css", ("A: 3;", "A: 3;"));
        check(&["Content-Language: de", "A: 1"], "x", ("Content-Language: de;A: 1;", "A: 1;"));
        let cache = ["cache smart", "cache /a/=max-age=60", "cache *.js="];
        check(&cache, "a/b", ("Cache-Control: max-age=60;", ""));
        check(&cache, "a/b.js", ("", ""));
        check(&cache, "b", ("Cache-Control: public, max-age=3600, must-revalidate;", ""));
        check(
            &["cache **=no-cache", "Cache-Control: no-store"],
            "b",
            ("Cache-Control: no-store;", "Cache-Control: no-store;"),
        );
    }

    #[test]
    fn paths_are_relative_to_the_prefix() {
        let check = |prefix: &str, path: &str, expected: Option<&str>| {
            let rules = HeaderRules::default().below(prefix.as_bytes());
            assert_eq!(rules.relative(path.as_bytes()), expected.map(str::as_bytes), "{prefix} {path}");
        };
        check("", "/", Some(""));
        check("", "/a/b/", Some("a/b/"));
        check("a/b", "/a/b", Some(""));
        check("a/b", "/a/b/", Some(""));
        check("a/b", "/a/b/c/d", Some("c/d"));
        for outside in ["/a", "/a/bc", "/x/a/b", "*", ""] {
            check("a/b", outside, None);
        }
    }

    #[test]
    fn the_path_of_a_rejected_request_may_be_unknown() {
        let mut rules = HeaderRules::default();
        rules.extend(["A: 1", "**: B: 2"].map(|text| text.parse().expect("a rule")));
        let mut headers = Headers::default();
        rules.set_without_file(&mut headers, None);
        assert_eq!(headers.as_bytes(), b"A: 1\r\n");
    }

    #[test]
    fn a_malformed_rule_is_rejected() {
        for (text, reason) in [
            ("", "must be [GLOB:] Name: value"),
            ("X-A", "must be [GLOB:] Name: value"),
            ("*.js: X-A", "must be [GLOB:] Name: value"),
            (": v", "a header name must be a token"),
            ("*.js: X A: v", "a header name must be a token"),
            ("X-A: a\r\nX-B: b", "control characters"),
            ("a**: X-A: v", "malformed glob"),
            ("Content-Length: 1", "the server sets this header"),
            ("transfer-encoding: chunked", "the server sets this header"),
            ("*.js: Connection: close", "the server sets this header"),
            ("server:", "and it cannot be changed or removed"),
            ("etag: \"1\"", "the server computes this header"),
            ("Content-Type: text/plain", "the server computes this header"),
            ("Vary:", "the server computes this header"),
        ] {
            let error = text.parse::<HeaderRule>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        for text in ["", "no-store", "max-age=60", "=no-store", "*.js=a\nb", "[a]=b"] {
            HeaderRule::cache_control(text).expect_err(text);
        }
    }
}
