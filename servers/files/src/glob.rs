//! Patterns for the paths of files, such as `*.js` or `/docs/**/*.{css,js}`.
//!
//! A glob is compiled once. The time for a match is at most the length of the path times that of the glob, because
//! clients choose the paths: no glob backtracks exponentially. No crate that is small does the same: `globset` compiles
//! to regular expressions, and `glob-match` and `fast-glob` accept any text as a glob, also a malformed one.

use crate::options::InvalidOption;
use std::str::FromStr;

/// The maximum number of patterns that the braces of a glob stand for.
const MAX_ALTERNATIVES: usize = 64;

/// A pattern for paths.
///
/// | in a glob | stands for |
/// |---|---|
/// | `*` | any number of characters other than `/` |
/// | `?` | one byte other than `/` |
/// | `**` | any number of directories, in `**/name`, `/directory/**` and `a/**/b` |
/// | `{a,b}` | `a` or `b` |
/// | `/` at the end | everything below the directory, as `/**` |
///
/// A glob without a slash is matched with the name of a file, in any directory. Any other is matched with the whole
/// path from the document root; a slash at its beginning makes no difference.
///
/// ```
/// use http_files::Glob;
///
/// let glob: Glob = "/assets/**/*.{css,js}".parse()?;
/// assert!(glob.matches(b"assets/app.js") && glob.matches(b"assets/a/b/app.css"));
/// assert!(!glob.matches(b"app.js"));
/// # Ok::<(), http_files::InvalidOption>(())
/// ```
#[derive(Clone, Debug)]
pub struct Glob {
    /// The patterns that the braces stand for.
    alternatives: Box<[Box<[Token]>]>,
    /// Whether the glob has no slash, and is matched with the last component of a path only.
    is_name: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// One byte other than `/`.
    Any,
    /// `*`.
    Star,
    /// `**/`: nothing, or directories with the slash after the last one.
    Directories,
    /// `**` at the end: the rest of the path.
    Rest,
}

impl Glob {
    /// Returns whether the glob matches `path`, which is decoded, normalised and relative to the document root.
    pub fn matches(&self, path: &[u8]) -> bool {
        let path = if self.is_name { file_name(path) } else { path };
        self.alternatives.iter().any(|tokens| matches(tokens, path))
    }
}

/// Returns the last component of a path.
pub(super) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Returns whether the tokens match the whole path.
///
/// After a mismatch, the last `*` takes one byte more, or if it cannot, the last `**` one directory more. Earlier ones
/// need not change: the last `*` can take whatever an earlier one of the same component leaves, and so can the last
/// `**`.
fn matches(tokens: &[Token], path: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    // The token after the last `*` or `**`, and where in the path it is tried.
    let (mut star, mut directories) = (None, None);
    loop {
        match (tokens.get(token), path.get(at)) {
            (Some(Token::Rest), _) | (None, None) => return true,
            (Some(Token::Star), _) => {
                star = Some((token + 1, at));
                token += 1;
                continue;
            }
            (Some(Token::Directories), _) => {
                (star, directories) = (None, Some((token + 1, at)));
                token += 1;
                continue;
            }
            (Some(Token::Byte(expected)), Some(actual)) if expected == actual => {
                (token, at) = (token + 1, at + 1);
                continue;
            }
            (Some(Token::Any), Some(actual)) if *actual != b'/' => {
                (token, at) = (token + 1, at + 1);
                continue;
            }
            _ => {}
        }
        if let Some((next, from)) = star
            && path.get(from).is_some_and(|&byte| byte != b'/')
        {
            star = Some((next, from + 1));
            (token, at) = (next, from + 1);
        } else if let Some((next, from)) = directories
            && let Some(slash) = path[from..].iter().position(|&byte| byte == b'/')
        {
            (star, directories) = (None, Some((next, from + slash + 1)));
            (token, at) = (next, from + slash + 1);
        } else {
            return false;
        }
    }
}

impl FromStr for Glob {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Glob, InvalidOption> {
        let invalid = |reason: &str| InvalidOption::new(format!("malformed glob {text:?}: {reason}"));
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if text.contains(['[', ']', '\\']) {
            return Err(invalid("[, ] and \\ have no meaning; ? stands for any character"));
        }
        let is_name = !text.contains('/');
        let path = text.strip_prefix('/').unwrap_or(text);
        let path = if text.ends_with('/') { format!("{path}**") } else { path.to_owned() };
        let alternatives = expand(&path).map_err(invalid)?;
        let alternatives = alternatives.iter().map(|pattern| compile(pattern).map_err(invalid));
        Ok(Glob { alternatives: alternatives.collect::<Result<_, _>>()?, is_name })
    }
}

/// Returns the patterns that the braces in `text` stand for.
fn expand(text: &str) -> Result<Vec<String>, &'static str> {
    let mut patterns = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (choices, after) = after.split_once('}').ok_or("a { without a }")?;
        if choices.contains('{') {
            return Err("braces in braces");
        }
        if before.contains('}') {
            return Err("a } without a {");
        }
        let choices: Vec<&str> = choices.split(',').collect();
        if patterns.len() * choices.len() > MAX_ALTERNATIVES {
            return Err("its braces stand for more than 64 patterns");
        }
        let extended = patterns
            .iter()
            .flat_map(|pattern| choices.iter().map(move |choice| format!("{pattern}{before}{choice}")));
        patterns = extended.collect();
        rest = after;
    }
    if rest.contains('}') {
        return Err("a } without a {");
    }
    patterns.iter_mut().for_each(|pattern| pattern.push_str(rest));
    Ok(patterns)
}

/// Compiles a pattern without braces.
fn compile(pattern: &str) -> Result<Box<[Token]>, &'static str> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut rest = pattern.as_bytes();
    while let [first, after @ ..] = rest {
        let starts_component = matches!(tokens.last(), None | Some(Token::Byte(b'/') | Token::Directories));
        let (token, after) = match rest {
            [b'*', b'*'] if starts_component => (Token::Rest, &[][..]),
            [b'*', b'*', b'/', after @ ..] if starts_component => (Token::Directories, after),
            [b'*', b'*', ..] => return Err("** must stand between slashes"),
            [b'*', ..] => (Token::Star, after),
            [b'?', ..] => (Token::Any, after),
            _ => (Token::Byte(*first), after),
        };
        tokens.push(token);
        rest = after;
    }
    Ok(tokens.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_names_and_paths() {
        let check = |glob: &str, matching: &[&str], others: &[&str]| {
            let compiled: Glob = glob.parse().expect("a glob");
            let matches = |path: &&&str| compiled.matches(path.as_bytes());
            assert_eq!(matching.iter().find(|path| !matches(path)), None, "{glob} does not match");
            assert_eq!(others.iter().find(matches), None, "{glob} matches");
        };
        check("*.js", &["a.js", "a/b.js", ".js", "a.b.js"], &["a.jsx", "a.js/b", "js"]);
        check("README", &["README", "a/README"], &["README.md", "a/README/b"]);
        check("/*.js", &["a.js"], &["a/b.js"]);
        check("/a", &["a"], &["a/b", "b/a", "A"]);
        check("a/b", &["a/b"], &["c/a/b", "a/b/c"]);
        check("/a/", &["a/", "a/b", "a/b/c"], &["a", "ab", "b/a/c"]);
        check("/a/**", &["a/", "a/b", "a/b/c"], &["a", "ab"]);
        check("/", &["", "a", "a/b"], &[]);
        check("**", &["", "a", "a/b"], &[]);
        check("/a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb", "a/b/x"]);
        check("**/a/*.js", &["a/b.js", "x/y/a/b.js", "a/a/b.js"], &["xa/b.js", "a/b/c.js"]);
        check("/a/**/b/**/c", &["a/b/c", "a/b/b/c", "a/x/b/y/c"], &["a/c", "a/b", "a/b/c/x"]);
        check("/a*b*c/d", &["abc/d", "axbxbc/d", "abcbc/d"], &["ab/c/d", "a/bc/d", "abcx/d"]);
        check("?.js", &["a.js"], &[".js", "ab.js"]);
        check("a?b/c", &["axb/c"], &["a/b/c"]);
        check("*.{js,css}", &["a.js", "b/a.css"], &["a.{js,css}", "a.html"]);
        check("/{a,b}/{c,}d", &["a/cd", "b/d"], &["c/d", "a/c"]);
        check("caf\u{e9}*", &["caf\u{e9}", "caf\u{e9}.html"], &["cafe"]);
    }

    #[test]
    fn a_malformed_glob_is_rejected() {
        for (glob, reason) in [
            ("", "it is empty"),
            ("[ab]", "? stands for any character"),
            ("a\\*", "? stands for any character"),
            ("{a,b", "a { without a }"),
            ("a}", "a } without a {"),
            ("a}{b}", "a } without a {"),
            ("{a,{b,c}}", "braces in braces"),
            ("a**", "** must stand between slashes"),
            ("/a/**b", "** must stand between slashes"),
            ("/***", "** must stand between slashes"),
            ("{1,2,3,4}{1,2,3,4}{1,2,3,4}{1,2}", "more than 64 patterns"),
        ] {
            let error = glob.parse::<Glob>().expect_err(glob).to_string();
            assert!(error.starts_with("malformed glob") && error.ends_with(reason), "{error}");
        }
    }

    /// Tries every length of each `*` and `**`.
    fn matches_somehow(tokens: &[Token], path: &[u8]) -> bool {
        let Some((token, others)) = tokens.split_first() else { return path.is_empty() };
        let Some((byte, rest)) = path.split_first() else {
            return !matches!(token, Token::Byte(_) | Token::Any) && matches_somehow(others, path);
        };
        match token {
            Token::Byte(expected) => byte == expected && matches_somehow(others, rest),
            Token::Any => *byte != b'/' && matches_somehow(others, rest),
            Token::Star => matches_somehow(others, path) || *byte != b'/' && matches_somehow(tokens, rest),
            Token::Directories => {
                let slash = path.iter().position(|&byte| byte == b'/');
                let deeper = || slash.is_some_and(|slash| matches_somehow(tokens, &path[slash + 1..]));
                matches_somehow(others, path) || deeper()
            }
            Token::Rest => true,
        }
    }

    /// Returns all texts of at most `len` pieces.
    fn texts(pieces: &[&str], len: u32) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut last = texts.clone();
        for _ in 0..len {
            last = last
                .iter()
                .flat_map(|text| pieces.iter().map(move |piece| format!("{text}{piece}")))
                .collect();
            texts.extend_from_slice(&last);
        }
        texts
    }

    #[test]
    fn finds_every_match() {
        let paths = texts(&["a", "b", "/"], 6);
        let patterns = texts(&["a", "/", "*", "**/"], 5);
        let compiled = patterns.iter().filter_map(|pattern| Some((pattern, compile(pattern).ok()?)));
        for (pattern, tokens) in compiled {
            for path in &paths {
                let expected = matches_somehow(&tokens, path.as_bytes());
                assert_eq!(matches(&tokens, path.as_bytes()), expected, "{pattern} {path}");
            }
        }
    }

    /// A matcher that tries all divisions between the stars would need longer than the universe exists.
    #[test]
    fn a_long_path_takes_no_exponential_time() {
        let glob: Glob = "/**/a*a*a*a*a*a*a*a*a*a/**/a*a*a*a*a*a*a*a*a*b".parse().expect("a glob");
        assert!(!glob.matches("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/".repeat(200).as_bytes()));
    }
}
