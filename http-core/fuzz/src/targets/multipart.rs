//! A form is split into its parts as RFC 2046 says, in memory and while it arrives.
//!
//! Property: for any bytes in any pieces, neither `multipart::parts` nor `multipart::Reader` panics, and both have the
//! same parts and the same error. A strict reader splits an accepted form at the same places, and finds no form where
//! they find no beginning, no end or a malformed delimiter. Written again, an accepted form has the same parts.
//!
//! Input: three pieces, the size of the reads of a part, line feed; then a form with the boundary `b`.

use crate::plan;
use http_core::{
    MediaType,
    multipart::{self, Boundary, MultipartError, ReadError, Reader},
};
use std::io::{self, Read};

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let Some(([pieces @ .., read_size, _], form)) = data.split_first_chunk::<5>() else { return };
    let read_size = plan::size(*read_size).min(form.len().max(1));

    let whole = in_memory(form);
    check_against_grammar(&whole, form);
    for pieces in [pieces.as_slice(), b"a", b"@"] {
        assert_eq!(streamed(form, pieces, read_size), whole, "both readers disagree");
    }
    // A backslash in a name has two meanings: browsers send it as it is. A name that is not UTF-8 becomes longer.
    let is_rewritable =
        |part: &OwnedPart| !part.0.contains('\\') && !part.1.iter().any(|name| name.contains('\\'));
    let parts: Vec<_> = whole.iter().flatten().cloned().collect();
    if parts.len() == whole.len()
        && parts.iter().all(is_rewritable)
        && form.len() < multipart::MAX_PART_HEAD / 4
    {
        let again = [parts.iter().map(write).collect::<Vec<_>>().concat(), b"--b--".to_vec()].concat();
        assert_eq!(in_memory(&again), whole, "written again, the form is another one");
    }
}

/// A part: name, file name, media type and content.
type OwnedPart = (String, Option<String>, Option<String>, Vec<u8>);

fn boundary() -> Boundary {
    let media_type = MediaType::parse(b"multipart/form-data; boundary=b").expect("a media type");
    Boundary::of(&media_type).expect("a boundary")
}

/// Returns the parts, and the error that ends them, if there is one.
fn in_memory(form: &[u8]) -> Vec<Result<OwnedPart, MultipartError>> {
    multipart::parts(form, boundary())
        .map(|part| {
            let part = part?;
            let media_type = part.media_type.map(|media_type| media_type.to_string());
            Ok((part.name, part.file_name, media_type, part.content.to_vec()))
        })
        .collect()
}

/// Returns the same for a form that arrives in pieces.
fn streamed(form: &[u8], pieces: &[u8], read_size: usize) -> Vec<Result<OwnedPart, MultipartError>> {
    let source = Pieces { ends: plan::ends(pieces, form.len()).collect(), form, at: 0 };
    let mut reader = Reader::new(source, boundary());
    let mut items = Vec::new();
    loop {
        let item = next_part(&mut reader, read_size).map_err(|error| match error {
            ReadError::Malformed(error) => error,
            error => panic!("{error}"),
        });
        let is_last = !matches!(item, Ok(Some(_)));
        items.extend(item.transpose());
        if is_last {
            return items;
        }
    }
}

fn next_part(reader: &mut Reader<Pieces<'_>>, read_size: usize) -> Result<Option<OwnedPart>, ReadError> {
    let Some(mut part) = reader.next_part()? else { return Ok(None) };
    let (mut content, mut piece) = (Vec::new(), vec![0; read_size]);
    loop {
        match part.read(&mut piece)? {
            0 => break,
            len => content.extend_from_slice(&piece[..len]),
        }
    }
    let media_type = part.media_type().map(|media_type| media_type.to_string());
    Ok(Some((part.name().to_owned(), part.file_name().map(str::to_owned), media_type, content)))
}

/// Returns the bytes up to one of the ends with each read.
struct Pieces<'a> {
    ends: std::collections::VecDeque<usize>,
    form: &'a [u8],
    at: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.ends.front().is_some_and(|&end| end == self.at) {
            self.ends.pop_front();
        }
        let end = self.ends.front().copied().unwrap_or(self.at);
        let len = (&self.form[self.at..end]).read(out)?;
        self.at += len;
        Ok(len)
    }
}

fn check_against_grammar(items: &[Result<OwnedPart, MultipartError>], form: &[u8]) {
    let contents: Vec<_> = items.iter().flatten().map(|part| part.3.as_slice()).collect();
    match items.last() {
        Some(Err(MultipartError::Start | MultipartError::End | MultipartError::Delimiter)) => {
            assert_eq!(oracle(form), None, "rejected");
        }
        Some(Err(_)) => {}
        Some(Ok(_)) | None => assert_eq!(oracle(form).expect("accepted a malformed form"), contents),
    }
}

/// Returns the contents of a form's parts; `None` if a delimiter is malformed or the last one is missing. Knows of the
/// head of a part only that an empty line ends it.
fn oracle(form: &[u8]) -> Option<Vec<&[u8]>> {
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|window| window == what);
    let mut contents = Vec::new();
    let mut rest = match form.strip_prefix(b"--b") {
        Some(rest) => rest,
        None => &form[find(form, b"\r\n--b")? + 5..],
    };
    loop {
        let is_last = rest.starts_with(b"--");
        let line = if is_last { &rest[2..] } else { rest };
        let padding = line.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
        let after = &line[padding..];
        let ends = after.starts_with(b"\r\n") || (is_last && after.is_empty());
        if padding > 256 || !ends {
            return None;
        }
        if is_last {
            return Some(contents);
        }
        let part = &after[2..];
        let len = find(part, b"\r\n--b")?;
        contents.push(&part[find(&part[..len], b"\r\n\r\n")? + 4..len]);
        rest = &part[len + 5..];
    }
}

/// Writes a part as a browser does.
fn write(part: &OwnedPart) -> Vec<u8> {
    let (name, file_name, media_type, content) = part;
    let escaped = |text: &str| text.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22");
    let mut head = format!("--b\r\nContent-Disposition: form-data; name=\"{}\"", escaped(name));
    if let Some(name) = file_name {
        head += &format!("; filename=\"{}\"", escaped(name));
    }
    if let Some(media_type) = media_type {
        head += &format!("\r\nContent-Type: {media_type}");
    }
    [head.as_bytes(), b"\r\n\r\n", content, b"\r\n"].concat()
}
