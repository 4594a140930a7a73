//! The open files of a process that serves a document root: each file is open at most once, and there is a limit.
//!
//! Requests for the same file share its descriptor, whatever paths they name it by. A file stays open while a response
//! sends it, and for some seconds after the last lookup that has found it. Then a thread closes it: a deleted file must
//! not occupy its disk space, and a file system must not stay in use. The thread waits without a timer while no such
//! file is open.
//!
//! Closing the last descriptor of a large deleted file can take long, because the kernel then frees its blocks. So the
//! thread closes files, and no worker does.

use crate::{
    disk::{DiskFile, Medium},
    version::FileId,
};
use foldhash::fast::RandomState;
use http_core::io_cause;
use rustix::process::{Resource, getrlimit};
use std::{
    collections::HashMap,
    fs::File,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

/// How long a file stays open after the last lookup that has found it. A path that is requested all the time is looked
/// up once a second.
const KEEP_FOR: Duration = Duration::from_secs(2);

/// How many files are closed at once to make room for another.
const CLOSED_AT_ONCE: usize = 64;

/// The part of the process's descriptors that served files may take: one in four. The rest is for connections and
/// everything else.
const SHARE: usize = 4;

/// The largest default limit of open files.
const MAX_LIMIT: usize = 65_536;

/// The bytes of the thread's stack.
const STACK_SIZE: usize = 64 * 1024;

/// The open files of one document root, which all workers of the process share.
#[derive(Debug)]
pub(super) struct OpenFiles {
    shared: Arc<Shared>,
}

/// What the workers share with the thread that closes files.
#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    /// Wakes the thread: when the first file is kept open, and when the `OpenFiles` is dropped.
    changed: Condvar,
}

/// The open files by identity.
#[derive(Debug)]
struct Table {
    /// All files that are open, and some that were closed since the table was last cleaned up.
    files: HashMap<FileId, OpenFile, RandomState>,
    /// The maximum number of files that are open.
    limit: usize,
    /// How long a file stays open after the last lookup: [`KEEP_FOR`], except in tests.
    keep_for: Duration,
    /// Whether the thread that closes files runs.
    has_thread: bool,
    /// Whether that thread waits without a timer, because no file is kept open.
    is_idle: bool,
    /// Whether the thread must end.
    ends: bool,
}

/// A file that was opened once.
#[derive(Debug)]
struct OpenFile {
    /// The file, as long as it is open: `kept` or a response keeps it open.
    file: Weak<File>,
    /// The same file as [`share`](OpenFiles::share) has returned it. A response may keep only `file`.
    shared: Weak<DiskFile>,
    /// Keeps the file open without a response. `None` if no lookup has found the file for [`KEEP_FOR`].
    kept: Option<Arc<DiskFile>>,
    /// When a lookup last found the file.
    found_at: Instant,
}

impl OpenFiles {
    /// Creates an empty table. At most `limit` files may be open; `None` for a quarter of the descriptors that this
    /// process may have now.
    pub(super) fn new(limit: Option<usize>) -> OpenFiles {
        OpenFiles::keeping_for(KEEP_FOR, limit)
    }

    /// Creates an empty table that keeps files open for `keep_for` after the last lookup.
    fn keeping_for(keep_for: Duration, limit: Option<usize>) -> OpenFiles {
        let table = Table {
            files: HashMap::default(),
            limit: limit.unwrap_or_else(default_limit),
            keep_for,
            has_thread: false,
            is_idle: false,
            ends: false,
        };
        OpenFiles { shared: Arc::new(Shared { table: Mutex::new(table), changed: Condvar::new() }) }
    }

    /// The maximum number of files that are open.
    pub(super) fn limit(&self) -> usize {
        self.shared.table().limit
    }

    /// Returns the open file with the identity `id`, and keeps it open for [`KEEP_FOR`]. `file` is the same file, just
    /// opened: it is used if the table has none. Returns `None` if as many other files are open as the limit allows and
    /// responses send all of them.
    pub(super) fn share(&self, id: FileId, file: DiskFile) -> Option<Arc<DiskFile>> {
        let now = Instant::now();
        let mut table = self.shared.table();
        // Dropped, and so closed, when the lock is released.
        let mut closed = Vec::new();
        let shared = match table.find(id, &file.medium, now) {
            Some(found) => Some(found),
            None if table.has_room(&mut closed) => Some(table.insert(id, Arc::new(file), now)),
            None => None,
        };
        let must_start = !std::mem::replace(&mut table.has_thread, true);
        let must_wake = std::mem::take(&mut table.is_idle);
        drop(table);
        if must_start {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("close-files".to_owned()).stack_size(STACK_SIZE);
            if let Err(error) = thread.spawn(move || shared.close_unused_files()) {
                log::warn!("cannot start the thread that closes unused files: {}", io_cause(&error));
                self.shared.table().has_thread = false;
            }
        }
        if must_wake {
            self.shared.changed.notify_one();
        }
        shared
    }
}

impl Drop for OpenFiles {
    /// Makes the thread end.
    fn drop(&mut self) {
        self.shared.table().ends = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    /// Locks the table. It is valid at all times, so a panic of another thread that held the lock is ignored.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes files that no lookup has found for [`KEEP_FOR`], until the `OpenFiles` is dropped.
    fn close_unused_files(&self) {
        let mut table = self.table();
        while !table.ends {
            table.is_idle = !table.files.values().any(|open| open.kept.is_some());
            let wait = if table.is_idle {
                self.changed.wait_while(table, |table| table.is_idle && !table.ends)
            } else {
                let interval = table.keep_for / 2;
                let wait = self.changed.wait_timeout_while(table, interval, |table| !table.ends);
                wait.map(|(table, _)| table).map_err(|error| PoisonError::new(error.into_inner().0))
            };
            table = wait.unwrap_or_else(PoisonError::into_inner);
            let unused = table.take_unused(Instant::now());
            drop(table);
            drop(unused);
            table = self.table();
        }
    }
}

impl Table {
    /// Returns the open file with this identity, if there is one, and keeps it open. A lookup has found it on this
    /// medium at the time `now`.
    fn find(&mut self, id: FileId, medium: &Medium, now: Instant) -> Option<Arc<DiskFile>> {
        let open = self.files.get(&id)?;
        let file = match open.shared.upgrade() {
            Some(shared) => {
                shared.forget_cached();
                shared
            }
            None => Arc::new(DiskFile::new(open.file.upgrade()?, medium.clone())),
        };
        Some(self.insert(id, file, now))
    }

    /// Adds a file that a lookup has found at the time `now`, and keeps it open.
    fn insert(&mut self, id: FileId, file: Arc<DiskFile>, now: Instant) -> Arc<DiskFile> {
        let open = OpenFile {
            file: Arc::downgrade(file.file()),
            shared: Arc::downgrade(&file),
            kept: Some(Arc::clone(&file)),
            found_at: now,
        };
        self.files.insert(id, open);
        file
    }

    /// Returns whether one more file may be open. If the limit is reached, first takes files that no response sends out
    /// of the table: those that no lookup has found for longest, at most [`CLOSED_AT_ONCE`]. Appends them to `closed`.
    fn has_room(&mut self, closed: &mut Vec<Arc<DiskFile>>) -> bool {
        if self.files.len() < self.limit {
            return true;
        }
        self.files.retain(|_, open| open.file.strong_count() > 0);
        if self.files.len() < self.limit {
            return true;
        }
        // `kept` is the only reference if no response sends the file.
        let is_unused = |open: &OpenFile| {
            open.kept.is_some() && open.shared.strong_count() == 1 && open.file.strong_count() == 1
        };
        let unused = self.files.iter().filter(|(_, open)| is_unused(open));
        let mut unused: Vec<_> = unused.map(|(id, open)| (open.found_at, *id)).collect();
        unused.sort_unstable_by_key(|(found_at, _)| *found_at);
        unused.truncate(CLOSED_AT_ONCE);
        closed.extend(unused.iter().filter_map(|(_, id)| self.files.remove(id)?.kept));
        self.files.len() < self.limit
    }

    /// No longer keeps open the files that no lookup has found for [`KEEP_FOR`] at the time `now`. Returns them:
    /// dropping them closes those that no response sends. Forgets files that are closed.
    fn take_unused(&mut self, now: Instant) -> Vec<Arc<DiskFile>> {
        self.files.retain(|_, open| open.file.strong_count() > 0);
        let keep_for = self.keep_for;
        let is_unused = |open: &&mut OpenFile| now.saturating_duration_since(open.found_at) >= keep_for;
        self.files.values_mut().filter(is_unused).filter_map(|open| open.kept.take()).collect()
    }
}

/// Returns a quarter of the number of descriptors that this process may have now, at most [`MAX_LIMIT`].
fn default_limit() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    descriptors.map_or(MAX_LIMIT, |descriptors| (descriptors / SHARE).clamp(1, MAX_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::FileVersion;

    /// Returns a new open file and its identity.
    fn file() -> (FileId, DiskFile) {
        let file = tempfile::tempfile().expect("a file");
        (FileVersion::of(&file).expect("its version").1.id, DiskFile::new(Arc::new(file), Medium::Memory))
    }

    /// Adds a new file to the table. Returns its identity and the table's file.
    fn share_new(files: &OpenFiles) -> Option<(FileId, Arc<DiskFile>)> {
        let (id, file) = file();
        files.share(id, file).map(|file| (id, file))
    }

    #[test]
    fn a_file_is_open_once_while_it_is_used() {
        let files = OpenFiles::new(None);
        let (id, first) = share_new(&files).expect("room");
        let again = |file: &DiskFile| {
            let same = DiskFile::new(Arc::clone(file.file()), Medium::Memory);
            files.share(id, same).expect("room")
        };
        assert!(Arc::ptr_eq(&first, &again(&first)));
        // A response still sends the file after the table has dropped it.
        let later = Instant::now() + KEEP_FOR;
        drop(files.shared.table().take_unused(later));
        assert!(Arc::ptr_eq(&first, &again(&first)));
        assert_eq!(files.shared.table().files.len(), 1);
    }

    #[test]
    fn closes_a_file_some_time_after_the_last_lookup() {
        let files = OpenFiles::new(None);
        let file = Arc::downgrade(&share_new(&files).expect("room").1);
        let start = Instant::now();
        let sweep = |at| drop(files.shared.table().take_unused(at));
        sweep(start);
        assert_eq!(file.strong_count(), 1);
        sweep(start + KEEP_FOR);
        assert_eq!(file.strong_count(), 0);
        sweep(start + KEEP_FOR);
        assert_eq!(files.shared.table().files.len(), 0);
    }

    #[test]
    fn the_thread_closes_a_file_and_then_waits_without_a_timer() {
        let files = OpenFiles::keeping_for(Duration::from_millis(50), None);
        for _ in 0..2 {
            let file = Arc::downgrade(&share_new(&files).expect("room").1);
            let (mut table, deadline) = (files.shared.table(), Instant::now() + Duration::from_secs(30));
            while !table.is_idle {
                assert!(Instant::now() < deadline, "the thread does not become idle");
                drop(table);
                thread::sleep(Duration::from_millis(5));
                table = files.shared.table();
            }
            assert_eq!(file.strong_count(), 0);
        }
    }

    #[test]
    fn closes_the_files_found_longest_ago_if_the_limit_is_reached() {
        let files = OpenFiles::new(Some(2));
        let sent = share_new(&files).expect("room").1;
        let first = Arc::downgrade(&share_new(&files).expect("room").1);
        let second = share_new(&files).expect("room").1;
        assert_eq!(
            (first.strong_count(), Arc::strong_count(&sent), files.shared.table().files.len()),
            (0, 2, 2)
        );
        // Responses send both files.
        assert!(share_new(&files).is_none());
        drop(second);
        assert!(share_new(&files).is_some());
        // A response sends a file that the table no longer keeps: it counts.
        drop(files.shared.table().take_unused(Instant::now() + KEEP_FOR));
        let third = share_new(&files).expect("room").1;
        assert!(share_new(&files).is_none());
        drop((sent, third));
        assert!(share_new(&files).is_some());
    }

    #[test]
    fn the_default_limit_is_a_quarter_of_the_descriptors() {
        let limit = getrlimit(Resource::Nofile).current.expect("a limit") as usize;
        assert_eq!(OpenFiles::new(None).limit(), (limit / 4).min(MAX_LIMIT));
        assert_eq!(OpenFiles::new(Some(7)).limit(), 7);
    }
}
