//! Directory listings: a directory is read by a lookup, and formatted as HTML, JSON or text for the request.
//!
//! It is read and sorted on a thread of the file system's pool, and formatted piece by piece while it is sent, never on
//! a thread that serves connections. All listings of a document root share a limit of memory.

mod format;

use crate::{
    compressor::Compressor,
    disk::Pool,
    options::Options,
    root::{Entry, EntryError, Root},
    threaded_body::ThreadedBody,
    variants::{MIN_COMPRESSED, forbids_transformation, prefers_gzip_stream},
};
use format::Formatter;
use http_core::{Body, Request, Response, negotiate, path::RelativePath};
use rustix::{
    fs::{AtFlags, Dir, FileType, StatxFlags, statx},
    io::Errno,
};
use std::{
    cmp::Ordering,
    ffi::OsStr,
    ops::Range,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

/// The maximum of memory for the listings of a document root that are being made or sent, in bytes.
const MAX_BYTES: usize = 128 * 1024 * 1024;

/// Small listings take at most so many bytes, and one half of [`MAX_BYTES`] is for them alone: large directories cannot
/// keep a client from listing small ones.
const SMALL: usize = 64 * 1024;

/// How many bytes a large listing reserves at once while its directory is read: enough for 100,000 entries with names
/// of 60 bytes. So a client gets 503 after the first few hundred entries, not after most of them. What is left over is
/// released at the end.
const STEP: usize = 12 * 1024 * 1024;

/// How many bytes an entry takes besides its name: in the list, and in its orders.
const ENTRY_BYTES: usize = size_of::<ListEntry>() + View::ORDERS * size_of::<u32>();

/// The maximum number of entries of a listing that is formatted at once, so that its length is known.
const MAX_WHOLE: usize = 64;

/// The media types of [`Format`], the first for clients that have no preference.
const MEDIA_TYPES: [&str; 3] = ["text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"];

/// The entries of a directory that would be served.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The path of the directory, relative to the root.
    path: Box<[u8]>,
    entries: Vec<ListEntry>,
    /// The names of the entries, one after the other.
    names: Vec<u8>,
    /// The indices of the entries, in the orders that were requested.
    orders: [OnceLock<Box<[u32]>>; View::ORDERS],
    compressor: Compressor,
    _permit: Permit,
}

/// An entry of a directory.
#[derive(Debug)]
struct ListEntry {
    /// Where its name is in [`Listing::names`].
    name: Range<u32>,
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
    WouldBlock(Arc<Pool>),
}

impl Listing {
    /// Reads the directory at `path`, which is relative to the root and open as `directory`. Leaves out what would not
    /// be served: special files, links that leave the root and, unless `hidden`, hidden files. A thread of `pool` calls
    /// this.
    pub(crate) fn read(
        root: &Root,
        (path, directory): (&[u8], BorrowedFd<'_>),
        hidden: bool,
        now: Instant,
        pool: &Arc<Pool>,
    ) -> Result<Listing, ListError> {
        let mut permit = Permit::new(&root.listing_bytes);
        let (mut entries, mut names) = (Vec::new(), Vec::new());
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
                        Err(EntryError::WouldBlock(pool)) => return Err(ListError::WouldBlock(pool)),
                        Ok(Entry::Special) | Err(EntryError::Failed(_)) => None,
                    }
                }
                _ => None,
            };
            if let Some((len, modified)) = details {
                let start = names.len() as u32;
                names.extend_from_slice(name);
                entries.push(ListEntry { name: start..names.len() as u32, len, modified });
            }
        }
        entries.shrink_to_fit();
        names.shrink_to_fit();
        permit.end();
        Ok(Listing {
            path: path.into(),
            entries,
            names,
            orders: [const { OnceLock::new() }; View::ORDERS],
            compressor: root.compressor.clone(),
            _permit: permit,
        })
    }

    /// Returns the response to a request for the directory.
    pub(crate) fn respond(self: &Arc<Listing>, request: &Request<'_>, options: &Options) -> Response {
        let view = View::of(request);
        let mut response = Response::of_type(MEDIA_TYPES[view.format as usize], Body::Empty)
            .with_header("Cache-Control", "no-cache")
            .append_header("Vary", "Accept");
        if view.format == Format::Html {
            response = response.with_header("Content-Security-Policy", format::CONTENT_SECURITY_POLICY);
        }
        response = options.complete_listing(request, response);
        let may_be_compressed = options.compression.on_the_fly
            && !forbids_transformation(response.header("Cache-Control").into_iter());
        if may_be_compressed {
            response = response.append_header("Vary", "Accept-Encoding");
        }
        let mut pieces = Formatter::new(Arc::clone(self), view);
        let whole = (self.entries.len() <= MAX_WHOLE).then(|| pieces.by_ref().flatten().collect::<Vec<_>>());
        let is_compressed = may_be_compressed
            && whole.as_ref().is_none_or(|whole| whole.len() as u64 >= MIN_COMPRESSED)
            && prefers_gzip_stream(request);
        let slot = is_compressed.then(|| self.compressor.slot()).flatten();
        if slot.is_some() {
            response = response.with_header("Content-Encoding", "gzip");
        }
        response.with_body(match (whole, slot) {
            (Some(whole), None) => Body::from(whole),
            (whole, slot) => {
                let pieces = whole.into_iter().chain(pieces);
                Body::Stream(Box::new(ThreadedBody::of_pieces(pieces, self.compressor.threads.clone(), slot)))
            }
        })
    }

    fn name(&self, entry: &ListEntry) -> &[u8] {
        &self.names[entry.name.start as usize..entry.name.end as usize]
    }

    /// Returns the indices of the entries in the order of a view: the directories first, and entries that are equal
    /// otherwise by their names.
    fn order(&self, view: View) -> &[u32] {
        self.orders[view.order()].get_or_init(|| {
            let mut order: Box<[u32]> = (0..self.entries.len() as u32).collect();
            order.sort_by(|a, b| {
                let [a, b] = [a, b].map(|index| &self.entries[*index as usize]);
                let ordering = match view.sort {
                    Sort::Name => Ordering::Equal,
                    Sort::Size => a.len.cmp(&b.len),
                    Sort::Time => a.modified.cmp(&b.modified),
                };
                let lower = |entry| self.name(entry).iter().map(u8::to_ascii_lowercase);
                let ordering = ordering.then_with(|| lower(a).cmp(lower(b)));
                let ordering = if view.is_descending { ordering.reverse() } else { ordering };
                a.len.is_some().cmp(&b.len.is_some()).then(ordering)
            });
            order
        })
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
    /// The number of orders.
    const ORDERS: usize = 6;

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

    /// Returns the index of the order in [`Listing::orders`].
    fn order(self) -> usize {
        self.sort as usize * 2 + usize::from(self.is_descending)
    }
}

/// Memory for a listing, which counts until this is dropped.
#[derive(Debug)]
struct Permit {
    /// The bytes that all listings of the root have reserved.
    total: Arc<AtomicUsize>,
    reserved: usize,
    used: usize,
}

impl Permit {
    fn new(total: &Arc<AtomicUsize>) -> Permit {
        Permit { total: Arc::clone(total), reserved: 0, used: 0 }
    }

    /// Uses so many bytes more. Returns false if the limit is reached.
    fn add(&mut self, bytes: usize) -> bool {
        self.used += bytes;
        while self.used > self.reserved {
            let (step, limit) = if self.reserved == 0 { (SMALL, MAX_BYTES) } else { (STEP, MAX_BYTES / 2) };
            let reserve = |total| Some(total + step).filter(|total| *total <= limit);
            if self.total.fetch_update(Relaxed, Relaxed, reserve).is_err() {
                return false;
            }
            self.reserved += step;
        }
        true
    }

    /// Releases what is reserved, but not used.
    fn end(&mut self) {
        self.total.fetch_sub(self.reserved - self.used, Relaxed);
        self.reserved = self.used;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.total.fetch_sub(self.reserved, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        os::fd::AsFd,
        time::{Duration, UNIX_EPOCH},
    };

    #[test]
    fn large_listings_leave_memory_to_small_ones() {
        let total = Arc::default();
        let permit = || Permit::new(&total);
        let mut large: Vec<_> = (0..MAX_BYTES / 2 / (SMALL + STEP)).map(|_| permit()).collect();
        assert!(large.iter_mut().all(|permit| permit.add(SMALL + 1)));
        assert!(!permit().add(SMALL + 1));
        assert!(permit().add(SMALL));
        large.iter_mut().for_each(Permit::end);
        assert!(permit().add(SMALL + 1));
        drop(large);
        assert_eq!(total.load(Relaxed), 0);
    }

    /// Requests that wait for a listing at the same time share it.
    #[test]
    fn each_view_of_a_listing_has_its_order() {
        let site = tempfile::tempdir().expect("a directory");
        for (name, len, modified) in [("a", 2, 1), ("b", 3, 2), ("c", 1, 3)] {
            let file = File::create(site.path().join(name)).expect("a file");
            file.set_len(len).expect("a length");
            file.set_modified(UNIX_EPOCH + Duration::from_secs(modified)).expect("a time");
        }
        let root = Root::open(site.path()).expect("a root");
        let directory = File::open(site.path()).expect("a directory");
        let now = Instant::now();
        let listing =
            Listing::read(&root, (b"", directory.as_fd()), false, now, &root.mounts.root).expect("a listing");
        for (sort, expected) in [(Sort::Name, "abc"), (Sort::Size, "cab"), (Sort::Time, "abc")] {
            for is_descending in [false, true] {
                let order = listing.order(View { format: Format::Text, sort, is_descending });
                let names = order.iter().flat_map(|index| listing.name(&listing.entries[*index as usize]));
                let mut names: Vec<_> = names.copied().collect();
                if is_descending {
                    names.reverse();
                }
                assert_eq!(names, expected.as_bytes());
            }
        }
    }

    #[test]
    fn a_large_directory_is_not_read_without_memory_for_all_of_it() {
        let site = tempfile::tempdir().expect("a directory");
        let root = Root::open(site.path()).expect("a root");
        let check = |files: usize, used: usize, expected: bool| {
            for number in 0..files {
                File::create(site.path().join(number.to_string())).expect("a file");
            }
            let directory = File::open(site.path()).expect("a directory");
            root.listing_bytes.store(used, Relaxed);
            let now = Instant::now();
            let read = Listing::read(&root, (b"", directory.as_fd()), false, now, &root.mounts.root);
            assert_eq!(read.as_ref().map(|listing| listing.entries.len()).ok(), expected.then_some(files));
            assert!(expected || matches!(read, Err(ListError::TooLarge)), "{read:?}");
            drop(read);
            assert_eq!(root.listing_bytes.load(Relaxed), used);
        };
        let small = SMALL / (ENTRY_BYTES + 4);
        check(small, MAX_BYTES / 2, true);
        check(small, MAX_BYTES, false);
        check(2 * small, MAX_BYTES / 2 - SMALL - STEP, true);
        check(2 * small, MAX_BYTES / 2 - STEP, false);
    }
}
