//! The text of a request: replaces escapes, completes a request, and cuts it into pieces.

/// How to cut a request into pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pieces {
    /// Into this number of pieces of equal length.
    Count(usize),
    /// Into pieces of these lengths, and the rest.
    Lengths(Vec<usize>),
}

/// Adds what a request lacks. The body stays unchanged.
pub(crate) fn complete(request: &[u8], host: &str, port: u16) -> Vec<u8> {
    let (mut head, mut rest) = (Vec::new(), request);
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        let line = rest[..end].trim_ascii_end();
        rest = &rest[end..];
        if line.is_empty() {
            break;
        }
        head.push(line.to_vec());
    }
    let has = |name: &str| {
        head.iter().skip(1).any(|line| {
            line.split(|&byte| byte == b':').next().is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let host = (!has("Host")).then(|| format!("Host: {host}:{port}"));
    let framed = rest.is_empty() || has("Content-Length") || has("Transfer-Encoding");
    let length = (!framed).then(|| format!("Content-Length: {}", rest.len()));
    head.extend([host, length].into_iter().flatten().map(String::into_bytes));
    head.push(Vec::new());
    let mut whole: Vec<u8> =
        head.iter().flat_map(|line| [line.as_slice(), b"\r\n"]).flatten().copied().collect();
    whole.extend(rest);
    whole
}

/// Replaces the escapes in `text` with the bytes that they stand for.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend(plain.bytes());
        let hex = || escaped.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (byte, len) = match escaped.as_bytes().first() {
            Some(b'r') => (b'\r', 1),
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'0') => (0, 1),
            Some(b'\\') => (b'\\', 1),
            Some(b'x') => (hex().ok_or("two hexadecimal digits must follow \\x")?, 3),
            _ => return Err(format!("\\{escaped} is not an escape; write \\\\ for a backslash")),
        };
        bytes.push(byte);
        rest = &escaped[len..];
    }
    bytes.extend(rest.bytes());
    Ok(bytes)
}

/// Parses the value of `--pieces`.
pub(crate) fn pieces(text: &str) -> Result<Pieces, String> {
    let numbers: Option<Vec<usize>> =
        text.split(',').map(|number| number.parse().ok().filter(|&number| number > 0)).collect();
    match numbers.ok_or("must be numbers from 1, separated by commas")?.as_slice() {
        [count] => Ok(Pieces::Count(*count)),
        lengths => Ok(Pieces::Lengths(lengths.to_vec())),
    }
}

/// Cuts the request as `pieces` says, by default into one piece. No piece is empty.
pub(crate) fn cut<'a>(request: &'a [u8], pieces: Option<&Pieces>) -> Vec<&'a [u8]> {
    let lengths = match pieces {
        None => &[][..],
        Some(Pieces::Count(count)) => return request.chunks(request.len().div_ceil(*count).max(1)).collect(),
        Some(Pieces::Lengths(lengths)) => lengths,
    };
    let mut rest = request;
    let mut cut = Vec::new();
    for length in lengths {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        cut.push(piece);
        rest = behind;
    }
    cut.push(rest);
    cut.retain(|piece| !piece.is_empty());
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_escapes_for_bytes() {
        let check =
            |text, expected: Option<&[u8]>| assert_eq!(unescape(text).ok().as_deref(), expected, "{text}");
        check(r"a\r\n\t\0\\b\xfF é", Some(b"a\r\n\t\0\\b\xff \xc3\xa9"));
        check(r"\\r", Some(b"\\r"));
        for text in [r"\", r"\q", r"\x1", r"\xzz", r"\xé"] {
            check(text, None);
        }
    }

    #[test]
    fn completes_what_is_missing() {
        let check = |request: &str, expected: &str| {
            let whole = complete(request.as_bytes(), "h", 80);
            assert_eq!(String::from_utf8_lossy(&whole), expected);
            assert_eq!(complete(&whole, "h", 80), whole, "a complete request stays unchanged");
        };
        check("GET / HTTP/1.1", "GET / HTTP/1.1\r\nHost: h:80\r\n\r\n");
        check("GET / HTTP/1.1\nhost: a\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        check("POST / HTTP/1.1\n\na\nb", "POST / HTTP/1.1\r\nHost: h:80\r\nContent-Length: 3\r\n\r\na\nb");
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        check(chunked, chunked);
        assert!(complete(b"GET / HTTP/1.1", "::1", 80).windows(13).any(|part| part == b"Host: [::1]:8"));
    }

    #[test]
    fn cuts_into_pieces() {
        let check = |text, expected: &[&str]| {
            let pieces = pieces(text).unwrap();
            let actual = cut(b"abcdefg", Some(&pieces));
            assert_eq!(actual, expected.iter().map(|piece| piece.as_bytes()).collect::<Vec<_>>(), "{text}");
        };
        assert_eq!(cut(b"abcdefg", None), [b"abcdefg"]);
        check("1", &["abcdefg"]);
        check("3", &["abc", "def", "g"]);
        check("99", &["a", "b", "c", "d", "e", "f", "g"]);
        check("3,1", &["abc", "d", "efg"]);
        check("3,9,9", &["abc", "defg"]);
        for text in ["", "0", "a", "1,", "1,0"] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }
}
