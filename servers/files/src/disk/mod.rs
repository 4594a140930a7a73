//! Where calls to file systems are made: which may block, and on whose threads.
//!
//! | file | what it does |
//! |---|---|
//! | `file_system` | tells file systems in memory, on local disks and on slow media apart |
//! | `pool` | the threads for the calls to one mount, with a fair queue |
//! | `monitor` | expires calls that take too long |
//! | `open_file` | an open file that is closed where that may block |
//! | `testing` | tasks for tests, which hang as long as the test says |

mod file_system;
mod monitor;
mod open_file;
mod pool;
#[cfg(test)]
pub(super) mod testing;

pub use file_system::FileSystem;
pub(super) use open_file::{DiskFile, Medium};
pub(super) use pool::{ClientKey, Pool, Task};

use foldhash::fast::RandomState;
use monitor::Monitor;
use rustix::io::Errno;
use std::{
    collections::HashSet,
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

/// The maximum number of mounts below a document root that have threads of their own. Further ones share those of
/// [`Mounts::links`], unless one of these was not used for [`FORGET_AFTER`].
const MAX_MOUNTS: usize = 64;

/// How long a mount must be unused before another one may take its place.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// The maximum number of devices that are remembered as slow.
const MAX_SLOW_DEVICES: usize = 256;

/// The mounts of all document roots of the process. A root that is opened again, for example at a reload, uses the
/// threads that it has: otherwise each reload would leave threads behind that hang.
static ALL_MOUNTS: Mutex<Vec<Weak<Mounts>>> = Mutex::new(Vec::new());

/// The mounts of a document root: that of the root itself, and those that lookups have met below it.
#[derive(Debug)]
pub(super) struct Mounts {
    /// The kind of all file systems, if the operator has named it; `None` if each tells its own.
    pub(super) kind: Option<FileSystem>,
    /// How long a call may take.
    pub(super) timeout: Duration,
    /// The name of the root in the log.
    name: String,
    monitor: Arc<Monitor>,
    /// For calls that do not leave the mount of the root.
    pub(super) root: Arc<Pool>,
    /// For paths that leave the mount of the root through a symbolic link: they may lead anywhere.
    links: Arc<Pool>,
    table: Mutex<MountTable>,
}

#[derive(Debug, Default)]
struct MountTable {
    below: Vec<Mount>,
    /// The devices of slow file systems, where fstatfs(2) is slow too. The kernel gives the number of an unmounted
    /// device to another one: a fast one may be taken for slow then, but never a slow one for fast.
    slow: HashSet<u64, RandomState>,
}

/// A mount below a root.
#[derive(Debug)]
struct Mount {
    /// Relative to the root.
    path: Box<[u8]>,
    pool: Arc<Pool>,
    last_use: Instant,
}

impl Mounts {
    /// Returns the mounts of an open root with the same name, kind and timeout, and lets those whose threads hang take
    /// tasks again. If there is no such root, creates them ([`new`](Mounts::new)).
    pub(super) fn of(name: String, kind: Option<FileSystem>, timeout: Duration) -> Arc<Mounts> {
        let mut all = ALL_MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|mounts| mounts.upgrade().is_some());
        let is_same =
            |mounts: &Arc<Mounts>| (&mounts.name, mounts.kind, mounts.timeout) == (&name, kind, timeout);
        if let Some(mounts) = all.iter().filter_map(Weak::upgrade).find(is_same) {
            mounts.retry();
            return mounts;
        }
        let mounts = Arc::new(Mounts::new(name, kind, timeout));
        all.push(Arc::downgrade(&mounts));
        mounts
    }

    /// Creates the mounts of a root with this name. `kind` is the kind of all its file systems, if the operator has
    /// named it. A call may take as long as `timeout`.
    pub(super) fn new(name: String, kind: Option<FileSystem>, timeout: Duration) -> Mounts {
        let monitor = Monitor::new(timeout);
        let pool = |what: String| {
            let pool = Arc::new(Pool::new(what, Arc::clone(&monitor)));
            monitor.add(&pool);
            pool
        };
        let root = pool(format!("the file system of {name}"));
        let links = pool(format!("a file system that a link in {name} leads to"));
        Mounts { kind, timeout, root, links, name, monitor, table: Mutex::default() }
    }

    /// Lets mounts whose threads hang take tasks again.
    fn retry(&self) {
        let table = self.table();
        let below = table.below.iter().map(|mount| &mount.pool);
        below.chain([&self.root, &self.links]).for_each(|pool| pool.retry());
    }

    /// Returns the threads of the mount below the root that contains this path, if lookups have met it. `now` is the
    /// time of its use.
    pub(super) fn below(&self, path: &[u8], now: Instant) -> Option<Arc<Pool>> {
        let mut table = self.table();
        // Mounts may be nested.
        let mounts = table.below.iter_mut().filter(|mount| mount.contains(path));
        let mount = mounts.max_by_key(|mount| mount.path.len())?;
        mount.last_use = now;
        Some(Arc::clone(&mount.pool))
    }

    /// Returns the path of the mount below the root whose threads are `pool`, if it contains `path`.
    pub(super) fn mount_of<'p>(&self, pool: &Arc<Pool>, path: &'p [u8]) -> Option<&'p [u8]> {
        let table = self.table();
        let mount = table.below.iter().find(|mount| Arc::ptr_eq(&mount.pool, pool))?;
        mount.contains(path).then(|| &path[..mount.path.len()])
    }

    /// Returns the threads for a path that enters another mount: at the mount point `mount`, or if that is `None`,
    /// through a symbolic link. `now` is the time of its use.
    pub(super) fn enter(&self, mount: Option<&[u8]>, now: Instant) -> Arc<Pool> {
        let Some(mount) = mount else { return Arc::clone(&self.links) };
        let mut table = self.table();
        if let Some(known) = table.below.iter_mut().find(|known| *known.path == *mount) {
            known.last_use = now;
            return Arc::clone(&known.pool);
        }
        if table.below.len() >= MAX_MOUNTS && !table.forget_one(now) {
            return Arc::clone(&self.links);
        }
        let name = format!("the file system of {}/{}", self.name, mount.escape_ascii());
        let pool = Arc::new(Pool::new(name, Arc::clone(&self.monitor)));
        self.monitor.add(&pool);
        table.below.push(Mount { path: mount.into(), pool: Arc::clone(&pool), last_use: now });
        pool
    }

    /// Returns whether these are the threads of the root's own mount.
    pub(super) fn is_root(&self, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(pool, &self.root)
    }

    /// Returns the kind of the file system that `file` is on, whose device has this number. May block: only a thread of
    /// its mount calls this.
    ///
    /// # Errors
    ///
    /// Those of fstatfs(2).
    pub(super) fn kind_of(&self, file: impl AsFd, device: u64) -> Result<FileSystem, Errno> {
        if let Some(kind) = self.kind {
            return Ok(kind);
        }
        if self.table().slow.contains(&device) {
            return Ok(FileSystem::Slow);
        }
        let kind = FileSystem::of(file)?;
        if kind == FileSystem::Slow {
            let slow = &mut self.table().slow;
            if slow.len() >= MAX_SLOW_DEVICES {
                slow.clear();
            }
            slow.insert(device);
        }
        Ok(kind)
    }

    fn table(&self) -> MutexGuard<'_, MountTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MountTable {
    /// Forgets the mount that was used least recently, if that was [`FORGET_AFTER`] before `now` or earlier. Its
    /// threads end when they have no more tasks. Returns whether a mount was forgotten.
    fn forget_one(&mut self, now: Instant) -> bool {
        let oldest = self.below.iter().enumerate().min_by_key(|(_, mount)| mount.last_use);
        let Some((index, mount)) = oldest else { return false };
        if now.saturating_duration_since(mount.last_use) < FORGET_AFTER {
            return false;
        }
        self.below.swap_remove(index).pool.close();
        true
    }
}

impl Mount {
    /// Returns whether this path leads to this mount or to one below it.
    fn contains(&self, path: &[u8]) -> bool {
        path.strip_prefix(&*self.path).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    }
}

impl Drop for Mounts {
    /// Makes the threads end when they have no more tasks. Does not wait for them: one may hang in a call.
    fn drop(&mut self) {
        self.monitor.end();
        self.root.close();
        self.links.close();
        self.table().below.iter().for_each(|mount| mount.pool.close());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::unix::net::UnixStream};

    fn mounts(kind: Option<FileSystem>) -> Mounts {
        Mounts::new("test".to_owned(), kind, Duration::MAX)
    }

    #[test]
    fn a_path_is_below_a_mount_if_whole_components_are() {
        let mounts = mounts(None);
        let now = Instant::now();
        let pool = mounts.enter(Some(b"a/b"), now);
        for (path, expected) in [
            ("a/b", true),
            ("a/b/", true),
            ("a/b/c", true),
            ("a/bc", false),
            ("a", false),
            ("c/a/b", false),
            ("", false),
        ] {
            let found = mounts.below(path.as_bytes(), now);
            assert_eq!(found.is_some_and(|found| Arc::ptr_eq(&found, &pool)), expected, "{path}");
        }
    }

    #[test]
    fn each_mount_has_threads_of_its_own_up_to_a_limit() {
        let mounts = mounts(None);
        let now = Instant::now();
        let mut pools = vec![Arc::clone(&mounts.root), mounts.enter(None, now)];
        let names: Vec<_> = (0..MAX_MOUNTS).map(|number| number.to_string()).collect();
        pools.extend(names.iter().map(|name| mounts.enter(Some(name.as_bytes()), now)));
        for (index, pool) in pools.iter().enumerate() {
            assert!(pools[..index].iter().all(|other| !Arc::ptr_eq(other, pool)), "{index}");
        }
        for (name, pool) in names.iter().zip(&pools[2..]) {
            assert!(Arc::ptr_eq(&mounts.enter(Some(name.as_bytes()), now), pool), "{name}");
        }
        assert!(Arc::ptr_eq(&mounts.enter(Some(b"more"), now), &mounts.links));
        assert!(mounts.below(b"more", now).is_none());
        // The first one is used again, and the second one is forgotten.
        let later = now + FORGET_AFTER;
        assert!(mounts.below(b"0", later).is_some());
        assert!(!Arc::ptr_eq(&mounts.enter(Some(b"more"), later), &mounts.links));
        for (path, expected) in [("0", true), ("1", false), ("2", true), ("more", true)] {
            assert_eq!(mounts.below(path.as_bytes(), later).is_some(), expected, "{path}");
        }
    }

    #[test]
    fn of_nested_mounts_the_innermost_is_used() {
        let (mounts, now) = (mounts(None), Instant::now());
        let [outer, inner] = ["a", "a/b/c"].map(|path| mounts.enter(Some(path.as_bytes()), now));
        for (path, expected) in [("a/b", &outer), ("a/b/c", &inner), ("a/b/c/d", &inner), ("a/b/cd", &outer)]
        {
            assert!(
                mounts.below(path.as_bytes(), now).is_some_and(|pool| Arc::ptr_eq(&pool, expected)),
                "{path}"
            );
        }
        assert_eq!(mounts.mount_of(&inner, b"a/b/c/d"), Some(&b"a/b/c"[..]));
        assert_eq!(mounts.mount_of(&inner, b"a/b"), None);
        assert_eq!(mounts.mount_of(&mounts.root, b"a/b"), None);
    }

    #[test]
    fn a_root_that_is_opened_again_has_the_same_threads() {
        let open = |kind, seconds| Mounts::of("again".to_owned(), kind, Duration::from_secs(seconds));
        let first = open(None, 1);
        assert!(Arc::ptr_eq(&first, &open(None, 1)));
        for (kind, seconds) in [(None, 2), (Some(FileSystem::Slow), 1)] {
            assert!(!Arc::ptr_eq(&first, &open(kind, seconds)), "{kind:?}, {seconds} s");
        }
        let dropped = Arc::downgrade(&first);
        drop(first);
        assert!(dropped.upgrade().is_none());
    }

    #[test]
    fn the_operator_or_the_file_system_tells_its_kind() {
        // Of this file, the kernel says that it is local.
        let file = File::open("/proc/self/stat").expect("a file");
        for (kind, expected) in [
            (Some(FileSystem::Memory), FileSystem::Memory),
            (Some(FileSystem::Slow), FileSystem::Slow),
            (None, FileSystem::Local),
        ] {
            assert_eq!(mounts(kind).kind_of(&file, 1), Ok(expected), "{kind:?}");
        }
    }

    #[test]
    fn only_slow_file_systems_are_remembered_by_their_device() {
        let mounts = mounts(None);
        // procfs is local, and the file system of sockets is of an unknown kind.
        let local = File::open("/proc/self/stat").expect("a file");
        let (slow, _peer) = UnixStream::pair().expect("sockets");
        for (file, expected) in [
            (local.as_fd(), FileSystem::Local),
            (local.as_fd(), FileSystem::Local),
            (slow.as_fd(), FileSystem::Slow),
            (local.as_fd(), FileSystem::Slow),
        ] {
            assert_eq!(mounts.kind_of(file, 1), Ok(expected));
        }
        assert_eq!(mounts.kind_of(&local, 2), Ok(FileSystem::Local));
    }
}
