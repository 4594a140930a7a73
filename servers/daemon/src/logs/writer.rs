//! The thread that writes the queued lines of a log to its output, and reports its failures to the error log.

use super::{
    error_log,
    output::{LineWriter, Output, WriteError},
    queue::{Log, Queue},
};
use crate::error::Context;
use std::{fs::File, io, mem, sync::Arc, thread};

/// A log whose output is open and whose writer thread has not started: it can be opened with privileges that the
/// process drops before it starts threads.
#[derive(Debug)]
pub struct OpenedLog {
    output: Output,
    file: File,
}

impl OpenedLog {
    /// Opens the output.
    pub fn new(output: Output) -> io::Result<OpenedLog> {
        let file = output.open().context(format_args!("cannot open {output}"))?;
        Ok(OpenedLog { output, file })
    }

    /// Starts the writer thread, which has the privileges of the calling thread.
    pub fn start(self) -> io::Result<Log> {
        let queue = Arc::new(Queue::new(self.output));
        let writer = Writer { queue: Arc::clone(&queue), lines: LineWriter::new(self.file), failing: false };
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || writer.run());
        thread.context("cannot start a log thread")?;
        Ok(Log::new(queue))
    }
}

impl Log {
    /// Opens a log and starts its writer thread.
    ///
    /// # Errors
    ///
    /// If the output cannot be opened for writing or the thread cannot be started.
    pub fn open(output: Output) -> io::Result<Log> {
        OpenedLog::new(output)?.start()
    }
}

/// Reports the lines of this log that were lost since the last report, if there are any.
pub fn report_lost(queue: &Queue) {
    queue.report_lost(|count| {
        error_log::report(log::Level::Warn, format_args!("lines lost for {}: {count}", queue.output))
    });
}

struct Writer {
    queue: Arc<Queue>,
    lines: LineWriter<File>,
    /// Whether the last write failed.
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        let mut lines = Vec::new();
        loop {
            let batch = self.queue.take(&mut lines);
            if batch.reopen {
                self.reopen();
            }
            if !lines.is_empty() {
                self.write(&lines);
                lines.clear();
            }
            self.queue.finish_batch();
            if batch.last {
                return;
            }
        }
    }

    fn reopen(&mut self) {
        match self.queue.output.open() {
            Ok(file) => self.lines = LineWriter::new(file),
            Err(error) => log::error!("cannot reopen {}: {error}", self.queue.output),
        }
    }

    /// Writes the lines. Of several failures in a row only the first is reported; the lost lines are reported once
    /// writing succeeds again.
    fn write(&mut self, lines: &[u8]) {
        match self.lines.write(lines) {
            Ok(()) => {
                self.failing = false;
                report_lost(&self.queue);
            }
            Err(WriteError { lines_lost, cause }) => {
                self.queue.count_lost(lines_lost);
                if !mem::replace(&mut self.failing, true) {
                    log::error!("cannot write to {}: {cause}", self.queue.output);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
    use std::{fs, io::Read, time::Duration};
    use tempfile::TempDir;

    /// Far longer than any step of a test takes.
    const TIMEOUT: Duration = Duration::from_secs(20);

    #[test]
    fn appended_lines_are_in_the_file_after_a_flush() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("log");
        let log = Log::open(Output::File(path.clone())).expect("a log");
        let mut expected = String::new();
        for number in 0..100 {
            expected += &format!("line {number}\n");
            assert!(log.append(|lines, _| lines.extend_from_slice(format!("line {number}\n").as_bytes())));
            assert!(log.flush(TIMEOUT));
            assert_eq!(fs::read_to_string(&path).expect("text"), expected);
        }
    }

    #[test]
    fn all_lines_are_written_after_the_last_handle_is_dropped() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        let mut reader =
            File::from(open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).expect("a reader"));
        let log = Log::open(Output::File(path)).expect("a log");
        let clone = log.clone();
        assert!(log.append(|lines, _| lines.extend_from_slice(b"one\n")));
        drop(log);
        assert!(clone.append(|lines, _| lines.extend_from_slice(b"two\n")));
        drop(clone);
        // The pipe ends when the writer thread has ended.
        rustix::io::ioctl_fionbio(&reader, false).expect("a blocking pipe");
        let mut all = String::new();
        reader.read_to_string(&mut all).expect("text");
        assert_eq!(all, "one\ntwo\n");
    }
}
