//! The path of a request target: decoded once, and safe to join to a document root.
//!
//! A [`RelativePath`] cannot name a file outside the directory that it is joined to: it has no leading slash, no `.` or
//! `..` segment and no NUL, even if the client has escaped them. The code that opens the file must prevent symbolic
//! links from leading outside. This module never accesses the file system, and never decodes twice: `%252e` is the name
//! `%2e`.
//!
//! ```
//! use http_core::path::{PathError, RelativePath};
//!
//! let path = RelativePath::parse("/docs//a%20b/../")?;
//! assert_eq!(path.as_bytes(), b"docs");
//! assert!(path.is_directory());
//! assert_eq!(path.encode(), "/docs/");
//!
//! assert_eq!(RelativePath::parse("/%2e%2e/etc/passwd"), Err(PathError::AboveRoot));
//! # Ok::<(), PathError>(())
//! ```

use super::{error::error_enum, uri::all_ascii_except};
use percent_encoding::{AsciiSet, percent_encode};
use std::borrow::Cow;

/// A decoded path without dot segments, relative to a root: `a/b`, or empty for the root itself.
///
/// Equal paths name the same file. The bytes need not be UTF-8, like those of Unix file names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelativePath<'a> {
    /// The non-empty segments, joined by single slashes. Borrowed from the raw path if nothing had to be decoded or
    /// removed.
    segments: Cow<'a, [u8]>,
    /// Whether the raw path ended in `/`, `/.` or `/..`, so that it can only name a directory.
    directory: bool,
}

impl<'a> RelativePath<'a> {
    /// Parses the raw path of a request target, without the query.
    ///
    /// Decodes each `%XX` once, then removes dot segments (RFC 3986 §5.2.4). So `%2e%2e` counts as `..` (§6.2.2.2).
    /// Several slashes count as one, as in the file system. Allocates only if the path contains an escape, several
    /// slashes in a row or a dot segment.
    ///
    /// # Errors
    ///
    /// The error nearest to the beginning of the path: see [`PathError`].
    pub fn parse(raw_path: &'a str) -> Result<Self, PathError> {
        let raw = raw_path.as_bytes().strip_prefix(b"/").ok_or(PathError::NotAbsolute)?;
        if !is_plain(raw) {
            return decode(raw);
        }
        let segments = raw.strip_suffix(b"/").unwrap_or(raw);
        Ok(Self { segments: Cow::Borrowed(segments), directory: raw.is_empty() || raw.ends_with(b"/") })
    }

    /// Returns the decoded segments, joined by slashes, without a slash at either end; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.segments
    }

    /// Returns whether the path can only name a directory: it ended in `/`, `/.` or `/..`.
    pub fn is_directory(&self) -> bool {
        self.directory
    }

    /// Returns whether a segment begins with a dot, as `.git` and `.htpasswd` do.
    ///
    /// A first segment `.well-known` does not count, because it is meant to be served (RFC 8615 §3).
    pub fn is_hidden(&self) -> bool {
        let rest = match self.segments.strip_prefix(b".well-known") {
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest,
            _ => &self.segments[..],
        };
        rest.split(|&byte| byte == b'/').any(|segment| segment.starts_with(b"."))
    }

    /// Returns the path relative to `directory`, or `None` if the path is not below `directory`. `directory` is a
    /// decoded path that must have no slash at either end, and must not be empty.
    ///
    /// For the directory `docs`, the path `/docs/` becomes the root. The result for `/docs` is `None`, because without
    /// the slash it may name a file.
    ///
    /// ```
    /// # use http_core::path::RelativePath;
    /// let path = RelativePath::parse("/docs/a/b")?;
    /// assert_eq!(path.strip_prefix(b"docs").as_ref().map(RelativePath::as_bytes), Some(&b"a/b"[..]));
    /// assert_eq!(RelativePath::parse("/docsa/b")?.strip_prefix(b"docs"), None);
    /// # Ok::<(), http_core::path::PathError>(())
    /// ```
    pub fn strip_prefix(mut self, directory: &[u8]) -> Option<Self> {
        let rest = self.segments.strip_prefix(directory)?;
        let slash = match rest {
            [] if self.directory => 0,
            [b'/', ..] => 1,
            _ => return None,
        };
        let removed = directory.len() + slash;
        match &mut self.segments {
            Cow::Borrowed(segments) => *segments = &segments[removed..],
            Cow::Owned(segments) => drop(segments.drain(..removed)),
        }
        Some(self)
    }

    /// Returns the canonical encoding of this path, which is safe in a `Location` header and in HTML.
    ///
    /// The result begins with exactly one slash and contains no `\`, so that it cannot name another host (`//host`, or
    /// `/\host` in a browser). It contains no control character, and none that is special in HTML. It ends in a slash
    /// if, and only if, [`is_directory`](RelativePath::is_directory) is true.
    ///
    /// ```
    /// # use http_core::path::RelativePath;
    /// let path = RelativePath::parse("//evil.example/%0d%0a/%5c/caf%c3%a9%3F")?;
    /// assert_eq!(path.encode(), "/evil.example/%0D%0A/%5C/caf%C3%A9%3F");
    /// # Ok::<(), http_core::path::PathError>(())
    /// ```
    pub fn encode(&self) -> String {
        let end = if self.directory && !self.segments.is_empty() { "/" } else { "" };
        format!("/{}{end}", percent_encode(&self.segments, ESCAPED))
    }
}

error_enum! {
    /// The reason why [`RelativePath::parse`] rejects a path.
    PathError {
        /// The path does not begin with `/`: the target is not in origin form (RFC 9112 §3.2.1).
        NotAbsolute "path does not begin with a slash"
        /// A `%` is not followed by two hexadecimal digits (RFC 3986 §2.1).
        BadEscape "malformed percent-escape in path"
        /// The path contains NUL, where a system call would end the name.
        Nul "NUL in path"
        /// The path contains `%2F`, a slash within a segment: no file name can contain one (RFC 3986 §2.2).
        EncodedSlash "escaped slash in path"
        /// A `..` leads out of the root.
        AboveRoot "path leads above the root"
    }
}

/// The ASCII characters that [`RelativePath::encode`] escapes: all that a segment must not contain (`pchar`, RFC 3986
/// §3.3) except `/`, and also `&` and `'`, which are special in HTML.
const ESCAPED: &AsciiSet = &all_ascii_except(b"/-._~!$()*+,;=:@");

/// Returns whether nothing in `raw` needs to be decoded or removed: it contains no escape, no empty segment, no dot
/// segment and no NUL. `raw` is a path without its leading slash. It may end in a slash.
fn is_plain(raw: &[u8]) -> bool {
    /// The value of the variable `dots` if the current segment is a name: neither empty, nor `.`, nor `..`.
    const NAME: u8 = 3;
    // The part of the current segment before `byte`: 0 to 2 if it consists of so many dots, or NAME.
    let mut dots = 0;
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

/// Decodes a path: resolves escapes, merges slashes, removes dot segments. `raw` is the path as sent, without its
/// leading slash. Fails at the first segment with an error that [`PathError`] describes.
fn decode(raw: &[u8]) -> Result<RelativePath<'static>, PathError> {
    // The segments so far, joined by slashes.
    let mut path = Vec::with_capacity(raw.len());
    let mut directory = true;
    for segment in raw.split(|&byte| byte == b'/') {
        let before = path.len();
        if before > 0 {
            path.push(b'/');
        }
        let start = path.len();
        decode_segment(segment, &mut path)?;
        // The length to which the path is cut if the segment is not a name.
        let removed_to = match &path[start..] {
            b"" | b"." => Some(before),
            b".." if before == 0 => return Err(PathError::AboveRoot),
            b".." => Some(path[..before].iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
            _ => None,
        };
        path.truncate(removed_to.unwrap_or(path.len()));
        directory = removed_to.is_some();
    }
    Ok(RelativePath { segments: Cow::Owned(path), directory })
}

/// Decodes `segment` and appends it to `path`, without a slash. Fails if the segment contains a malformed escape, a NUL
/// or an escaped slash. After an error, `path` may hold part of the segment.
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

/// Returns the value of a hexadecimal digit. Fails if `digit` is another character, or `None` at the end of a segment.
fn hex(digit: Option<u8>) -> Result<u8, PathError> {
    let value = digit.and_then(|digit| char::from(digit).to_digit(16));
    value.map(|value| value as u8).ok_or(PathError::BadEscape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `expected` is the path as bytes, with a slash at its end if it is a directory. The root is a single slash.
    fn check(raw: &str, expected: Result<&str, PathError>) {
        let actual = RelativePath::parse(raw).map(|path| {
            let slash = if path.is_directory() { "/" } else { "" };
            String::from_utf8_lossy(path.as_bytes()).into_owned() + slash
        });
        assert_eq!(actual, expected.map(str::to_owned), "{raw:?}");
    }

    /// Parses a path that names a file.
    fn parse(raw: &str) -> RelativePath<'_> {
        RelativePath::parse(raw).unwrap()
    }

    #[test]
    fn borrows_plain_paths() {
        check("/", Ok("/"));
        for raw in ["/a", "/a/", "/a/b.c", "/.well-known/x", "/...", "/..a/b..", "/a/.b/", "/é?", "/a\\b"] {
            check(raw, Ok(&raw[1..]));
            assert!(matches!(parse(raw).segments, Cow::Borrowed(_)), "{raw:?}");
        }
    }

    #[test]
    fn decodes_escapes_exactly_once() {
        check("/space%20in%20name.txt", Ok("space in name.txt"));
        check("/%41%6a%6A", Ok("Ajj"));
        check("/%2541", Ok("%41"));
        check("/%252e%252e/x", Ok("%2e%2e/x"));
        check("/a%5c..%5cb", Ok("a\\..\\b"));
        assert_eq!(parse("/%ff").as_bytes(), b"\xff");
    }

    #[test]
    fn removes_dot_segments_and_double_slashes_after_decoding() {
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
    fn rejects_paths_that_name_no_file() {
        let reject = |paths: &str, error| paths.split(' ').for_each(|raw| check(raw, Err(error)));
        reject("/.. /../ /a/../.. //.. /./.. /%2e%2e/a /.%2e/a /a/..//../a", PathError::AboveRoot);
        reject("a/b * http://a/ %2Fa", PathError::NotAbsolute);
        reject("", PathError::NotAbsolute);
        reject("/% /%4 /%4/1 /%4g /%g4 /%+4 /a%%41", PathError::BadEscape);
        reject("/a\0b /\0 /a%00.html", PathError::Nul);
        reject("/a%2Fb /%2f /..%2f..", PathError::EncodedSlash);
    }

    #[test]
    fn hidden_segments_begin_with_a_dot_except_well_known() {
        for raw in ["/", "/a.b/c.", "/.well-known", "/.well-known/acme-challenge/t"] {
            assert!(!parse(raw).is_hidden(), "{raw}");
        }
        for raw in ["/.git", "/%2egit/a", "/a/.b", "/a/.well-known", "/.well-known/.b", "/.well-known2"] {
            assert!(parse(raw).is_hidden(), "{raw}");
        }
    }

    #[test]
    fn the_encoding_is_canonical_and_cannot_name_another_host() {
        assert_eq!(parse("/a/..").encode(), "/");
        assert_eq!(parse("/a/b/.").encode(), "/a/b/");
        assert_eq!(parse("//evil.example").encode(), "/evil.example");
        assert_eq!(parse("/\\evil.example").encode(), "/%5Cevil.example");
        assert_eq!(parse("/a%0d%0ab%7f").encode(), "/a%0D%0Ab%7F");
        assert_eq!(parse("/%3F%23%25%20\"<>&'").encode(), "/%3F%23%25%20%22%3C%3E%26%27");
        assert_eq!(parse("/%61-._~!$()*+,;=:@").encode(), "/a-._~!$()*+,;=:@");
        assert_eq!(parse("/é").encode(), "/%C3%A9");
    }

    proptest! {
        #[test]
        fn an_accepted_path_is_safe(raw in prop_oneof![".*", "/(/|\\.|%2e|%2F|%25|%00|%|a|\\\\|é|\0){0,12}"]) {
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
