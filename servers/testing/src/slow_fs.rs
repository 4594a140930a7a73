//! A file system whose calls hang until a test lets them continue, or take as long as a test says.
//!
//! It is a FUSE file system with one directory of regular files. The kernel passes each call on a file to this process,
//! which answers it from memory, unless a test [holds](SlowFs::hang) that call: then another thread answers it later.
//! So a call that hangs delays no other call.
//!
//! A process that waits for an answer does not end, even after SIGKILL. So a [`Held`] must be dropped before the
//! [`Program`](crate::program::Program) that it holds: declare it later.

use crate::{client::TIMEOUT, site::Directory};
use fuser::{
    BackgroundSession, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, Request, Session,
};
use rustix::mount::{UnmountFlags, unmount};
use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

/// How long a call hangs if the test does not let it continue: so long that a test fails before.
const LONGEST: Duration = TIMEOUT.saturating_mul(3);

/// How many reads and releases the kernel has in progress at once: more than a test holds. The default is 16.
const MAX_BACKGROUND: u16 = 1024;

/// The name by which a test holds calls on the directory itself.
pub const ROOT: &str = "";

/// A call that the kernel passes to the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Finds a name in the directory. The kernel asks for it whenever a path is used, unless
    /// [`cache_names`](SlowFs::cache_names) has been called.
    Lookup,
    /// Part of stat(2) and fstat(2).
    Getattr,
    Open,
    /// Reads one page of a file, when a program needs it: the kernel reads nothing ahead.
    Read,
    /// Part of close(2), which waits for it.
    Flush,
    /// Follows the last close(2), which does not wait for it.
    Release,
    /// Part of statfs(2) and fstatfs(2).
    Statfs,
    Opendir,
    Readdir,
}

/// A mounted file system. Dropping it lets all calls continue, makes later calls fail, and unmounts it, even if it is
/// in use.
pub struct SlowFs {
    root: PathBuf,
    shared: SharedState,
    /// Answers calls until the file system is unmounted.
    _session: BackgroundSession,
    /// The directory that [`mount`](SlowFs::mount) has made.
    _directory: Option<Directory>,
}

impl SlowFs {
    /// Mounts an empty file system on a new directory. Returns `None`, and prints why, where FUSE file systems cannot
    /// be mounted: without `/dev/fuse`, or without the permission to mount.
    pub fn mount() -> Option<SlowFs> {
        let directory = Directory::new();
        let mut fs = SlowFs::mount_at(directory.root())?;
        fs._directory = Some(directory);
        Some(fs)
    }

    /// Mounts an empty file system at `root`, an existing directory. Returns `None` where [`mount`](SlowFs::mount)
    /// does.
    pub fn mount_at(root: &Path) -> Option<SlowFs> {
        let shared = SharedState(Arc::default());
        let session = Session::new(shared.clone(), root, &fuser::Config::default()).and_then(Session::spawn);
        let session = session
            .inspect_err(|error| eprintln!("skipped: cannot mount a FUSE file system: {error}"))
            .ok()?;
        Some(SlowFs { root: root.to_owned(), shared, _session: session, _directory: None })
    }

    /// Returns the directory where the file system is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Adds a file to the directory. The name must be new, and must not contain `/`.
    pub fn add(&self, name: &str, content: impl Into<Arc<[u8]>>) {
        self.shared.lock().files.push((name.to_owned(), content.into()));
    }

    /// Lets the kernel remember names and attributes that it asks for from now on: opening a file then needs no
    /// `Lookup` but still an `Open`. Before this call, it remembers none.
    pub fn cache_names(&self) {
        self.shared.lock().names_valid_for = Duration::from_secs(3600);
    }

    /// Makes calls of this kind on these files hang, until the result is dropped. A name that no file has is not found
    /// later. [`ROOT`] names the directory.
    ///
    /// If several holds match a call, the first one holds it.
    pub fn hang(&self, op: Op, names: &[impl AsRef<str>]) -> Held {
        self.delay(op, names, LONGEST)
    }

    /// Makes each call of this kind on these files take `duration`, until the result is dropped.
    pub fn delay(&self, op: Op, names: &[impl AsRef<str>], duration: Duration) -> Held {
        let names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        let mut state = self.shared.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.holds.push(Hold { id, op, names, duration, reached: 0 });
        Held { shared: self.shared.clone(), id }
    }
}

impl Drop for SlowFs {
    fn drop(&mut self) {
        self.shared.change(|state| state.holds.clear());
        // FORCE makes the calls fail that the kernel has not answered. Without the permission to unmount, the session
        // runs fusermount3, which detaches the mount too.
        let _ = unmount(&self.root, UnmountFlags::FORCE | UnmountFlags::DETACH);
    }
}

/// Holds calls until it is dropped. See [`SlowFs::hang`].
#[must_use = "calls hang only as long as this exists"]
pub struct Held {
    shared: SharedState,
    id: u64,
}

impl Held {
    /// Waits until `count` calls have been held, including those that continue by now. Panics after [`TIMEOUT`].
    pub fn wait_until_reached(&self, count: usize) {
        let reached =
            |state: &State| state.holds.iter().find(|hold| hold.id == self.id).map(|hold| hold.reached);
        let state = self.shared.wait_while(self.shared.lock(), TIMEOUT, |state| reached(state) < Some(count));
        let reached = reached(&state);
        drop(state);
        assert!(reached >= Some(count), "only {reached:?} of {count} calls have reached the file system");
    }

    /// Lets the calls continue.
    pub fn release(self) {}
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.change(|state| state.holds.retain(|hold| hold.id != self.id));
    }
}

/// Which calls hang.
struct Hold {
    id: u64,
    op: Op,
    names: Vec<String>,
    /// How long each call hangs at most.
    duration: Duration,
    /// How many calls have been held.
    reached: usize,
}

#[derive(Default)]
struct State {
    /// Names and contents. The number of a file's inode is its index + 2; that of the directory is 1.
    files: Vec<(String, Arc<[u8]>)>,
    /// How long the kernel may use what it has learned about names and attributes.
    names_valid_for: Duration,
    holds: Vec<Hold>,
    next_id: u64,
}

impl State {
    /// Returns the name and the content of the file with this inode number, or the directory's, or `None` if there is
    /// no such file.
    fn file(&self, inode: INodeNo) -> Option<(&str, &[u8])> {
        if inode == INodeNo::ROOT {
            return Some((ROOT, &[]));
        }
        let (name, content) = self.files.get(usize::try_from(inode.0.checked_sub(2)?).ok()?)?;
        Some((name, content))
    }

    /// Returns the attributes of a file or of the directory. All times are 1970, so that no file counts as just
    /// changed.
    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (_, content) = self.file(inode)?;
        let is_root = inode == INodeNo::ROOT;
        let (kind, perm) =
            if is_root { (FileType::Directory, 0o755) } else { (FileType::RegularFile, 0o644) };
        let (size, time) = (content.len() as u64, SystemTime::UNIX_EPOCH);
        Some(FileAttr {
            ino: inode,
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

/// What the test shares with the threads that answer calls.
#[derive(Clone)]
struct SharedState(Arc<(Mutex<State>, Condvar)>);

impl SharedState {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes all threads that wait for a change.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.0.1.notify_all();
        result
    }

    /// Waits as long as the condition holds, but at most for `duration`.
    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        duration: Duration,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let result = self.0.1.wait_timeout_while(state, duration, |state| condition(state));
        result.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Answers a call on a file: now or, if a test holds it, on another thread when it may continue.
    fn answer(&self, op: Op, inode: INodeNo, answer: impl FnOnce() + Send + 'static) {
        let name = self.lock().file(inode).map(|(name, _)| name.to_owned());
        self.answer_by_name(op, &name.unwrap_or_default(), answer);
    }

    /// Answers a call on the file `name`, which need not exist, as [`answer`](SharedState::answer) does.
    fn answer_by_name(&self, op: Op, name: &str, answer: impl FnOnce() + Send + 'static) {
        let held = self.change(|state| {
            let mut holds = state.holds.iter_mut();
            let hold = holds.find(|hold| hold.op == op && hold.names.iter().any(|held| held == name))?;
            hold.reached += 1;
            Some((hold.id, hold.duration))
        });
        let Some((id, duration)) = held else { return answer() };
        let shared = self.clone();
        thread::spawn(move || {
            let is_held = |state: &State| state.holds.iter().any(|hold| hold.id == id);
            drop(shared.wait_while(shared.lock(), duration, is_held));
            answer();
        });
    }
}

impl Filesystem for SharedState {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Without this flag, the kernel asks for one name of a directory at a time.
        let _ = config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS);
        let _ = config.set_max_background(MAX_BACKGROUND);
        // Less than a page: otherwise the kernel would read before a program needs the bytes, so that a read could be
        // held while no program waits.
        let _ = config.set_max_readahead(1);
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.lock();
        let index = state.files.iter().position(|(known, _)| name == known.as_str());
        let found = index.and_then(|index| state.attributes(INodeNo(index as u64 + 2)));
        let valid_for = state.names_valid_for;
        drop(state);
        self.answer_by_name(Op::Lookup, &name.to_string_lossy(), move || match found {
            Some(attributes) => reply.entry(&valid_for, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        });
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let state = self.lock();
        let (found, valid_for) = (state.attributes(inode), state.names_valid_for);
        drop(state);
        self.answer(Op::Getattr, inode, move || match found {
            Some(attributes) => reply.attr(&valid_for, &attributes),
            None => reply.error(Errno::ENOENT),
        });
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.answer(Op::Open, inode, move || reply.opened(FileHandle(0), FopenFlags::empty()));
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let content =
            self.lock().files.get((inode.0 as usize).wrapping_sub(2)).map(|(_, content)| Arc::clone(content));
        self.answer(Op::Read, inode, move || {
            let content = content.as_deref().unwrap_or_default();
            let start = content.len().min(offset as usize);
            let end = content.len().min(start + size as usize);
            reply.data(&content[start..end]);
        });
    }

    fn flush(&self, _: &Request, inode: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.answer(Op::Flush, inode, move || reply.ok());
    }

    fn release(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.answer(Op::Release, inode, move || reply.ok());
    }

    fn statfs(&self, _: &Request, inode: INodeNo, reply: ReplyStatfs) {
        self.answer(Op::Statfs, inode, move || reply.statfs(0, 0, 0, 0, 0, 4096, 255, 4096));
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.answer(Op::Opendir, inode, move || reply.opened(FileHandle(0), FopenFlags::empty()));
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let names: Vec<String> = self.lock().files.iter().map(|(name, _)| name.clone()).collect();
        self.answer(Op::Readdir, inode, move || {
            for (index, name) in names.iter().enumerate().skip(offset as usize) {
                if reply.add(INodeNo(index as u64 + 2), index as u64 + 1, FileType::RegularFile, name) {
                    break;
                }
            }
            reply.ok();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Makes a file system with the files `a` and `b`.
    fn mount() -> Option<SlowFs> {
        let fs = SlowFs::mount()?;
        fs.add("a", *b"content of a");
        fs.add("b", vec![b'b'; 1_000_000]);
        Some(fs)
    }

    #[test]
    fn serves_files() {
        let Some(fs) = mount() else { return };
        assert_eq!(fs::read(fs.root().join("a")).expect("a file"), b"content of a");
        assert_eq!(fs::read(fs.root().join("b")).expect("a file"), vec![b'b'; 1_000_000]);
        assert_eq!(fs::read(fs.root().join("c")).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
        let names =
            fs::read_dir(fs.root()).expect("a directory").map(|entry| entry.expect("an entry").file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
    }

    /// Uses the file `path` in every way that can hang.
    fn use_file(path: &Path) -> Vec<u8> {
        let content = fs::read(path).expect("a file");
        rustix::fs::statfs(path).expect("a file system");
        let directory = path.parent().expect("a directory");
        assert_eq!(fs::read_dir(directory).expect("a directory").count(), 2);
        content
    }

    #[test]
    fn a_held_call_hangs_and_no_other() {
        let Some(fs) = mount() else { return };
        for (op, name) in [
            (Op::Lookup, "a"),
            (Op::Getattr, "a"),
            (Op::Open, "a"),
            (Op::Read, "a"),
            (Op::Flush, "a"),
            (Op::Statfs, "a"),
            (Op::Opendir, ROOT),
            (Op::Readdir, ROOT),
        ] {
            let held = fs.hang(op, &[name]);
            let path = fs.root().join("a");
            let user = thread::spawn(move || use_file(&path));
            held.wait_until_reached(1);
            assert_eq!(fs::read(fs.root().join("b")).expect("a file").len(), 1_000_000, "{op:?}");
            assert!(!user.is_finished(), "{op:?}");
            held.release();
            assert_eq!(user.join().expect("no panic"), b"content of a", "{op:?}");
        }
    }

    #[test]
    fn a_held_release_hangs_after_the_close() {
        let Some(fs) = mount() else { return };
        let held = fs.hang(Op::Release, &["a"]);
        use_file(&fs.root().join("a"));
        held.wait_until_reached(1);
    }

    #[test]
    fn a_delayed_call_continues() {
        let Some(fs) = mount() else { return };
        let held = fs.delay(Op::Open, &["a"], Duration::from_millis(10));
        use_file(&fs.root().join("a"));
        held.wait_until_reached(1);
    }

    #[test]
    fn a_cached_name_is_not_looked_up() {
        let Some(fs) = mount() else { return };
        fs.cache_names();
        use_file(&fs.root().join("a"));
        let (lookups, opens) = (fs.hang(Op::Lookup, &["a"]), fs.delay(Op::Open, &["a"], Duration::ZERO));
        use_file(&fs.root().join("a"));
        opens.wait_until_reached(1);
        lookups.release();
    }

    /// A test that fails leaves neither a mount nor a thread that hangs.
    #[test]
    fn a_call_that_hangs_fails_when_the_file_system_is_dropped() {
        let Some(fs) = mount() else { return };
        let (root, held) = (fs.root().to_owned(), fs.hang(Op::Read, &["a"]));
        let file = fs::File::open(root.join("a")).expect("a file");
        let user = thread::spawn(move || io::read_to_string(file));
        held.wait_until_reached(1);
        drop(fs);
        // The read may have been answered before the file system was unmounted.
        let _ = user.join().expect("no panic");
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        assert!(!mounts.contains(root.to_str().expect("text")), "{mounts}");
    }
}
