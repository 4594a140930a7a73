//! A form that is read while it arrives, in one buffer, whatever the size of its parts.

use super::syntax::{Boundary, MAX_PART_HEAD, MAX_PARTS, MultipartError, Section};
use crate::semantics::media_type::MediaType;
use std::{
    io::{self, BufRead, Read},
    ops::Range,
};

/// The size of the buffer. The delimiter, the rest of its line and the head of a part fit into it.
const BUFFER_BYTES: usize = 2 * MAX_PART_HEAD;

/// Reads the parts of a form while it arrives, one after the other. It holds 16 KiB of the form, whatever its size.
///
/// ```
/// use http_core::{MediaType, multipart::{Boundary, Reader}};
/// use std::io::{Read, copy, sink};
///
/// let media_type = MediaType::parse(b"multipart/form-data; boundary=x").ok_or("malformed")?;
/// // In a server, the content of a request: anything that implements `Read`.
/// let content = b"--x\r\nContent-Disposition: form-data; name=\"city\"\r\n\r\nOslo\r\n\
///     --x\r\nContent-Disposition: form-data; name=\"map\"; filename=\"oslo.png\"\r\n\r\n\x89PNG...\r\n--x--\r\n";
///
/// let mut form = Reader::new(&content[..], Boundary::of(&media_type)?);
/// let mut city = String::new();
/// while let Some(part) = form.next_part()? {
///     match part.name() {
///         "city" => _ = part.with_limit(1000).read_to_string(&mut city)?,
///         "map" => assert_eq!(copy(&mut part.with_limit(1 << 30), &mut sink())?, 7),
///         // The next call of `next_part` skips what is not read.
///         _ => {}
///     }
/// }
/// assert_eq!(city, "Oslo");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    boundary: Boundary,
    /// The bytes in `filled` have been received, and neither read nor skipped.
    buffer: Box<[u8]>,
    filled: Range<usize>,
    /// The number of bytes at the front of `filled` that are known to lie before the next delimiter.
    before_delimiter: usize,
    parts_left: usize,
    /// Whether the first delimiter has been found.
    is_started: bool,
    /// Whether the last delimiter has been found.
    is_finished: bool,
    /// Whether the source has ended.
    has_ended: bool,
}

/// One field or file of a form that is read while it arrives. It implements [`Read`] and [`BufRead`], which return its
/// content, unchanged.
///
/// [`Reader::next_part`] returns it; [`Reader`] has an example. A malformed form is an error of kind
/// [`InvalidData`](io::ErrorKind::InvalidData) with a [`MultipartError`] in it, which [`ReadError`] extracts.
///
/// ```
/// use http_core::multipart::StreamedPart;
/// use std::{fs::File, io::{self, Read}};
///
/// /// Saves a file of at most a gigabyte, under a name that the client does not choose.
/// fn save(part: StreamedPart<'_, impl Read>, number: u32) -> io::Result<u64> {
///     let mut file = File::create_new(format!("upload-{number}"))?;
///     io::copy(&mut part.with_limit(1 << 30), &mut file)
/// }
/// ```
#[derive(Debug)]
pub struct StreamedPart<'r, R> {
    name: String,
    file_name: Option<String>,
    media_type: Option<String>,
    /// The number of bytes that may still be read.
    bytes_left: u64,
    form: &'r mut Reader<R>,
}

/// The reason why a form could not be read.
///
/// It converts from and to an [`io::Error`], so that `?` works for the form and for the files that its parts are copied
/// to.
///
/// ```
/// use http_core::{MediaType, multipart::{Boundary, MultipartError, ReadError, Reader}};
/// use std::io::{Read, read_to_string};
///
/// let media_type = MediaType::parse(b"multipart/form-data; boundary=x").ok_or("malformed")?;
/// let read = |form: &[u8]| -> Result<String, ReadError> {
///     let mut form = Reader::new(form, Boundary::of(&media_type)?);
///     let part = form.next_part()?.ok_or(MultipartError::End)?;
///     Ok(read_to_string(part.with_limit(4))?)
/// };
/// let head = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n";
/// assert_eq!(read(format!("{head}1234\r\n--x--").as_bytes())?, "1234");
/// let too_large = read(format!("{head}12345\r\n--x--").as_bytes());
/// assert!(matches!(too_large, Err(ReadError::Malformed(MultipartError::PartTooLarge))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The form is malformed, or exceeds a limit.
    Malformed(MultipartError),
    /// The source of the form could not be read. If `?` has converted another I/O error, that one.
    Io(io::Error),
}

impl<R: Read> Reader<R> {
    /// Creates a reader of the form that `source` returns; `boundary` separates its parts.
    pub fn new(source: R, boundary: Boundary) -> Reader<R> {
        let mut buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        // The first delimiter need not begin with CRLF if it begins the form.
        buffer[..2].copy_from_slice(b"\r\n");
        Reader {
            source,
            boundary,
            buffer,
            filled: 0..2,
            before_delimiter: 0,
            parts_left: MAX_PARTS,
            is_started: false,
            is_finished: false,
            has_ended: false,
        }
    }

    /// Returns the next part; `None` at the end of the form. First skips what has not been read of the part before. At
    /// the end, also reads what follows the form until the source ends, so that nothing of a request is left unread.
    ///
    /// # Errors
    ///
    /// [`ReadError::Malformed`] if the form is malformed or has too many parts: then each further call returns the same
    /// error. [`ReadError::Io`] if the source fails.
    pub fn next_part(&mut self) -> Result<Option<StreamedPart<'_, R>>, ReadError> {
        if self.is_finished {
            return self.drain();
        }
        loop {
            match self.fill_before_delimiter()? {
                0 => break,
                len => self.skip(len),
            }
        }
        let (head, content_at) = loop {
            let bytes = &self.buffer[self.filled.clone()];
            let text = self.boundary.strip(bytes).unwrap_or_default();
            match self.boundary.section(text, self.has_ended)? {
                Some(Section::Part(head, at)) => break (head, bytes.len() - text.len() + at),
                Some(Section::End) => {
                    self.is_finished = true;
                    return self.drain();
                }
                None if self.has_ended => return Err(MultipartError::End.into()),
                None => self.fill()?,
            }
        };
        self.parts_left = self.parts_left.checked_sub(1).ok_or(MultipartError::TooManyParts)?;
        let media_type = head.media_type.map(|media_type| media_type.to_string());
        let (name, file_name) = (head.name, head.file_name);
        self.is_started = true;
        self.filled.start += content_at;
        Ok(Some(StreamedPart { name, file_name, media_type, bytes_left: u64::MAX, form: self }))
    }

    /// Receives bytes until some are known to lie before the next delimiter, and returns how many. Returns 0 if the
    /// delimiter comes next.
    fn fill_before_delimiter(&mut self) -> Result<usize, ReadError> {
        while self.before_delimiter == 0 {
            let bytes = &self.buffer[self.filled.clone()];
            self.before_delimiter = self.boundary.find(bytes);
            if self.before_delimiter > 0 || self.boundary.strip(bytes).is_some() {
                break;
            }
            if self.has_ended {
                let error = if self.is_started { MultipartError::End } else { MultipartError::Start };
                return Err(error.into());
            }
            self.fill()?;
        }
        Ok(self.before_delimiter)
    }

    /// Removes `len` bytes before the next delimiter.
    fn skip(&mut self, len: usize) {
        self.filled.start += len;
        self.before_delimiter -= len;
    }

    /// Receives more bytes from the source, or finds that it has ended. There is room for them: see [`BUFFER_BYTES`].
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.filled.clone(), 0);
        self.filled = 0..self.filled.len();
        let received = loop {
            match self.source.read(&mut self.buffer[self.filled.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => break received?,
            }
        };
        self.filled.end += received;
        self.has_ended = received == 0;
        Ok(())
    }

    /// Reads the source to its end, after the end of the form.
    fn drain(&mut self) -> Result<Option<StreamedPart<'_, R>>, ReadError> {
        while !self.has_ended {
            self.filled = 0..0;
            self.fill()?;
        }
        Ok(None)
    }
}

impl<R> StreamedPart<'_, R> {
    /// Returns the name of the field. Several parts may have the same name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the file on the client; `None` if this part is not a file. Never open it as a path: the
    /// client chooses it.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// Returns the `Content-Type` of the part; `None`, which means `text/plain`, if it has no such header (RFC 7578
    /// §4.4).
    pub fn media_type(&self) -> Option<MediaType<'_>> {
        MediaType::parse(self.media_type.as_ref()?.as_bytes())
    }

    /// Limits the content to `bytes`, counted from here. If the part contains more, a read fails with
    /// [`MultipartError::PartTooLarge`] when it has returned that many. Without this limit, only the limit of the whole
    /// form applies.
    #[must_use]
    pub fn with_limit(self, bytes: u64) -> Self {
        StreamedPart { bytes_left: bytes, ..self }
    }
}

impl<R: Read> BufRead for StreamedPart<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let len = self.form.fill_before_delimiter()?;
        let allowed = usize::try_from(self.bytes_left).map_or(len, |left| left.min(len));
        if allowed == 0 && len > 0 {
            return Err(ReadError::from(MultipartError::PartTooLarge).into());
        }
        Ok(&self.form.buffer[self.form.filled.start..][..allowed])
    }

    fn consume(&mut self, len: usize) {
        self.form.skip(len);
        self.bytes_left -= len as u64;
    }
}

impl<R: Read> Read for StreamedPart<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let len = self.fill_buf()?.read(out)?;
        self.consume(len);
        Ok(len)
    }
}

impl From<MultipartError> for ReadError {
    fn from(error: MultipartError) -> ReadError {
        ReadError::Malformed(error)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        error.downcast().map_or_else(ReadError::Io, ReadError::Malformed)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> io::Error {
        match error {
            ReadError::Malformed(error) => io::Error::new(io::ErrorKind::InvalidData, error),
            ReadError::Io(error) => error,
        }
    }
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Malformed(error) => write!(f, "malformed form: {error}"),
            ReadError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReadError::Malformed(error) => Some(error),
            ReadError::Io(error) => error.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "preamble\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\n12345\r\n--b\r\n\
        Content-Disposition: form-data; name=b; filename=f\r\nContent-Type: Text/Plain\r\n\r\nline 1\nline 2\n\r\n--b--\r\nepilogue";

    /// Creates a reader of a form with the boundary `b`.
    fn reader<R: Read>(source: R) -> Reader<R> {
        let media_type = MediaType::parse(b"multipart/form-data; boundary=b").expect("a media type");
        Reader::new(source, Boundary::of(&media_type).expect("a boundary"))
    }

    #[test]
    fn skips_what_is_not_read() {
        let form = FORM.to_owned() + &"epilogue".repeat(10_000);
        let mut source = form.as_bytes();
        let mut form = reader(&mut source);
        let mut first = form.next_part().expect("a form").expect("a part");
        assert_eq!(first.read(&mut [0; 2]).expect("content"), 2);
        let mut second = form.next_part().expect("a form").expect("a part");
        assert_eq!((second.name(), second.file_name()), ("b", Some("f")));
        assert!(second.media_type().is_some_and(|media_type| media_type.is("text/plain")));
        let mut line = String::new();
        assert_eq!((second.read_line(&mut line).expect("a line"), line.as_str()), (7, "line 1\n"));
        for _ in 0..2 {
            assert!(form.next_part().expect("a form").is_none());
        }
        assert!(source.is_empty(), "the epilogue is left unread");
    }

    #[test]
    fn a_limit_is_exact() {
        let check = |limit: u64, expected: Result<&str, &str>| {
            let mut form = reader(FORM.as_bytes());
            let part = form.next_part().expect("a form").expect("a part");
            let content = io::read_to_string(part.with_limit(limit)).map_err(|error| error.to_string());
            assert_eq!(content, expected.map(str::to_owned).map_err(str::to_owned), "{limit}");
            assert!(form.next_part().expect("the part is skipped").is_some());
        };
        check(u64::MAX, Ok("12345"));
        check(5, Ok("12345"));
        check(4, Err(MultipartError::PartTooLarge.as_str()));
        check(0, Err(MultipartError::PartTooLarge.as_str()));
    }

    #[test]
    fn passes_on_the_error_of_the_source_and_continues_after_it() {
        /// Fails once after `before`.
        struct Failing<'a> {
            before: &'a [u8],
            has_failed: bool,
            after: &'a [u8],
        }

        impl Read for Failing<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                match self.before.read(out)? {
                    0 if !std::mem::replace(&mut self.has_failed, true) => {
                        Err(io::ErrorKind::TimedOut.into())
                    }
                    0 => self.after.read(out),
                    len => Ok(len),
                }
            }
        }

        for at in 0..=FORM.len() {
            let (before, after) = FORM.as_bytes().split_at(at);
            let mut form = reader(Failing { before, has_failed: false, after });
            let (mut parts, mut errors) = (0, 0);
            loop {
                match form.next_part() {
                    Ok(Some(_)) => parts += 1,
                    Ok(None) => break,
                    Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::TimedOut => errors += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!((parts, errors), (2, 1), "after {at} bytes");
        }
    }
}
