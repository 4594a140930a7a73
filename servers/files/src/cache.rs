//! One worker's cache of lookup outcomes. Its key is the path of a request in its normalised form, so that all spellings of a
//! path share one entry.
//!
//! An outcome is used for one second without another look at the file system. The cache never makes a system call.

use crate::{document::Document, lookup::Outcome, negative_cache::NegativeCache};
use foldhash::fast::RandomState;
use http_core::Status;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the cache returns the outcome of a lookup (a document or a 404) as fresh: no new lookup is needed.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// The maximum number of documents in the cache.
const MAX_ENTRIES: usize = 16 * 1024;

/// The maximum of [`Cache::memory_bytes`].
const MAX_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// The maximum of [`Cache::open_files`]: so small that eight workers with full caches leave room for connections under
/// the usual limit of 1024 descriptors.
const MAX_OPEN_FILES: usize = 64;

/// The maximum length in bytes of a path whose document is cached. A longer path is looked up for every request.
const MAX_PATH_LEN: usize = 1024;

/// What the cache holds for a path.
#[derive(Debug)]
pub(super) enum Cached {
    /// The outcome of a lookup less than [`FRESH_FOR`] ago: use it.
    Fresh(Outcome),
    /// The document that an older lookup found: look the path up again. If the file has not changed since, this
    /// document is still valid, and the file need not be read.
    Stale(Arc<Document>),
    /// Nothing: look the path up.
    Absent,
}

/// A cache of documents and of 404 results, by path. When it is full of documents, it evicts some of them.
#[derive(Default)]
pub(super) struct Cache {
    /// The documents by path. Links may lead from several paths to one file: each has a document of its own. The hash has a
    /// random seed, because clients choose the paths.
    entries: HashMap<Box<[u8]>, CacheEntry, RandomState>,
    /// The paths for which a lookup found no file.
    not_found: NegativeCache,
    /// The sum of [`Document::memory_bytes`] over all entries.
    memory_bytes: usize,
    /// The sum of [`Document::open_files`] over all entries.
    open_files: usize,
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
        match self.entries.get_mut(path) {
            Some(entry) => {
                entry.used = true;
                let document = Arc::clone(&entry.document);
                if now < entry.fresh_until {
                    Cached::Fresh(Outcome::Document(document))
                } else {
                    Cached::Stale(document)
                }
            }
            None if self.not_found.contains(path, now) => Cached::Fresh(Outcome::Error(Status::NOT_FOUND)),
            None => Cached::Absent,
        }
    }

    /// Stores what a lookup of `path` at the time `now` has found, in the place of what was cached for `path`.
    ///
    /// Only documents and 404 results are stored. After any other outcome, or if `path` is too long, nothing is cached
    /// for `path`.
    pub(super) fn insert(&mut self, path: &[u8], outcome: &Outcome, now: Instant) {
        if let Some(CacheEntry { document, .. }) = self.entries.remove(path) {
            self.memory_bytes -= document.memory_bytes();
            self.open_files -= document.open_files();
        }
        let fresh_until = now + FRESH_FOR;
        match outcome {
            Outcome::Document(document) if path.len() <= MAX_PATH_LEN => {
                self.make_room_for(document);
                self.memory_bytes += document.memory_bytes();
                self.open_files += document.open_files();
                let entry = CacheEntry { document: Arc::clone(document), fresh_until, used: true };
                self.entries.insert(path.into(), entry);
            }
            Outcome::Error(Status::NOT_FOUND) => self.not_found.insert(path, fresh_until),
            _ => {}
        }
    }

    /// Evicts documents if the cache would exceed a limit with `document` added: first those not requested since the
    /// last eviction, then, if that is not enough, all others.
    fn make_room_for(&mut self, document: &Document) {
        for keep_used in [true, false] {
            if self.entries.len() < MAX_ENTRIES
                && self.memory_bytes + document.memory_bytes() <= MAX_MEMORY_BYTES
                && self.open_files + document.open_files() <= MAX_OPEN_FILES
            {
                return;
            }
            self.entries.retain(|_, entry| std::mem::take(&mut entry.used) && keep_used);
            self.memory_bytes = self.entries.values().map(|entry| entry.document.memory_bytes()).sum();
            self.open_files = self.entries.values().map(|entry| entry.document.open_files()).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{document::MAX_IN_MEMORY, mime::file_type, root::FileVersion};

    /// Returns a document of `len` bytes.
    fn document(len: u64) -> Arc<Document> {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(len).expect("a length");
        let version = FileVersion::of(&file).expect("its version");
        Arc::new(Document::read(file, version, file_type(b"a.txt")).expect("a document"))
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
        for (path, outcome, fresh, expired) in [
            ("/document", Outcome::Document(document(1)), "Fresh(Document", "Stale"),
            (&long, Outcome::Document(document(1)), "Absent", "Absent"),
            ("/missing", Outcome::Error(Status::NOT_FOUND), "Fresh(Error", "Absent"),
            ("/forbidden", Outcome::Error(Status::FORBIDDEN), "Absent", "Absent"),
            ("/directory", Outcome::Redirect, "Absent", "Absent"),
        ] {
            cache.insert(path.as_bytes(), &outcome, start);
            check(&cache.get(path.as_bytes(), before), fresh);
            check(&cache.get(path.as_bytes(), after), expired);
        }
        cache.insert(b"/document", &Outcome::Error(Status::NOT_FOUND), after);
        check(&cache.get(b"/document", after), "Fresh(Error");
        assert_eq!(cache.memory_bytes, 0);
    }

    #[test]
    fn evicts_documents_not_requested_since_the_last_eviction() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let large = Outcome::Document(document(MAX_IN_MEMORY + 1));
        let path = |number: usize| format!("/{number}").into_bytes();
        // The first insertion beyond the limit finds all entries used, and evicts all of them.
        (0..=MAX_OPEN_FILES).for_each(|number| cache.insert(&path(number), &large, now));
        assert_eq!((cache.entries.len(), cache.open_files), (1, 1));
        (1..MAX_OPEN_FILES).for_each(|number| cache.insert(&path(number), &large, now));
        cache.entries.values_mut().for_each(|entry| entry.used = false);
        check(&cache.get(&path(7), now), "Fresh");
        cache.insert(b"/new", &large, now);
        assert_eq!((cache.entries.len(), cache.open_files), (2, 2));
        check(&cache.get(&path(7), now), "Fresh");
    }
}
