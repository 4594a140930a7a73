//! The pid file: tells an operator which process serves, and makes sure that it is only one.
//!
//! A number alone proves nothing, for it may be another process's by now. What counts is the lock on the file: the
//! kernel gives it to one process and takes it back when that is gone, however it went. So a file without a lock is
//! stale, whatever stands in it.

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
    process::{Pid, getpid, test_kill_process},
};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

/// A pid file has at most this many bytes; a longer one is none.
const LONGEST: usize = 16;

/// How often a file is claimed that goes away meanwhile. Each time, another process has just ended.
const TRIES: u32 = 100;

/// A locked file with this process's number, removed when this is dropped, unless a successor has taken it over.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// Holds the lock, together with a successor that it was sent to.
    file: File,
}

impl PidFile {
    /// Makes this process the one that `path` names. Of several that try at once, exactly one succeeds.
    ///
    /// # Errors
    ///
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy), naming the process, while another one holds the file;
    /// [`InvalidData`](io::ErrorKind::InvalidData) for a file that holds anything but a number, which is left as it
    /// is; whatever else keeps the file from being written.
    pub fn claim(path: &Path) -> io::Result<PidFile> {
        let path = std::path::absolute(path)?;
        for _ in 0..TRIES {
            let file = open(&path)?;
            lock(&file)?;
            // Whoever had the lock may just have removed the file: then this is no longer what the name leads to.
            if is_named(&file, &path)? {
                return PidFile { path, file }.record();
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is another file each time it is opened"))
    }

    /// Takes over a predecessor's pid file, together with its lock: `file` is its descriptor, sent from there. To be
    /// called before the predecessor is told that it may go, for it removes a file that still names it.
    ///
    /// # Errors
    ///
    /// When `file` is not what `path` names, is locked by a third process, or cannot be written.
    pub fn take_over(path: &Path, file: OwnedFd) -> io::Result<PidFile> {
        let (path, file) = (std::path::absolute(path)?, File::from(file));
        // The lock belongs to what both descriptors stand for: whoever shares it has it already.
        lock(&file)?;
        if !is_named(&file, &path)? {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it is not the file that was handed over"));
        }
        PidFile { path, file }.record()
    }

    /// Writes this process's number.
    fn record(self) -> io::Result<PidFile> {
        // Refuses what was named by mistake and is no pid file.
        recorded(&self.file)?;
        let line = format!("{}\n", getpid());
        // In this order the first line is at any time the old one, or none, or this: never a part of one.
        self.file.write_all_at(line.as_bytes(), 0)?;
        self.file.set_len(line.len() as u64)?;
        Ok(self)
    }
}

impl AsFd for PidFile {
    /// What is sent to a successor, which then holds the lock as well.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let ours = recorded(&self.file).is_ok_and(|process| process == Some(getpid()));
        if ours && is_named(&self.file, &self.path).unwrap_or(false) && fs::remove_file(&self.path).is_err() {
            // The folder may belong to root, which this process no longer is. An empty file names nobody.
            let _ = self.file.set_len(0);
        }
    }
}

/// Opens or makes the file; never through a link that somebody has laid there.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o644).custom_flags(flags.cast_signed()).open(path)
}

fn lock(file: &File) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(io::Error::new(io::ErrorKind::ResourceBusy, holder(file))),
        outcome => Ok(outcome?),
    }
}

/// Who it is that holds the lock, in words.
fn holder(file: &File) -> String {
    match recorded(file) {
        Ok(Some(process)) if test_kill_process(process) != Err(Errno::SRCH) => {
            format!("process {process} runs already")
        }
        // It has the lock, but has not yet written its number over that of a process long gone.
        _ => "another process is just starting".to_owned(),
    }
}

/// The process whose number stands in the file, if any does.
fn recorded(file: &File) -> io::Result<Option<Pid>> {
    let mut content = [0; LONGEST + 1];
    let length = file.read_at(&mut content, 0)?;
    if length == 0 {
        return Ok(None);
    }
    let text = str::from_utf8(&content[..length]).ok().filter(|text| text.len() <= LONGEST);
    let number = text.and_then(|text| text.lines().next()).and_then(|line| line.trim().parse::<u32>().ok());
    match number.and_then(|number| Pid::from_raw(number.try_into().ok()?)) {
        None => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it holds something else than a process's number"))
        }
        process => Ok(process),
    }
}

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
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    fn own_line() -> String {
        format!("{}\n", id())
    }

    /// Claims a file that holds this already, or none.
    fn check(content: Option<&str>, expected: Result<&str, io::ErrorKind>) {
        let folder = folder();
        let path = folder.path().join("pid");
        content.iter().for_each(|content| fs::write(&path, content).expect("a file"));
        let claimed = PidFile::claim(&path);
        let read = || fs::read_to_string(&path).ok();
        match expected {
            Ok(line) => {
                assert_eq!(read().as_deref(), Some(line), "{content:?}: {claimed:?}");
                drop(claimed);
                assert_eq!(read(), None, "{content:?}");
            }
            Err(kind) => {
                assert_eq!(claimed.expect_err("refused").kind(), kind, "{content:?}");
                assert_eq!(read().as_deref(), content);
            }
        }
    }

    #[test]
    fn a_file_that_nobody_holds_is_claimed() {
        let mut child = Command::new("/bin/true").spawn().expect("a process");
        child.wait().expect("its end");
        check(None, Ok(&own_line()));
        check(Some(""), Ok(&own_line()));
        check(Some(&format!("{}\n", child.id())), Ok(&own_line()));
        check(Some("  4194304  \r\n\n"), Ok(&own_line()));
        // The number is somebody's by now, and yet nobody has the lock.
        check(Some("1"), Ok(&own_line()));
    }

    #[test]
    fn what_is_no_pid_file_is_left_alone() {
        for content in ["listen 80\n", "0", "-1", "\n", "4294967295", "80\nlisten\nwork\nmore\n", "\0"] {
            check(Some(content), Err(io::ErrorKind::InvalidData));
        }
        let folder = folder();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "").and_then(|()| symlink(&file, &link)).expect("a link");
        PidFile::claim(&link).expect_err("a link");
        PidFile::claim(folder.path()).expect_err("a directory");
        PidFile::claim(&folder.path().join("missing/pid")).expect_err("no directory");
    }

    #[test]
    fn whoever_holds_the_file_is_named() {
        let folder = folder();
        let path = folder.path().join("pid");
        let check = |expected: &str| {
            let error = PidFile::claim(&path).expect_err("another has it");
            assert_eq!((error.kind(), &*error.to_string()), (io::ErrorKind::ResourceBusy, expected));
        };
        let held = PidFile::claim(&path).expect("nobody has it");
        check(&format!("process {} runs already", id()));
        assert_eq!(fs::read_to_string(&path).ok(), Some(own_line()));
        fs::write(&path, "").expect("as if it had not been written yet");
        check("another process is just starting");
        fs::write(&path, own_line()).expect("as it was");
        drop(held);
        PidFile::claim(&path).expect("nobody has it");
    }

    /// In a crowd that comes and goes there is never more than one.
    #[test]
    fn one_of_many_wins() {
        let folder = folder();
        let path = folder.path().join("pid");
        let (holders, wins, start) = (AtomicUsize::new(0), AtomicUsize::new(0), Barrier::new(4));
        let compete = || {
            start.wait();
            for _ in 0..250 {
                match PidFile::claim(&path) {
                    Ok(held) => {
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                        assert_eq!(fs::read_to_string(&path).ok(), Some(own_line()));
                        wins.fetch_add(1, Ordering::SeqCst);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(held);
                    }
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}"),
                }
            }
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(compete))));
        assert!(wins.into_inner() > 0 && !path.exists());
    }

    #[test]
    fn a_successor_takes_the_lock_over() {
        let folder = folder();
        let path = folder.path().join("pid");
        let predecessor = PidFile::claim(&path).expect("nobody has it");
        let sent = || predecessor.as_fd().try_clone_to_owned().expect("a descriptor");
        let successor = PidFile::take_over(&path, sent()).expect("it was sent");
        fs::write(&path, "1\n").expect("as if the successor were another process");
        drop(predecessor);
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("1\n"), "not the predecessor's any more");
        PidFile::claim(&path).expect_err("the successor has the lock");
        fs::write(&path, own_line()).expect("as it was");
        drop(successor);
        assert!(!path.exists());
    }

    #[test]
    fn only_what_was_sent_is_taken_over() {
        let folder = folder();
        let path = folder.path().join("pid");
        let held = PidFile::claim(&path).expect("nobody has it");
        let another = File::open(&path).expect("the same file, opened by itself");
        let refused = PidFile::take_over(&path, another.into()).expect_err("it comes without the lock");
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        let sent = held.as_fd().try_clone_to_owned().expect("a descriptor");
        fs::rename(&path, folder.path().join("moved")).expect("another name");
        let refused = PidFile::take_over(&path, sent).expect_err("the name leads elsewhere");
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
    }

    /// Whoever was root when the file was made may be nobody when it goes. To the kernel a user belongs to a thread.
    #[test]
    fn what_cannot_be_removed_names_nobody() {
        if !rustix::process::geteuid().is_root() {
            return println!("skipped: only root can become somebody who may do less");
        }
        let folder = folder();
        let path = folder.path().join("pid");
        let held = PidFile::claim(&path).expect("nobody has it");
        let drop_as_nobody = || {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).expect("root may");
            drop(held);
        };
        thread::scope(|scope| scope.spawn(drop_as_nobody).join()).expect("no panic");
        assert_eq!(fs::read(&path).ok(), Some(Vec::new()));
        PidFile::claim(&path).expect("nobody has it");
    }
}
