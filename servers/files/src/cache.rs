//! One worker's cache of what lookups have found. The key is the path of a request in its normalised form, so that all
//! spellings of a path share one entry. A rewritten path and the page of an error have keys that no request has.
//!
//! A result is used for one second without another lookup in the file system. The cache never makes a system call, and
//! keeps no file open.

use crate::{
    document::{Document, OpenDocument},
    lookup::Found,
    negative_cache::NegativeCache,
    pages::ErrorDocument,
};
use foldhash::fast::RandomState;
use http_core::Status;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the cache returns the result of a lookup (a document or a 404) as fresh: no new lookup is needed.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// The maximum number of documents in the cache.
const MAX_ENTRIES: usize = 16 * 1024;

/// The maximum of [`Cache::memory_bytes`].
const MAX_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// The maximum length in bytes of a path whose document is cached. A longer path is looked up for every request.
const MAX_PATH_LEN: usize = 1024;

/// What the cache holds for a path.
#[derive(Debug)]
pub(super) enum Cached {
    /// The document that a lookup has found less than [`FRESH_FOR`] ago: use it.
    Fresh(OpenDocument),
    /// The same for a lookup that has found no file: 404, with this page unless it is the library's.
    NotFound(Option<Arc<ErrorDocument>>),
    /// The document that an older lookup has found, or whose file was closed meanwhile: look the path up again. If the
    /// file has not changed since, this document is still valid, and a small file need not be read.
    Stale(Arc<Document>),
    /// Nothing: look the path up.
    Absent,
}

/// A cache of documents and of 404 results, by path. When it is full of documents, it evicts some of them.
#[derive(Default)]
pub(super) struct Cache {
    /// The documents by path. Several paths may lead to one file, each with a document of its own. The hash has a
    /// random seed, because clients choose the paths.
    entries: HashMap<Box<[u8]>, CacheEntry, RandomState>,
    /// The paths for which a lookup found no file.
    not_found: NegativeCache,
    /// The sum of [`Document::memory_bytes`] over all entries.
    memory_bytes: usize,
    counts: CacheCounts,
}

/// How often the cache of one worker was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// The requests that were responded to from the cache: with a file or a 404.
    pub hits: u64,
    /// The requests that needed a lookup in the file system.
    pub misses: u64,
}

/// A document and its state in the cache.
struct CacheEntry {
    document: Arc<Document>,
    /// When the lookup that found the document is [`FRESH_FOR`] old.
    fresh_until: Instant,
    /// Whether the document was requested since the last eviction.
    used: bool,
}

impl Cache {
    /// Returns what is cached for `path` at the time `now`. If that is a document, marks it as used.
    #[inline]
    pub(super) fn get(&mut self, path: &[u8], now: Instant) -> Cached {
        let cached = match self.entries.get_mut(path) {
            Some(entry) => {
                entry.used = true;
                let open = if now < entry.fresh_until { entry.document.open() } else { None };
                open.map_or_else(|| Cached::Stale(Arc::clone(&entry.document)), Cached::Fresh)
            }
            None => self.not_found.get(path, now).map_or(Cached::Absent, Cached::NotFound),
        };
        match cached {
            Cached::Fresh(_) | Cached::NotFound(_) => self.counts.hits += 1,
            Cached::Stale(_) | Cached::Absent => self.counts.misses += 1,
        }
        cached
    }

    pub(super) fn counts(&self) -> CacheCounts {
        self.counts
    }

    /// Stores what a lookup of `path` at the time `now` has found, in the place of what was cached for `path`.
    ///
    /// Only documents and 404 results are stored. After any other result, if the document is for one response only, or
    /// if `path` is too long, nothing is cached for `path`.
    pub(super) fn insert(&mut self, path: &[u8], found: &Found, now: Instant) {
        if let Some(CacheEntry { document, .. }) = self.entries.remove(path) {
            self.memory_bytes -= document.memory_bytes();
        }
        let fresh_until = now + FRESH_FOR;
        match found {
            Found::Document(open) if path.len() <= MAX_PATH_LEN && !open.is_dated => {
                let document = Arc::clone(open.document());
                self.make_room_for(&document);
                self.memory_bytes += document.memory_bytes();
                self.entries.insert(path.into(), CacheEntry { document, fresh_until, used: true });
            }
            Found::Error(Status::NOT_FOUND) => self.not_found.insert(path, None, fresh_until),
            Found::ErrorDocument(page) if page.status == Status::NOT_FOUND && !page.is_dated() => {
                self.not_found.insert(path, Some(Arc::clone(page)), fresh_until);
            }
            _ => {}
        }
    }

    /// Evicts documents if the cache would exceed a limit with `document` added: first those not requested since the
    /// last eviction, then, if that is not enough, all others.
    fn make_room_for(&mut self, document: &Document) {
        for keep_used in [true, false] {
            if self.entries.len() < MAX_ENTRIES
                && self.memory_bytes + document.memory_bytes() <= MAX_MEMORY_BYTES
            {
                return;
            }
            self.entries.retain(|_, entry| std::mem::take(&mut entry.used) && keep_used);
            self.memory_bytes = self.entries.values().map(|entry| entry.document.memory_bytes()).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::{DiskFile, Medium},
        document::{MAX_IN_MEMORY, Settings},
        lookup::Redirect,
        options::Options,
        version::FileVersion,
    };
    use std::{fs::File, sync::LazyLock, time::SystemTime};

    static OPTIONS: LazyLock<Options> = LazyLock::new(Options::default);

    /// Returns the version of a new file, last modified at `modified`, and the settings of its document.
    fn version(modified: SystemTime) -> (File, FileVersion, Settings<'static>) {
        let file = tempfile::tempfile().expect("a file");
        file.set_modified(modified).expect("a time");
        let version = FileVersion::of(&file).expect("its version").1;
        let settings = Settings { path: b"a.txt", options: &OPTIONS, coding: None, date: SystemTime::now() };
        (file, version, settings)
    }

    /// Returns a document of `len` bytes in memory.
    fn document(len: usize) -> Found {
        let (_, version, settings) = version(SystemTime::UNIX_EPOCH);
        Found::Document(Document::in_memory(vec![0; len], version, settings))
    }

    /// Checks that the debug text of `cached` begins with `expected`.
    fn check(cached: &Cached, expected: &str) {
        assert!(format!("{cached:?}").starts_with(expected), "{cached:?}, expected {expected}");
    }

    #[test]
    fn results_are_fresh_for_one_second() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        let [before, after] = [999, 1000].map(|millis| start + Duration::from_millis(millis));
        let long = "/".repeat(MAX_PATH_LEN + 1);
        for (path, found, fresh, expired) in [
            ("/document", document(1), "Fresh", "Stale"),
            (&long, document(1), "Absent", "Absent"),
            ("/missing", Found::Error(Status::NOT_FOUND), "NotFound", "Absent"),
            ("/forbidden", Found::Error(Status::FORBIDDEN), "Absent", "Absent"),
            ("/directory", Found::Redirect(Redirect::Directory), "Absent", "Absent"),
        ] {
            cache.insert(path.as_bytes(), &found, start);
            check(&cache.get(path.as_bytes(), before), fresh);
            check(&cache.get(path.as_bytes(), after), expired);
        }
        cache.insert(b"/document", &Found::Error(Status::NOT_FOUND), after);
        check(&cache.get(b"/document", after), "NotFound");
        assert_eq!(cache.memory_bytes, 0);
    }

    #[test]
    fn keeps_no_file_open() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let (file, version, settings) = version(SystemTime::UNIX_EPOCH);
        let file = Arc::new(DiskFile::new(Arc::new(file), Medium::Memory));
        cache.insert(b"/", &Found::Document(Document::in_file(Arc::clone(&file), version, settings)), now);
        assert_eq!(Arc::strong_count(&file), 1);
        check(&cache.get(b"/", now), "Fresh");
        drop(file);
        check(&cache.get(b"/", now), "Stale");
    }

    #[test]
    fn does_not_cache_a_document_with_the_date_of_its_response() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let (_, version, settings) = version(SystemTime::now() + Duration::from_secs(100));
        cache.insert(b"/", &Found::Document(Document::in_memory(Vec::new(), version, settings)), now);
        check(&cache.get(b"/", now), "Absent");
    }

    #[test]
    fn evicts_documents_not_requested_since_the_last_eviction() {
        const FULL: usize = MAX_MEMORY_BYTES / MAX_IN_MEMORY as usize;
        let (mut cache, now) = (Cache::default(), Instant::now());
        let path = |number: usize| format!("/{number}").into_bytes();
        let largest = document(MAX_IN_MEMORY as usize);
        // The first insertion beyond the limit finds all entries used, and evicts all of them.
        (0..=FULL).for_each(|number| cache.insert(&path(number), &largest, now));
        assert_eq!((cache.entries.len(), cache.memory_bytes), (1, MAX_IN_MEMORY as usize));
        (1..FULL).for_each(|number| cache.insert(&path(number), &largest, now));
        cache.entries.values_mut().for_each(|entry| entry.used = false);
        check(&cache.get(&path(7), now), "Fresh");
        cache.insert(b"/new", &largest, now);
        assert_eq!((cache.entries.len(), cache.memory_bytes), (2, 2 * MAX_IN_MEMORY as usize));
        check(&cache.get(&path(7), now), "Fresh");
    }
}
