//! Writes whole lines to a file, a pipe or a terminal.
//!
//! Other processes may write to the same output, and a write may be interrupted, incomplete or fail. Even then no line
//! may mix with another.

use crate::{
    privileges::Identity,
    system::{Context, parent_directory},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags, open},
    io::{Errno, retry_on_intr},
};
use std::{
    fmt,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

/// The longest log line in bytes, with its newline: pipe(7) writes this many bytes atomically (`PIPE_BUF`). Text that a
/// client chooses is truncated to fit.
pub(super) const MAX_LINE_BYTES: usize = 4096;

/// Where a log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Appends to this file, which is created if it does not exist. It may be a FIFO or a device, but not a socket.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Output {
    /// Returns the output that an operator names by `path`: `-` is standard output. The names of standard output and
    /// standard error in `/dev` and `/proc` mean the open descriptor: opening the name again fails for a socket, and
    /// after a switch of users.
    pub fn from_path(path: PathBuf) -> Output {
        match path.to_str() {
            Some("-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => Output::Stdout,
            Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => Output::Stderr,
            _ => Output::File(path),
        }
    }

    /// Returns the path of a file; `None` for standard output and standard error.
    pub(super) fn path(&self) -> Option<&Path> {
        if let Output::File(path) = self { Some(path) } else { None }
    }

    /// Opens the output for writing. A FIFO without a reader is an error.
    pub(super) fn open(&self) -> io::Result<File> {
        let opened = match self {
            Output::File(path) => open_file(path, OFlags::empty()),
            Output::Stdout => io::stdout().as_fd().try_clone_to_owned(),
            Output::Stderr => io::stderr().as_fd().try_clone_to_owned(),
        };
        opened.map(File::from).context(format_args!("cannot open the log {self}"))
    }

    /// As root, opens the file of a log for a process that is going to switch to the user `identity`. Returns `None` if
    /// the user could replace the file or its directory: root would append to whatever file the user chooses. Then the
    /// process must open the file as that user. Also returns `None` if the output is not a file.
    pub(super) fn open_as_root(&self, identity: &Identity) -> io::Result<Option<File>> {
        let Some(path) = self.path() else { return Ok(None) };
        if identity.controls(parent_directory(path)).context(format_args!("cannot open the log {self}"))? {
            return Ok(None);
        }
        match open_file(path, OFlags::NOFOLLOW) {
            // A symbolic link, whose target the user may control.
            Err(error) if error.kind() == Errno::LOOP.kind() => Ok(None),
            result => {
                result.map(|file| Some(file.into())).context(format_args!("cannot open the log {self}"))
            }
        }
    }

    /// Whether this is the name of the open `file`. False if that cannot be found out.
    pub(super) fn names(&self, file: &File) -> bool {
        let Some(path) = self.path() else { return true };
        let (Ok(open), Ok(named)) = (file.metadata(), fs::metadata(path)) else { return false };
        (named.dev(), named.ino()) == (open.dev(), open.ino())
    }
}

/// Opens the file of a log, with further flags.
fn open_file(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    // APPEND keeps processes from overwriting each other; NONBLOCK keeps a FIFO without a reader from blocking the
    // start.
    let flags = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    // Logs hold client addresses, so other users must not read them.
    Ok(open(path, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP)?)
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::File(path) => path.display().fmt(f),
            Output::Stdout => f.write_str("standard output"),
            Output::Stderr => f.write_str("standard error"),
        }
    }
}

/// Writes lines to an open output. If a write fails in the middle of a line, the next line still starts on a new line.
pub(super) struct LineWriter<W> {
    output: W,
    /// Whether the last write ended in the middle of a line.
    mid_line: bool,
}

impl<W: Write + AsFd> LineWriter<W> {
    /// Creates a writer to an output that is at the start of a line.
    pub(super) fn new(output: W) -> LineWriter<W> {
        LineWriter { output, mid_line: false }
    }

    /// Writes all lines of `text`, and waits while the output is full. If the previous call failed in the middle of a
    /// line, writes a newline first. The error is the number of lines that were not written completely, and the cause.
    pub(super) fn write(&mut self, text: &[u8]) -> Result<(), (u64, io::Error)> {
        let mut rest = text;
        let result = self.write_rest(&mut rest);
        result.map_err(|cause| (rest.iter().filter(|byte| **byte == b'\n').count() as u64, cause))
    }

    /// Writes the lines in `rest`, and removes from `rest` what is written. After a failure, `rest` is what was not
    /// written.
    fn write_rest(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        while self.mid_line && !rest.is_empty() {
            self.write_once(b"\n")?;
        }
        while !rest.is_empty() {
            let count = self.write_once(whole_lines(rest))?;
            *rest = &rest[count..];
        }
        Ok(())
    }

    /// Writes some of `bytes`, at least one, and returns how many. Waits while the output is full, and retries after
    /// EINTR.
    fn write_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.output.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.mid_line = bytes[count - 1] != b'\n';
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    retry_on_intr(|| poll(&mut [PollFd::new(&self.output, PollFlags::OUT)], None))?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Returns the first whole lines of `text`, as many as fit into [`MAX_LINE_BYTES`], so that a pipe accepts them in one
/// atomic write. If there is no newline within that length, returns the text up to that length.
fn whole_lines(text: &[u8]) -> &[u8] {
    let window = &text[..text.len().min(MAX_LINE_BYTES)];
    let end = window.iter().rposition(|byte| *byte == b'\n').map_or(window.len(), |at| at + 1);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::VecDeque, os::fd::BorrowedFd};

    /// An output that treats each write as the next item of `script` says: it accepts that many bytes, or fails. After
    /// the script, it accepts everything.
    struct ScriptedOutput {
        script: VecDeque<Result<usize, ErrorKind>>,
        written: Vec<u8>,
        /// The file to poll for room, which is always ready.
        always_writable: File,
    }

    impl Write for ScriptedOutput {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.script.pop_front().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl AsFd for ScriptedOutput {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.always_writable.as_fd()
        }
    }

    /// Writes three lines with one call and a fourth line with another. Checks everything that was written, and how
    /// many of the three lines the first call reports as lost.
    fn check(script: &[Result<usize, ErrorKind>], written: &str, lines_lost: u64) {
        let always_writable = Output::File("/dev/null".into()).open().expect("/dev/null");
        let script = script.iter().copied().collect();
        let mut writer = LineWriter::new(ScriptedOutput { script, written: Vec::new(), always_writable });
        let result = writer.write(b"one\ntwo\nthree\n");
        assert_eq!(result.map_or_else(|(lost, _)| lost, |()| 0), lines_lost, "{written:?}");
        writer.write(b"four\n").expect("the script is over");
        assert_eq!(String::from_utf8_lossy(&writer.output.written), written);
    }

    #[test]
    fn a_dash_and_device_names_mean_the_open_descriptor() {
        let check =
            |path: &str, expected: Output| assert_eq!(Output::from_path(path.into()), expected, "{path}");
        check("-", Output::Stdout);
        check("/dev/stdout", Output::Stdout);
        check("/proc/self/fd/2", Output::Stderr);
        check("./-", Output::File("./-".into()));
        check("access.log", Output::File("access.log".into()));
    }

    #[test]
    fn lines_stay_whole_after_short_and_failed_writes() {
        let full = Err(ErrorKind::StorageFull);
        let (interrupted, blocked) = (Err(ErrorKind::Interrupted), Err(ErrorKind::WouldBlock));
        check(&[], "one\ntwo\nthree\nfour\n", 0);
        check(&[interrupted, Ok(5), blocked, Ok(1), interrupted], "one\ntwo\nthree\nfour\n", 0);
        check(&[full], "four\n", 3);
        check(&[Ok(4), full], "one\nfour\n", 2);
        check(&[Ok(6), full], "one\ntw\nfour\n", 2);
        check(&[Ok(6), full, interrupted, blocked], "one\ntw\nfour\n", 2);
        check(&[Ok(6), Ok(0)], "one\ntw\nfour\n", 2);
    }

    #[test]
    fn a_write_holds_whole_lines_and_at_most_pipe_buf_bytes() {
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for (lines, expected) in [(1, 1000), (4, 4000), (5, 4000)] {
            assert_eq!(whole_lines(&line.repeat(lines)).len(), expected, "{lines}");
        }
        assert_eq!(whole_lines(&[b'x'; 5000]).len(), MAX_LINE_BYTES, "a line that is too long");
    }
}
