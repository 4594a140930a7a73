//! The syntax of a form, which both ways to read it share: the delimiters, and the heads of the parts.
//!
//! Each function takes the bytes of the form from some place on, and returns whether it needs more of them. When more
//! have arrived, only the head of a part is examined again.

use crate::{
    semantics::{
        disposition::{self, set_once},
        media_type::MediaType,
    },
    types::{chars::is_header_value, error::error_enum, grammar::split_token},
};

/// The media type of a form that consists of parts.
pub(crate) const MEDIA_TYPE: &str = "multipart/form-data";

/// The maximum number of parts in a form. A form with more is rejected with [`MultipartError::TooManyParts`]. The limit
/// exists because a part of a few bytes costs the server more memory than the client sends.
pub const MAX_PARTS: usize = 1024;

/// The maximum size in bytes of the headers of one part, without the CRLF of the last header. Larger headers are
/// rejected with [`MultipartError::HeadTooLarge`].
pub const MAX_PART_HEAD: usize = 8 * 1024;

/// The maximum length of the white space at the end of a delimiter line. A longer line is rejected with
/// [`MultipartError::Delimiter`].
const MAX_PADDING: usize = 256;

error_enum! {
    /// The reason why a form cannot be split into its parts.
    ///
    /// ```
    /// use http_core::{MediaType, multipart::{self, Boundary, MultipartError}};
    ///
    /// let media_type = MediaType::parse(b"multipart/form-data; boundary=x").ok_or("malformed")?;
    /// let form = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nno end";
    /// let mut parts = multipart::parts(form, Boundary::of(&media_type)?);
    /// assert_eq!(parts.next(), Some(Err(MultipartError::End)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        /// A part is longer than the limit of [`StreamedPart::with_limit`](super::StreamedPart::with_limit).
        PartTooLarge "a part is too large"
    }
}

/// The boundary of a form: the text that separates its parts (RFC 2046 §5.1.1). It comes with the form's media type.
///
/// ```
/// use http_core::{MediaType, multipart::{Boundary, MultipartError}};
///
/// let form = MediaType::parse(b"multipart/form-data; boundary=----x").ok_or("malformed")?;
/// let boundary = Boundary::of(&form)?;
/// let text = MediaType::parse(b"text/plain").ok_or("malformed")?;
/// assert_eq!(Boundary::of(&text), Err(MultipartError::Type));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// The CRLF before the boundary, which does not belong to the content before it, two hyphens, and the boundary.
    delimiter: Vec<u8>,
}

/// What follows a delimiter.
#[derive(Debug)]
pub(super) enum Section<'a> {
    /// A part: its head, and the index where its content begins.
    Part(PartHead<'a>, usize),
    /// The end of the form.
    End,
}

/// The head of a part.
#[derive(Debug)]
pub(super) struct PartHead<'a> {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) media_type: Option<MediaType<'a>>,
}

impl Boundary {
    /// Returns the boundary of a form with this media type.
    ///
    /// # Errors
    ///
    /// [`MultipartError::Type`] if the media type is not `multipart/form-data`, and [`MultipartError::Boundary`] if it
    /// has no parameter `boundary`, or an invalid one: a boundary consists of 1 to 70 letters, digits and certain other
    /// characters, without a space at the end (RFC 2046 §5.1.1).
    pub fn of(media_type: &MediaType<'_>) -> Result<Boundary, MultipartError> {
        if !media_type.is(MEDIA_TYPE) {
            return Err(MultipartError::Type);
        }
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
        let is_valid = |value: &[u8]| {
            (1..=70).contains(&value.len()) && value.iter().all(allowed) && !value.ends_with(b" ")
        };
        let boundary = media_type.parameter("boundary").filter(|value| is_valid(value));
        let boundary = boundary.ok_or(MultipartError::Boundary)?;
        Ok(Boundary { delimiter: [b"\r\n--", &*boundary].concat() })
    }

    /// Returns the index of the first delimiter in `text`, or of what may be the beginning of one at the end of `text`.
    /// Returns the length of `text` if it contains neither.
    pub(super) fn find(&self, text: &[u8]) -> usize {
        // A delimiter contains no CR after its first byte. So comparisons never overlap, and the time is linear.
        let mut returns = text.iter().enumerate().filter(|(_, byte)| **byte == b'\r').map(|(at, _)| at);
        let begins = |at: &usize| text[*at..].iter().zip(&self.delimiter).all(|(byte, other)| byte == other);
        returns.find(begins).unwrap_or(text.len())
    }

    /// Returns the text after the delimiter at the front of `text`; `None` if there is none.
    pub(super) fn strip<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        text.strip_prefix(&*self.delimiter)
    }

    /// Returns the text before the first delimiter and the text after it; `None` if `text` contains no delimiter.
    pub(super) fn split<'a>(&self, text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (before, delimiter) = text.split_at(self.find(text));
        Some((before, self.strip(delimiter)?))
    }

    /// Returns the text after the first delimiter of `form`, before which no CRLF is required if it begins the form.
    pub(super) fn split_first<'a>(&self, form: &'a [u8]) -> Option<&'a [u8]> {
        form.strip_prefix(&self.delimiter[2..]).or_else(|| Some(self.split(form)?.1))
    }

    /// Parses what follows a delimiter: the rest of its line, and the head of a part. `text` begins after the boundary.
    /// Returns `None` if more text is needed. `is_all` is whether `text` is all that is left of the form.
    ///
    /// # Errors
    ///
    /// If the line contains more than white space after the delimiter, or the headers are malformed, too long or not
    /// allowed, or do not name the part.
    pub(super) fn section<'a>(
        &self,
        text: &'a [u8],
        is_all: bool,
    ) -> Result<Option<Section<'a>>, MultipartError> {
        let Some((line_len, is_last)) = delimiter_line(text, is_all)? else { return Ok(None) };
        if is_last {
            return Ok(Some(Section::End));
        }
        let Some(head) = self.part_head(&text[line_len..])? else { return Ok(None) };
        Ok(Some(Section::Part(PartHead::parse(head)?, line_len + head.len() + "\r\n".len())))
    }

    /// Returns the header lines at the front of a part, each with its CRLF. An empty line follows them. Returns `None`
    /// if more text is needed. May accept a part without headers: then the only line returned is empty, which
    /// [`header`] rejects.
    ///
    /// Fails if a delimiter comes first, or if the lines are longer than [`MAX_PART_HEAD`].
    fn part_head<'a>(&self, part: &'a [u8]) -> Result<Option<&'a [u8]>, MultipartError> {
        /// The CRLF of the last header line, and the empty line after it.
        const EMPTY_LINE: &[u8] = b"\r\n\r\n";
        let within = &part[..part.len().min(MAX_PART_HEAD + EMPTY_LINE.len())];
        let end = within.windows(EMPTY_LINE.len()).position(|window| window == EMPTY_LINE);
        // The last place where a delimiter may begin: the CRLF of the empty line may be that of a delimiter.
        let last = end.map_or(within.len(), |end| end + 2);
        let delimiter = self.find(&part[..part.len().min(last + self.delimiter.len())]);
        match end {
            _ if delimiter <= last && self.strip(&part[delimiter..]).is_some() => Err(MultipartError::Head),
            // Perhaps a delimiter.
            Some(_) if delimiter <= last => Ok(None),
            Some(end) => Ok(Some(&part[..end + 2])),
            None if within.len() < part.len() => Err(MultipartError::HeadTooLarge),
            None => Ok(None),
        }
    }
}

/// Parses the rest of a delimiter line (RFC 2046 §5.1.1). `text` begins after the boundary. `--` comes first if this is
/// the last delimiter of the form. Then come optional white space and CRLF. The CRLF may be missing after the last
/// delimiter if the form ends there, which `is_all` says.
///
/// Returns the length of the line, and whether the delimiter is the last one. Returns `None` if more text is needed.
/// Fails if the line contains anything else, or another CRLF is missing.
fn delimiter_line(text: &[u8], is_all: bool) -> Result<Option<(usize, bool)>, MultipartError> {
    let (is_last, padding) = text.strip_prefix(b"--").map_or((false, text), |rest| (true, rest));
    let is_padding = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let end = padding.iter().take(MAX_PADDING).take_while(is_padding).count();
    match &padding[end..] {
        [b'\r', b'\n', ..] => Ok(Some((text.len() - padding.len() + end + 2, is_last))),
        [] if is_all && is_last => Ok(Some((text.len(), true))),
        [] | [b'\r' | b'-'] if !is_all => Ok(None),
        _ => Err(MultipartError::Delimiter),
    }
}

impl<'a> PartHead<'a> {
    /// Parses the header lines of a part, each of which ends in CRLF. Fails if they are malformed or not allowed, or do
    /// not name the part.
    fn parse(lines: &'a [u8]) -> Result<PartHead<'a>, MultipartError> {
        let (mut disposition, mut media_type) = (None, None);
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
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
        Ok(PartHead { name, file_name, media_type })
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
