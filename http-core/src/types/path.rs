//! The path of a request target: decoded once, normalised, and safe to join to a document root.
//!
//! [`normalize`] decodes a path as sent, then merges its slashes and removes its dot segments. Everything that chooses
//! by the path uses this form, so that two spellings of one path cannot be treated differently. A [`RelativePath`] is a
//! normalised path that names a file: it cannot name one outside the directory that it is joined to. The code that
//! opens the file must prevent symbolic links from leading outside. This module never accesses the file system, and
//! never decodes twice: `%252e` is the name `%2e`.
//!
//! ```
//! use http_core::path::{self, PathError, RelativePath};
//!
//! let mut path = Vec::new();
//! path::normalize(b"/docs//a%2F%20b/../", &mut path)?;
//! assert_eq!(path, b"/docs/a/");
//!
//! let path = RelativePath::new(&path).ok_or("not normalised")?;
//! assert_eq!((path.as_bytes(), path.is_directory()), (&b"docs/a"[..], true));
//! assert_eq!(path.encode(), "/docs/a/");
//!
//! assert_eq!(path::normalize(b"/%2e%2e/etc/passwd", &mut Vec::new()), Err(PathError::AboveRoot));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod relative;

pub use relative::RelativePath;

use super::{error::error_enum, uri::all_ascii_except};
use percent_encoding::{AsciiSet, percent_encode};

error_enum! {
    /// The reason why [`normalize`] rejects a path.
    ///
    /// ```
    /// use http_core::path::{PathError, normalize};
    ///
    /// let check = |path: &[u8]| normalize(path, &mut Vec::new());
    /// assert_eq!(check(b"/a/../b%20c"), Ok(()));
    /// assert_eq!(check(b"/a/../../b"), Err(PathError::AboveRoot));
    /// assert_eq!(check(b"/100%"), Err(PathError::BadEscape));
    /// assert_eq!(check(b"/%00"), Err(PathError::Nul));
    /// ```
    PathError {
        /// A `%` is not followed by two hexadecimal digits (RFC 3986 §2.1).
        BadEscape "malformed percent-escape in path"
        /// The path contains NUL, where a system call would end the name.
        Nul "NUL in path"
        /// A `..` leads out of the root.
        AboveRoot "path leads above the root"
    }
}

/// Writes the normalised form of a path into `path`, and removes what `path` held. `raw` is the path of a request
/// target as sent, without the query.
///
/// Decodes each `%XX` once: `%2F` becomes a slash. Then merges slashes and removes dot segments, as file systems do. So
/// `%2e%2e` counts as `..` (RFC 3986 §6.2.2.2), and `/a//../b` is `/b`. A slash at the end stays; after a dot segment
/// at the end, there is one. The result begins with a slash, even if `raw` is empty. It has at most one byte more than
/// `raw`, and need not be UTF-8.
///
/// # Errors
///
/// See [`PathError`]. `path` then holds what can be normalised: malformed escapes stay as they are, and a `..` that
/// leads above the root is removed.
pub fn normalize(raw: &[u8], path: &mut Vec<u8>) -> Result<(), PathError> {
    path.clear();
    path.reserve(raw.len() + 1);
    if !raw.starts_with(b"/") {
        path.push(b'/');
    }
    let decoded = decode(raw, path);
    let normalized = remove_dot_segments(path);
    decoded.and(normalized)
}

/// Returns the normalised form of a path that an application names: the path of a route, or a prefix. It is compared
/// with decoded paths, so `%` has no special meaning in it.
///
/// Adds a slash at the beginning if there is none, merges slashes and removes dot segments. `..` does not lead above
/// the root.
///
/// ```
/// assert_eq!(http_core::path::from_decoded("docs//50%/"), b"/docs/50%/");
/// ```
pub fn from_decoded(text: &str) -> Vec<u8> {
    let mut path = ["/", text].concat().into_bytes();
    // Above the root is only the root.
    let _ = remove_dot_segments(&mut path);
    path
}

/// Returns whether `path` is a normalised path: it begins with a slash, and has no empty segment, no dot segment and no
/// NUL. It may end in a slash.
pub(crate) fn is_normal(path: &[u8]) -> bool {
    let Some(path) = path.strip_prefix(b"/") else { return false };
    let mut segments = path.strip_suffix(b"/").unwrap_or(path).split(|&byte| byte == b'/');
    path.is_empty() || !path.contains(&0) && segments.all(|segment| !matches!(segment, b"" | b"." | b".."))
}

/// Appends `raw` to `path`, with each `%XX` decoded. Keeps a malformed escape as it is. Fails if there is one, or a
/// NUL.
fn decode(raw: &[u8], path: &mut Vec<u8>) -> Result<(), PathError> {
    let mut result = Ok(());
    let mut rest = raw;
    while let [first, after @ ..] = rest {
        let escape = unescape(rest);
        if escape.is_none() && *first == b'%' {
            result = result.and(Err(PathError::BadEscape));
        }
        let (byte, after) = escape.unwrap_or((*first, after));
        if byte == b'\0' {
            result = result.and(Err(PathError::Nul));
        }
        path.push(byte);
        rest = after;
    }
    result
}

/// Returns the byte that the percent-escape at the front of `text` stands for, and the text after the escape. Returns
/// `None` if `text` does not begin with a complete escape.
fn unescape(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = text else { return None };
    let value = |digit: u8| char::from(digit).to_digit(16);
    Some(((value(*high)? << 4 | value(*low)?) as u8, rest))
}

/// Merges the slashes of `path`, which begins with a slash, and removes its dot segments. Fails if one of them leads
/// above the root, and then ignores this one.
fn remove_dot_segments(path: &mut Vec<u8>) -> Result<(), PathError> {
    let mut result = Ok(());
    // `path[..kept]` is the result so far. It ends with a slash, unless the last segment was a name.
    let (mut kept, mut at) = (1, 1);
    while at < path.len() {
        let end = path[at..].iter().position(|&byte| byte == b'/').map_or(path.len(), |len| at + len);
        match &path[at..end] {
            b"" | b"." => {}
            b".." if kept == 1 => result = Err(PathError::AboveRoot),
            b".." => {
                kept = path[..kept - 1].iter().rposition(|&byte| byte == b'/').map_or(1, |slash| slash + 1);
            }
            _ => {
                // With the slash after the name, if there is one.
                let next = path.len().min(end + 1);
                path.copy_within(at..next, kept);
                kept += next - at;
            }
        }
        at = end + 1;
    }
    path.truncate(kept);
    result
}

/// The memory for the path of one request that is not sent in its normalised form. It is used again for the next
/// request.
#[derive(Clone, Default)]
pub(crate) struct DecodedPath {
    bytes: Vec<u8>,
    /// The path as text, if `bytes` are not UTF-8.
    text: String,
}

impl DecodedPath {
    /// The number of bytes that [`clear`](DecodedPath::clear) keeps allocated: enough for most paths.
    const KEPT_BYTES: usize = 256;

    /// Normalises a path as sent. Fails as [`normalize`] does, and then holds the path that `normalize` describes.
    pub(crate) fn set(&mut self, raw: &[u8]) -> Result<(), PathError> {
        let result = normalize(raw, &mut self.bytes);
        self.text.clear();
        if str::from_utf8(&self.bytes).is_err() {
            for chunk in self.bytes.utf8_chunks() {
                self.text.push_str(chunk.valid());
                self.text.extend(percent_encode(chunk.invalid(), ESCAPED));
            }
        }
        result
    }

    /// Returns the path as bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the path as text. Bytes that are not UTF-8 appear as `%XX`.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes).unwrap_or(&self.text)
    }

    /// Removes the path, and frees the memory beyond that of a path of usual length.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.text.clear();
        if self.bytes.capacity() > Self::KEPT_BYTES || self.text.capacity() > Self::KEPT_BYTES {
            *self = DecodedPath::default();
        }
    }
}

/// The ASCII characters that [`RelativePath::encode`] escapes: all that a segment must not contain (`pchar`, RFC 3986
/// §3.3) except `/`, and also `&` and `'`, which are special in HTML.
const ESCAPED: &AsciiSet = &all_ascii_except(b"/-._~!$()*+,;=:@");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Normalises each of the paths, which spaces separate. All must have this result.
    fn check(raw: &str, expected: Result<&str, PathError>) {
        for raw in raw.split(' ') {
            let mut path = b"before".to_vec();
            let result = normalize(raw.as_bytes(), &mut path);
            let result = result.map(|()| String::from_utf8_lossy(&path).into_owned());
            assert_eq!(result.as_deref(), expected.as_ref().copied(), "{raw:?}");
        }
    }

    /// Normalises a path, and returns it.
    fn decoded(raw: &str) -> Vec<u8> {
        let mut path = Vec::new();
        normalize(raw.as_bytes(), &mut path).unwrap();
        path
    }

    #[test]
    fn keeps_normal_paths() {
        for raw in
            ["/", "/a", "/a/", "/a/b.c", "/.well-known/x", "/...", "/..a/b..", "/a/.b/", "/é?", "/a\\b"]
        {
            assert!(is_normal(raw.as_bytes()), "{raw}");
            check(raw, Ok(raw));
        }
        for raw in ["", "a", "*", "//", "/a//", "//a", "/.", "/a/..", "/a/./b", "/../", "/\0"] {
            assert!(!is_normal(raw.as_bytes()), "{raw}");
        }
    }

    #[test]
    fn decodes_escapes_exactly_once() {
        check("/%61%6a%6A", Ok("/ajj"));
        check("/%2541", Ok("/%41"));
        check("/%252e%252e/x", Ok("/%2e%2e/x"));
        check("/a%5c..%5cb", Ok("/a\\..\\b"));
        check("/@acme%2fthing /%40acme%2Fthing", Ok("/@acme/thing"));
        assert_eq!(decoded("/%20%ff"), b"/ \xff");
    }

    #[test]
    fn merges_slashes_and_removes_dot_segments_after_decoding() {
        check("/ // /%2F/ /%2f%2F /a/.. /a/../ /./", Ok("/"));
        check("//a///b// /%2fa/b/%2e /./a/b/. /a/b/c/..", Ok("/a/b/"));
        check("/a/b/../c /a/%2e/c /a%2F%2E%2e/a/c //a%2fc", Ok("/a/c"));
        check("/a//../b /a/../b /x/y/%2e./.%2E/b", Ok("/b"));
        check("/a/../...", Ok("/..."));
    }

    #[test]
    fn rejects_paths_that_name_no_file() {
        check(
            "/.. /../ /a/../.. //.. /./.. /%2e%2e/a /.%2e/a /a/..//../a /..%2f..",
            Err(PathError::AboveRoot),
        );
        check("/% /%4 /%4/1 /%4g /%g4 /%+4 /a%%41 /..%", Err(PathError::BadEscape));
        check("/a\0b /\0 /a%00.html /%00/%", Err(PathError::Nul));
    }

    #[test]
    fn a_rejected_path_is_normalised_as_far_as_possible() {
        for (raw, expected) in [("/a/../../b", "/b"), ("/%zz//%41", "/%zz/A"), ("/..%00/..", "/"), ("", "/")]
        {
            let mut path = Vec::new();
            let _ = normalize(raw.as_bytes(), &mut path);
            assert_eq!(path, expected.as_bytes());
        }
    }

    #[test]
    fn shows_bytes_that_are_not_utf8_as_escapes() {
        let mut path = DecodedPath::default();
        for (raw, bytes, text) in [
            ("/%ff/caf%C3%a9/%fe%25/./", &b"/\xff/caf\xc3\xa9/\xfe%/"[..], "/%FF/café/%FE%/"),
            ("/%61", b"/a", "/a"),
        ] {
            assert_eq!(path.set(raw.as_bytes()), Ok(()));
            assert_eq!((path.as_bytes(), path.as_str()), (bytes, text));
        }
        path.set("%ff".repeat(1000).as_bytes()).unwrap();
        path.clear();
        assert_eq!((path.as_bytes(), path.as_str()), (&b""[..], ""));
        assert!(path.bytes.capacity() + path.text.capacity() <= 2 * DecodedPath::KEPT_BYTES);
    }

    #[test]
    fn an_application_names_paths_with_or_without_slashes() {
        for text in ["public", "/public", "//public", "/./public", "../public", "x/../public"] {
            assert_eq!(from_decoded(text), b"/public");
        }
        assert_eq!(from_decoded("a%20b/"), b"/a%20b/");
        assert_eq!(from_decoded(""), b"/");
    }

    /// Paths as sent, of elements that have a meaning in paths.
    pub(super) fn raw_path() -> impl Strategy<Value = String> {
        prop_oneof!["/[ -~]{0,40}", "/(/|\\.|%2e|%2F|%25|%00|%ff|%C3%A9|%|a|b|:|\\\\|\\|){0,12}",]
    }

    proptest! {
        #[test]
        fn a_normalised_path_is_safe_and_has_one_encoding(raw in raw_path()) {
            let mut path = Vec::new();
            let result = normalize(raw.as_bytes(), &mut path);
            prop_assert!(path.len() <= raw.len() + 1);
            let text = String::from_utf8_lossy(&path).into_owned();
            prop_assert!(text.starts_with('/'));
            prop_assert!(!["//", "/./", "/../"].iter().any(|part| text.contains(part)), "{}", text);
            prop_assert!(!text.ends_with("/.") && !text.ends_with("/.."), "{}", text);
            prop_assert_eq!(is_normal(&path), !path.contains(&0));
            if result.is_err() {
                return Ok(());
            }

            let relative = RelativePath::new(&path).unwrap();
            let encoded = relative.encode();
            prop_assert!(encoded.starts_with('/') && !encoded.starts_with("//"));
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
            prop_assert_eq!(encoded.ends_with('/'), relative.is_directory());
            prop_assert_eq!(decoded(&encoded), path);
        }
    }
}
