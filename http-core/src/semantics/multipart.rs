//! `multipart/form-data`: the fields and files of a form, one part each (RFC 7578, RFC 2046 §5.1).
//!
//! A form that is whole in memory is taken apart where it lies; no content is copied. This file must never guess
//! where two readers could see different parts: each line ends in CRLF, a delimiter line holds the delimiter and
//! no more, and a form that does not end is none.
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
    disposition::{Disposition, once},
    media_type::MediaType,
};
use crate::types::{chars::is_header_value, grammar::split_token};

/// More parts than any form has. Each costs a reader more memory than it costs a peer to send.
pub const MAX_PARTS: usize = 1024;

/// Bytes of a part's field lines. A name and a file name are all that stands there.
pub const MAX_PART_HEAD: usize = 8 * 1024;

/// One field or file of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The name of the form's field; several parts may have the same.
    pub name: String,
    /// What the peer calls the file, if this is one. Never a path to be opened: it may hold anything.
    pub file_name: Option<String>,
    /// The part's `Content-Type`; without one it is `text/plain` (RFC 7578 §4.4).
    pub media_type: Option<MediaType<'a>>,
    /// The content, as it was sent.
    pub content: &'a [u8],
}

/// What is wrong with a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultipartError {
    /// The media type has no boundary, or one that is none: 1 to 70 characters of a small set (RFC 2046 §5.1.1).
    Boundary,
    /// No delimiter line stands in the content.
    Start,
    /// A line begins with the delimiter, but holds more, or does not end.
    Delimiter,
    /// The delimiter that ends the form is missing.
    End,
    /// A part's field lines are malformed, or no empty line ends them.
    Head,
    /// A part's field lines are longer than [`MAX_PART_HEAD`].
    HeadTooLarge,
    /// A part has no `Content-Disposition: form-data` with a name, or says something twice.
    Disposition,
    /// A part's `Content-Type` is malformed.
    MediaType,
    /// A part is encoded, which no form's part should be any more (RFC 7578 §4.7).
    Encoding,
    /// There are more than [`MAX_PARTS`] parts.
    TooManyParts,
}

impl std::fmt::Display for MultipartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            MultipartError::Boundary => "the media type names no boundary, or a malformed one",
            MultipartError::Start => "no line holds the boundary",
            MultipartError::Delimiter => "a line that begins with the boundary holds more, or does not end",
            MultipartError::End => "the form has no end",
            MultipartError::Head => "the field lines of a part are malformed",
            MultipartError::HeadTooLarge => "the field lines of a part are too long",
            MultipartError::Disposition => "a part has no sound Content-Disposition with a name",
            MultipartError::MediaType => "the Content-Type of a part is malformed",
            MultipartError::Encoding => "a part has a Content-Transfer-Encoding",
            MultipartError::TooManyParts => "the form has too many parts",
        })
    }
}

impl std::error::Error for MultipartError {}

/// Takes a form apart. What stands before its first delimiter and behind its last counts for nothing.
///
/// # Errors
///
/// [`MultipartError::Boundary`] at once; any other comes in its place among the parts, and nothing after it.
pub fn parts<'a>(media_type: &MediaType<'_>, content: &'a [u8]) -> Result<Parts<'a>, MultipartError> {
    let boundary = media_type
        .parameter("boundary")
        .filter(|value| is_boundary(value))
        .ok_or(MultipartError::Boundary)?;
    let delimiter = [b"\r\n--", &*boundary].concat();
    Ok(Parts { delimiter, place: Position::Preamble(content), left: MAX_PARTS })
}

/// `bcharsnospace`, and spaces but for the last octet (RFC 2046 §5.1.1).
fn is_boundary(value: &[u8]) -> bool {
    let allowed = |octet: &u8| octet.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(octet);
    (1..=70).contains(&value.len()) && value.iter().all(allowed) && !value.ends_with(b" ")
}

/// The parts of a form, in their order.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// CRLF, two hyphens and the boundary: the CRLF is no part of the content before it.
    delimiter: Vec<u8>,
    place: Position<'a>,
    /// How many parts may still come.
    left: usize,
}

/// How far the form has been read, and what follows.
#[derive(Clone, Debug)]
enum Position<'a> {
    Preamble(&'a [u8]),
    Part(&'a [u8]),
    /// The end, or a fault.
    Over,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, MultipartError>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.advance();
        if part.is_err() {
            self.place = Position::Over;
        }
        part.transpose()
    }
}

impl<'a> Parts<'a> {
    fn advance(&mut self) -> Result<Option<Part<'a>>, MultipartError> {
        if let Position::Preamble(content) = self.place {
            // The first delimiter may begin the content, and then it has no CRLF before it.
            let rest = match content.strip_prefix(&self.delimiter[2..]) {
                Some(rest) => rest,
                None => self.split(content).ok_or(MultipartError::Start)?.1,
            };
            self.place = Position::after_delimiter(rest)?;
        }
        let Position::Part(text) = self.place else { return Ok(None) };
        let (part, rest) = self.split(text).ok_or(MultipartError::End)?;
        self.place = Position::after_delimiter(rest)?;
        self.left = self.left.checked_sub(1).ok_or(MultipartError::TooManyParts)?;
        Part::parse(part).map(Some)
    }

    /// What stands before the next delimiter, and what follows it.
    fn split(&self, text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        // No boundary holds a CR: what is compared in vain here is never compared again.
        let mut returns = text.iter().enumerate().filter(|(_, octet)| **octet == b'\r');
        returns.find_map(|(at, _)| Some((&text[..at], text[at..].strip_prefix(self.delimiter.as_slice())?)))
    }
}

impl<'a> Position<'a> {
    /// Reads the rest of a delimiter line: two hyphens if it is the last one, then padding (RFC 2046 §5.1.1).
    fn after_delimiter(text: &'a [u8]) -> Result<Position<'a>, MultipartError> {
        let (last, padding) = text.strip_prefix(b"--").map_or((false, text), |rest| (true, rest));
        let end = padding.iter().position(|octet| !matches!(octet, b' ' | b'\t')).unwrap_or(padding.len());
        match (padding[end..].strip_prefix(b"\r\n"), last) {
            (Some(part), false) => Ok(Position::Part(part)),
            (Some(_), true) => Ok(Position::Over),
            (None, true) if end == padding.len() => Ok(Position::Over),
            (None, _) => Err(MultipartError::Delimiter),
        }
    }
}

impl<'a> Part<'a> {
    fn parse(text: &'a [u8]) -> Result<Part<'a>, MultipartError> {
        let (head, content) = split_head(text)?;
        let (mut disposition, mut media_type) = (None, None);
        for line in head.split_inclusive(|&octet| octet == b'\n') {
            let (name, value) = field(line).ok_or(MultipartError::Head)?;
            if name.eq_ignore_ascii_case("content-disposition") {
                let read = Disposition::parse(value).ok_or(MultipartError::Disposition)?;
                once(&mut disposition, read).ok_or(MultipartError::Disposition)?;
            } else if name.eq_ignore_ascii_case("content-type") {
                let read = MediaType::parse(value).ok_or(MultipartError::MediaType)?;
                once(&mut media_type, read).ok_or(MultipartError::MediaType)?;
            } else if name.eq_ignore_ascii_case("content-transfer-encoding") && !is_identity(value) {
                return Err(MultipartError::Encoding);
            }
        }
        let Disposition { name, file_name } = disposition.ok_or(MultipartError::Disposition)?;
        Ok(Part { name, file_name, media_type, content })
    }
}

/// A part's field lines, each with its CRLF, and the content behind the empty line.
fn split_head(part: &[u8]) -> Result<(&[u8], &[u8]), MultipartError> {
    const EMPTY_LINE: &[u8] = b"\r\n\r\n";
    let within = &part[..part.len().min(MAX_PART_HEAD + EMPTY_LINE.len())];
    match within.windows(EMPTY_LINE.len()).position(|window| window == EMPTY_LINE) {
        Some(end) => Ok((&part[..end + 2], &part[end + 4..])),
        None if within.len() < part.len() => Err(MultipartError::HeadTooLarge),
        None => Err(MultipartError::Head),
    }
}

/// Name and value of a field line. One that is folded has no name.
fn field(line: &[u8]) -> Option<(&str, &[u8])> {
    let line = line.strip_suffix(b"\r\n").filter(|line| line.iter().copied().all(is_header_value))?;
    let (name, rest) = split_token(line)?;
    Some((name, rest.strip_prefix(b":")?.trim_ascii()))
}

/// Whether content under this `Content-Transfer-Encoding` is as it was sent (RFC 2045 §6.2).
fn is_identity(encoding: &[u8]) -> bool {
    ["7bit", "8bit", "binary"].iter().any(|name| encoding.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// In the tables below a line ends in CRLF, and `CD` stands for the field that every part has.
    fn spelled_out(text: &str) -> Vec<u8> {
        text.replace("CD", "Content-Disposition: form-data").replace('\n', "\r\n").into_bytes()
    }

    fn read<'a>(media_type: &str, content: &'a [u8]) -> Result<Vec<Part<'a>>, MultipartError> {
        parts(&MediaType::parse(media_type.as_bytes()).expect("a media type"), content)?.collect()
    }

    /// Parts are spelled `name=content`, `name(file name)=content`, and `name(file name, type)=content`.
    fn check(content: &[u8], expected: Result<&[&str], MultipartError>) {
        let spell = |part: &Part<'_>| {
            let media_type = part.media_type.map(|media_type| format!(", {media_type}")).unwrap_or_default();
            let file =
                part.file_name.as_ref().map(|name| format!("({name}{media_type})")).unwrap_or_default();
            format!("{}{file}={}", part.name, part.content.escape_ascii())
        };
        let read = read("multipart/form-data; boundary=b", content);
        let read = read.map(|parts| parts.iter().map(spell).collect::<Vec<_>>());
        assert_eq!(
            read,
            expected.map(|parts| parts.iter().map(ToString::to_string).collect()),
            "{}",
            content.escape_ascii()
        );
    }

    fn check_form(text: &str, expected: Result<&[&str], MultipartError>) {
        check(&spelled_out(text), expected);
    }

    /// A form of one part with these field lines.
    fn check_head(head: &str, expected: Result<&str, MultipartError>) {
        let expected = expected.map(|part| vec![part]);
        check_form(&format!("--b\n{head}\n\n1\n--b--\n"), expected.as_deref().map_err(|fault| *fault));
    }

    #[test]
    fn parts_stand_between_delimiters() {
        check_form("--b\nCD; name=a\n\n1\n--b--\n", Ok(&["a=1"]));
        check_form("--b\nCD; name=a\n\n1\n--b\nCD; name=a\n\n\n--b--", Ok(&["a=1", "a="]));
        check_form("--b--\n", Ok(&[]));
        check_form("preamble\n--b \t\nCD; name=a\n\n1\n--b-- \nepilogue\n--b\n", Ok(&["a=1"]));
        check_form("\n--b--", Ok(&[]));
    }

    #[test]
    fn content_may_hold_all_but_the_delimiter() {
        check_form(
            "--b\nCD; name=a\n\n\n--\n-b\n\n --b\n\n--b--",
            Ok(&["a=\\r\\n--\\r\\n-b\\r\\n\\r\\n --b\\r\\n"]),
        );
        check(
            b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\0\xff\n--b\r--b\r\r\n--b--",
            Ok(&["a=\\x00\\xff\\n--b\\r--b\\r"]),
        );
    }

    #[test]
    fn a_form_that_does_not_end_or_begin_is_none() {
        check_form("", Err(MultipartError::Start));
        check_form("--a\nCD; name=a\n\n1\n--a--\n", Err(MultipartError::Start));
        check_form(" --b--\n", Err(MultipartError::Start));
        check_form("--b\nCD; name=a\n\n1\n", Err(MultipartError::End));
        check_form("--b\nCD; name=a\n\n1\n--b\n", Err(MultipartError::End));
        check_form("--b\n--b--", Err(MultipartError::End));
        for line in ["--b", "--b-", "--b-\n", "--bc\n", "--b--c", "--b --\n", "--b--\r", "--b\n\n"] {
            let fault = if line == "--b\n\n" { MultipartError::End } else { MultipartError::Delimiter };
            check_form(line, Err(fault));
            check_form(&format!("--b\nCD; name=a\n\n1\n{line}"), Err(fault));
        }
        check(b"--b\nContent-Disposition: form-data; name=a\n\n1\n--b--\n", Err(MultipartError::Delimiter));
    }

    #[test]
    fn field_lines_say_what_a_part_is() {
        check_head("CD; name=a", Ok("a=1"));
        check_head("content-disposition:Form-Data;name=a;filename=\"f;\"", Ok("a(f;)=1"));
        check_head("CD; name=a; filename=f\nContent-Type: Text/HTML; q=1", Ok("a(f, text/html; q=1)=1"));
        check_head("X-Other: 1\nCD; name=a\nContent-Transfer-Encoding: 8BIT", Ok("a=1"));
        for head in ["X: 1", "CD", "CD; name=a\nCD; name=a", "Content-Disposition: attachment; name=a"] {
            check_head(head, Err(MultipartError::Disposition));
        }
    }

    #[test]
    fn field_lines_are_strict() {
        for line in
            ["", "CD; name=a\n b", "CD; name=a\nX", "CD; name=a\nX : 1", "CD; name=a\n: 1", "CD; name=a\0"]
        {
            check_head(line, Err(MultipartError::Head));
        }
        check_form("--b\n\nCD; name=a\n\n1\n--b--", Err(MultipartError::Head));
        check_form("--b\nCD; name=a\n\n--b--", Err(MultipartError::Head));
        check_form("--b\nCD; name=a\n--b--", Err(MultipartError::Head));
        check(
            b"--b\r\nContent-Disposition: form-data; name=a\nX: 1\r\n\r\n1\r\n--b--",
            Err(MultipartError::Head),
        );
        check_head("CD; name=a\nContent-Type: text", Err(MultipartError::MediaType));
        check_head("CD; name=a\nContent-Type: a/b\nContent-Type: a/b", Err(MultipartError::MediaType));
        check_head("CD; name=a\nContent-Transfer-Encoding: base64", Err(MultipartError::Encoding));
    }

    #[test]
    fn nothing_is_read_behind_a_fault() {
        let content = spelled_out("--b\nX: 1\n\n1\n--b\nCD; name=a\n\n1\n--b--");
        let media_type = MediaType::parse(b"multipart/form-data; boundary=b").expect("a media type");
        let read: Vec<_> = parts(&media_type, &content).expect("a boundary").collect();
        assert_eq!(read, [Err(MultipartError::Disposition)]);
    }

    #[test]
    fn bounds() {
        let filled = |len: usize| {
            let head = "Content-Disposition: form-data; name=a\nX: ";
            head.to_owned() + &"x".repeat(len - head.len() - 1)
        };
        check_head(&filled(MAX_PART_HEAD), Ok("a=1"));
        check_head(&filled(MAX_PART_HEAD + 1), Err(MultipartError::HeadTooLarge));

        let form = |parts: usize| "--b\nCD; name=a\n\n1\n".repeat(parts) + "--b--";
        check_form(&form(MAX_PARTS), Ok(&["a=1"; MAX_PARTS]));
        check_form(&form(MAX_PARTS + 1), Err(MultipartError::TooManyParts));
    }

    #[test]
    fn boundaries() {
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
        for none in [
            "",
            "; boundary=\"\"",
            "; boundary=\"a \"",
            "; boundary=\"a@b\"",
            "; boundary=a|b",
            "; boundaries=a",
        ] {
            check(none, Err(MultipartError::Boundary));
        }
        check(&format!("; boundary={longest}x"), Err(MultipartError::Boundary));
    }

    /// Name, file name and content.
    type Sent = (String, Option<String>, Vec<u8>);

    /// The form as a browser writes it.
    fn written(boundary: &str, sent: &[Sent]) -> Vec<u8> {
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

    fn sent() -> impl Strategy<Value = Vec<Sent>> {
        let name = "[ a-z\"\r\n;%\u{e9}]{0,9}";
        let file_name = prop::option::of("[ a-z.\"/:=\u{20ac}]{0,9}");
        prop::collection::vec((name, file_name, "[0-1\r\n-]{0,30}".prop_map(String::into_bytes)), 0..4)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(boundary in "[A-Za-z'()+_,./:=?][0-9A-Z-]{0,69}", sent in sent()) {
            let form = written(&boundary, &sent);
            let read = read(&format!("multipart/form-data; boundary=\"{boundary}\""), &form).expect("a form");
            let read: Vec<Sent> =
                read.into_iter().map(|part| (part.name, part.file_name, part.content.to_vec())).collect();
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn what_is_cut_short_is_refused(sent in sent(), cut in any::<prop::sample::Index>()) {
            let form = written("b", &sent);
            let shorter = &form[..cut.index(form.len() - "\r\n".len())];
            prop_assert!(read("multipart/form-data; boundary=b", shorter).is_err(), "{}", shorter.escape_ascii());
        }

        #[test]
        fn rubbish_is_no_reason_to_panic(
            text in "(--b|\r\n|--|CD|; name=|filename=\"|a|\"|\\\\|%|:| |\u{e9}){0,30}",
        ) {
            let _ = read("multipart/form-data; boundary=b", &spelled_out(&text));
        }
    }
}
