//! The path of a file below a root, and the URLs that lead to it.

use super::{ESCAPED, is_normal};
use percent_encoding::percent_encode;

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

#[cfg(test)]
mod tests {
    use super::{
        super::{normalize, tests::raw_path},
        *,
    };
    use proptest::prelude::*;

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

    proptest! {
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
