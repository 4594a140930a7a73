//! Where lines end up: whole ones, whatever the disk, the reader, or another process that writes there does.

use super::LONGEST_LINE;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, open},
    io::Errno,
};
use std::{
    fmt,
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    path::PathBuf,
};

/// Where a log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Appended to this file, made if need be; a FIFO or a device will do as well.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Output {
    /// Opens it. Several processes may, and write whole lines each.
    pub(super) fn open(&self) -> io::Result<File> {
        let descriptor = match self {
            Output::File(path) => {
                // To append is what keeps processes from writing over each other. Not to block is for a FIFO that
                // nobody reads: that is an error, and not a server that does not start.
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
                let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                // Who asked for what is nobody's business but the operator's.
                open(path, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP)?
            }
            Output::Stdout => io::stdout().as_fd().try_clone_to_owned()?,
            Output::Stderr => io::stderr().as_fd().try_clone_to_owned()?,
        };
        Ok(File::from(descriptor))
    }
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

/// Lines that could not be written.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) lines: u64,
    pub(super) why: io::Error,
}

/// Writes lines.
pub(super) struct Lines<W> {
    to: W,
    /// Whether the last byte written does not end a line.
    torn: bool,
}

impl<W: Write + AsFd> Lines<W> {
    pub(super) fn new(to: W) -> Lines<W> {
        Lines { to, torn: false }
    }

    /// Writes all of these lines, as soon as the output takes them. One that got stuck half-way is ended in front of
    /// them, so that it spoils no other.
    pub(super) fn write(&mut self, mut text: &[u8]) -> Result<(), Lost> {
        while self.torn && !text.is_empty() {
            self.write_some(b"\n").map_err(|why| lost(text, why))?;
        }
        while !text.is_empty() {
            let count = self.write_some(some_lines(text)).map_err(|why| lost(text, why))?;
            text = &text[count..];
        }
        Ok(())
    }

    fn write_some(&mut self, lines: &[u8]) -> io::Result<usize> {
        loop {
            match self.to.write(lines) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.torn = lines[count - 1] != b'\n';
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => await_reader(&self.to)?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// As many whole lines as one write may hold and not be torn: pipe(7) promises it for that many bytes.
fn some_lines(text: &[u8]) -> &[u8] {
    let at_most = &text[..text.len().min(LONGEST_LINE)];
    let end = at_most.iter().rposition(|byte| *byte == b'\n').map_or(at_most.len(), |at| at + 1);
    &text[..end]
}

fn lost(text: &[u8], why: io::Error) -> Lost {
    Lost { lines: text.iter().filter(|byte| **byte == b'\n').count() as u64, why }
}

fn await_reader(output: impl AsFd) -> io::Result<()> {
    match poll(&mut [PollFd::new(&output, PollFlags::OUT)], None::<&Timespec>) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::VecDeque, os::fd::BorrowedFd};

    /// Takes so many bytes at each write, fails with the error, or takes all once the script is over.
    struct Scripted {
        script: VecDeque<Result<usize, ErrorKind>>,
        written: Vec<u8>,
        always_writable: File,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.script.pop_front().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl AsFd for Scripted {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.always_writable.as_fd()
        }
    }

    /// Writes three lines, and then one more: what arrives, and how many of the three are lost.
    fn check(script: &[Result<usize, ErrorKind>], written: &str, lost: u64) {
        let always_writable = Output::File("/dev/null".into()).open().expect("/dev/null");
        let script = script.iter().copied().collect();
        let mut lines = Lines::new(Scripted { script, written: Vec::new(), always_writable });
        let outcome = lines.write(b"one\ntwo\nthree\n");
        assert_eq!(outcome.map_or_else(|lost| lost.lines, |()| 0), lost, "{written:?}");
        lines.write(b"four\n").expect("the script is over");
        assert_eq!(String::from_utf8_lossy(&lines.to.written), written);
    }

    #[test]
    fn every_line_that_arrives_is_a_line() {
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
    fn a_write_holds_whole_lines_and_no_more_than_a_pipe_takes_at_once() {
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let check = |lines: usize, expected: usize| {
            assert_eq!(some_lines(&line.repeat(lines)).len(), expected, "{lines}");
        };
        check(1, 1000);
        check(4, 4000);
        check(5, 4000);
        assert_eq!(some_lines(&[b'x'; 5000]).len(), LONGEST_LINE, "one that is too long goes in pieces");
    }
}
