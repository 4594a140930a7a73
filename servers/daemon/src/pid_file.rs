//! The PID file: tells an operator which process serves, and ensures that only one process does.
//!
//! The PID in the file proves nothing, because the kernel can reuse it. What counts is the lock on the file (flock(2)):
//! the kernel releases it when the process that holds it ends, even after a crash. A file without a lock is stale.

use crate::system::Context;
use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
    process::{Pid, getpid, test_kill_process},
};
use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The largest size of a PID file in bytes. A larger file is not a PID file.
const MAX_LENGTH: usize = 16;

/// How many times [`PidFile::claim`] tries to open and lock the file. An attempt fails if another process ends and
/// removes the file between the two.
const MAX_ATTEMPTS: u32 = 100;

/// A locked file with the PID of this process. Dropping this value removes the file, or empties it if its directory
/// does not permit removal. Leaves the file as it is if a successor has written its PID into it.
#[derive(Debug)]
pub struct PidFile {
    /// The absolute path of the file.
    path: PathBuf,
    /// The open file. Its lock belongs to every process that has this descriptor: this process and its successor.
    pub file: File,
}

impl PidFile {
    /// Creates the file if it is missing, locks it, and writes the PID of this process. If several processes try this
    /// at once, exactly one succeeds.
    ///
    /// The error is [`ResourceBusy`](io::ErrorKind::ResourceBusy) if another process has locked the file. It is
    /// [`InvalidData`](io::ErrorKind::InvalidData) if the file contains something other than a PID; such a file is not
    /// changed.
    pub fn claim(path: &Path) -> io::Result<PidFile> {
        let path = std::path::absolute(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o644).custom_flags(open_flags());
        for _ in 0..MAX_ATTEMPTS {
            let file = options.open(&path)?;
            lock(&file)?;
            // The previous holder may have removed the file between `open` and `lock`. Then `path` names no file or a
            // new one.
            if is_named(&file, &path)? {
                return PidFile::record(path, file);
            }
        }
        let message = format!("the file was removed {MAX_ATTEMPTS} times by other processes");
        Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
    }

    /// In a successor: takes over the PID file of the predecessor, and writes the PID of this process into it. `file`
    /// is a descriptor of the predecessor, sent to this process, so both processes share the lock of the file.
    ///
    /// Call this before the predecessor learns that this process serves. The predecessor ends then, and removes the
    /// file if it contains the predecessor's PID.
    ///
    /// Fails if `path` no longer names this file, if a third process holds the lock, or if the file cannot be written.
    pub fn take_over(path: &Path, file: OwnedFd) -> io::Result<PidFile> {
        let (path, file) = (std::path::absolute(path)?, File::from(file));
        // Both processes share the lock, so this succeeds although the predecessor holds it.
        lock(&file)?;
        if !is_named(&file, &path)? {
            let message = "the path names a different file than the one handed over";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        PidFile::record(path, file)
    }

    /// Replaces the content of the file with the PID of this process. After a handoff that failed, the new modification
    /// time tells a waiting `httpd --upgrade` that this process continues.
    pub fn write_pid(&self) -> io::Result<()> {
        let line = format!("{}\n", getpid());
        // In this order a reader never sees a part of a PID: the first line is the old PID, this PID, or missing.
        self.file.write_all_at(line.as_bytes(), 0)?;
        self.file.set_len(line.len() as u64)
    }

    /// Writes the PID of this process to the locked `file`, whose path is `path`. Fails if the file contains something
    /// other than a PID, or if it cannot be written.
    fn record(path: PathBuf, file: File) -> io::Result<PidFile> {
        // Rejects a file that the operator named by mistake.
        parse(&file)?;
        let pid_file = PidFile { path, file };
        pid_file.write_pid()?;
        Ok(pid_file)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let is_ours = parse(&self.file).is_ok_and(|pid| pid == Some(getpid()));
        let is_named = is_named(&self.file, &self.path).unwrap_or(false);
        if is_ours && is_named && fs::remove_file(&self.path).is_err() {
            // Only root may be able to remove it, and this process may have switched users. An empty file names no
            // process.
            let _ = self.file.set_len(0);
        }
    }
}

/// What [`read`] finds in a PID file.
#[derive(Debug)]
pub struct Content {
    /// `None` if the file is empty or contains something other than a PID.
    pub pid: Option<Pid>,
    /// When the file was last modified.
    pub modified: SystemTime,
    /// The owner and the identity of the file.
    pub file: Metadata,
}

/// Whether a running process holds the lock of the PID file. Fails if the file cannot be opened.
pub fn is_held(path: &Path) -> io::Result<bool> {
    Ok(flock(&open(path)?, FlockOperation::NonBlockingLockShared).is_err())
}

/// Reads the PID file. Fails if the file cannot be opened.
pub fn read(path: &Path) -> io::Result<Content> {
    let opened = open(path)?;
    let file = opened.metadata()?;
    Ok(Content { pid: parse(&opened).unwrap_or(None), modified: file.modified()?, file })
}

/// Opens the file for reading. Fails if the path names a symbolic link. Does not wait if it names a FIFO.
fn open(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().read(true).custom_flags(open_flags()).open(path);
    opened.context(format_args!("cannot open {}", path.display()))
}

/// The flags with which a PID file is opened: another user may have placed a symbolic link or a FIFO there.
fn open_flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

/// Locks the file (flock(2)) without waiting. If another process holds the lock, the error is
/// [`ResourceBusy`](io::ErrorKind::ResourceBusy), and its message names that process if its PID is known.
fn lock(file: &File) -> io::Result<()> {
    let result = flock(file, FlockOperation::NonBlockingLockExclusive);
    if result != Err(Errno::WOULDBLOCK) {
        return Ok(result?);
    }
    let message = match parse(file) {
        Ok(Some(pid)) if test_kill_process(pid) != Err(Errno::SRCH) => {
            format!("process {pid} is already running")
        }
        // The holder has not yet replaced the PID of a process that has ended.
        _ => "another process is starting".to_owned(),
    };
    Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
}

/// Returns the PID in the file, or `None` if the file is empty. Fails if it contains anything else.
fn parse(file: &File) -> io::Result<Option<Pid>> {
    let mut content = [0; MAX_LENGTH + 1];
    let length = file.read_at(&mut content, 0)?;
    if length == 0 {
        return Ok(None);
    }
    let text = str::from_utf8(&content[..length]).ok().filter(|text| text.len() <= MAX_LENGTH);
    let number = text.and_then(|text| text.lines().next()?.trim().parse::<u32>().ok());
    let pid = number.and_then(|number| Pid::from_raw(number.try_into().ok()?));
    let invalid =
        || io::Error::new(io::ErrorKind::InvalidData, "the file contains something other than a PID");
    pid.map(Some).ok_or_else(invalid)
}

/// Whether `path` names the open `file`: false if it names another file, a symbolic link or nothing. Fails if `path`
/// cannot be examined.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        os::unix::fs::symlink,
        process::{Command, id},
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };
    use tempfile::TempDir;

    /// A new directory, and the path for a PID file in it, which does not exist yet.
    fn directory() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pid");
        (directory, path)
    }

    /// The content of a PID file that this process holds.
    fn own_line() -> String {
        format!("{}\n", id())
    }

    /// The content of the file, or `None` if it does not exist.
    fn content(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    /// Checks that claiming the file fails with this message, because its lock is held.
    fn check_busy(path: &Path, message: &str) {
        let error = PidFile::claim(path).expect_err("another process holds it");
        assert_eq!((error.kind(), &*error.to_string()), (io::ErrorKind::ResourceBusy, message));
    }

    /// Claims a file that contains `before`, or a missing file for `None`, and checks the result. Then checks that a
    /// claimed file names this process until it is dropped, and that any other file is unchanged.
    fn check(before: Option<&str>, expected: Result<(), io::ErrorKind>) {
        let (_directory, path) = directory();
        before.iter().for_each(|text| fs::write(&path, text).expect("a file"));
        let claimed = PidFile::claim(&path);
        assert_eq!(claimed.as_ref().map(drop).map_err(io::Error::kind), expected, "{before:?}");
        if claimed.is_ok() {
            assert_eq!(content(&path), Some(own_line()), "{before:?}");
            drop(claimed);
            assert_eq!(content(&path), None, "{before:?}");
        } else {
            assert_eq!(content(&path).as_deref(), before);
        }
    }

    #[test]
    fn claims_a_file_that_no_process_holds() {
        let mut child = Command::new("/bin/true").spawn().expect("a process");
        child.wait().expect("its end");
        check(None, Ok(()));
        check(Some(""), Ok(()));
        check(Some(&format!("{}\n", child.id())), Ok(()));
        check(Some("  4194304  \r\n\n"), Ok(()));
        // The process exists, but does not hold the lock.
        check(Some("1"), Ok(()));
    }

    #[test]
    fn leaves_a_file_alone_that_is_not_a_pid_file() {
        for content in ["listen 80\n", "0", "-1", "\n", "4294967295", "80\nlisten\nwork\nmore\n", "\0"] {
            check(Some(content), Err(io::ErrorKind::InvalidData));
        }
        let (directory, link) = directory();
        let file = directory.path().join("file");
        fs::write(&file, "").and_then(|()| symlink(&file, &link)).expect("a link");
        PidFile::claim(&link).expect_err("a link");
        PidFile::claim(directory.path()).expect_err("a directory");
        PidFile::claim(&directory.path().join("missing/pid")).expect_err("no directory");
    }

    #[test]
    fn names_the_process_that_holds_the_file() {
        let (_directory, path) = directory();
        let held = PidFile::claim(&path).expect("a free file");
        check_busy(&path, &format!("process {} is already running", id()));
        assert_eq!(content(&path), Some(own_line()));
        let mut ended = Command::new("/bin/true").spawn().expect("a process");
        ended.wait().expect("its end");
        for before in [String::new(), ended.id().to_string()] {
            fs::write(&path, before).expect("as before the PID is written");
            check_busy(&path, "another process is starting");
        }
        held.write_pid().expect("as before");
        drop(held);
        PidFile::claim(&path).expect("a free file");
    }

    #[test]
    fn one_of_many_concurrent_claims_succeeds() {
        let (_directory, path) = directory();
        let (holders, wins) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let compete = || {
            for _ in 0..250 {
                match PidFile::claim(&path) {
                    Ok(_held) => {
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                        assert_eq!(content(&path), Some(own_line()));
                        wins.fetch_add(1, Ordering::SeqCst);
                        holders.fetch_sub(1, Ordering::SeqCst);
                    }
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}"),
                }
            }
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(compete))));
        assert!(wins.into_inner() > 0 && !path.exists());
    }

    #[test]
    fn a_successor_takes_over_the_lock() {
        let (_directory, path) = directory();
        let predecessor = PidFile::claim(&path).expect("a free file");
        let sent = predecessor.file.try_clone().expect("a descriptor").into();
        let successor = PidFile::take_over(&path, sent).expect("the file handed over");
        fs::write(&path, "1\n").expect("as if the successor were another process");
        drop(predecessor);
        assert_eq!(content(&path).as_deref(), Some("1\n"), "the predecessor must not remove it");
        PidFile::claim(&path).expect_err("the successor holds the lock");
        successor.write_pid().expect("as before");
        drop(successor);
        assert!(!path.exists());
    }

    #[test]
    fn takes_over_only_the_file_that_was_sent() {
        let (directory, path) = directory();
        let held = PidFile::claim(&path).expect("a free file");
        let check = |file: OwnedFd, expected: &str| {
            assert_eq!(PidFile::take_over(&path, file).expect_err("not the same file").to_string(), expected);
        };
        // The same file, but opened separately and so without the lock.
        check(File::open(&path).expect("a file").into(), &format!("process {} is already running", id()));
        let sent = held.file.try_clone().expect("a descriptor").into();
        fs::rename(&path, directory.path().join("moved")).expect("another name");
        check(sent, "the path names a different file than the one handed over");
    }
}
