//! The reader of answers under load. It is as strict as [`reply`](http_test_suite::reply), but it reads incrementally, whatever
//! the segment boundaries, and stores only what is counted.
//!
//! It allocates only a buffer for a line cut by the end of a segment, and reuses that buffer.

use std::mem;

use super::syntax::{Malformed, chunk_size, is_text, number, split_field};

/// The longest head, and the longest line of chunked content, in bytes.
const HEAD_MAX: usize = 64 * 1024;

/// The bytes with which every answer begins.
const START: &[u8] = b"HTTP/1.";

/// Reads one answer after the other.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The name of the field to count, in lower case.
    count_header: Option<Vec<u8>>,
    /// The request was HEAD, so the answer has no content, whatever its fields say. Set by `begin`.
    head_only: bool,
    place: Place,
    /// The beginning of a line whose end has not arrived.
    carry: Vec<u8>,
    /// Bytes of lines since the last content, bounded by `HEAD_MAX`.
    lines_len: usize,
    status: u16,
    keeps_alive: bool,
    length: Option<u64>,
    chunked: bool,
    counted: Vec<u8>,
    /// Bytes of content so far.
    pub(super) content_len: usize,
    /// Whether the content differs from the expected content.
    differs: bool,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    StatusLine,
    FieldLine,
    /// Content with this many bytes left, at least one.
    Content(u64),
    /// Content that ends with the connection.
    UntilClose,
    ChunkSize,
    /// The data of one chunk, with this many bytes left, at least one.
    Chunk(u64),
    ChunkEnd,
    Trailer,
    /// The answer is complete.
    Complete,
}

impl Reader {
    /// Makes a reader. `count_header` is the field whose value [`Reader::counted`] returns.
    pub(super) fn new(count_header: Option<&str>) -> Reader {
        let count_header = count_header.map(|name| name.to_ascii_lowercase().into_bytes());
        Reader { count_header, ..Reader::default() }
    }

    /// Prepares for the next answer; `head` says whether its request is a HEAD.
    pub(super) fn begin(&mut self, head: bool) {
        self.head_only = head;
        self.carry.clear();
        self.differs = false;
        self.content_len = 0;
        self.begin_head();
    }

    /// Reads bytes of the answer from the start of `input`, and returns how many bytes belong to it. Compares content
    /// with `expected`, which must be the same for all calls for one answer.
    pub(super) fn take(&mut self, input: &[u8], expected: Option<&[u8]>) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < input.len() && self.place != Place::Complete {
            let rest = &input[at..];
            at += match self.place {
                Place::Content(left) | Place::Chunk(left) => self.content(rest, left, expected),
                Place::UntilClose => self.content(rest, u64::MAX, expected),
                _ => self.line(rest)?,
            };
        }
        Ok(at)
    }

    /// Notes that the connection has ended. Returns whether the answer is complete.
    pub(super) fn close(&mut self) -> bool {
        if self.place == Place::UntilClose {
            self.place = Place::Complete;
        }
        self.is_complete()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.place == Place::Complete
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Whether the server leaves the connection open for another request (RFC 9112 §9.3).
    pub(super) fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// The value of the counted field; empty if the answer lacks the field.
    pub(super) fn counted(&self) -> &[u8] {
        &self.counted
    }

    /// Whether the content of the complete answer equals `expected`, which must be the value passed to `take`.
    pub(super) fn has_content(&self, expected: &[u8]) -> bool {
        !self.differs && self.content_len == expected.len()
    }

    fn begin_head(&mut self) {
        self.place = Place::StatusLine;
        self.lines_len = 0;
        self.length = None;
        self.chunked = false;
        self.counted.clear();
    }

    fn content(&mut self, input: &[u8], left: u64, expected: Option<&[u8]>) -> usize {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        if let Some(expected) = expected {
            self.differs |= expected.get(self.content_len..self.content_len + len) != Some(&input[..len]);
        }
        self.content_len += len;
        let left = left - len as u64;
        self.lines_len = 0;
        self.place = match self.place {
            Place::Content(_) if left == 0 => Place::Complete,
            Place::Content(_) => Place::Content(left),
            Place::Chunk(_) if left == 0 => Place::ChunkEnd,
            Place::Chunk(_) => Place::Chunk(left),
            place => place,
        };
        len
    }

    fn line(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let end = input.iter().position(|&byte| byte == b'\n');
        let len = end.map_or(input.len(), |at| at + 1);
        self.lines_len += len;
        if self.lines_len > HEAD_MAX {
            return Err(Malformed);
        }
        if end.is_some() && self.carry.is_empty() {
            self.whole_line(&input[..len])?;
            return Ok(len);
        }
        let mut line = mem::take(&mut self.carry);
        line.extend_from_slice(&input[..len]);
        if end.is_some() {
            self.whole_line(&line)?;
            line.clear();
        } else if self.place == Place::StatusLine && !begins(&line) {
            // A server of another protocol may never send a line feed, so check the first bytes early.
            return Err(Malformed);
        }
        self.carry = line;
        Ok(len)
    }

    fn whole_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let line = line.strip_suffix(b"\r\n").ok_or(Malformed)?;
        self.place = match self.place {
            Place::StatusLine => self.status_line(line)?,
            Place::FieldLine if line.is_empty() => self.framing()?,
            Place::FieldLine => self.field_line(line)?,
            Place::ChunkSize => match chunk_size(line)? {
                0 => Place::Trailer,
                size => Place::Chunk(size),
            },
            Place::ChunkEnd if line.is_empty() => Place::ChunkSize,
            Place::Trailer if line.is_empty() => Place::Complete,
            Place::Trailer => split_field(line).map(|_| Place::Trailer)?,
            _ => return Err(Malformed),
        };
        Ok(())
    }

    /// RFC 9112 §4: `HTTP/1.1 SP 3DIGIT SP [reason]`.
    fn status_line(&mut self, line: &[u8]) -> Result<Place, Malformed> {
        let [
            minor @ (b'0' | b'1'),
            b' ',
            a @ b'1'..=b'9',
            b @ b'0'..=b'9',
            c @ b'0'..=b'9',
            b' ',
            reason @ ..,
        ] = line.strip_prefix(START).ok_or(Malformed)?
        else {
            return Err(Malformed);
        };
        if !reason.iter().all(is_text) {
            return Err(Malformed);
        }
        self.status = [a, b, c].into_iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        self.keeps_alive = *minor == b'1';
        Ok(Place::FieldLine)
    }

    fn field_line(&mut self, line: &[u8]) -> Result<Place, Malformed> {
        let (name, value) = split_field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.replace(number(value, 10)?).is_some() {
                return Err(Malformed);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // No request has TE, so chunked is the only allowed coding (RFC 9110 §10.1.4), and it may appear once.
            if mem::replace(&mut self.chunked, true) || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed);
            }
        } else if name.eq_ignore_ascii_case(b"connection") {
            for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                self.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                self.keeps_alive &= !option.eq_ignore_ascii_case(b"close");
            }
        }
        if self.count_header.as_ref().is_some_and(|field| name.eq_ignore_ascii_case(field)) {
            self.counted.clear();
            self.counted.extend_from_slice(value);
        }
        Ok(Place::FieldLine)
    }

    /// RFC 9112 §6.3. Rejects every answer that two readers could delimit differently.
    fn framing(&mut self) -> Result<Place, Malformed> {
        match (self.status, self.length, self.chunked) {
            (_, Some(_), true) => Err(Malformed),
            // No request asks for a switch of protocols.
            (101, ..) => Err(Malformed),
            (100..=199, ..) => {
                self.begin_head();
                Ok(Place::StatusLine)
            }
            (204 | 304, ..) => Ok(Place::Complete),
            _ if self.head_only => Ok(Place::Complete),
            (.., true) => Ok(Place::ChunkSize),
            (_, Some(0), _) => Ok(Place::Complete),
            (_, Some(length), _) => Ok(Place::Content(length)),
            (_, None, _) => {
                self.keeps_alive = false;
                Ok(Place::UntilClose)
            }
        }
    }
}

fn begins(line: &[u8]) -> bool {
    let len = line.len().min(START.len());
    line[..len] == START[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result of reading some bytes and the end of the connection.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Read {
        /// The answer is complete, whether or not the connection ends; some bytes behind it may be left.
        Whole {
            status: u16,
            left: usize,
            keeps_alive: bool,
        },
        /// The end of the connection completes the answer.
        Closed {
            status: u16,
        },
        /// The connection ended too early.
        Partial,
        Malformed,
    }

    const fn whole(status: u16, left: usize, keeps_alive: bool) -> Read {
        Read::Whole { status, left, keeps_alive }
    }

    /// Reads `input` at once, cut in two at every offset, and byte by byte. A complete answer must have the content
    /// `abc`.
    fn check(input: &str, expected: Read) {
        check_as(false, "abc", input, expected);
    }

    fn check_as(head: bool, content: &str, input: &str, expected: Read) {
        let input = input.as_bytes();
        let cuts = (0..input.len()).map(|at| vec![&input[..at], &input[at..]]);
        let bytes: Vec<_> = input.chunks(1).collect();
        // One reader for all, because no state of an answer may leak into the next.
        let mut reader = Reader::new(Some("x-count"));
        for pieces in cuts.chain([vec![input], bytes]) {
            let actual = read(&mut reader, head, content.as_bytes(), &pieces);
            assert_eq!(actual, expected, "{:?} as {} pieces", String::from_utf8_lossy(input), pieces.len());
            if matches!(actual, Read::Whole { .. } | Read::Closed { .. }) {
                assert!(reader.has_content(content.as_bytes()), "{:?}", String::from_utf8_lossy(input));
            }
        }
        // The reader must start the next answer afresh.
        assert_eq!(read(&mut reader, false, b"", &[b"HTTP/1.1 204 No\r\n\r\n"]), whole(204, 0, true));
    }

    fn read(reader: &mut Reader, head: bool, content: &[u8], pieces: &[&[u8]]) -> Read {
        reader.begin(head);
        let mut left = 0;
        for piece in pieces {
            match reader.take(piece, Some(content)) {
                Ok(taken) => left += piece.len() - taken,
                Err(Malformed) => return Read::Malformed,
            }
        }
        match (reader.is_complete(), reader.close()) {
            (true, _) => whole(reader.status(), left, reader.keeps_alive()),
            (false, true) => Read::Closed { status: reader.status() },
            (false, false) => Read::Partial,
        }
    }

    #[test]
    fn finds_the_end_of_every_answer() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP", whole(200, 4, true));
        check("HTTP/1.1 404 \r\ncontent-length:3\t\r\n\r\nabc", whole(404, 0, true));
        check("HTTP/1.1 200 OK\r\n\r\nabc", Read::Closed { status: 200 });
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;x=y\r\na\r\n02\r\nbc\r\n0\r\nT: u\r\n\r\n";
        check(&format!("{chunked}x"), whole(200, 1, true));
    }

    #[test]
    fn knows_answers_without_content() {
        check_as(true, "", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", whole(200, 3, true));
        check_as(true, "", "HTTP/1.1 200 OK\r\n\r\n", whole(200, 0, true));
        check_as(false, "", "HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", whole(304, 0, true));
        check_as(false, "", "HTTP/1.1 204 No\r\n\r\n", whole(204, 0, true));
        check_as(false, "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", whole(200, 0, true));
    }

    #[test]
    fn skips_interim_answers() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX-Count: no\r\n\r\n";
        check(&format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), whole(200, 0, true));
        check("HTTP/1.1 101 Switching Protocols\r\n\r\n", Read::Malformed);
    }

    #[test]
    fn knows_whether_the_connection_persists() {
        let with = |fields: &str| format!("HTTP/1.{fields}\r\nContent-Length: 3\r\n\r\nabc");
        check(&with("1 200 OK\r\nConnection: x, Close"), whole(200, 0, false));
        check(&with("0 200 OK"), whole(200, 0, false));
        check(&with("0 200 OK\r\nConnection: Keep-Alive"), whole(200, 0, true));
    }

    #[test]
    fn reports_an_incomplete_answer() {
        check("", Read::Partial);
        check("HTTP/1.1 2", Read::Partial);
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", Read::Partial);
        check("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", Read::Partial);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", Read::Partial);
    }

    #[test]
    fn rejects_a_broken_head() {
        let with = |field: &str| format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n");
        let heads = [
            "hello",
            "HTTP/2 200 OK\r\n",
            "HTTP/1.1 200\r\n",
            "HTTP/1.1  200 OK\r\n",
            "HTTP/1.1 20 OK\r\n",
            "HTTP/1.1 099 OK\r\n",
            "HTTP/1.1 200 O\x01K\r\n",
            "HTTP/1.1 200 OK\n",
        ];
        for head in heads {
            check(head, Read::Malformed);
        }
        for field in ["A", "A : b", ": b", " A: b", "A: \0", "A: b\rc"] {
            check(&with(field), Read::Malformed);
        }
    }

    #[test]
    fn rejects_framing_with_two_meanings() {
        let with = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        for length in ["1, 1", "+1", "", "-1", "1a", "99999999999999999999"] {
            check(&with(&format!("Content-Length: {length}")), Read::Malformed);
        }
        check(&with("Content-Length: 1\r\nContent-Length: 1"), Read::Malformed);
        check(&with("Content-Length: 1\r\nTransfer-Encoding: chunked"), Read::Malformed);
        check(&with("Transfer-Encoding: gzip, chunked"), Read::Malformed);
        check(&with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), Read::Malformed);
    }

    #[test]
    fn rejects_broken_chunks() {
        for chunks in [
            "x\r\n",
            "\r\n",
            "3 \r\n",
            "+3\r\n",
            "3\nabc",
            "3\r\nabcd\r\n",
            "11111111111111111\r\n",
            "0\r\nx\r\n",
        ] {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            check(&format!("{head}{chunks}"), Read::Malformed);
        }
    }

    #[test]
    fn compares_the_content() {
        for content in ["abd", "ab", "abcd", ""] {
            let input = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len());
            let mut reader = Reader::new(None);
            assert_eq!(read(&mut reader, false, b"abc", &[input.as_bytes()]), whole(200, 0, true));
            assert!(!reader.has_content(b"abc"), "{content}");
        }
    }

    #[test]
    fn returns_the_counted_field() {
        let mut reader = Reader::new(Some("x-count"));
        for (fields, expected) in [("X-COUNT:  worker 1 ", "worker 1"), ("X-Counted: 1", "")] {
            let input = format!("HTTP/1.1 204 No\r\n{fields}\r\n\r\n");
            assert_eq!(read(&mut reader, false, b"", &[input.as_bytes()]), whole(204, 0, true));
            assert_eq!(reader.counted(), expected.as_bytes());
        }
    }

    #[test]
    fn limits_heads_and_lines() {
        let mut reader = Reader::new(None);
        reader.begin(false);
        assert!(reader.take(b"HTTP/1.1 200 OK\r\n", None).is_ok());
        let endless = (0..HEAD_MAX).map(|_| reader.take(b"A: b\r\n", None)).find(Result::is_err);
        assert_eq!(endless, Some(Err(Malformed)));
    }
}
