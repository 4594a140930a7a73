//! A worker's memory of what paths led to. What it says is never older than a second.

use super::{document::Found, negative_cache::Misses};
use foldhash::fast::RandomState;
use http_core::Status;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How long an answer is given without another look at the file system.
const FRESH: Duration = Duration::from_secs(1);

/// Entries kept.
const ENTRIES: usize = 16 * 1024;
/// Bytes of content kept.
const BYTES: usize = 64 * 1024 * 1024;
/// Files kept open: few enough that eight workers' caches leave room for connections under the usual limit.
const OPEN: usize = 64;
/// The longest path that is remembered: what nobody can have linked to is not worth the room.
const PATH: usize = 1024;

struct Entry {
    found: Found,
    fresh_until: Instant,
    /// Asked for since the last sweep.
    used: bool,
}

/// What paths led to.
#[derive(Default)]
pub(super) struct Cache {
    /// Keys are paths that led to a file, in as many spellings as somebody likes, up to [`ENTRIES`]; the hash is fast
    /// rather than strong, but its seed is random.
    entries: HashMap<Box<[u8]>, Entry, RandomState>,
    misses: Misses,
    bytes: usize,
    open: usize,
}

impl Cache {
    /// What `path` led to when it was last looked up, and whether that was less than a second ago.
    #[inline]
    pub(super) fn find(&mut self, path: &[u8], now: Instant) -> Option<(Found, bool)> {
        let Some(entry) = self.entries.get_mut(path) else {
            return self.misses.hold(path, now).then_some((Found::Refused(Status::NOT_FOUND), true));
        };
        entry.used = true;
        Some((entry.found.clone(), now < entry.fresh_until))
    }

    /// Remembers what a lookup has just found.
    pub(super) fn keep(&mut self, path: &[u8], found: &Found, now: Instant) {
        let fresh_until = now + FRESH;
        self.forget(path);
        if path.len() <= PATH && found.is_worth_keeping() {
            self.make_room(found);
            self.bytes += found.held();
            self.open += usize::from(found.is_open());
            self.entries.insert(path.into(), Entry { found: found.clone(), fresh_until, used: true });
        } else if matches!(found, Found::Refused(Status::NOT_FOUND)) {
            self.misses.keep(path, fresh_until);
        }
    }

    fn forget(&mut self, path: &[u8]) {
        if let Some(entry) = self.entries.remove(path) {
            self.bytes -= entry.found.held();
            self.open -= usize::from(entry.found.is_open());
        }
    }

    /// Sweeps out what has not been asked for since the last sweep, and everything if that is not enough. It
    /// happens once in as many misses as there is room for, so each miss pays a constant share of it.
    fn make_room(&mut self, coming: &Found) {
        for keep_used in [true, false] {
            let open = self.open + usize::from(coming.is_open());
            if self.entries.len() < ENTRIES && self.bytes + coming.held() <= BYTES && open <= OPEN {
                return;
            }
            self.entries.retain(|_, entry| std::mem::take(&mut entry.used) && keep_used);
            self.bytes = self.entries.values().map(|entry| entry.found.held()).sum();
            self.open = self.entries.values().filter(|entry| entry.found.is_open()).count();
        }
    }
}

impl Found {
    fn is_worth_keeping(&self) -> bool {
        matches!(self, Found::Document(_))
    }
}
