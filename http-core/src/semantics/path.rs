//! The path of a request target: decoded once, and safe to open beneath a document root.
//!
//! A [`RelativePath`] has no way to point outside the directory it is joined to: it has no leading slash, no
//! `.` or `..` segment and no NUL, whatever the peer escaped and however often. That it stays inside when a
//! symbolic link leads away is for whoever opens it to see to. This file must never touch a disk, and never
//! decode a second time: `%252e` is the three characters `%2e`, a name like any other.
//!
//! ```
//! use http_core::path::{self, PathError, RelativePath};
//!
//! let (raw, query) = path::split("/docs//a%20b/../?page=2");
//! assert_eq!(query, Some("page=2"));
//!
//! let path = RelativePath::parse(raw)?;
//! assert_eq!(path.as_bytes(), b"docs");
//! assert!(path.is_directory());
//! assert_eq!(path.encode(), "/docs/");
//!
//! assert_eq!(RelativePath::parse("/%2e%2e/etc/passwd"), Err(PathError::AboveRoot));
//! # Ok::<(), PathError>(())
//! ```

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::borrow::Cow;
use std::{error, fmt};

/// The path and the query of an origin-form target, both still escaped (RFC 9112 §3.2.1).
///
/// A fragment is never sent by a sound client (RFC 9110 §7.1); one that is, is cut off.
///
/// ```
/// # use http_core::path::split;
/// assert_eq!(split("/a?b=/c?d"), ("/a", Some("b=/c?d")));
/// assert_eq!(split("/a#b?c"), ("/a", None));
/// ```
#[must_use]
pub fn split(target: &str) -> (&str, Option<&str>) {
    let target = target.split_once('#').map_or(target, |(before, _)| before);
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// A decoded path without dot segments, relative to a root: `a/b`, or nothing for the root itself.
///
/// Two that are equal name the same file. The bytes need not be UTF-8, as those of a Unix file name need not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelativePath<'a> {
    /// Non-empty segments joined by single slashes; borrowed when the raw path was in this form already.
    segments: Cow<'a, [u8]>,
    directory: bool,
}

impl<'a> RelativePath<'a> {
    /// Decodes the path part of a target, as [`split`] yields it.
    ///
    /// Each `%XX` is decoded once, and only then are dot segments removed (RFC 3986 §5.2.4), since `%2e` is
    /// `.` by §6.2.2.2. Runs of slashes count as one, as they do to the file system. Nothing is allocated
    /// unless the raw path holds an escape, a run of slashes or a dot segment.
    ///
    /// # Errors
    ///
    /// The first fault from the left, as a [`PathError`].
    pub fn parse(raw_path: &'a str) -> Result<Self, PathError> {
        let raw = raw_path.as_bytes().strip_prefix(b"/").ok_or(PathError::NotAbsolute)?;
        if !is_plain(raw) {
            return decode(raw);
        }
        let segments = raw.strip_suffix(b"/").unwrap_or(raw);
        Ok(Self { segments: Cow::Borrowed(segments), directory: raw.is_empty() || raw.ends_with(b"/") })
    }

    /// The decoded segments joined by slashes: none leading, none trailing, and empty for the root.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.segments
    }

    /// Whether only a directory can be meant: the path ended in `/`, `/.` or `/..`.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.directory
    }

    /// Whether some segment begins with a dot, as `.git` and `.htpasswd` do.
    ///
    /// The first segment may be `.well-known`, which exists to be served (RFC 8615 §3).
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        let below = match self.segments.strip_prefix(b".well-known") {
            Some(below) if below.is_empty() || below.starts_with(b"/") => below,
            _ => &self.segments[..],
        };
        below.split(|&byte| byte == b'/').any(|segment| segment.starts_with(b"."))
    }

    /// What is left of it beneath a directory, which has no slash at either end.
    ///
    /// ```
    /// # use http_core::path::RelativePath;
    /// let path = RelativePath::parse("/docs/a/b")?;
    /// assert_eq!(path.strip_prefix(b"docs").as_ref().map(RelativePath::as_bytes), Some(&b"a/b"[..]));
    /// assert_eq!(RelativePath::parse("/docsa/b")?.strip_prefix(b"docs"), None);
    /// # Ok::<(), http_core::path::PathError>(())
    /// ```
    #[must_use]
    pub fn strip_prefix(mut self, directory: &[u8]) -> Option<Self> {
        let rest = self.segments.strip_prefix(directory)?;
        let slash = match rest {
            [] if self.directory => 0,
            [b'/', ..] => 1,
            _ => return None,
        };
        let gone = directory.len() + slash;
        match &mut self.segments {
            Cow::Borrowed(segments) => *segments = &segments[gone..],
            Cow::Owned(segments) => drop(segments.drain(..gone)),
        }
        Some(self)
    }

    /// The one canonical spelling of this path, fit for a `Location` field or a link in a page.
    ///
    /// It begins with exactly one slash and holds neither `\` nor a control character, so it can never name
    /// another host (`//host`, or `/\host` to a browser) nor break a header line; nor any character that
    /// means something to HTML. It ends in a slash exactly if it names a directory.
    ///
    /// ```
    /// # use http_core::path::RelativePath;
    /// let path = RelativePath::parse("//evil.example/%0d%0a/%5c/caf%c3%a9%3F")?;
    /// assert_eq!(path.encode(), "/evil.example/%0D%0A/%5C/caf%C3%A9%3F");
    /// # Ok::<(), http_core::path::PathError>(())
    /// ```
    #[must_use]
    pub fn encode(&self) -> String {
        let end = if self.directory && !self.segments.is_empty() { "/" } else { "" };
        format!("/{}{end}", percent_encode(&self.segments, ESCAPED))
    }
}

/// Why a raw path names nothing that could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with `/`: the target is not in origin-form (RFC 9112 §3.2.1).
    NotAbsolute,
    /// A `%` is not followed by two hexadecimal digits (RFC 3986 §2.1).
    BadEscape,
    /// It holds a NUL, where a system call would take the name to end.
    Nul,
    /// It holds `%2F`: a slash inside a segment, which no file name can have (RFC 3986 §2.2).
    EncodedSlash,
    /// A `..` leads out of the root.
    AboveRoot,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "path does not begin with a slash",
            Self::BadEscape => "malformed percent-escape in path",
            Self::Nul => "NUL in path",
            Self::EncodedSlash => "escaped slash in path",
            Self::AboveRoot => "path leads above the root",
        })
    }
}

impl error::Error for PathError {}

/// All but `/` and `pchar` (RFC 3986 §3.3), of which `&` and `'` are escaped too: both matter to HTML.
const ESCAPED: &AsciiSet = &{
    let mut set = NON_ALPHANUMERIC.remove(b'/');
    let mut kept: &[u8] = b"-._~!$()*+,;=:@";
    while let [byte, rest @ ..] = kept {
        set = set.remove(*byte);
        kept = rest;
    }
    set
};

/// Whether a path, its leading slash gone, has nothing to decode and nothing to remove: the common case.
fn is_plain(raw: &[u8]) -> bool {
    const NAME: u8 = 3;
    let mut dots = 0; // the segment so far: empty, `.`, `..`, or a NAME that no later byte can undo
    for &byte in raw {
        dots = match byte {
            b'/' if dots == NAME => 0,
            b'/' | b'%' | b'\0' => return false,
            b'.' if dots < NAME => dots + 1,
            _ => NAME,
        }
    }
    dots == 0 || dots == NAME
}

/// The same for every other path: segment by segment, each decoded before it is looked at.
fn decode(raw: &[u8]) -> Result<RelativePath<'static>, PathError> {
    let mut path = Vec::with_capacity(raw.len());
    let mut directory = true;
    for segment in raw.split(|&byte| byte == b'/') {
        let before = path.len();
        if before > 0 {
            path.push(b'/');
        }
        let start = path.len();
        decode_segment(segment, &mut path)?;
        let removed_to = match &path[start..] {
            b"" | b"." => Some(before),
            b".." => Some(parent_len(&path[..before])?),
            _ => None,
        };
        path.truncate(removed_to.unwrap_or(path.len()));
        directory = removed_to.is_some();
    }
    Ok(RelativePath { segments: Cow::Owned(path), directory })
}

fn decode_segment(segment: &[u8], path: &mut Vec<u8>) -> Result<(), PathError> {
    let mut bytes = segment.iter().copied();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' { hex(bytes.next())? << 4 | hex(bytes.next())? } else { byte };
        match byte {
            b'\0' => return Err(PathError::Nul),
            b'/' => return Err(PathError::EncodedSlash),
            _ => path.push(byte),
        }
    }
    Ok(())
}

fn hex(digit: Option<u8>) -> Result<u8, PathError> {
    match digit.ok_or(PathError::BadEscape)? {
        digit @ b'0'..=b'9' => Ok(digit - b'0'),
        digit @ b'a'..=b'f' => Ok(digit - b'a' + 10),
        digit @ b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PathError::BadEscape),
    }
}

/// How many bytes are left of a path without its last segment.
fn parent_len(path: &[u8]) -> Result<usize, PathError> {
    if path.is_empty() {
        return Err(PathError::AboveRoot);
    }
    Ok(path.iter().rposition(|&byte| byte == b'/').unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn path_and_query_are_told_apart() {
        fn check(target: &str, path: &str, query: Option<&str>) {
            assert_eq!(split(target), (path, query), "{target:?}");
        }
        check("/", "/", None);
        check("/a?", "/a", Some(""));
        check("/a?b?c/d", "/a", Some("b?c/d"));
        check("/a?b#f", "/a", Some("b"));
        check("/a#f?b", "/a", None);
    }

    /// `expected` ends in a slash if the path names a directory; the root is just that slash.
    fn check(raw: &str, expected: Result<&str, PathError>) {
        let actual = RelativePath::parse(raw).map(|path| {
            let slash = if path.is_directory() { "/" } else { "" };
            String::from_utf8_lossy(path.as_bytes()).into_owned() + slash
        });
        assert_eq!(actual, expected.map(str::to_owned), "{raw:?}");
    }

    #[test]
    fn plain_paths_are_borrowed() {
        check("/", Ok("/"));
        for raw in ["/a", "/a/", "/a/b.c", "/.well-known/x", "/...", "/..a/b..", "/a/.b/", "/é?", "/a\\b"] {
            check(raw, Ok(&raw[1..]));
            assert!(matches!(RelativePath::parse(raw).unwrap().segments, Cow::Borrowed(_)), "{raw:?}");
        }
    }

    #[test]
    fn escapes_are_decoded_exactly_once() {
        check("/space%20in%20name.txt", Ok("space in name.txt"));
        check("/%41%6a%6A", Ok("Ajj"));
        check("/%2541", Ok("%41"));
        check("/%252e%252e/x", Ok("%2e%2e/x"));
        check("/a%5c..%5cb", Ok("a\\..\\b"));
        assert_eq!(RelativePath::parse("/%ff").unwrap().as_bytes(), b"\xff");
    }

    #[test]
    fn slashes_collapse_and_dots_vanish_after_decoding() {
        check("//", Ok("/"));
        check("//a///b//", Ok("a/b/"));
        check("/./a/.", Ok("a/"));
        check("/a/..", Ok("/"));
        check("/a/b/c/..", Ok("a/b/"));
        check("/a/b/../c", Ok("a/c"));
        check("/a//../b", Ok("b"));
        check("/a/%2e%2E/b", Ok("b"));
        check("/a/%2e./%2e/b/", Ok("b/"));
        check("/a/../...", Ok("..."));
    }

    #[test]
    fn nothing_leads_above_the_root() {
        for raw in ["/..", "/../", "/a/../..", "//..", "/./..", "/%2e%2e/a", "/.%2e/a", "/a/..//../a"] {
            check(raw, Err(PathError::AboveRoot));
        }
    }

    #[test]
    fn what_no_file_can_be_named_is_refused() {
        for raw in ["", "a/b", "*", "http://a/", "%2Fa"] {
            check(raw, Err(PathError::NotAbsolute));
        }
        for raw in ["/%", "/%4", "/%4/1", "/%4g", "/%g4", "/%+4", "/a%%41"] {
            check(raw, Err(PathError::BadEscape));
        }
        for raw in ["/a\0b", "/\0", "/a%00.html"] {
            check(raw, Err(PathError::Nul));
        }
        for raw in ["/a%2Fb", "/%2f", "/..%2f.."] {
            check(raw, Err(PathError::EncodedSlash));
        }
    }

    #[test]
    fn hidden_is_a_leading_dot_save_well_known() {
        fn check(raw: &str, hidden: bool) {
            assert_eq!(RelativePath::parse(raw).unwrap().is_hidden(), hidden, "{raw:?}");
        }
        for raw in ["/", "/a.b/c.", "/.well-known", "/.well-known/acme-challenge/t"] {
            check(raw, false);
        }
        for raw in ["/.git", "/%2egit/a", "/a/.b", "/a/.well-known", "/.well-known/.b", "/.well-known2"] {
            check(raw, true);
        }
    }

    #[test]
    fn encoding_is_canonical_and_stays_on_this_host() {
        fn check(raw: &str, expected: &str) {
            assert_eq!(RelativePath::parse(raw).unwrap().encode(), expected, "{raw:?}");
        }
        check("/a/..", "/");
        check("/a/b/.", "/a/b/");
        check("//evil.example", "/evil.example");
        check("/\\evil.example", "/%5Cevil.example");
        check("/a%0d%0ab%7f", "/a%0D%0Ab%7F");
        check("/%3F%23%25%20\"<>&'", "/%3F%23%25%20%22%3C%3E%26%27");
        check("/%61-._~!$()*+,;=:@", "/a-._~!$()*+,;=:@");
        check("/é", "/%C3%A9");
    }

    proptest! {
        #[test]
        fn refused_or_safe(raw in prop_oneof![".*", "/(/|\\.|%2e|%2F|%25|%00|%|a|\\\\|é|\0){0,12}"]) {
            let Ok(path) = RelativePath::parse(&raw) else { return Ok(()) };
            let bytes = path.as_bytes();
            let mut segments = bytes.split(|&byte| byte == b'/');
            prop_assert!(bytes.is_empty() || segments.all(|segment| !matches!(segment, b"" | b"." | b"..")));
            prop_assert!(!bytes.contains(&0));

            let encoded = path.encode();
            prop_assert!(encoded.starts_with('/') && !encoded.starts_with("//"));
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
            prop_assert_eq!(encoded.ends_with('/'), path.is_directory());
            prop_assert_eq!(RelativePath::parse(&encoded), Ok(path));
        }
    }
}
