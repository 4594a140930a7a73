//! A form in memory: its parts, which borrow from it.

use super::syntax::{Boundary, MAX_PARTS, MultipartError, Section};
use crate::semantics::media_type::MediaType;

/// One field or file of a form in memory.
///
/// [`parts`] returns it; the [module](super) has an example.
///
/// ```
/// use http_core::{MediaType, multipart::{self, Boundary, Part}};
///
/// let media_type = MediaType::parse(b"multipart/form-data; boundary=x").ok_or("malformed")?;
/// let content = b"--x\r\nContent-Disposition: form-data; name=\"map\"; filename=\"oslo.txt\"\r\n\r\nOslo\r\n--x--\r\n";
/// let mut parts = multipart::parts(content, Boundary::of(&media_type)?);
/// let Some(Ok(Part { name, file_name, content, .. })) = parts.next() else {
///     return Err("no part".into());
/// };
/// assert_eq!((&*name, file_name.as_deref(), content), ("map", Some("oslo.txt"), &b"Oslo"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// Returns the parts of the form `content`; `boundary` separates them. Ignores the text before the first delimiter (the
/// line with the boundary) and after the last.
///
/// If the form is malformed, the error is the last item. So a form is complete only if no item is an error.
pub fn parts(content: &[u8], boundary: Boundary) -> impl Iterator<Item = Result<Part<'_>, MultipartError>> {
    // The text after the next delimiter; `None` at the end of the form.
    let mut next = Some(boundary.split_first(content).ok_or(MultipartError::Start));
    let mut parts_left = MAX_PARTS;
    std::iter::from_fn(move || {
        let part =
            next.take()?.and_then(|text| match boundary.section(text, true)?.ok_or(MultipartError::End)? {
                Section::End => Ok(None),
                Section::Part(head, start) => {
                    parts_left = parts_left.checked_sub(1).ok_or(MultipartError::TooManyParts)?;
                    let (content, rest) = boundary.split(&text[start..]).ok_or(MultipartError::End)?;
                    next = Some(Ok(rest));
                    let (name, file_name) = (head.name, head.file_name);
                    Ok(Some(Part { name, file_name, media_type: head.media_type, content }))
                }
            });
        part.transpose()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::multipart::{ReadError, Reader};
    use proptest::prelude::*;
    use std::io::{self, Read};

    /// Returns bytes in pieces of these sizes, repeated, and now and then an interruption.
    struct PieceSource<'a> {
        bytes: &'a [u8],
        sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
        is_interrupted: bool,
    }

    impl Read for PieceSource<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.is_interrupted = !self.is_interrupted;
            if self.is_interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let size = self.sizes.next().map_or(1, |&size| size.min(out.len()));
            self.bytes.read(&mut out[..size])
        }
    }

    /// A part as both readers have it: name, file name, media type and content.
    type AnyPart = (String, Option<String>, Option<String>, Vec<u8>);

    /// Reads a form that arrives in pieces of these sizes, and each part in pieces of `read_size`. Like those of
    /// [`parts`], the last item may be an error.
    fn streamed(
        boundary: Boundary,
        bytes: &[u8],
        sizes: &[usize],
        read_size: usize,
    ) -> Vec<Result<AnyPart, MultipartError>> {
        let source = PieceSource { bytes, sizes: sizes.iter().cycle(), is_interrupted: false };
        let mut form = Reader::new(source, boundary);
        let mut items = Vec::new();
        loop {
            let item = next_streamed(&mut form, read_size);
            let is_last = !matches!(item, Ok(Some(_)));
            items.extend(item.transpose());
            if is_last {
                let again = form.next_part().map(|_| ()).map_err(malformed).err();
                assert_eq!(again, items.last().and_then(|item| item.as_ref().err().copied()));
                return items;
            }
        }
    }

    /// Reads the next part of a form.
    fn next_streamed<R: Read>(
        form: &mut Reader<R>,
        read_size: usize,
    ) -> Result<Option<AnyPart>, MultipartError> {
        let Some(mut part) = form.next_part().map_err(malformed)? else { return Ok(None) };
        let (mut content, mut piece) = (Vec::new(), vec![0; read_size]);
        loop {
            match part.read(&mut piece).map_err(|error| malformed(error.into()))? {
                0 => break,
                len => content.extend_from_slice(&piece[..len]),
            }
        }
        let media_type = part.media_type().map(|media_type| media_type.to_string());
        Ok(Some((part.name().to_owned(), part.file_name().map(str::to_owned), media_type, content)))
    }

    /// Extracts the reason why a form is malformed.
    fn malformed(error: ReadError) -> MultipartError {
        match error {
            ReadError::Malformed(error) => error,
            ReadError::Io(error) => panic!("{error}"),
        }
    }

    /// Expands the shorthand of the tables below: LF means CRLF, `␊` means LF, and `CD` is the header that every part
    /// has.
    fn expand(text: &str) -> Vec<u8> {
        let text = text.replace("CD", "Content-Disposition: form-data");
        text.replace('\n', "\r\n").replace('␊', "\n").into_bytes()
    }

    /// Returns the boundary of a form with this parameter `boundary`.
    fn boundary(text: &str) -> Boundary {
        let media_type = format!("multipart/form-data; boundary={text}");
        Boundary::of(&MediaType::parse(media_type.as_bytes()).expect("a media type")).expect("a boundary")
    }

    /// Returns the parts, or the first error. Checks that both readers find the same, also the parts before an error.
    fn read<'a>(media_type: &str, content: &'a [u8]) -> Result<Vec<Part<'a>>, MultipartError> {
        let media_type = MediaType::parse(media_type.as_bytes()).expect("a media type");
        let boundary = Boundary::of(&media_type)?;
        let items: Vec<_> = parts(content, boundary.clone()).collect();
        let expected: Vec<_> = items.iter().cloned().map(|item| item.map(owned)).collect();
        // The reader examines a head again with each piece, so a long form does not come byte by byte.
        let small = if content.len() < 4_096 { 1 } else { 97 };
        for (sizes, read_size) in [(&[usize::MAX][..], 1), (&[small], 100), (&[2, 7, 3000], 7)] {
            let read = streamed(boundary.clone(), content, sizes, read_size);
            // A part whose end is missing is an item of neither. One with a malformed end is an item of both.
            assert_eq!(read, expected, "by {sizes:?}: {}", content.escape_ascii());
        }
        items.into_iter().collect()
    }

    /// Copies a part.
    fn owned(part: Part<'_>) -> AnyPart {
        (
            part.name,
            part.file_name,
            part.media_type.map(|media_type| media_type.to_string()),
            part.content.to_vec(),
        )
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
        let read: Vec<_> = parts(&content, boundary("b")).collect();
        assert_eq!(read, [Err(MultipartError::Disposition)]);
    }

    #[test]
    fn limits_are_exact() {
        let filled = |len: usize| {
            let head = "Content-Disposition: form-data; name=a\nX: ";
            head.to_owned() + &"x".repeat(len - head.len() - 1)
        };
        check_head(&filled(8_192), Ok("a=1"));
        check_head(&filled(8_193), Err(MultipartError::HeadTooLarge));

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
        check("s; boundary=b", Err(MultipartError::Type));
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
        let file_name = prop::option::of("[ a-z.\"/:=\u{20ac}]{0,6}");
        prop::collection::vec((name, file_name, "[0-1\r\n-]{0,20}".prop_map(String::into_bytes)), 0..4)
    }

    proptest! {
        #[test]
        fn content_that_almost_contains_the_boundary_survives(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["\r", "\n", "-", "b", "\r\n", "\r\n--", "\r\n--b", "\0", "\u{e9}"]), 0..20,
            ),
            sizes in prop::collection::vec(1usize..40, 1..5),
            read_size in 1usize..40,
        ) {
            let content = pieces.concat();
            prop_assume!(!format!("\r\n{content}").contains("\r\n--bb"));
            let part = ("a".to_owned(), None, content.into_bytes());
            let form = write("bb", &[part.clone(), part.clone()]);
            let expected = Ok((part.0, None, None, part.2));
            prop_assert_eq!(streamed(boundary("bb"), &form, &sizes, read_size), [expected.clone(), expected]);
        }

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
            text in "(--b|\r\n|--|CD|; name=|filename=\"|a|\"|\\\\|%|:| |\u{e9}){0,20}",
        ) {
            let _ = read("multipart/form-data; boundary=b", &expand(&text));
        }
    }
}
