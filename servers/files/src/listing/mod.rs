//! Directory listings: a directory is read by a lookup, and formatted as HTML, JSON or text for the request.
//!
//! Both happen on a thread of the file system's pool, never on a thread that serves connections. All listings of a
//! document root share a limit of memory.

mod format;

use crate::{
    disk::Pool,
    root::{Entry, EntryError, Root},
};
use http_core::{Body, Chunk, ChunkSource, Request, Response, Status, negotiate, path::RelativePath};
use rustix::{
    fs::{AtFlags, Dir, FileType, StatxFlags, statx},
    io::Errno,
};
use std::{
    ffi::OsStr,
    io,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// The maximum of memory for the listings of a document root that are being made or sent, in bytes. A directory of
/// 100,000 files takes about 25 MB.
const MAX_BYTES: usize = 128 * 1024 * 1024;

/// Small listings take at most so many bytes, and one half of [`MAX_BYTES`] is for them alone: large directories cannot
/// keep a client from listing small ones.
const SMALL: usize = 64 * 1024;

/// About how many bytes an entry takes besides its name.
const ENTRY_BYTES: usize = 80;

/// The number of bytes that a body copies at once.
const CHUNK: usize = 32 * 1024;

/// The media types of [`Format`], the first for clients that have no preference.
const MEDIA_TYPES: [&str; 3] = ["text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"];

/// The entries of a directory that would be served.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The path of the directory, relative to the root.
    path: Box<[u8]>,
    entries: Vec<ListEntry>,
    /// What was made for requests that share the lookup. `None` if the memory for it is lacking.
    texts: [OnceLock<Option<Arc<Text>>>; View::COUNT],
    permit: Permit,
}

/// An entry of a directory.
#[derive(Debug)]
struct ListEntry {
    name: Box<[u8]>,
    /// The length in bytes; `None` for a directory.
    len: Option<u64>,
    /// The modification time in seconds since 1970; `None` if it is not known without waiting for another file system.
    modified: Option<i64>,
}

/// Why a directory was not read.
#[derive(Debug)]
pub(crate) enum ListError {
    /// The kernel cannot read it.
    Failed(Errno),
    /// There is no memory for more listings.
    TooLarge,
    /// A thread of this pool must read it.
    Elsewhere(Arc<Pool>),
}

impl Listing {
    /// Reads the directory at `path`, which is relative to the root and open as `directory`. Leaves out what would not be
    /// served: special files, links that leave the root and, unless `hidden`, hidden files. A thread of `pool` calls
    /// this.
    pub(crate) fn read(
        root: &Root,
        (path, directory): (&[u8], BorrowedFd<'_>),
        hidden: bool,
        now: Instant,
        pool: &Arc<Pool>,
    ) -> Result<Listing, ListError> {
        let mut permit = Permit::new(&root.listing_bytes);
        let mut entries = Vec::new();
        let mut stream = Dir::read_from(directory).map_err(ListError::Failed)?;
        while let Some(found) = stream.read() {
            let found = found.map_err(ListError::Failed)?;
            let name = found.file_name().to_bytes();
            let full = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
            if matches!(name, b"." | b"..") || !hidden && is_hidden(&full) {
                continue;
            }
            if !permit.add(name.len() + ENTRY_BYTES) {
                return Err(ListError::TooLarge);
            }
            let details = match found.file_type() {
                FileType::RegularFile => file_details(directory, name),
                FileType::Directory | FileType::Symlink | FileType::Unknown => {
                    match root.open_entry(&full, now, Some(pool)) {
                        Ok(Entry::File(_, version)) => {
                            Some((Some(version.len), Some(version.modified_seconds())))
                        }
                        Ok(Entry::Directory(_, version)) => Some((None, Some(version.modified_seconds()))),
                        // Its files may be served, and it may be on another file system, which may not answer.
                        Err(_) if found.file_type() == FileType::Directory => Some((None, None)),
                        Err(EntryError::Elsewhere(pool)) => return Err(ListError::Elsewhere(pool)),
                        Ok(Entry::Special) | Err(EntryError::Failed(_)) => None,
                    }
                }
                _ => None,
            };
            entries.extend(details.map(|(len, modified)| ListEntry { name: name.into(), len, modified }));
        }
        Ok(Listing { path: path.into(), entries, texts: [const { OnceLock::new() }; View::COUNT], permit })
    }

    /// Returns the response to a request for the directory.
    pub(crate) fn respond(&self, request: &Request<'_>) -> Response {
        let view = View::of(request);
        let Some(text) = self.texts[view.index()].get_or_init(|| self.format(view)) else {
            return Response::error(Status::SERVICE_UNAVAILABLE).with_header("Retry-After", "1");
        };
        let body = ListingBody { text: Arc::clone(text), sent: 0 };
        let response = Response::of_type(MEDIA_TYPES[view.format as usize], Body::Stream(Box::new(body)))
            .with_header("Cache-Control", "no-cache")
            .append_header("Vary", "Accept");
        match view.format {
            Format::Html => response.with_header("Content-Security-Policy", format::CONTENT_SECURITY_POLICY),
            _ => response,
        }
    }

    /// Formats the entries. Returns `None` if there is no memory for it.
    fn format(&self, view: View) -> Option<Arc<Text>> {
        let mut permit = Permit::new(&self.permit.used);
        let names: usize = self.entries.iter().map(|entry| entry.name.len()).sum();
        // Each byte of a name may become several bytes, but there are few such names.
        let estimate = names * 2 + self.entries.len() * format::ENTRY_LEN + format::PAGE_LEN;
        permit.add(estimate).then_some(())?;
        let bytes = format::format(&self.path, &view.sorted(&self.entries), view);
        (bytes.len() <= estimate || permit.add(bytes.len() - estimate))
            .then(|| Arc::new(Text { bytes, _permit: permit }))
    }
}

/// Returns whether a path relative to the root is hidden.
fn is_hidden(path: &[u8]) -> bool {
    let path = [b"/", path].concat();
    RelativePath::new(&path).is_none_or(|path| path.is_hidden())
}

/// Returns length and modification time of the regular file `name`, or `None` if it is gone.
fn file_details(directory: BorrowedFd<'_>, name: &[u8]) -> Option<(Option<u64>, Option<i64>)> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let name = OsStr::from_bytes(name);
    let status = statx(directory, name, flags, StatxFlags::BASIC_STATS).ok()?;
    let is_file = FileType::from_raw_mode(status.stx_mode.into()) == FileType::RegularFile;
    is_file.then_some((Some(status.stx_size), Some(status.stx_mtime.tv_sec)))
}

/// How a client wants to see a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    format: Format,
    sort: Sort,
    is_descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    Json,
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Name,
    Size,
    Time,
}

impl View {
    /// The number of views.
    const COUNT: usize = 18;

    /// Returns what the request asks for: the format with its Accept header, the order with the query
    /// `sort=name|size|time` and `order=asc|desc`.
    fn of(request: &Request<'_>) -> View {
        let format = match negotiate::preferred(request.header_values("Accept"), &MEDIA_TYPES) {
            Some(1) => Format::Json,
            Some(2) => Format::Text,
            _ => Format::Html,
        };
        let sort = match request.query_value("sort").as_deref() {
            Some("size") => Sort::Size,
            Some("time") => Sort::Time,
            _ => Sort::Name,
        };
        View { format, sort, is_descending: request.query_value("order").as_deref() == Some("desc") }
    }

    fn index(self) -> usize {
        (self.format as usize * 3 + self.sort as usize) * 2 + usize::from(self.is_descending)
    }

    /// Sorts the entries: the directories first, and entries that are equal otherwise by their names.
    fn sorted(self, entries: &[ListEntry]) -> Vec<&ListEntry> {
        let lower = |entry: &ListEntry| entry.name.to_ascii_lowercase();
        let mut sorted: Vec<_> = entries.iter().collect();
        sorted.sort_by_cached_key(|entry| lower(entry));
        match self.sort {
            Sort::Name => {}
            Sort::Size => sorted.sort_by_key(|entry| entry.len),
            Sort::Time => sorted.sort_by_key(|entry| entry.modified),
        }
        if self.is_descending {
            sorted.reverse();
        }
        sorted.sort_by_key(|entry| entry.len.is_some());
        sorted
    }
}

/// A formatted listing.
#[derive(Debug)]
struct Text {
    bytes: Vec<u8>,
    _permit: Permit,
}

/// A body that sends a listing. It keeps the memory for it counted.
struct ListingBody {
    text: Arc<Text>,
    /// How many bytes were handed out.
    sent: usize,
}

impl ChunkSource for ListingBody {
    fn length(&self) -> Option<u64> {
        Some((self.text.bytes.len() - self.sent) as u64)
    }

    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<Chunk> {
        let rest = &self.text.bytes[self.sent..];
        if rest.is_empty() {
            return Ok(Chunk::End);
        }
        let len = rest.len().min(CHUNK);
        chunk.extend_from_slice(&rest[..len]);
        self.sent += len;
        Ok(Chunk::Data)
    }
}

/// Memory for a listing, which counts until this is dropped.
#[derive(Debug)]
struct Permit {
    /// The bytes that all listings of the root take.
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl Permit {
    fn new(used: &Arc<AtomicUsize>) -> Permit {
        Permit { used: Arc::clone(used), bytes: 0 }
    }

    /// Counts so many bytes more. Returns false if the limit is reached.
    fn add(&mut self, bytes: usize) -> bool {
        let limit = if self.bytes + bytes > SMALL { MAX_BYTES / 2 } else { MAX_BYTES };
        let has_room = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes <= limit;
        self.bytes += bytes;
        has_room
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_listings_leave_memory_to_small_ones() {
        let used = Arc::default();
        let [mut large, mut other, mut small] = [(); 3].map(|()| Permit::new(&used));
        assert!(large.add(MAX_BYTES / 2));
        assert!(!other.add(SMALL + 1));
        drop(other);
        assert!(small.add(SMALL));
        drop((large, small));
        assert_eq!(used.load(Ordering::Relaxed), 0);
    }
}
