//! Finds the file that a path names: the only function that makes file-system calls for a request.
//!
//! What it finds never depends on the method or the headers of a request, so that it can be cached by path. It uses no
//! cache itself, and its arguments and result may pass between threads: it can run where it may block.

use crate::{
    disk::{DiskFile, Pool},
    document::{self, Document, MAX_IN_MEMORY, OpenDocument, Settings},
    listing::{ListError, Listing},
    options::Options,
    pages::{self, ErrorDocument},
    root::{Entry, EntryError, Root},
    variants::{Coding, Sidecars, Variants},
    version::FileVersion,
};
use http_core::{Status, path::RelativePath};
use rustix::io::Errno;
use std::{
    io,
    os::fd::AsFd,
    sync::Arc,
    time::{Instant, SystemTime},
};

/// How often a file is read before the lookup fails with 500, if the file changes during each read.
const MAX_READS: u32 = 5;

/// The name of the file that is served for a directory.
pub(super) const INDEX: &[u8] = b"index.html";

/// What to look up.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The requested path, relative to the root, without a slash at its end.
    path: Vec<u8>,
    /// Whether the requested path ends in a slash.
    is_directory: bool,
    /// Whether the path is that of a hidden file, which does not exist for clients.
    is_hidden: bool,
    /// Whether the client has requested another path, which was rewritten to this one. Such a client is not redirected
    /// to a clean URL.
    is_rewritten: bool,
    /// The error whose page is wanted in place of a file.
    error: Option<Status>,
    /// The document that an earlier lookup of this path has found, if there was one.
    stale: Option<Arc<Document>>,
    options: Arc<Options>,
    /// The present time.
    now: Instant,
    /// The date of the response.
    date: SystemTime,
}

/// What a lookup has found.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// A document to send.
    Document(OpenDocument),
    /// A directory without an index. Only a thread that may wait for a disk finds it.
    Listing(Arc<Listing>),
    /// The file is there, but has another URL.
    Redirect(Redirect),
    /// No document, but an error with this status.
    Error(Status),
    /// No document, but an error with a page of the site, or with the page of a single-page application.
    ErrorDocument(Arc<ErrorDocument>),
}

/// How the URL of a file differs from the requested path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Redirect {
    /// It has a slash at its end: the path names a directory.
    Directory,
    /// It has no slash at its end: the path names a page by a clean URL.
    Page,
    /// It is the clean URL of the page ([`pages::clean_path`]).
    CleanUrl,
}

/// Why a lookup has no result yet: it may block, so that a thread of this pool must make it.
pub(super) type WouldBlock = Arc<Pool>;

impl Wanted {
    /// What the requested `path` names: if it ends in `/`, the file `index.html` ([`INDEX`]) in that directory.
    ///
    /// `stale` is the document that an earlier lookup of `path` has found, if there was one. `now` is the present time,
    /// and `date` the date of the response.
    pub(super) fn new(
        path: RelativePath<'_>,
        stale: Option<Arc<Document>>,
        options: Arc<Options>,
        (now, date): (Instant, SystemTime),
    ) -> Wanted {
        let is_hidden = !options.hidden && path.is_hidden();
        let (path, is_directory) = (path.as_bytes().to_vec(), path.is_directory());
        Wanted { path, is_directory, is_hidden, is_rewritten: false, error: None, stale, options, now, date }
    }

    /// The page for an error with this status. The other arguments are those of [`Wanted::new`].
    pub(super) fn error_page(
        status: Status,
        options: Arc<Options>,
        (now, date): (Instant, SystemTime),
    ) -> Wanted {
        let (path, error) = (Vec::new(), Some(status));
        Wanted {
            path,
            is_directory: true,
            is_hidden: false,
            is_rewritten: false,
            error,
            stale: None,
            options,
            now,
            date,
        }
    }

    /// Sets whether the client has requested another path.
    pub(super) fn rewritten(self, is_rewritten: bool) -> Wanted {
        Wanted { is_rewritten, ..self }
    }

    /// Returns the path of the file to open, relative to the root: the requested path or, if that names a directory,
    /// its index.
    fn file(&self) -> Vec<u8> {
        match &*self.path {
            file if !self.is_directory => file.to_vec(),
            b"" => INDEX.to_vec(),
            directory => [directory, b"/", INDEX].concat(),
        }
    }

    /// Returns how files are served.
    pub(super) fn options(&self) -> &Arc<Options> {
        &self.options
    }
}

/// Looks a file up in the file system. `pool` is that of the calling thread; `None` if the thread must not wait for a
/// disk.
///
/// If the file has not changed since an earlier lookup found [`Wanted::stale`], the result is that document, and the
/// file is not read again.
///
/// # Errors
///
/// The pool whose thread must make the lookup, because it may block.
pub(super) fn lookup(root: &Root, wanted: &Wanted, pool: Option<&Arc<Pool>>) -> Result<Found, WouldBlock> {
    let lookup = Lookup { root, wanted, pool };
    // Decided before any system call for the path: neither a status nor a delay may tell whether a hidden file exists.
    let found = match wanted.error.or(wanted.is_hidden.then_some(Status::NOT_FOUND)) {
        Some(status) => Found::Error(status),
        None => lookup.find()?,
    };
    match found {
        Found::Error(status) => lookup.error(status),
        found => Ok(found),
    }
}

/// A lookup in progress.
struct Lookup<'l> {
    root: &'l Root,
    wanted: &'l Wanted,
    /// The pool of the calling thread; `None` if it must not wait for a disk.
    pool: Option<&'l Arc<Pool>>,
}

impl Lookup<'_> {
    /// Finds what the path names.
    fn find(&self) -> Result<Found, WouldBlock> {
        let Wanted { path, is_directory, is_rewritten, stale, options, .. } = self.wanted;
        let name = self.wanted.file();
        let may_redirect = options.clean_urls && !is_directory && !is_rewritten && pages::is_page(path);
        let found = match self.open(&name)? {
            Ok(Entry::File(..)) if may_redirect && self.has_clean_url(path)? => {
                return Ok(Found::Redirect(Redirect::CleanUrl));
            }
            Ok(Entry::File(file, version)) => return self.load(&name, stale.as_ref(), file, version),
            Ok(Entry::Directory(..)) if !is_directory => Found::Redirect(Redirect::Directory),
            Ok(Entry::Directory(..) | Entry::Special) | Err(Status::NOT_FOUND) => self.find_listing()?,
            Err(status) => Found::Error(status),
        };
        match found {
            Found::Redirect(_) | Found::Error(Status::NOT_FOUND) if options.clean_urls => {
                self.find_page(found)
            }
            found => Ok(found),
        }
    }

    /// Finds the listing of the directory that the path names, if it names one. There is no index in it.
    fn find_listing(&self) -> Result<Found, WouldBlock> {
        let Wanted { path, is_directory, options, .. } = self.wanted;
        if !is_directory || !options.listing && !self.root.has_links_outside() {
            return Ok(Found::Error(Status::NOT_FOUND));
        }
        match self.open(if path.is_empty() { b"." } else { path })? {
            Ok(Entry::Directory(directory, _)) if options.listing => self.list(&directory),
            // The server may not read the files of the directory either, for example with Landlock.
            Err(Status::FORBIDDEN) => Ok(Found::Error(Status::FORBIDDEN)),
            _ => Ok(Found::Error(Status::NOT_FOUND)),
        }
    }

    /// Finds the page that the path names as its clean URL. Returns `found` if there is none.
    fn find_page(&self, found: Found) -> Result<Found, WouldBlock> {
        let Wanted { path, is_directory, is_rewritten, stale, .. } = self.wanted;
        // `a.html` names no page `a.html.html`: it is another document ([`Options::document_name`]).
        if path.is_empty() || pages::is_page(path) {
            return Ok(found);
        }
        let page = pages::page_name(path);
        let Ok(Entry::File(file, version)) = self.open(&page)? else { return Ok(found) };
        if *is_rewritten || !is_directory && pages::clean_path(path).is_none() {
            self.load(&page, stale.as_ref(), file, version)
        } else if !is_directory {
            Ok(Found::Redirect(Redirect::CleanUrl))
        } else if self.has_clean_url(&page)? {
            Ok(Found::Redirect(Redirect::Page))
        } else {
            Ok(found)
        }
    }

    /// Returns whether the clean URL of the page at `path` leads to it, and not to another file.
    fn has_clean_url(&self, path: &[u8]) -> Result<bool, WouldBlock> {
        Ok(match pages::clean_path(path) {
            // The page is the index of this directory.
            Some([] | [.., b'/']) => true,
            // Its own clean URL is another one.
            Some(clean) if pages::clean_path(clean).is_some() => false,
            Some(clean) => matches!(
                self.open(clean)?,
                Ok(Entry::Directory(..) | Entry::Special) | Err(Status::NOT_FOUND)
            ),
            None => false,
        })
    }

    /// Reads the directory that the path names.
    fn list(&self, directory: &DiskFile) -> Result<Found, WouldBlock> {
        let Wanted { path, options, now, .. } = self.wanted;
        // Reading all entries takes long even if no disk is involved.
        let pool = self.pool.ok_or_else(|| Arc::clone(&self.root.mounts.root))?;
        match Listing::read(self.root, (path, directory.file().as_fd()), options.hidden, *now, pool) {
            Ok(listing) => Ok(Found::Listing(Arc::new(listing))),
            Err(ListError::Failed(errno)) => Ok(Found::Error(error_status(errno))),
            Err(ListError::TooLarge) => Ok(Found::Error(Status::SERVICE_UNAVAILABLE)),
            Err(ListError::WouldBlock(pool)) => Err(pool),
        }
    }

    /// Returns what is sent in place of a document.
    fn error(&self, status: Status) -> Result<Found, WouldBlock> {
        let Wanted { path, options, is_hidden, .. } = self.wanted;
        // A page in a hidden directory is hidden too.
        let file = if *is_hidden { Vec::new() } else { self.wanted.file() };
        let is_excluded = |page: &[u8]| options.excluded_pages.iter().any(|other| other.as_bytes() == page);
        let candidates = options.error_pages.candidates(status, &file);
        let mut candidates = candidates.iter().filter(|page| !is_excluded(page));
        let page = candidates.find_map(|page| self.page(page).transpose()).transpose()?;
        let is_application = status == Status::NOT_FOUND && !is_hidden && pages::is_application_path(path);
        let fallback = match &options.fallback {
            Some(fallback) if is_application => self.page(fallback.as_bytes())?,
            _ => None,
        };
        Ok(match (&page, &fallback) {
            (None, None) => Found::Error(status),
            _ => Found::ErrorDocument(Arc::new(ErrorDocument { status, page, fallback })),
        })
    }

    /// Returns the document of a page that is served for other paths, if there is one.
    fn page(&self, path: &[u8]) -> Result<Option<Arc<Document>>, WouldBlock> {
        let Ok(Entry::File(file, version)) = self.open(path)? else { return Ok(None) };
        let stale = self.root.pages.get(path);
        let Found::Document(document) = self.load(path, stale.as_ref(), file, version)? else {
            return Ok(None);
        };
        let document = document.document();
        if !document.is_dated && !stale.is_some_and(|stale| Arc::ptr_eq(&stale, document)) {
            self.root.pages.insert(path, Arc::clone(document));
        }
        Ok(Some(Arc::clone(document)))
    }

    /// Opens the file or directory at `path`, which is relative to the root. Returns the status of the error if that
    /// fails.
    fn open(&self, path: &[u8]) -> Result<Result<Entry, Status>, WouldBlock> {
        match self.root.open_entry(path, self.wanted.now, self.pool) {
            Ok(entry) => Ok(Ok(entry)),
            Err(EntryError::Failed(errno)) => Ok(Err(error_status(errno))),
            Err(EntryError::WouldBlock(pool)) => Err(pool),
        }
    }

    /// Makes a document of the open file at `path`, or returns the stale one if the file has not changed.
    fn load(
        &self,
        path: &[u8],
        stale: Option<&Arc<Document>>,
        file: DiskFile,
        version: FileVersion,
    ) -> Result<Found, WouldBlock> {
        let Wanted { options, date, .. } = self.wanted;
        let settings = Settings { path, options, coding: None, date: *date };
        match load(self.root, settings, stale, file, version, self.pool.is_some()) {
            Ok(document) => Ok(Found::Document(self.add_variants(document, settings)?)),
            Err(LoadError::Failed(status)) => Ok(Found::Error(status)),
            Err(LoadError::WouldBlock(pool)) => Err(pool),
        }
    }

    /// Adds the encoded forms to a document: looks for files beside it. If `document` has the same ones already,
    /// returns it as it is.
    fn add_variants(
        &self,
        document: OpenDocument,
        settings: Settings<'_>,
    ) -> Result<OpenDocument, WouldBlock> {
        if !document.compression.is_on() {
            return Ok(document);
        }
        let mut sidecars = Sidecars::default();
        if document.compression.precompressed {
            for (index, coding) in Coding::ALL.into_iter().enumerate() {
                let stale = document.variants.as_ref().and_then(|variants| variants.sidecars[index].as_ref());
                sidecars[index] = self.find_sidecar(&document, stale, coding, settings)?;
            }
        }
        if document.variants.as_ref().is_some_and(|variants| variants.has(&sidecars)) {
            return Ok(document);
        }
        let variants = Variants::new(&document, sidecars, settings, &self.wanted.options);
        Ok(document.with_variants(variants))
    }

    /// Looks for the file beside a document that holds it with this coding. `stale` is what an earlier lookup has
    /// found. Logs why a file is not used.
    fn find_sidecar(
        &self,
        document: &Document,
        stale: Option<&Arc<Document>>,
        coding: Coding,
        settings: Settings<'_>,
    ) -> Result<Option<Arc<Document>>, WouldBlock> {
        let path = [settings.path, coding.extension().as_bytes()].concat();
        let ignored = |version, reason| {
            self.root.report_ignored_sidecar(&path, version, reason);
            Ok(None)
        };
        let (file, version) = match self.open(&path)? {
            Ok(Entry::File(file, version)) => (file, version),
            Ok(Entry::Directory(..)) => return ignored(None, "it is a directory"),
            Ok(Entry::Special) => return ignored(None, "it is not a regular file"),
            // None, or one that may be opened later.
            Err(Status::NOT_FOUND | Status::SERVICE_UNAVAILABLE) => return Ok(None),
            Err(Status::FORBIDDEN) => {
                return ignored(None, "it is not readable, or a link that leads outside");
            }
            Err(_) => return ignored(None, "it cannot be opened"),
        };
        if version.len == 0 {
            return ignored(Some(version), "it is empty");
        }
        if version.is_older_than(&document.version) {
            return ignored(Some(version), "it is older than the file that it holds compressed");
        }
        let settings = Settings { coding: Some(coding), ..settings };
        match load(self.root, settings, stale, file, version, self.pool.is_some()) {
            // A dated document is valid for one response only, but this document is cached with its sidecars.
            Ok(sidecar) if !sidecar.is_dated => Ok(Some(Arc::clone(sidecar.document()))),
            Ok(_) | Err(LoadError::Failed(_)) => Ok(None),
            Err(LoadError::WouldBlock(pool)) => Err(pool),
        }
    }
}

/// Why there is no document.
#[derive(Debug)]
enum LoadError {
    /// The response is an error with this status.
    Failed(Status),
    /// A thread of this pool must read the file.
    WouldBlock(Arc<Pool>),
}

/// Makes a document of an open file, or returns `stale` if the file has not changed. Reads a short file: unless
/// `may_block`, only from the page cache.
fn load(
    root: &Root,
    settings: Settings<'_>,
    stale: Option<&Arc<Document>>,
    file: DiskFile,
    mut version: FileVersion,
    may_block: bool,
) -> Result<OpenDocument, LoadError> {
    let stale = stale.filter(|stale| stale.is_settled && stale.version == version);
    if version.len <= MAX_IN_MEMORY
        && let Some(stale) = stale.and_then(Document::open)
    {
        return Ok(stale);
    }
    for _ in 0..MAX_READS {
        if version.len > MAX_IN_MEMORY {
            let file = root.open_files.share(version.id, file);
            let file = file.ok_or(LoadError::Failed(Status::SERVICE_UNAVAILABLE))?;
            let stale = stale.and_then(Document::open).filter(|stale| stale.is_in(&file));
            return Ok(stale.unwrap_or_else(|| Document::in_file(file, version, settings)));
        }
        let from_cache = if may_block { None } else { file.pool() };
        match document::read(file.file(), &version, from_cache.is_some()) {
            Ok(bytes) => return Ok(Document::in_memory(bytes, version, settings)),
            // If the file was only replaced by another one, its own content is complete: read it again.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(LoadError::Failed(Status::NOT_FOUND));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(from_cache.map_or(LoadError::Failed(Status::NOT_FOUND), |pool| {
                    LoadError::WouldBlock(Arc::clone(pool))
                }));
            }
            // A file that the kernel generates, such as /proc/self/mem: reading an empty file on a disk cannot fail.
            Err(_) if version.len == 0 => return Err(LoadError::Failed(Status::NOT_FOUND)),
            Err(_) => break,
        }
        let Ok((_, changed)) = FileVersion::of(file.file()) else { break };
        version = changed;
    }
    Err(LoadError::Failed(Status::INTERNAL_SERVER_ERROR))
}

/// Returns the status of the response if a file could not be opened for the reason `errno`:
///
/// 404 if there is no such file, or if it is a socket or a device that cannot be opened. 403 if the server may not read
/// the file, or if symbolic links leave the root or form a loop. 503 if descriptors or memory are lacking, or for
/// EAGAIN, which a concurrent rename can cause in openat2(2). Otherwise 500.
fn error_status(errno: Errno) -> Status {
    match errno {
        // ENXIO: a socket, or a device without a driver.
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::NODEV => Status::NOT_FOUND,
        // EXDEV: a symbolic link leaves the root. ELOOP: links form a loop.
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP => Status::FORBIDDEN,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Status::SERVICE_UNAVAILABLE,
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity_tag::EntityTags;
    use std::{
        fs::{self, File},
        time::Duration,
    };

    #[test]
    fn opens_the_index_of_a_directory() {
        for (path, expected) in [("/", "index.html"), ("/a/", "a/index.html"), ("/a", "a"), ("/a/b", "a/b")] {
            let path = RelativePath::new(path.as_bytes()).expect("a path");
            let wanted = Wanted::new(path, None, Arc::default(), (Instant::now(), SystemTime::now()));
            assert_eq!(wanted.file(), expected.as_bytes(), "{path:?}");
        }
    }

    /// A root with the file `page`, and lookups of it.
    struct Page {
        directory: tempfile::TempDir,
        root: Root,
    }

    impl Page {
        fn new(content: &[u8]) -> Page {
            let directory = tempfile::tempdir().expect("a directory");
            let page = Page { root: Root::open(directory.path()).expect("a root"), directory };
            page.write(content);
            page
        }

        /// Writes the file in place, and sets its modification time to 1970.
        fn write(&self, content: &[u8]) {
            let path = self.directory.path().join("page");
            fs::write(&path, content).expect("a file");
            let file = File::options().write(true).open(path).expect("a file");
            file.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
        }

        /// What to look up, if the file was last changed `age` ago.
        fn wanted(age: Duration, stale: Option<&OpenDocument>) -> Wanted {
            let path = RelativePath::new(b"/page").expect("a path");
            let date = SystemTime::now() + age;
            Wanted::new(
                path,
                stale.map(OpenDocument::document).cloned(),
                Arc::default(),
                (Instant::now(), date),
            )
        }

        /// Looks the file up, if it was last changed `age` ago.
        fn lookup(&self, age: Duration, stale: Option<&OpenDocument>) -> OpenDocument {
            self.find(&Page::wanted(age, stale))
        }

        fn find(&self, wanted: &Wanted) -> OpenDocument {
            match lookup(&self.root, wanted, Some(&self.root.mounts.root)) {
                Ok(Found::Document(document)) => document,
                other => panic!("{other:?}"),
            }
        }
    }

    const NOW: Duration = Duration::ZERO;
    const LATER: Duration = Duration::from_secs(10);

    #[test]
    fn an_unchanged_file_keeps_its_document() {
        for len in [3, MAX_IN_MEMORY as usize + 1] {
            let page = Page::new(&vec![0; len]);
            let first = page.lookup(LATER, None);
            let second = page.lookup(LATER, Some(&first));
            assert!(Arc::ptr_eq(first.document(), second.document()), "{len}");
            page.write(&vec![1; len]);
            let third = page.lookup(LATER, Some(&second));
            assert!(third.entity_tag != second.entity_tag, "{len}: {}", third.entity_tag);
        }
    }

    /// Other paths share the document of a page that is served for them.
    #[test]
    fn an_unchanged_page_keeps_its_document() {
        let page = Page::new(b"page");
        let wanted = Page::wanted(LATER, None);
        let lookup = Lookup { root: &page.root, wanted: &wanted, pool: Some(&page.root.mounts.root) };
        let [first, second] = [(); 2].map(|()| lookup.page(b"page").expect("no wait").expect("a page"));
        assert!(Arc::ptr_eq(&first, &second));
    }

    /// Another change may follow that leaves all times as they are.
    #[test]
    fn a_file_that_has_changed_just_before_is_read_again() {
        for len in [3, MAX_IN_MEMORY as usize + 1] {
            let page = Page::new(&vec![0; len]);
            let first = page.lookup(NOW, None);
            let second = page.lookup(LATER, Some(&first));
            assert!(!Arc::ptr_eq(first.document(), second.document()), "{len}");
            assert_eq!(first.entity_tag.trim_start_matches("W/"), second.entity_tag, "{len}");
            assert_eq!(first.entity_tag.starts_with("W/"), len > 3, "only metadata are uncertain");
        }
    }

    #[test]
    fn a_file_that_changes_before_it_is_read_gets_its_new_version() {
        let page = Page::new(b"old");
        let Ok(Entry::File(file, before)) =
            page.root.open_entry(b"page", Instant::now(), Some(&page.root.mounts.root))
        else {
            panic!("a file")
        };
        let changes = std::iter::repeat_with(|| {
            page.write(b"new");
            FileVersion::of(file.file()).expect("its version").1
        });
        // A change within the same tick may leave the version as it is.
        let after = changes.take(1_000_000).find(|version| *version != before).expect("another version");
        let options = Options::default();
        let settings = Settings { path: b"page", options: &options, coding: None, date: SystemTime::now() };
        let document = load(&page.root, settings, None, file, before, true).expect("a document");
        assert_eq!(document.version, after);
        assert_eq!(document.entity_tag, EntityTags::Strong.of_content(b"new", &after));
    }

    #[test]
    fn last_modified_is_not_later_than_the_response() {
        let page = Page::new(b"page");
        let document = page.lookup(LATER, None);
        assert_eq!((document.last_modified, document.is_dated), (Some(SystemTime::UNIX_EPOCH), false));
        let file = File::options().write(true).open(page.directory.path().join("page")).expect("a file");
        file.set_modified(SystemTime::now() + LATER * 10).expect("a time");
        let wanted = Page::wanted(LATER, Some(&document));
        let document = page.find(&wanted);
        assert_eq!((document.last_modified, document.is_dated), (Some(wanted.date), true));
    }

    #[test]
    fn arguments_and_result_may_pass_between_threads() {
        fn check<T: Send + 'static>() {}
        check::<Arc<Root>>();
        check::<Wanted>();
        check::<Found>();
    }
}
