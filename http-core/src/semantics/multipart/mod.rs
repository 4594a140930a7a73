//! `multipart/form-data`: the fields and files of a form, one part each (RFC 7578, RFC 2046 §5.1).
//!
//! [`parts`] splits a form that is completely in memory. The parts borrow from it: no content is copied. [`Reader`] reads a
//! form while it arrives, and holds 16 KiB of it, whatever its size. Both have the same result. They reject forms that two
//! parsers could split differently: each line must end in CRLF, a delimiter line must contain nothing but the delimiter, and
//! the form must have an end.
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

mod parts;
mod reader;
mod syntax;

pub use parts::{Part, parts};
pub use reader::{ReadError, Reader, StreamedPart};
pub(crate) use syntax::MEDIA_TYPE;
pub use syntax::{Boundary, MAX_PART_HEAD, MAX_PARTS, MultipartError};
