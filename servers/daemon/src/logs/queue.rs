//! A bounded queue of log lines between the threads that append lines and the thread that writes them.
//!
//! A thread that appends must never wait for a disk or a reader. It copies its line under a mutex, which the writer
//! thread holds only to exchange the full buffer for an empty one. While the output blocks, lines collect in the
//! buffer; when the buffer is full, further lines are dropped and counted.

use super::{
    output::{MAX_LINE_BYTES, Output},
    timestamp::Timestamp,
};
use std::{
    fs::File,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Sender, channel},
    },
    time::{Duration, SystemTime},
};

/// Capacity of the buffer in which a log's lines wait to be written, in bytes: enough for a busy server while a disk
/// stalls for tens of milliseconds.
const CAPACITY: usize = 1024 * 1024;

/// How many bytes in the buffer make the writer thread write at once, without waiting for further lines: some hundreds
/// of lines.
const WRITE_THRESHOLD: usize = 64 * 1024;

/// A handle to a log: appends lines to a buffer, which a thread of the log writes to its output. Clones append to the
/// same log. When the last handle is dropped, the writer thread writes the remaining lines and ends.
#[derive(Clone, Debug)]
pub struct Log {
    pub(super) buffer: Arc<Buffer>,
    /// Wakes the writer thread. Sending fails only if the writer thread has panicked, which the error log reports.
    pub(super) commands: Sender<Command>,
}

/// What the writer thread of a log must do before or after it writes the buffered lines.
#[derive(Debug)]
pub(super) enum Command {
    /// Wait a short time for further lines before writing.
    Wait,
    /// Reopen the output before writing.
    Reopen,
    /// Confirm through this sender when the lines are written.
    Confirm(Sender<()>),
}

impl Log {
    /// Appends one line to the buffer. `write` gets the buffer and the current time, and must append the line with its
    /// newline. If the buffer is full, does not call `write`, counts the line as lost, and returns false.
    pub(super) fn append(&self, write: impl FnOnce(&mut Vec<u8>, &Timestamp)) -> bool {
        let now = SystemTime::now();
        let mut state = self.buffer.lock();
        let before = state.lines.len();
        if before + MAX_LINE_BYTES > CAPACITY {
            state.lost += 1;
            return false;
        }
        state.timestamp.update(now);
        let BufferState { lines, timestamp, .. } = &mut *state;
        write(lines, timestamp);
        let after = lines.len();
        drop(state);
        // Waking the writer thread is a system call: at most twice for each batch of lines, not once for each line.
        if before == 0 || (before < WRITE_THRESHOLD && after >= WRITE_THRESHOLD) {
            let _ = self.commands.send(Command::Wait);
        }
        true
    }

    /// Makes the writer thread reopen the log's file by its name, for log rotation. Lines appended before this call may
    /// go to the old file or the new one. If the file cannot be opened, the old file stays in use, and this is reported
    /// unless the name still means the old file.
    pub fn reopen(&self) {
        let _ = self.commands.send(Command::Reopen);
    }

    /// Waits until the writer thread has written the lines appended so far, and has reopened the file if
    /// [`reopen`](Log::reopen) was called. Waits for at most `timeout`; returns false if it expires.
    pub fn flush(&self, timeout: Duration) -> bool {
        let (confirm, confirmed) = channel();
        let _ = self.commands.send(Command::Confirm(confirm));
        confirmed.recv_timeout(timeout).is_ok()
    }

    /// The open file of the log.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.buffer.file.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number of lines lost since the log was opened, because the buffer was full or a write failed.
    pub fn lost(&self) -> u64 {
        self.buffer.lock().lost
    }
}

/// What the threads that append to a log share with its writer thread.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Where the log is written.
    pub(super) output: Output,
    /// The open file of `output`. The writer thread replaces it when it reopens the output.
    pub(super) file: Mutex<Arc<File>>,
    pub(super) state: Mutex<BufferState>,
}

/// The lines that the writer thread has not taken yet, and the counters of lost lines.
#[derive(Debug, Default)]
pub(super) struct BufferState {
    pub(super) lines: Vec<u8>,
    /// When a line was last appended.
    timestamp: Timestamp,
    /// The number of lines lost since the log was opened.
    pub(super) lost: u64,
    /// How many of the lost lines have been reported to the error log.
    pub(super) reported: u64,
}

impl Buffer {
    /// Locks the state, even if a thread has panicked while it held the lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
