//! `multipart/form-data`: the fields and files of a form, one part each (RFC 7578, RFC 2046 §5.1).
//!
//! [`parts`] splits a form that is completely in memory. The parts borrow from it: no content is copied. [`Reader`]
//! reads a form while it arrives, and holds 16 KiB of it, whatever its size. Both have the same result. They reject
//! forms that two parsers could split differently: each line must end in CRLF, a delimiter line must contain nothing
//! but the delimiter, and the form must have an end.
//!
//! An upload that needs little memory, whatever the size of its files:
//!
//! ```
//! use http_core::{Reply, Request, multipart::{MultipartError, ReadError, Reader}, testing::TestRequest};
//! use std::io;
//!
//! fn upload(request: &Request<'_>) -> Result<Reply, MultipartError> {
//!     let boundary = request.multipart_boundary()?;
//!     // Runs on a thread of its own, where it may wait for the client and for the disk.
//!     Ok(Reply::read(move |content| -> Result<String, ReadError> {
//!         let (mut form, mut sizes) = (Reader::new(content, boundary), String::new());
//!         while let Some(part) = form.next_part()? {
//!             let name = part.name().to_owned();
//!             // In a server, a file that it creates. Never one with the name that the client has sent.
//!             let size = io::copy(&mut part.with_limit(1 << 30), &mut io::sink())?;
//!             sizes += &format!("{name}: {size} bytes\n");
//!         }
//!         Ok(sizes)
//!     }))
//! }
//!
//! let form = "--x\r\nContent-Disposition: form-data; name=map; filename=oslo.png\r\n\r\n12345\r\n--x--\r\n";
//! let request = TestRequest::post("/").header("Content-Type", "multipart/form-data; boundary=x");
//! assert_eq!(request.body(form).run(&upload).text(), "map: 5 bytes\n");
//! ```
//!
//! A form in memory:
//!
//! ```
//! use http_core::{MediaType, multipart::{self, Boundary}};
//!
//! let media_type = MediaType::parse(b"multipart/form-data; boundary=x").ok_or("malformed")?;
//! let content = b"--x\r\nContent-Disposition: form-data; name=\"city\"\r\n\r\nOslo\r\n--x--\r\n";
//! let parts: Vec<_> = multipart::parts(content, Boundary::of(&media_type)?).collect::<Result<_, _>>()?;
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
