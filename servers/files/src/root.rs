//! The document root: a directory that is found by its name, and opened again if the name leads to another one.

use crate::{
    beneath::{Directory, Links, Reach},
    compressor::Compressor,
    disk::{DiskFile, FileSystem, Medium, Mounts, Pool},
    open_files::OpenFiles,
    pages::PageDocuments,
    version::{FileId, FileVersion},
};
use http_core::io_cause;
use rustix::{
    fs::{FileType, stat},
    io::Errno,
};
use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::File,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
    time::{Duration, Instant},
};

/// How often, at most, the root checks which directory its name leads to.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of sidecars that are remembered as reported.
const MAX_REPORTED: usize = 1024;

/// A directory whose files are served.
///
/// A lookup checks, at most once a second, whether the root's name still leads to the same directory. If the name leads
/// to another one, because the directory was made again or a symbolic link was changed, the root serves the new
/// directory from then on. While there is none, the root serves the directory that it has: if it was deleted, each
/// request gets 404. The [`log`] crate receives a message about each such change.
#[derive(Debug)]
pub struct Root {
    /// The absolute path of the root.
    name: PathBuf,
    current: Mutex<Current>,
    links: Links,
    pub(super) open_files: OpenFiles,
    pub(super) pages: PageDocuments,
    /// The memory that directory listings take, in bytes.
    pub(super) listing_bytes: Arc<AtomicUsize>,
    pub(super) mounts: Arc<Mounts>,
    pub(super) compressor: Compressor,
    ignored_sidecars: Mutex<HashSet<IgnoredSidecar>>,
}

/// The path and the version of a sidecar that was reported.
type IgnoredSidecar = (Box<[u8]>, Option<FileVersion>);

/// The directory that is served now.
#[derive(Debug)]
struct Current {
    directory: Arc<Directory>,
    /// When the name must be checked next; `None` while a thread checks it, which may hang.
    next_check: Option<Instant>,
    /// What the last check has found, to log it once.
    state: NameState,
}

/// Which directory the name of a root leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameState {
    /// The directory that is served.
    Served,
    /// No directory that can be opened, for this reason. The OS error code, if there is one.
    Missing(Option<i32>),
    /// Another directory, which the process may not read.
    Forbidden(FileId),
}

impl Root {
    /// How long a file system may take for a call, unless [`with_file_timeout`](Root::with_file_timeout) sets it. A
    /// disk that spins up takes ten seconds, and a proxy waits a minute for the response.
    pub const DEFAULT_FILE_TIMEOUT: Duration = Duration::from_secs(30);

    /// Opens the directory at `path` as a document root. Its name is `path`, made absolute: if the process changes its
    /// working directory later, this does not matter.
    ///
    /// # Errors
    ///
    /// If `path` does not exist, is not a directory or is in a directory that may not be entered; or if files cannot be
    /// opened with `openat2`, because the kernel is older than Linux 5.6 or a seccomp filter forbids it.
    pub fn open(path: &Path) -> io::Result<Root> {
        Root::open_as(path, path)
    }

    /// Opens the directory at `path` as a document root with another name. `path` may be one that is valid only now,
    /// such as `/proc/self/fd/3`. Later, the root is opened by its `name`.
    ///
    /// # Errors
    ///
    /// See [`Root::open`].
    pub fn open_as(path: &Path, name: &Path) -> io::Result<Root> {
        let name = std::path::absolute(name)?;
        let directory = Arc::new(Directory::open(path)?);
        let mounts = Mounts::of(name.display().to_string(), None, Root::DEFAULT_FILE_TIMEOUT);
        let next_check = Some(Instant::now());
        let current = Mutex::new(Current { directory, next_check, state: NameState::Served });
        Ok(Root {
            name,
            current,
            links: Links::Beneath,
            open_files: OpenFiles::new(None),
            pages: PageDocuments::default(),
            listing_bytes: Arc::default(),
            mounts,
            compressor: Compressor::default(),
            ignored_sidecars: Mutex::default(),
        })
    }

    /// Sets the kind of the file systems beneath the root. By default, statfs(2) tells it for each.
    #[must_use]
    pub fn with_file_system(self, kind: FileSystem) -> Root {
        let mounts = Mounts::of(self.name.display().to_string(), Some(kind), self.mounts.timeout);
        Root { mounts, ..self }
    }

    /// Sets how long a file system may take to find or read a file: then the request gets 504, or the connection closes
    /// if the head of the response was sent. The default is [`DEFAULT_FILE_TIMEOUT`](Root::DEFAULT_FILE_TIMEOUT).
    ///
    /// The time limit of the engine for a response, [`Timeouts::reply`](http_core::Timeouts::reply), should be longer.
    #[must_use]
    pub fn with_file_timeout(self, timeout: Duration) -> Root {
        let mounts = Mounts::of(self.name.display().to_string(), self.mounts.kind, timeout);
        Root { mounts, ..self }
    }

    /// Returns the kind of the file system that the root is on.
    pub fn file_system(&self) -> FileSystem {
        self.file_system_of(&self.current().directory)
    }

    /// Returns the kind of the file system that a directory is on, unless the operator has named another.
    fn file_system_of(&self, directory: &Directory) -> FileSystem {
        self.mounts.kind.unwrap_or(directory.file_system)
    }

    /// Follows symbolic links that leave the root too; by default, a request for one gets 403.
    ///
    /// Then the site shows what its links lead to: everything beneath a linked directory, except hidden files, with the
    /// permissions of the server. Whoever can make a link in the root, such as a user who may upload an archive, can
    /// publish any file that the server may read. A request itself still cannot leave the root, because its path
    /// contains no `..`, and the links of `/proc` to open files are never followed.
    #[must_use]
    pub fn with_links_outside(self) -> Root {
        Root { links: Links::Anywhere, ..self }
    }

    pub(super) fn has_links_outside(&self) -> bool {
        self.links == Links::Anywhere
    }

    /// Sets the maximum number of files that are open at once, to be sent or because they were sent seconds ago. Small
    /// files do not count: they are read into memory. If all of these files are being sent, a request for another one
    /// gets 503.
    ///
    /// The default is a quarter of the descriptors that the process may have when the root is opened (`RLIMIT_NOFILE`).
    #[must_use]
    pub fn with_max_open_files(self, limit: usize) -> Root {
        Root { open_files: OpenFiles::new(Some(limit)), ..self }
    }

    /// Returns the maximum number of files that are open at once: how many descriptors an engine must leave for them.
    pub fn max_open_files(&self) -> usize {
        self.open_files.limit()
    }

    /// Opens the file at `path`, which is relative to the root, for reading. Returns whether it is a regular file, a
    /// directory or a special file, which does not stay open. `now` is the present time. `pool` is that of the
    /// calling thread; `None` if the thread must not wait for a disk.
    ///
    /// # Errors
    ///
    /// If there is no such file, for example, or if a thread of another pool must open it.
    pub(super) fn open_entry(
        &self,
        path: &[u8],
        now: Instant,
        pool: Option<&Arc<Pool>>,
    ) -> Result<Entry, EntryError> {
        let mounts = &self.mounts;
        if let (None, Some(pool)) = (pool, mounts.below(path, now)) {
            return Err(EntryError::WouldBlock(pool));
        }
        let in_root_pool = || EntryError::WouldBlock(Arc::clone(&mounts.root));
        let directory = self.directory(now, pool.is_some()).ok_or_else(in_root_pool)?;
        let file_system = self.file_system_of(&directory);
        let reach = match pool {
            Some(pool) if !mounts.is_root(pool) => Reach::Anywhere,
            None if file_system == FileSystem::Local => Reach::Cached,
            _ => Reach::Mount,
        };
        // A thread of a mount below the root may need files elsewhere too, such as an error page.
        let mount = pool.and_then(|pool| mounts.mount_of(pool, path));
        let opened = match mount {
            Some(mount) => directory.open_on_mount(mount, path, self.links),
            None => directory.open_beneath(path, &self.name, reach, self.links),
        };
        let file = match (opened, pool) {
            (Err(Errno::AGAIN | Errno::XDEV), None) => return Err(in_root_pool()),
            (Err(Errno::XDEV), Some(_)) if reach == Reach::Mount || mount.is_some() => {
                let mount_point = directory.mount_point(mount, path);
                return Err(EntryError::WouldBlock(mounts.enter(mount_point, now)));
            }
            (result, _) => File::from(result?),
        };
        let (file_type, version) = FileVersion::of(&file)?;
        let kind = match reach {
            Reach::Anywhere => mounts.kind_of(&file, version.id.device)?,
            Reach::Mount | Reach::Cached => file_system,
        };
        let file = DiskFile::new(Arc::new(file), Medium::new(kind, pool.unwrap_or(&mounts.root)));
        Ok(match file_type {
            FileType::RegularFile => Entry::File(file, version),
            FileType::Directory => Entry::Directory(file, version),
            _ => Entry::Special,
        })
    }

    /// Returns the directory to serve at the time `now`. Once in [`CHECK_INTERVAL`], first checks whether the root's
    /// name leads to another one. If the calling thread must not block, returns `None` if this check would block, or if
    /// the root is on a slow file system.
    fn directory(&self, now: Instant, may_block: bool) -> Option<Arc<Directory>> {
        let mut current = self.current();
        if !may_block && self.file_system_of(&current.directory) == FileSystem::Slow {
            return None;
        }
        if current.next_check.is_none_or(|next_check| now < next_check) {
            return Some(Arc::clone(&current.directory));
        }
        if !may_block {
            if current.state != NameState::Served || !current.directory.is_at(&self.name) {
                return None;
            }
            current.next_check = Some(now + CHECK_INTERVAL);
            return Some(Arc::clone(&current.directory));
        }
        // Other threads serve the old directory meanwhile.
        current.next_check = None;
        let served = Arc::clone(&current.directory);
        drop(current);
        let (directory, state) = self.find(&served);
        let mut current = self.current();
        current.next_check = Some(now + CHECK_INTERVAL);
        if state != current.state || directory.is_some() {
            self.report(directory.is_some(), state);
        }
        current.state = state;
        if let Some(directory) = directory {
            current.directory = directory;
        }
        Some(Arc::clone(&current.directory))
    }

    /// Finds out which directory the root's name leads to. Opens it if it is another one than `served`.
    fn find(&self, served: &Directory) -> (Option<Arc<Directory>>, NameState) {
        match stat(&self.name) {
            Ok(found) if FileId::from_stat(&found) == served.id => return (None, NameState::Served),
            Ok(_) => {}
            Err(errno) => return (None, NameState::Missing(Some(errno.raw_os_error()))),
        }
        match Directory::open(&self.name) {
            Ok(directory) if directory.is_forbidden() => (None, NameState::Forbidden(directory.id)),
            Ok(directory) => (Some(Arc::new(directory)), NameState::Served),
            Err(error) => (None, NameState::Missing(error.raw_os_error())),
        }
    }

    /// Logs the new state of the root's name. `reopened`: whether another directory is served now.
    fn report(&self, reopened: bool, state: NameState) {
        let name = self.name.display();
        match state {
            NameState::Served if reopened => {
                log::info!("reopened the document root {name}: the name leads to another directory now");
            }
            NameState::Served => log::info!("the document root {name} is there again"),
            NameState::Missing(code) => {
                let error = code.map_or(io::ErrorKind::Other.into(), io::Error::from_raw_os_error);
                log::warn!(
                    "cannot reopen the document root {name}: {} (still serving the previous directory, trying again \
                     each second)",
                    io_cause(&error)
                );
            }
            NameState::Forbidden(_) => log::warn!(
                "cannot reopen the document root {name}: the name leads to another directory now, and the process is \
                 confined to the previous one (still serving that; restart the server to serve the new one)"
            ),
        }
    }

    /// Logs, once for each version, why a sidecar is ignored. `path` is relative to the root; `version` is `None` if
    /// the sidecar is not a regular file, or cannot be opened.
    pub(super) fn report_ignored_sidecar(&self, path: &[u8], version: Option<FileVersion>, reason: &str) {
        let mut reported = self.ignored_sidecars.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.len() >= MAX_REPORTED {
            reported.clear();
        }
        if reported.insert((path.into(), version)) {
            // The error log escapes it.
            let path = self.name.join(OsStr::from_bytes(path));
            log::warn!("ignoring {}: {reason}", path.display());
        }
    }

    /// Locks the current directory. A panic of another thread that held the lock is ignored: the value is always valid.
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a path names.
#[derive(Debug)]
pub(super) enum Entry {
    /// A regular file, open for reading, and its version when it was opened.
    File(DiskFile, FileVersion),
    /// A directory, open for reading.
    Directory(DiskFile, FileVersion),
    /// A FIFO, a socket or a device.
    Special,
}

/// Why an entry could not be opened.
#[derive(Debug)]
pub(super) enum EntryError {
    /// The kernel cannot open it.
    Failed(Errno),
    /// A thread of this pool must open it, because this may block.
    WouldBlock(Arc<Pool>),
}

impl From<Errno> for EntryError {
    fn from(errno: Errno) -> EntryError {
        EntryError::Failed(errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, fs, io::Read, os::unix::fs::symlink};

    thread_local! {
        /// The messages that this thread has logged.
        static MESSAGES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    /// A logger that appends to [`MESSAGES`].
    struct Recorder;

    impl log::Log for Recorder {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            MESSAGES.with_borrow_mut(|messages| messages.push(record.args().to_string()));
        }

        fn flush(&self) {}
    }

    /// A root whose name is `current` in a directory that also contains releases of it.
    struct Releases {
        directory: tempfile::TempDir,
        root: Root,
        now: Instant,
    }

    impl Releases {
        /// Makes the releases `1` and `2` and a root that is a link to the first. The file `page` in a release contains
        /// its name.
        fn new() -> Releases {
            if log::set_logger(&Recorder).is_ok() {
                log::set_max_level(log::LevelFilter::Info);
            }
            let directory = tempfile::tempdir().expect("a directory");
            for release in ["1", "2"] {
                let path = directory.path().join(release);
                fs::create_dir(&path)
                    .and_then(|()| fs::write(path.join("page"), release))
                    .expect("a release");
            }
            symlink("1", directory.path().join("current")).expect("a link");
            let root = Root::open(&directory.path().join("current")).expect("a root");
            Releases { directory, root, now: Instant::now() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        /// Opens `page` after this time. Checks its content, or the error, and the beginnings of the messages since the
        /// last call; `NAME` in these stands for the name of the root.
        fn check(&mut self, millis: u64, expected: Result<&str, Errno>, messages: &[&str]) {
            self.now += Duration::from_millis(millis);
            // If the name leads to another directory, only a thread may find that out.
            let entry = match self.root.open_entry(b"page", self.now, None) {
                Err(EntryError::WouldBlock(pool)) => self.root.open_entry(b"page", self.now, Some(&pool)),
                entry => entry,
            };
            let content = match entry {
                Ok(Entry::File(file, _)) => {
                    let mut content = String::new();
                    (&**file.file()).read_to_string(&mut content).expect("its content");
                    Ok(content)
                }
                Err(EntryError::Failed(errno)) => Err(errno),
                other => panic!("{other:?}"),
            };
            assert_eq!(content.as_deref().map_err(|errno| *errno), expected);
            let logged = MESSAGES.take();
            assert_eq!(logged.len(), messages.len(), "{logged:?}");
            for (logged, expected) in logged.iter().zip(messages) {
                let expected = expected.replace("NAME", &self.path("current").display().to_string());
                assert!(logged.starts_with(&expected), "{logged}, expected {expected}");
            }
        }
    }

    const REOPENED: &str = "reopened the document root NAME: the name leads to another directory now";
    const MISSING: &str = "cannot reopen the document root NAME: no such file";

    #[test]
    fn follows_its_name_to_another_directory_after_a_second() {
        let mut site = Releases::new();
        site.check(0, Ok("1"), &[]);
        symlink("2", site.path("next")).expect("a link");
        fs::rename(site.path("next"), site.path("current")).expect("a rename");
        site.check(999, Ok("1"), &[]);
        site.check(1, Ok("2"), &[REOPENED]);
        site.check(5_000, Ok("2"), &[]);
    }

    #[test]
    fn a_directory_that_is_made_again_is_served_again() {
        let mut site = Releases::new();
        site.check(0, Ok("1"), &[]);
        fs::remove_dir_all(site.path("1")).expect("a directory");
        site.check(1_000, Err(Errno::NOENT), &[MISSING]);
        // Logged once.
        site.check(1_000, Err(Errno::NOENT), &[]);
        fs::write(site.path("1"), "").expect("a file");
        site.check(1_000, Err(Errno::NOENT), &["cannot reopen the document root NAME: not a directory"]);
        fs::remove_file(site.path("1")).expect("a file");
        fs::create_dir(site.path("1")).expect("a directory");
        fs::write(site.path("1/page"), "again").expect("a file");
        site.check(1_000, Ok("again"), &[REOPENED]);
    }

    #[test]
    fn a_directory_that_is_renamed_for_a_while_is_served_on() {
        let mut site = Releases::new();
        fs::rename(site.path("1"), site.path("0")).expect("a rename");
        site.check(0, Ok("1"), &[MISSING]);
        fs::rename(site.path("0"), site.path("1")).expect("a rename");
        site.check(1_000, Ok("1"), &["the document root NAME is there again"]);
    }

    #[test]
    fn the_directory_is_served_on_while_a_thread_checks_the_name() {
        let mut site = Releases::new();
        let next_check = site.root.current().next_check.take();
        symlink("2", site.path("next")).expect("a link");
        fs::rename(site.path("next"), site.path("current")).expect("a rename");
        site.check(60_000, Ok("1"), &[]);
        site.root.current().next_check = next_check;
        site.check(0, Ok("2"), &[REOPENED]);
        site.check(0, Ok("2"), &[]);
    }

    /// The program may change its working directory later.
    #[test]
    fn the_name_is_absolute() {
        let directory = std::env::current_dir().expect("a directory");
        assert_eq!(Root::open(Path::new("src")).expect("a root").name, directory.join("src"));
    }

    #[test]
    fn a_root_opened_by_a_descriptor_is_found_again_by_its_name() {
        let mut site = Releases::new();
        let release = File::open(site.path("2")).expect("a directory");
        let by_descriptor = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&release));
        // Before the root is opened: its name need not be checked yet.
        site.now = Instant::now();
        site.root = Root::open_as(Path::new(&by_descriptor), &site.path("current")).expect("a root");
        drop(release);
        site.check(0, Ok("2"), &[]);
        site.check(1_000, Ok("1"), &[REOPENED]);
    }
}
