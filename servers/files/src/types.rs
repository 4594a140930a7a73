//! Which media types an operator chooses for files, besides those that `mime` knows.

use crate::options::InvalidOption;
use http_core::MediaType;
use std::{collections::HashMap, str::FromStr};

/// The media types of files by their extensions, and the charset of text.
///
/// ```
/// use http_files::{Options, Types};
///
/// let mut types = Types::default();
/// types.add_list("types { text/x-log log logs; }")?;
/// types.add("txt=text/plain; charset=iso-8859-1".parse()?);
/// types.charset = "off".parse()?;
/// let options = Options { types, ..Options::default() };
/// # Ok::<(), http_files::InvalidOption>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// The types by extensions in lower case.
    by_extension: HashMap<Box<str>, ContentType>,
    /// The type of a file without an extension or with an unknown one. By default `application/octet-stream`.
    pub default: Option<ContentType>,
    /// The charset of text that has no other.
    pub charset: Charset,
}

/// A valid media type, which may have parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType(Box<str>);

/// The media type of the files with an extension, which is compared without case. It is written as `ext=type/subtype`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionType {
    extension: Box<str>,
    media_type: ContentType,
}

/// The charset that is added to text types without one, except HTML, CSS, JavaScript and XML: those files declare their
/// encoding. It is written as the name of a charset, or `off` for none. By default `utf-8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charset(Option<Box<str>>);

impl Types {
    /// Sets the type of an extension. Replaces an earlier one.
    pub fn add(&mut self, ExtensionType { extension, media_type }: ExtensionType) {
        self.by_extension.insert(extension, media_type);
    }

    /// Sets the types of a list in the format of `/etc/mime.types`, whose lines are a type and its extensions, or of
    /// the block `types { ... }` in the configuration of nginx. A `#` begins a comment.
    ///
    /// # Errors
    ///
    /// If the list is malformed. Then it may have set some types.
    pub fn add_list(&mut self, text: &str) -> Result<(), InvalidOption> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let lines: Vec<&str> = lines.collect();
        let text = lines.join("\n");
        let Some(block) =
            text.trim_start().strip_prefix("types").map(str::trim).filter(|rest| rest.starts_with('{'))
        else {
            return text.lines().try_for_each(|line| self.add_entry(line));
        };
        let block =
            block[1..].strip_suffix('}').ok_or_else(|| InvalidOption::new("the block types { has no end"))?;
        let (entries, rest) = block.rsplit_once(';').unwrap_or(("", block));
        if !rest.trim().is_empty() {
            return Err(InvalidOption::new(format!("no ; after {:?}", rest.trim())));
        }
        entries.split(';').try_for_each(|entry| self.add_entry(entry))
    }

    /// Sets the type of the extensions after it.
    fn add_entry(&mut self, entry: &str) -> Result<(), InvalidOption> {
        let mut words = entry.split_ascii_whitespace();
        let Some(media_type) = words.next() else { return Ok(()) };
        let media_type: ContentType = media_type.parse()?;
        for extension in words {
            let extension = parse_extension(extension)?;
            self.add(ExtensionType { extension, media_type: media_type.clone() });
        }
        Ok(())
    }

    /// Returns the type that the operator has chosen for an extension.
    pub(super) fn of_extension(&self, extension: &str) -> Option<&str> {
        if self.by_extension.is_empty() {
            return None;
        }
        Some(&self.by_extension.get(&*extension.to_ascii_lowercase())?.0)
    }

    /// Returns the type that the operator has chosen for unknown files.
    pub(super) fn of_unknown(&self) -> Option<&str> {
        self.default.as_ref().map(|ContentType(media_type)| &**media_type)
    }
}

impl Charset {
    /// Returns the name of the charset; `None` if text gets none.
    pub(super) fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl Default for Charset {
    fn default() -> Charset {
        Charset(Some("utf-8".into()))
    }
}

impl FromStr for ContentType {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<ContentType, InvalidOption> {
        let text = text.trim();
        let is_valid = text.is_ascii() && MediaType::parse(text.as_bytes()).is_some();
        let expected = || format!("malformed media type {text:?}: must be type/subtype, as in text/plain");
        is_valid.then(|| ContentType(text.into())).ok_or_else(|| InvalidOption::new(expected()))
    }
}

impl FromStr for ExtensionType {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<ExtensionType, InvalidOption> {
        let expected = || InvalidOption::new("must be EXT=TYPE, as in log=text/plain");
        let (extension, media_type) = text.split_once('=').ok_or_else(expected)?;
        Ok(ExtensionType { extension: parse_extension(extension)?, media_type: media_type.parse()? })
    }
}

impl FromStr for Charset {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Charset, InvalidOption> {
        if text == "off" {
            return Ok(Charset(None));
        }
        // RFC 2978 §2.3.
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-^_`{}~".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_valid) {
            return Err(InvalidOption::new("must be the name of a charset, as in utf-8, or off"));
        }
        Ok(Charset(Some(text.into())))
    }
}

/// Returns an extension in lower case and without the dot.
fn parse_extension(text: &str) -> Result<Box<str>, InvalidOption> {
    let extension = text.trim();
    let extension = extension.strip_prefix('.').unwrap_or(extension);
    if extension.is_empty() || extension.contains(['.', '/', ' ']) {
        let message = "must be the part after the last dot of a name, as in log";
        return Err(InvalidOption::new(format!("malformed extension {text:?}: {message}")));
    }
    Ok(extension.to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_the_formats_of_mime_types_and_nginx() {
        for list in [
            "# comment\ntext/x-a\t\ta A2\n\n  text/x-b b # comment\ntext/x-none\r\ntext/x-c .C\r\n",
            "# comment\ntypes {\n text/x-a a a2;\n text/x-b\n  b; # comment; text/x-d d;\n text/x-c c; }\n",
            "types{text/x-a a a2;text/x-b b;text/x-c c;}",
        ] {
            let mut types = Types::default();
            assert_eq!(types.add_list(list), Ok(()), "{list}");
            let found = ["a", "a2", "B", "c", "d", "comment"].map(|extension| types.of_extension(extension));
            let [a, b, c] = ["text/x-a", "text/x-b", "text/x-c"].map(Some);
            assert_eq!(found, [a, a, b, c, None, None], "{list}");
        }
        for (list, reason) in [
            ("text a b", "malformed media type \"text\""),
            ("text/plain a/b", "malformed extension \"a/b\""),
            ("types { text/plain a; ", "the block types { has no end"),
            ("types { text/plain a; text/css b }", "no ; after \"text/css b\""),
        ] {
            let error = Types::default().add_list(list).expect_err(list).to_string();
            assert!(error.contains(reason), "{list}: {error}");
        }
        assert_eq!(Types::default().add_list(""), Ok(()));
        assert_eq!(Types::default().add_list("types { }"), Ok(()));
    }

    #[test]
    fn a_malformed_type_is_rejected() {
        for text in [
            "",
            "log",
            "=text/plain",
            "log=",
            "log=text",
            "log=text/plain\nb",
            "a.b=text/plain",
            "log=text/pl ain",
        ] {
            text.parse::<ExtensionType>().expect_err(text);
        }
        for text in ["", "utf 8", "utf-8\n", "\"utf-8\"", "utf-8;a=b"] {
            text.parse::<Charset>().expect_err(text);
        }
    }
}
