//! The thread that writes the queued lines of a log to its output, and reports its failures to the error log.

use super::{
    error_log,
    output::{LineWriter, Output},
    queue::{Buffer, Command, Log},
};
use crate::system::spawn;
use http_engine::io_cause;
use rustix::process::geteuid;
use std::{
    fs::File,
    io, mem,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

/// How long the writer thread waits for further lines before it writes the first one.
const WRITE_DELAY: Duration = Duration::from_millis(200);

/// Starts the thread that writes a log, and returns a handle to the log. `file` is the open file of `output`. Fails if
/// the kernel starts no thread.
pub(super) fn start(output: Output, file: File) -> io::Result<Log> {
    let file = Arc::new(file);
    let buffer = Arc::new(Buffer { output, file: Mutex::new(Arc::clone(&file)), state: Mutex::default() });
    let (commands, receiver) = channel();
    let (own, file) = (Arc::clone(&buffer), LineWriter::new(file));
    let writer = Writer { buffer: own, lines: Vec::new(), file, failing: false };
    spawn("log", move || writer.run(&receiver))?;
    Ok(Log { buffer, commands })
}

impl Log {
    /// Opens a log and starts the thread that writes it.
    ///
    /// # Errors
    ///
    /// If the output cannot be opened for writing or the thread cannot be started.
    pub fn open(output: Output) -> io::Result<Log> {
        let file = output.open()?;
        start(output, file)
    }
}

/// If lines of the log with this buffer were lost since the last report, reports their number to the error log. If the
/// error log is full, the next report includes them.
pub(super) fn report_lost(buffer: &Buffer) {
    let mut state = buffer.lock();
    let count = state.lost - state.reported;
    state.reported = state.lost;
    // The report may be appended to this log.
    drop(state);
    let message = format_args!("lines lost for {}: {count}", buffer.output);
    if count > 0 && !error_log::report(log::Level::Warn, message) {
        buffer.lock().reported -= count;
    }
}

/// The state of the thread that writes one log.
struct Writer {
    buffer: Arc<Buffer>,
    /// The lines that are being written; empty between two writes. Each write first swaps this vector with the full one
    /// in `buffer`, so that both keep their allocated memory.
    lines: Vec<u8>,
    file: LineWriter<Arc<File>>,
    /// Whether the last write failed.
    failing: bool,
}

impl Writer {
    /// Executes commands, and writes the buffered lines after each. Returns when the last handle of the log is dropped
    /// and all lines are written.
    fn run(mut self, commands: &Receiver<Command>) {
        while let Ok(mut command) = commands.recv() {
            if matches!(command, Command::Wait) {
                command = commands.recv_timeout(WRITE_DELAY).unwrap_or(Command::Wait);
            }
            if matches!(command, Command::Reopen) {
                self.reopen();
            }
            self.write();
            if let Command::Confirm(confirm) = command {
                // Fails if the timeout of the flush has expired.
                let _ = confirm.send(());
            }
        }
        self.write();
    }

    /// Opens the output by its name again. If this fails, the old file stays in use. The failure is logged, unless the
    /// name means the old file: a process that has switched users may keep a file that it can no longer open.
    fn reopen(&mut self) {
        let Buffer { output, file: current, .. } = &*self.buffer;
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        match output.open() {
            Ok(file) => {
                *current = Arc::new(file);
                self.file = LineWriter::new(Arc::clone(&current));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && output.names(&current) => {}
            Err(error) => {
                let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
                let user = geteuid();
                let remedy =
                    if is_denied { format!("; create the new file for user {user}") } else { String::new() };
                log::error!("{error} (still writing to the file opened before{remedy})");
            }
        }
    }

    /// Takes the lines from the buffer and writes them. Of several failures in a row only the first is logged. The
    /// number of lost lines is reported when a write succeeds again.
    fn write(&mut self) {
        mem::swap(&mut self.buffer.lock().lines, &mut self.lines);
        if self.lines.is_empty() {
            return;
        }
        match self.file.write(&self.lines) {
            Ok(()) => {
                self.failing = false;
                report_lost(&self.buffer);
            }
            Err((lines_lost, error)) => {
                self.buffer.lock().lost += lines_lost;
                if !mem::replace(&mut self.failing, true) {
                    log::error!("cannot write to {}: {}", self.buffer.output, io_cause(&error));
                }
            }
        }
        self.lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Read, os::fd::OwnedFd};
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
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let log = start(Output::Stdout, File::from(OwnedFd::from(writer))).expect("a log");
        let clone = log.clone();
        assert!(log.append(|lines, _| lines.extend_from_slice(b"one\n")));
        drop(log);
        assert!(clone.append(|lines, _| lines.extend_from_slice(b"two\n")));
        drop(clone);
        // The pipe ends when the writer thread has ended.
        let mut all = String::new();
        reader.read_to_string(&mut all).expect("text");
        assert_eq!(all, "one\ntwo\n");
    }
}
