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

/// A normalised path, relative to a root: `a/b`, or empty for the root itself.
///
/// Equal paths name the same file. The bytes need not be UTF-8, like those of Unix file names.
///
/// ```
/// use http_core::{Request, Status, path::RelativePath, testing::TestRequest};
///
/// /// Returns the name of the file below the document root that the request is for.
/// fn file_name(request: &Request<'_>) -> Result<Vec<u8>, Status> {
///     let path = RelativePath::new(request.path_bytes()).filter(|path| !path.is_hidden());
///     Ok(path.ok_or(Status::NOT_FOUND)?.as_bytes().to_vec())
/// }
///
/// assert_eq!(TestRequest::get("/a/./b%2ehtml").run(&file_name).text(), "a/b.html");
/// assert_eq!(TestRequest::get("/.git/config").run(&file_name).status(), Status::NOT_FOUND);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RelativePath<'a> {
    /// The segments, joined by single slashes, without a slash at either end.
    segments: &'a [u8],
    /// Whether the path ends in a slash, so that it can only name a directory.
    directory: bool,
}

impl<'a> RelativePath<'a> {
    /// Creates the relative path of a normalised one, such as [`Request::path_bytes`](crate::Request::path_bytes)
    /// returns. Returns `None` if `path` is not normalised: if it does not begin with a slash, or has an empty segment,
    /// a dot segment or a NUL.
    pub fn new(path: &'a [u8]) -> Option<Self> {
        let path = is_normal(path).then(|| &path[1..])?;
        let segments = path.strip_suffix(b"/").unwrap_or(path);
        Some(Self { segments, directory: path.is_empty() || path.ends_with(b"/") })
    }

    /// Returns the segments, joined by slashes, without a slash at either end; empty for the root.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.segments
    }

    /// Returns whether the path can only name a directory: it ends in a slash.
    pub fn is_directory(&self) -> bool {
        self.directory
    }

    /// Returns the path with a slash at its end.
    pub fn as_directory(self) -> Self {
        Self { directory: true, ..self }
    }

    /// Returns whether a segment begins with a dot, as `.git` and `.htpasswd` do.
    ///
    /// A first segment `.well-known` does not count, because it is meant to be served (RFC 8615 §3).
    pub fn is_hidden(&self) -> bool {
        let rest = match self.segments.strip_prefix(b".well-known") {
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest,
            _ => self.segments,
        };
        rest.split(|&byte| byte == b'/').any(|segment| segment.starts_with(b"."))
    }

    /// Returns the path relative to `directory`, or `None` if the path is neither `directory` nor below it. `directory`
    /// is a path relative to the same root, without a slash at either end. If it is empty, returns the path itself.
    ///
    /// ```
    /// # use http_core::path::RelativePath;
    /// let strip = |path: &'static str| {
    ///     let path = RelativePath::new(path.as_bytes())?.strip_prefix(b"docs")?;
    ///     Some((path.as_bytes(), path.is_directory()))
    /// };
    /// assert_eq!(strip("/docs/a/b"), Some((&b"a/b"[..], false)));
    /// assert_eq!(strip("/docs/"), Some((&b""[..], true)));
    /// assert_eq!(strip("/docs"), Some((&b""[..], false)));
    /// assert_eq!(strip("/docsa/b"), None);
    /// ```
    pub fn strip_prefix(self, directory: &[u8]) -> Option<Self> {
        let rest = self.segments.strip_prefix(directory)?;
        let segments = if directory.is_empty() || rest.is_empty() { rest } else { rest.strip_prefix(b"/")? };
        Some(Self { segments, ..self })
    }

    /// Returns the canonical encoding of this path, which is safe in a `Location` header and in HTML.
    ///
    /// The result begins with exactly one slash and contains no `\`, so that it cannot name another host (`//host`, or
    /// `/\host` in a browser). It contains no control character, and none that is special in HTML. It ends in a slash
    /// if, and only if, [`is_directory`](RelativePath::is_directory) is true or this is the root.
    ///
    /// ```
    /// # use http_core::path::RelativePath;
    /// let path = RelativePath::new(b"/evil.example/\r\n/\\/caf\xc3\xa9?").ok_or("not normalised")?;
    /// assert_eq!(path.encode(), "/evil.example/%0D%0A/%5C/caf%C3%A9%3F");
    /// # Ok::<(), &str>(())
    /// ```
    pub fn encode(&self) -> String {
        let end = if self.directory && !self.segments.is_empty() { "/" } else { "" };
        format!("/{}{end}", percent_encode(self.segments, ESCAPED))
    }

    /// Returns a relative reference (RFC 3986 §4.2) to this path, for the `Location` header of the response to a
    /// request whose path, as sent, is `from`.
    ///
    /// A client resolves it against the URL that it requested. So the redirect also works behind a proxy that removes
    /// the beginning of each path. The reference contains neither a scheme nor an authority: it cannot name another
    /// host.
    ///
    /// ```
    /// # use http_core::path::RelativePath;
    /// let path = RelativePath::new(b"/docs/a:b/").ok_or("not normalised")?;
    /// assert_eq!(path.reference_from("/docs/a:b"), "./a:b/");
    /// assert_eq!(path.reference_from("/docs/x/y%7C"), "../a:b/");
    /// # Ok::<(), &str>(())
    /// ```
    pub fn reference_from(&self, from: &str) -> String {
        let encoded = self.encode();
        let to: Vec<&str> = encoded[1..].split('/').collect();
        let from = directories(from);
        let common = from.iter().zip(&to[..to.len() - 1]).take_while(|(from, to)| from == to).count();
        let rest = to[common..].join("/");
        let up = "../".repeat(from.len() - common);
        // RFC 3986 §4.2: the part before a colon would be a scheme, and an empty reference leads to the request's URL.
        let is_ambiguous = up.is_empty() && (rest.is_empty() || to[common].contains(':'));
        let here = if is_ambiguous { "./" } else { "" };
        [here, &up, &rest].concat()
    }
}

/// Returns the segments of the path against which a client resolves a relative reference: those of `path`, a path as
/// sent, before its last slash. Follows dot segments, but does not decode or merge anything (RFC 3986 §5.2.3, §5.2.4).
fn directories(path: &str) -> Vec<&str> {
    let mut directories = Vec::new();
    let (path, _) = path.rsplit_once('/').unwrap_or_default();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(directories.pop()),
            _ => directories.push(segment),
        }
    }
    directories
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
    fn hidden_segments_begin_with_a_dot_except_well_known() {
        for (paths, expected) in [
            ("/ /a.b/c. /.well-known /.well-known/acme-challenge/t", false),
            ("/.git /.git/a /a/.b /a/.well-known /.well-known/.b /.well-known2", true),
        ] {
            for path in paths.split(' ') {
                assert_eq!(RelativePath::new(path.as_bytes()).unwrap().is_hidden(), expected, "{path}");
            }
        }
    }

    #[test]
    fn a_path_is_relative_to_the_directories_above_it() {
        for (path, directory, expected) in [
            ("/docs/a/b", "docs", Some((&b"a/b"[..], false))),
            ("/docs/a/", "docs/a", Some((b"", true))),
            ("/docs", "docs", Some((b"", false))),
            ("/docs", "", Some((b"docs", false))),
            ("/docsa/b", "docs", None),
        ] {
            let relative = RelativePath::new(path.as_bytes()).unwrap().strip_prefix(directory.as_bytes());
            let relative = relative.map(|path| (path.as_bytes(), path.is_directory()));
            assert_eq!(relative, expected, "{path} in {directory}");
        }
    }

    #[test]
    fn the_encoding_is_canonical_and_cannot_name_another_host() {
        for (path, encoded) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/\\evil.example", "/%5Cevil.example"),
            ("/a\r\nb\x7f", "/a%0D%0Ab%7F"),
            ("/?#% \"<>&'", "/%3F%23%25%20%22%3C%3E%26%27"),
            ("/a-._~!$()*+,;=:@", "/a-._~!$()*+,;=:@"),
            ("/é", "/%C3%A9"),
        ] {
            assert_eq!(RelativePath::new(path.as_bytes()).unwrap().encode(), encoded);
        }
        assert_eq!(RelativePath::new(b"/a").unwrap().as_directory().encode(), "/a/");
    }

    #[test]
    fn references_are_relative_and_cannot_name_another_host() {
        for (from, to, expected) in [
            ("/dir", "/dir/", "dir/"),
            ("/a/dir", "/a/dir/", "dir/"),
            ("/a/%64ir", "/a/dir/", "dir/"),
            ("/a%2Fdir", "/a/dir/", "a/dir/"),
            ("/%61/b/c", "/a/b/c/", "../../a/b/c/"),
            ("/x/../dir", "/dir/", "dir/"),
            ("/x/%2e%2e/dir", "/dir/", "../../dir/"),
            ("//evil.example", "/evil.example/", "../evil.example/"),
            ("/\\evil.example|", "/\\evil.example|", "%5Cevil.example%7C"),
            ("/javascript:alert(1)|", "/javascript:alert(1)|", "./javascript:alert(1)%7C"),
            ("/a/", "/a/", "./"),
            ("/a/b/", "/a/", "../"),
            ("/", "/", "./"),
            ("", "/", "./"),
            ("", "/a", "a"),
        ] {
            let path = RelativePath::new(to.as_bytes()).unwrap();
            assert_eq!(path.reference_from(from), expected, "{from} {to}");
        }
    }

    #[test]
    fn an_application_names_paths_with_or_without_slashes() {
        for text in ["public", "/public", "//public", "/./public", "../public", "x/../public"] {
            assert_eq!(from_decoded(text), b"/public");
        }
        assert_eq!(from_decoded("a%20b/"), b"/a%20b/");
        assert_eq!(from_decoded(""), b"/");
    }

    /// Resolves the relative reference `reference` against a URL with the path `base` (RFC 3986 §5.2, §5.2.4).
    fn resolve(base: &str, reference: &str) -> String {
        let merged = format!("{}{reference}", &base[..base.rfind('/').unwrap() + 1]);
        let (mut input, mut output) = (merged.as_str(), String::new());
        while !input.is_empty() {
            if let Some(rest) = input.strip_prefix("/./") {
                input = &input[input.len() - rest.len() - 1..];
            } else if input == "/." {
                input = "/";
            } else if input.starts_with("/../") || input == "/.." {
                output.truncate(output.rfind('/').unwrap_or(0));
                input = if input == "/.." { "/" } else { &input[3..] };
            } else {
                let len = input[1..].find('/').map_or(input.len(), |at| at + 1);
                output.push_str(&input[..len]);
                input = &input[len..];
            }
        }
        output
    }

    /// Paths as sent, of elements that have a meaning in paths.
    fn raw_path() -> impl Strategy<Value = String> {
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

        #[test]
        fn a_reference_leads_to_its_path_below_every_prefix(raw in raw_path(), prefix in "(/[ab.:]{1,3}c){0,3}") {
            let mut path = Vec::new();
            if normalize(raw.as_bytes(), &mut path).is_err() {
                return Ok(());
            }
            // Such a path leads out of the prefix for a client, which decodes no `%2F`.
            let depths = raw.split('/').scan(0, |depth, segment| {
                *depth += match segment { ".." => -1, "." => 0, _ => 1 };
                Some(*depth)
            });
            prop_assume!(depths.into_iter().all(|depth| depth > 0));
            let path = RelativePath::new(&path).unwrap();
            let reference = path.reference_from(&raw);
            let first = reference.split('/').next().unwrap_or_default();
            prop_assert!(!reference.starts_with('/') && !first.contains(':') && !reference.is_empty());
            let expected = format!("{prefix}{}", path.encode());
            // Clients remove literal dot segments before they send a request, or keep them in the base.
            prop_assert_eq!(resolve(&format!("{prefix}{raw}"), &reference), expected, "{}", reference);
        }
    }
}
