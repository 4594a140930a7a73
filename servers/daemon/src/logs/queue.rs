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
    fmt, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// Capacity of the buffer in bytes: what a busy server logs while a disk stalls for tens of milliseconds.
const CAPACITY: usize = 1024 * 1024;

/// The writer thread is woken early when the buffer holds this many bytes: some hundreds of lines, so that the cost of
/// the system call per line is negligible.
const WAKE_THRESHOLD: usize = 64 * 1024;

/// How long the writer thread waits for further lines before it writes the first one.
const WRITE_DELAY: Duration = Duration::from_millis(200);

/// A handle to a log. Clones append to the same log. When the last clone is dropped, the writer thread writes the
/// remaining lines and ends.
#[derive(Clone)]
pub struct Log {
    producers: Arc<Producers>,
}

impl Log {
    /// A handle to the log behind `queue`.
    pub(super) fn new(queue: Arc<Queue>) -> Log {
        Log { producers: Arc::new(Producers { queue }) }
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.producers.queue
    }

    /// Appends the line that `write` writes, which must end with a newline. Returns false if the buffer was full and
    /// the line is lost.
    pub(super) fn append(&self, write: impl FnOnce(&mut Vec<u8>, &Timestamp)) -> bool {
        let queue = self.queue();
        let now = SystemTime::now();
        let mut state = queue.lock();
        let before = state.lines.len();
        if before + MAX_LINE_BYTES > CAPACITY {
            state.lost += 1;
            return false;
        }
        state.timestamp.update(now);
        let QueueState { lines, timestamp, .. } = &mut *state;
        write(lines, timestamp);
        let after = lines.len();
        drop(state);
        // Waking the writer is a system call: at most twice for each batch, not once for each line.
        if before == 0 || (before < WAKE_THRESHOLD && after >= WAKE_THRESHOLD) {
            queue.work.notify_one();
        }
        true
    }

    /// Reopens the log's file by its name, for log rotation. Lines appended before this call may go to either file. If
    /// the file cannot be opened, the error log says so and the old file stays in use.
    pub fn reopen(&self) {
        self.queue().wake(|state| state.reopen = true);
    }

    /// Waits until the writer thread has handled all lines and calls of [`reopen`](Log::reopen) so far, for at most
    /// `timeout`. Returns false if the timeout expired.
    pub fn flush(&self, timeout: Duration) -> bool {
        let queue = self.queue();
        // The current batch may have begun before the lines were appended; the next one includes them.
        let batch = queue.wake(|state| state.batches_begun + 1);
        let is_pending = |state: &mut QueueState| state.batches_done < batch;
        let waited = queue.done.wait_timeout_while(queue.lock(), timeout, is_pending);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The number of lines lost since the log was opened, because the buffer was full or a write failed.
    pub fn lost(&self) -> u64 {
        self.queue().lock().lost
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({} lost)", self.lost())
    }
}

/// Shared by all clones of a [`Log`]; its drop ends the writer thread.
struct Producers {
    queue: Arc<Queue>,
}

impl Drop for Producers {
    fn drop(&mut self) {
        self.queue.wake(|state| state.closed = true);
    }
}

/// What the producers and the writer thread share.
pub(super) struct Queue {
    pub(super) output: Output,
    state: Mutex<QueueState>,
    /// Signalled when the writer thread has work.
    work: Condvar,
    /// Signalled when the writer thread has finished a batch.
    done: Condvar,
}

struct QueueState {
    lines: Vec<u8>,
    timestamp: Timestamp,
    /// Lines lost since the log was opened.
    lost: u64,
    /// How many of the lost lines have been reported.
    reported: u64,
    /// The writer thread must not wait for further lines.
    urgent: bool,
    reopen: bool,
    closed: bool,
    batches_begun: u64,
    batches_done: u64,
}

/// What the writer thread must do besides writing the lines it took.
pub(super) struct Batch {
    pub(super) reopen: bool,
    /// No producer is left, so this is the last batch.
    pub(super) last: bool,
}

impl Queue {
    pub(super) fn new(output: Output) -> Queue {
        let state = QueueState {
            lines: Vec::new(),
            timestamp: Timestamp::at(SystemTime::now()),
            lost: 0,
            reported: 0,
            urgent: false,
            reopen: false,
            closed: false,
            batches_begun: 0,
            batches_done: 0,
        };
        Queue { output, state: Mutex::new(state), work: Condvar::new(), done: Condvar::new() }
    }

    /// Waits for work, then takes it: exchanges the buffered lines for the empty buffer `lines`.
    pub(super) fn take(&self, lines: &mut Vec<u8>) -> Batch {
        let idle = |state: &mut QueueState| state.lines.is_empty() && !state.urgent;
        let may_wait = |state: &mut QueueState| state.lines.len() < WAKE_THRESHOLD && !state.urgent;
        let state = self.work.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let waited = self.work.wait_timeout_while(state, WRITE_DELAY, may_wait);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        mem::swap(&mut state.lines, lines);
        state.urgent = false;
        state.batches_begun += 1;
        Batch { reopen: mem::take(&mut state.reopen), last: state.closed }
    }

    /// Records that the batch taken last is done.
    pub(super) fn finish_batch(&self) {
        self.lock().batches_done += 1;
        self.done.notify_all();
    }

    pub(super) fn count_lost(&self, lines: u64) {
        self.lock().lost += lines;
    }

    /// Calls `report` with the number of lost lines that are not reported yet, unless that is 0. If `report` returns
    /// false, they stay unreported. `report` may append to this log.
    pub(super) fn report_lost(&self, report: impl FnOnce(u64) -> bool) {
        let mut state = self.lock();
        let count = state.lost - state.reported;
        state.reported = state.lost;
        drop(state);
        if count > 0 && !report(count) {
            self.lock().reported -= count;
        }
    }

    /// Changes the state and wakes the writer thread at once.
    fn wake<T>(&self, change: impl FnOnce(&mut QueueState) -> T) -> T {
        let mut state = self.lock();
        state.urgent = true;
        let changed = change(&mut state);
        drop(state);
        self.work.notify_one();
        changed
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
