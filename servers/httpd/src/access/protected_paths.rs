//! The paths that need a password: which requests lead to a document that is protected by one of its paths.

use http_engine::path;
use http_files::{Options, PagePath};
use std::{fmt, str::FromStr};

/// The protected paths, or none to protect all.
#[derive(Clone, Debug)]
pub struct ProtectedPaths(pub Vec<ProtectedPath>);

impl ProtectedPaths {
    /// Returns whether a request for `path` needs a password: whether a path to the document that it gets is protected.
    pub fn contains(&self, path: &[u8], options: &Options) -> bool {
        let name = options.document_name(path);
        let protects = |protected: &ProtectedPath| {
            [path, name].iter().any(|path| protected.contains(path))
                || options.document_name(&protected.0) == name
        };
        self.0.is_empty() || self.0.iter().any(protects)
    }

    /// Returns the automatic error pages below `prefix` that need a password, and that `options` would send for paths
    /// that need none: those that are named, and not below a protected directory.
    pub fn error_pages(&self, prefix: &str, options: &Options) -> Vec<PagePath> {
        let prefix = ProtectedPath::new(&format!("/{prefix}"));
        let page = |ProtectedPath(path): &ProtectedPath| {
            let directory = &path[..=path.iter().rposition(|byte| *byte == b'/')?];
            let page = [directory, b"404.html"].concat();
            let is_named = options.document_name(&page) == options.document_name(path);
            str::from_utf8(page.strip_prefix(&*prefix.0)?).ok().filter(|_| is_named)?.parse().ok()
        };
        self.0.iter().filter_map(page).collect()
    }

    /// Returns the paths that protect nothing below `prefix`.
    pub fn outside(&self, prefix: &str) -> impl Iterator<Item = &ProtectedPath> {
        let prefix = ProtectedPath::new(&format!("/{prefix}"));
        self.0.iter().filter(move |path| !path.contains(&prefix.0) && !prefix.contains(&path.0))
    }

    /// Fails if a page that `options` send for other paths below `prefix` needs a password, and those paths do not.
    pub fn check_pages(&self, prefix: &str, options: &Options) -> Result<(), String> {
        let path = |page: &[u8]| path::from_decoded(&format!("/{prefix}/{}", String::from_utf8_lossy(page)));
        if self.0.is_empty() || self.0.iter().any(|protected| protected.contains(&path(b""))) {
            return Ok(());
        }
        match options.pages().map(path).find(|page| self.contains(page, options)) {
            Some(page) => Err(format!(
                "{} needs a password (--auth-path), but as a page of --error-page or --spa it would be sent without one: \
                 name another page",
                String::from_utf8_lossy(&page)
            )),
            None => Ok(()),
        }
    }
}

/// A path that is protected, and all below it. Has no slash at its end.
#[derive(Clone, Debug)]
pub struct ProtectedPath(Box<[u8]>);

impl ProtectedPath {
    /// Creates one of a decoded path, which begins with a slash.
    fn new(text: &str) -> ProtectedPath {
        let path = path::from_decoded(text);
        ProtectedPath(path.strip_suffix(b"/").unwrap_or(&path).into())
    }

    /// Returns whether this is `path`, or `path` is below this.
    fn contains(&self, path: &[u8]) -> bool {
        path.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

impl fmt::Display for ProtectedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl FromStr for ProtectedPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ProtectedPath, &'static str> {
        if !text.starts_with('/') {
            return Err("must begin with a slash, as in /private");
        }
        // It would protect only a file whose name has these characters, which no operator means.
        let has_escape = |digits: &[u8]| digits[0] == b'%' && digits[1..].iter().all(u8::is_ascii_hexdigit);
        if text.contains('*') || text.as_bytes().windows(3).any(has_escape) {
            return Err(
                "must have neither escapes nor wildcards, as in /my files, which protects all below it too",
            );
        }
        Ok(ProtectedPath::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protects_a_path_and_what_is_below_it() {
        let check = |protected: &str, path: &str, expected: bool| {
            let protected: ProtectedPath = protected.parse().expect("a path");
            assert_eq!(protected.contains(path.as_bytes()), expected, "{protected:?} {path}");
        };
        for protected in ["/private", "/private/", "//a/..//private"] {
            check(protected, "/private", true);
            check(protected, "/private/", true);
            check(protected, "/private/a/b", true);
            check(protected, "/privateer", false);
            check(protected, "/Private", false);
            check(protected, "/a/private", false);
            check(protected, "/", false);
        }
        check("/", "/", true);
        check("/", "/a", true);
        for text in ["", "private", "/private/*", "/my%20files"] {
            assert!(text.parse::<ProtectedPath>().is_err(), "{text}");
        }
        assert!("/100%/zero".parse::<ProtectedPath>().is_ok());
    }
}
