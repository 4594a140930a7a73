//! `multipart/form-data`: the fields and files of a form, one part each (RFC 7578, RFC 2046 §5.1).
//!
//! The form must be completely in memory. The parts borrow from it: no content is copied. This module rejects forms
//! that two parsers could split differently: each line must end in CRLF, a delimiter line must contain nothing but the
//! delimiter, and the form must have an end.
//!
//! ```
//! use http_core::{MediaType, multipart};
//!
//! let media_type = MediaType::parse(b"multipart/form-data; boundary=x").ok_or("malformed")?;
//! let content = b"--x\r\nContent-Disposition: form-data; name=\"city\"\r\n\r\nOslo\r\n--x--\r\n";
//! let parts: Vec<_> = multipart::parts(&media_type, content)?.collect::<Result<_, _>>()?;
//! assert_eq!((parts[0].name.as_str(), parts[0].content), ("city", &b"Oslo"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::{
    disposition::{self, set_once},
    media_type::MediaType,
};
use crate::types::{chars::is_header_value, error::error_enum, grammar::split_token};

/// The media type of a form whose content are parts.
pub(crate) const MEDIA_TYPE: &str = "multipart/form-data";

/// The maximum number of parts in a form. A form with more is rejected with [`MultipartError::TooManyParts`]. A part of
/// a few bytes costs the server more memory than the client sends.
pub const MAX_PARTS: usize = 1024;

/// The maximum size in bytes of the headers of one part, without the CRLF of the last header. Larger headers are
/// rejected with [`MultipartError::HeadTooLarge`].
pub const MAX_PART_HEAD: usize = 8 * 1024;

/// One field or file of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The name of the field. Several parts may have the same name.
    pub name: String,
    /// The name of the file on the client; `None` if this part is not a file. Never open it as a path: the client
    /// chooses it.
    pub file_name: Option<String>,
    /// The `Content-Type` of the part; `None`, which means `text/plain`, if it has no such header (RFC 7578 §4.4).
    pub media_type: Option<MediaType<'a>>,
    /// The content, unchanged.
    pub content: &'a [u8],
}

error_enum! {
    /// The reason why a form cannot be split into its parts.
    MultipartError {
        /// The content is not of the type `multipart/form-data`.
        Type "the content is not of the type multipart/form-data"
        /// The media type has no boundary, or its boundary is not 1 to 70 characters of the set in RFC 2046 §5.1.1.
        Boundary "the media type has no boundary, or a malformed one"
        /// The body contains no delimiter line.
        Start "no line contains the boundary"
        /// A line begins with the delimiter, but contains more than white space after it, or does not end in CRLF.
        Delimiter "a line that begins with the boundary contains more, or does not end"
        /// The delimiter at the end of the form is missing.
        End "the form has no end"
        /// The headers of a part are malformed, or no empty line ends them.
        Head "the headers of a part are malformed"
        /// The headers of a part are longer than [`MAX_PART_HEAD`].
        HeadTooLarge "the headers of a part are too long"
        /// A part has no `Content-Disposition: form-data` with a name, or repeats it.
        Disposition "a part has no valid Content-Disposition with a name"
        /// The `Content-Type` of a part is malformed or repeated.
        MediaType "the Content-Type of a part is malformed"
        /// A part has a `Content-Transfer-Encoding` that changes the content. Forms no longer use it (RFC 7578 §4.7).
        Encoding "a part has a Content-Transfer-Encoding"
        /// The form has more than [`MAX_PARTS`] parts.
        TooManyParts "the form has too many parts"
    }
}

/// Returns the parts of a form. `media_type` is the form's media type; its boundary is in each delimiter, the line
/// between two parts. `content` is the whole form. Ignores the text before the first delimiter and after the last.
///
/// # Errors
///
/// [`MultipartError::Boundary`] if the media type has no valid boundary. Any other error is an item of the iterator,
/// which then ends.
pub fn parts<'a>(
    media_type: &MediaType<'_>,
    content: &'a [u8],
) -> Result<impl Iterator<Item = Result<Part<'a>, MultipartError>> + use<'a>, MultipartError> {
    let boundary = media_type.parameter("boundary").filter(|value| is_boundary(value));
    let boundary = boundary.ok_or(MultipartError::Boundary)?;
    // The CRLF before the boundary does not belong to the content before it.
    let delimiter = [b"\r\n--", &*boundary].concat();
    // The first delimiter has no CRLF before it if it begins the body.
    let first = content.strip_prefix(&delimiter[2..]).or_else(|| Some(split_at(content, &delimiter)?.1));
    // The text that begins with the next part; `None` at the end of the form; or the error to return next.
    let mut next = first.ok_or(MultipartError::Start).and_then(after_delimiter);
    let mut parts_left = MAX_PARTS;
    Ok(std::iter::from_fn(move || {
        let text = std::mem::replace(&mut next, Ok(None)).transpose()?;
        Some(text.and_then(|text| {
            let (part, rest) = split_at(text, &delimiter).ok_or(MultipartError::End)?;
            let rest = after_delimiter(rest)?;
            parts_left = parts_left.checked_sub(1).ok_or(MultipartError::TooManyParts)?;
            let part = Part::parse(part)?;
            next = Ok(rest);
            Ok(part)
        }))
    }))
}

/// Returns whether `value` is a valid boundary: 1 to 70 letters, digits and certain other characters, without a space
/// at the end (RFC 2046 §5.1.1).
fn is_boundary(value: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    (1..=70).contains(&value.len()) && value.iter().all(allowed) && !value.ends_with(b" ")
}

/// Returns the text before the first delimiter and the text after it, or `None` if `text` contains no delimiter.
fn split_at<'a>(text: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    // A delimiter contains no CR after its first byte. So comparisons never overlap, and the time is linear.
    let mut returns = text.iter().enumerate().filter(|(_, byte)| **byte == b'\r');
    returns.find_map(|(at, _)| Some((&text[..at], text[at..].strip_prefix(delimiter)?)))
}

/// Parses the rest of a delimiter line (RFC 2046 §5.1.1). `text` begins after the boundary. `--` comes first if this is
/// the last delimiter of the form. Then come optional white space and CRLF. The CRLF may be missing after the last
/// delimiter if `text` ends there.
///
/// Returns the text after the line, or `None` after the last delimiter. Fails if the line contains anything else, or
/// another CRLF is missing.
fn after_delimiter(text: &[u8]) -> Result<Option<&[u8]>, MultipartError> {
    let (last, padding) = text.strip_prefix(b"--").map_or((false, text), |rest| (true, rest));
    let end = padding.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(padding.len());
    match (padding[end..].strip_prefix(b"\r\n"), last) {
        (Some(part), false) => Ok(Some(part)),
        (Some(_), true) => Ok(None),
        (None, true) if end == padding.len() => Ok(None),
        (None, _) => Err(MultipartError::Delimiter),
    }
}

impl<'a> Part<'a> {
    /// Parses one part: `text` is the text between two delimiters. Fails if the headers are malformed, too long or not
    /// allowed, or do not name the part.
    fn parse(text: &'a [u8]) -> Result<Part<'a>, MultipartError> {
        let (head, content) = split_head(text)?;
        let (mut disposition, mut media_type) = (None, None);
        for line in head.split_inclusive(|&byte| byte == b'\n') {
            let (name, value) = header(line).ok_or(MultipartError::Head)?;
            if name.eq_ignore_ascii_case("content-disposition") {
                let read = disposition::parse(value).ok_or(MultipartError::Disposition)?;
                set_once(&mut disposition, read).ok_or(MultipartError::Disposition)?;
            } else if name.eq_ignore_ascii_case("content-type") {
                let read = MediaType::parse(value).ok_or(MultipartError::MediaType)?;
                set_once(&mut media_type, read).ok_or(MultipartError::MediaType)?;
            } else if name.eq_ignore_ascii_case("content-transfer-encoding") && !is_identity(value) {
                return Err(MultipartError::Encoding);
            }
        }
        let (name, file_name) = disposition.ok_or(MultipartError::Disposition)?;
        Ok(Part { name, file_name, media_type, content })
    }
}

/// Splits a part at its empty line. Returns the header lines, each with its CRLF, and the content.
///
/// Fails if the part has no empty line after a header line, or its headers are longer than [`MAX_PART_HEAD`]. May
/// accept a part without headers: then the first line returned is empty, which [`header`] rejects.
fn split_head(part: &[u8]) -> Result<(&[u8], &[u8]), MultipartError> {
    /// The CRLF of the last header line, and the empty line after it.
    const EMPTY_LINE: &[u8] = b"\r\n\r\n";
    let within = &part[..part.len().min(MAX_PART_HEAD + EMPTY_LINE.len())];
    match within.windows(EMPTY_LINE.len()).position(|window| window == EMPTY_LINE) {
        Some(end) => Ok((&part[..end + 2], &part[end + 4..])),
        None if within.len() < part.len() => Err(MultipartError::HeadTooLarge),
        None => Err(MultipartError::Head),
    }
}

/// Parses a header line, which ends in CRLF. Returns the name and the value, or `None` if the line is malformed or
/// begins with white space (a folded line).
fn header(line: &[u8]) -> Option<(&str, &[u8])> {
    let line = line.strip_suffix(b"\r\n").filter(|line| line.iter().copied().all(is_header_value))?;
    let (name, rest) = split_token(line)?;
    Some((name, rest.strip_prefix(b":")?.trim_ascii()))
}

/// Returns whether this `Content-Transfer-Encoding` leaves the content unchanged (RFC 2045 §6.2).
fn is_identity(encoding: &[u8]) -> bool {
    ["7bit", "8bit", "binary"].iter().any(|name| encoding.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Expands the shorthand of the tables below: LF means CRLF, `␊` means LF, and `CD` is the header that every part
    /// has.
    fn expand(text: &str) -> Vec<u8> {
        let text = text.replace("CD", "Content-Disposition: form-data");
        text.replace('\n', "\r\n").replace('␊', "\n").into_bytes()
    }

    /// Returns the parts, or the first error.
    fn read<'a>(media_type: &str, content: &'a [u8]) -> Result<Vec<Part<'a>>, MultipartError> {
        parts(&MediaType::parse(media_type.as_bytes()).expect("a media type"), content)?.collect()
    }

    /// Writes a part as `name=content`, `name(file name)=content`, or `name(file name, type)=content`.
    fn show(part: &Part<'_>) -> String {
        let media_type = part.media_type.map(|media_type| format!(", {media_type}")).unwrap_or_default();
        let file = part.file_name.as_ref().map(|name| format!("({name}{media_type})"));
        format!("{}{}={}", part.name, file.unwrap_or_default(), part.content.escape_ascii())
    }

    /// Reads a form in the shorthand of [`expand`], whose boundary is `b`. The expected parts are joined by ` | `.
    fn check(text: &str, expected: Result<&str, MultipartError>) {
        let content = expand(text);
        let read = read("multipart/form-data; boundary=b", &content);
        let read = read.map(|parts| parts.iter().map(show).collect::<Vec<_>>().join(" | "));
        assert_eq!(read, expected.map(str::to_owned), "{text:?}");
    }

    /// Reads a form of one part with these headers and the content `1`.
    fn check_head(head: &str, expected: Result<&str, MultipartError>) {
        check(&format!("--b\n{head}\n\n1\n--b--\n"), expected);
    }

    #[test]
    fn splits_parts_at_delimiters() {
        check("--b\nCD; name=a\n\n1\n--b--\n", Ok("a=1"));
        check("--b\nCD; name=a\n\n1\n--b\nCD; name=a\n\n\n--b--", Ok("a=1 | a="));
        check("--b--\n", Ok(""));
        check("preamble\n--b \t\nCD; name=a\n\n1\n--b-- \nepilogue\n--b\n", Ok("a=1"));
        check("\n--b--", Ok(""));
    }

    #[test]
    fn content_may_contain_anything_but_the_delimiter() {
        let lines = "a=\\r\\n--\\r\\n-b\\r\\n\\r\\n --b\\r\\n";
        check("--b\nCD; name=a\n\n\n--\n-b\n\n --b\n\n--b--", Ok(lines));
        check("--b\nCD; name=a\n\n\0é␊--b\r--b\r\n--b--", Ok("a=\\x00\\xc3\\xa9\\n--b\\r--b\\r"));
    }

    #[test]
    fn rejects_forms_without_a_beginning_or_end() {
        check("", Err(MultipartError::Start));
        check("--a\nCD; name=a\n\n1\n--a--\n", Err(MultipartError::Start));
        check(" --b--\n", Err(MultipartError::Start));
        check("--b\nCD; name=a\n\n1\n", Err(MultipartError::End));
        check("--b\nCD; name=a\n\n1\n--b\n", Err(MultipartError::End));
        check("--b\n--b--", Err(MultipartError::End));
        for line in ["--b", "--b-", "--b-\n", "--bc\n", "--b--c", "--b --\n", "--b--\r", "--b\n\n"] {
            let error = if line == "--b\n\n" { MultipartError::End } else { MultipartError::Delimiter };
            check(line, Err(error));
            check(&format!("--b\nCD; name=a\n\n1\n{line}"), Err(error));
        }
        check("--b␊CD; name=a␊␊1␊--b--␊", Err(MultipartError::Delimiter));
    }

    #[test]
    fn parses_the_headers_of_a_part() {
        check_head("CD; name=a", Ok("a=1"));
        check_head("content-disposition:Form-Data;name=a;filename=\"f;\"", Ok("a(f;)=1"));
        check_head("CD; name=a; filename=f\nContent-Type: Text/HTML; q=1", Ok("a(f, text/html; q=1)=1"));
        check_head("X-Other: 1\nCD; name=a\nContent-Transfer-Encoding: 8BIT", Ok("a=1"));
        for head in ["X: 1", "CD", "CD; name=a\nCD; name=a", "Content-Disposition: attachment; name=a"] {
            check_head(head, Err(MultipartError::Disposition));
        }
    }

    #[test]
    fn rejects_malformed_headers() {
        check_head("", Err(MultipartError::Head));
        for rest in ["\n b", "\nX", "\nX : 1", "\n: 1", "\0", "␊X: 1"] {
            check_head(&format!("CD; name=a{rest}"), Err(MultipartError::Head));
        }
        check("--b\n\nCD; name=a\n\n1\n--b--", Err(MultipartError::Head));
        check("--b\nCD; name=a\n\n--b--", Err(MultipartError::Head));
        check("--b\nCD; name=a\n--b--", Err(MultipartError::Head));
        check_head("CD; name=a\nContent-Type: text", Err(MultipartError::MediaType));
        check_head("CD; name=a\nContent-Type: a/b\nContent-Type: a/b", Err(MultipartError::MediaType));
        check_head("CD; name=a\nContent-Transfer-Encoding: base64", Err(MultipartError::Encoding));
    }

    #[test]
    fn stops_after_an_error() {
        let content = expand("--b\nX: 1\n\n1\n--b\nCD; name=a\n\n1\n--b--");
        let media_type = MediaType::parse(b"multipart/form-data; boundary=b").expect("a media type");
        let read: Vec<_> = parts(&media_type, &content).expect("a boundary").collect();
        assert_eq!(read, [Err(MultipartError::Disposition)]);
    }

    #[test]
    fn limits_are_exact() {
        let filled = |len: usize| {
            let head = "Content-Disposition: form-data; name=a\nX: ";
            head.to_owned() + &"x".repeat(len - head.len() - 1)
        };
        check_head(&filled(MAX_PART_HEAD), Ok("a=1"));
        check_head(&filled(MAX_PART_HEAD + 1), Err(MultipartError::HeadTooLarge));

        let form = |parts: usize| "--b\nCD; name=a\n\n1\n".repeat(parts) + "--b--";
        check(&form(MAX_PARTS), Ok(&["a=1"; MAX_PARTS].join(" | ")));
        check(&form(MAX_PARTS + 1), Err(MultipartError::TooManyParts));
    }

    #[test]
    fn checks_the_boundary() {
        let check = |parameters: &str, expected: Result<&str, MultipartError>| {
            let content = format!("--{}--", expected.unwrap_or_default());
            let read = read(&format!("multipart/form-data{parameters}"), content.as_bytes());
            assert_eq!(read, expected.map(|_| Vec::new()), "{parameters}");
        };
        check("; boundary=----x", Ok("----x"));
        check("; a=b; Boundary=\"a '()+_,-./:=?b\"; c=d", Ok("a '()+_,-./:=?b"));
        check("; boundary=\"\\a\\b\"", Ok("ab"));
        let longest = "x".repeat(70);
        check(&format!("; boundary={longest}"), Ok(&longest));
        for parameter in ["y=\"\"", "y=\"a \"", "y=\"a@b\"", "y=a|b", "ies=a"] {
            check(&format!("; boundar{parameter}"), Err(MultipartError::Boundary));
        }
        check("", Err(MultipartError::Boundary));
        check(&format!("; boundary={longest}x"), Err(MultipartError::Boundary));
    }

    /// Name, file name and content.
    type SentPart = (String, Option<String>, Vec<u8>);

    /// Writes a form as a browser does.
    fn write(boundary: &str, sent: &[SentPart]) -> Vec<u8> {
        let escaped = |text: &str| text.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22");
        let mut form = Vec::new();
        for (name, file_name, content) in sent {
            let name = format!("Content-Disposition: form-data; name=\"{}\"", escaped(name));
            let file_name = file_name.as_deref().map(|name| format!("; filename=\"{}\"", escaped(name)));
            let head = format!("--{boundary}\r\n{name}{}\r\n\r\n", file_name.unwrap_or_default());
            form.extend([head.as_bytes(), content, b"\r\n"].concat());
        }
        form.extend(format!("--{boundary}--\r\n").into_bytes());
        form
    }

    /// Generates the parts of a form.
    fn sent() -> impl Strategy<Value = Vec<SentPart>> {
        let name = "[ a-z\"\r\n;%\u{e9}]{0,9}";
        let file_name = prop::option::of("[ a-z.\"/:=\u{20ac}]{0,9}");
        prop::collection::vec((name, file_name, "[0-1\r\n-]{0,30}".prop_map(String::into_bytes)), 0..4)
    }

    proptest! {
        #[test]
        fn reads_back_what_a_browser_writes(boundary in "[A-Za-z'()+_,./:=?][0-9A-Z-]{0,69}", sent in sent()) {
            let form = write(&boundary, &sent);
            let read = read(&format!("multipart/form-data; boundary=\"{boundary}\""), &form).expect("a form");
            let read: Vec<SentPart> =
                read.into_iter().map(|part| (part.name, part.file_name, part.content.to_vec())).collect();
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn rejects_truncated_forms(sent in sent(), cut in any::<prop::sample::Index>()) {
            let form = write("b", &sent);
            let shorter = &form[..cut.index(form.len() - "\r\n".len())];
            prop_assert!(read("multipart/form-data; boundary=b", shorter).is_err(), "{}", shorter.escape_ascii());
        }

        #[test]
        fn random_input_does_not_panic(
            text in "(--b|\r\n|--|CD|; name=|filename=\"|a|\"|\\\\|%|:| |\u{e9}){0,30}",
        ) {
            let _ = read("multipart/form-data; boundary=b", &expand(&text));
        }
    }
}
