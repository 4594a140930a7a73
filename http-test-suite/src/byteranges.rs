//! The strict reader of 206 responses: it returns the part or parts of a file that a response contains (RFC 9110
//! §14.6).

use crate::reader::preview;
use crate::response::Response;

/// A part of a file that a 206 contains: its only part, or one part of multipart/byteranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyPart {
    /// The offset of the first byte of the part in the file.
    pub first: usize,
    /// The offset of the last byte of the part in the file.
    pub last: usize,
    /// The length of the whole file; `None` if the Content-Range says `*`.
    pub complete: Option<usize>,
    /// The Content-Type of the part, or of the response if it has only one part; `None` if there is none.
    pub media_type: Option<String>,
    /// The bytes of the part: exactly `last - first + 1`.
    pub bytes: Vec<u8>,
}

/// Reads the parts of a file that a 206 contains, in the order of the response.
///
/// # Errors
///
/// Describes what is wrong with the response.
pub fn parts(response: &Response) -> Result<Vec<BodyPart>, String> {
    let media_type = response.header("Content-Type");
    match (response.header("Content-Range"), media_type.and_then(boundary)) {
        (Some(range), None) => Ok(vec![part(range, media_type, response.body.clone())?]),
        (None, Some(boundary)) => multipart(&response.body, boundary),
        _ => Err("neither Content-Range nor multipart/byteranges".into()),
    }
}

/// The boundary in a Content-Type `multipart/byteranges`, quoted or not; `None` for any other Content-Type, or if the
/// boundary does not have 1 to 70 characters (RFC 2046 §5.1.1).
fn boundary(media_type: &str) -> Option<&str> {
    let (kind, parameter) = media_type.split_once(';')?;
    let value = parameter.trim().strip_prefix("boundary=")?.trim_matches('"');
    let fits = kind.trim().eq_ignore_ascii_case("multipart/byteranges") && (1..=70).contains(&value.len());
    fits.then_some(value)
}

/// Reads the parts of a multipart body. The first delimiter needs no CRLF before it; a preamble and an epilogue are
/// ignored.
fn multipart(content: &[u8], boundary: &str) -> Result<Vec<BodyPart>, String> {
    let content = [b"\r\n", content].concat();
    let delimiter = format!("\r\n--{boundary}");
    let mut at = find(&content, delimiter.as_bytes()).ok_or("no part")? + delimiter.len();
    let mut parts = Vec::new();
    while !content[at..].starts_with(b"--") {
        let body = at + find(&content[at..], b"\r\n\r\n").ok_or("a part without an empty line")? + 4;
        let end = body + find(&content[body..], delimiter.as_bytes()).ok_or("a part without an end")?;
        let head = String::from_utf8_lossy(&content[at..body]);
        if !head.starts_with("\r\n") {
            return Err(format!("{:?} after a boundary", preview(head.as_bytes(), 20)));
        }
        let header = |wanted: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
        };
        let range = header("Content-Range").ok_or("a part without Content-Range")?;
        parts.push(part(range, header("Content-Type"), content[body..end].to_vec())?);
        at = end + delimiter.len();
    }
    Ok(parts)
}

/// Makes a part from its Content-Range, such as `bytes 2-5/10` or `bytes 2-5/*`. Returns an error if the range is
/// malformed or does not match the number of bytes.
fn part(range: &str, media_type: Option<&str>, bytes: Vec<u8>) -> Result<BodyPart, String> {
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
    let numbers = || {
        let (range, complete) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let complete = if complete == "*" { None } else { Some(number(complete)??) };
        Some((number(first)??, number(last)??, complete))
    };
    let (first, last, complete): (usize, usize, _) =
        numbers().ok_or_else(|| format!("Content-Range: {range}"))?;
    if first > last || last >= complete.unwrap_or(usize::MAX) || bytes.len() != last - first + 1 {
        return Err(format!("{} bytes with Content-Range: {range}", bytes.len()));
    }
    Ok(BodyPart { first, last, complete, media_type: media_type.map(str::to_owned), bytes })
}

/// The offset of the first `needle` in `haystack`.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::RequestKind;

    /// Reads the parts; expects the offset and bytes of each, or this error.
    fn check(headers: &str, content: &str, expected: Result<&[(usize, &str)], &str>) {
        let len = content.len();
        let input = format!("HTTP/1.1 206 \r\n{headers}\r\nContent-Length: {len}\r\n\r\n{content}");
        let response = Response::read(input.as_bytes(), RequestKind::GET, true).unwrap().unwrap();
        match (parts(&response), expected) {
            (Ok(parts), Ok(expected)) => {
                let text = |part: BodyPart| (part.first, String::from_utf8(part.bytes).unwrap());
                let expected = expected.iter().map(|(first, text)| (*first, String::from(*text)));
                assert!(parts.into_iter().map(text).eq(expected), "{input}");
            }
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}, not {expected}"),
            (actual, expected) => panic!("{actual:?}, not {expected:?}"),
        }
    }

    #[test]
    fn reads_one_part() {
        check("Content-Range: bytes 2-4/10", "234", Ok(&[(2, "234")]));
        check("Content-Range: bytes 2-4/*", "234", Ok(&[(2, "234")]));
        check("Content-Range: bytes 2-5/10", "234", Err("3 bytes with"));
        check("Content-Range: bytes 8-10/10", "89a", Err("3 bytes with"));
        check("Content-Range: bytes=2-4/10", "234", Err("Content-Range: bytes="));
        check("Content-Range: bytes +2-4/10", "234", Err("Content-Range: bytes +"));
        check("X: y", "234", Err("neither"));
    }

    #[test]
    fn reads_several_parts() {
        let check = |content: &str, expected| {
            check("Content-Type: multipart/byteranges; boundary=\"b b\"", content, expected);
        };
        let one = "\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/9\r\n\r\n01";
        check(&format!("--b b{one}\r\n--b b--"), Ok(&[(0, "01")]));
        check(&format!("x\r\n--b b{one}\r\n--b b{one}\r\n--b b--\r\n"), Ok(&[(0, "01"), (0, "01")]));
        check("--b b--", Ok(&[]));
        check(&format!("--b b{one}\r\n--b b"), Err("empty line"));
        check(&format!("--b b{one}"), Err("without an end"));
        check("--b b\r\nX: y\r\n\r\n01\r\n--b b--", Err("without Content-Range"));
        check("--c\r\n", Err("no part"));
    }
}
