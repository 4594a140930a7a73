//! Lines on their way out: gathered by whoever serves, written by a thread of their own.
//!
//! Who appends a line copies bytes under a mutex, which the thread takes only to swap the full buffer for an empty
//! one: nobody who serves ever waits for a disk or a reader. When that is what the thread waits for, lines gather;
//! when there is no room for more, they are dropped and counted, and once it goes on, the count is reported.

use super::{
    LONGEST_LINE, error_log,
    output::{Lines, Lost, Output},
    timestamp::Stamp,
};
use std::{
    fmt,
    fs::File,
    io, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

/// Bytes of lines that may wait: what a busy server says while a disk stalls for tens of milliseconds, and little
/// enough to be spared in each process.
const CAPACITY: usize = 1024 * 1024;

/// Bytes for which it pays to wake the thread: some hundreds of lines, so that it costs each of them nearly nothing.
const ENOUGH: usize = 64 * 1024;

/// How long lines wait for company. Nobody who looks at a log takes it for a delay.
const LINGER: Duration = Duration::from_millis(200);

/// A log that is open and not written yet: to be opened with rights that the process is about to give up.
#[derive(Debug)]
pub struct Opened {
    output: Output,
    file: File,
}

impl Opened {
    /// Opens the output.
    ///
    /// # Errors
    ///
    /// When it cannot be opened for writing.
    pub fn new(output: Output) -> io::Result<Opened> {
        let file = output.open()?;
        Ok(Opened { output, file })
    }

    /// Starts the thread that writes it, with the rights that the calling thread has.
    ///
    /// # Errors
    ///
    /// When the system lacks threads.
    pub fn start(self) -> io::Result<Log> {
        let Opened { output, file } = self;
        let gathered = Mutex::new(Gathered::default());
        let shared = Arc::new(Shared { output, gathered, work: Condvar::new(), done: Condvar::new() });
        let writer = Writer { shared: Arc::clone(&shared), lines: Lines::new(file), failing: false };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        Ok(Log { owner: Arc::new(Owner { shared }) })
    }
}

/// A log, to be cloned by whoever writes lines. Its thread ends when the last clone is dropped, and what was
/// appended before is still written.
#[derive(Clone)]
pub struct Log {
    owner: Arc<Owner>,
}

/// Dropped with the last clone.
struct Owner {
    shared: Arc<Shared>,
}

/// What those who append and the thread both hold.
struct Shared {
    output: Output,
    gathered: Mutex<Gathered>,
    /// There is something for the thread to do.
    work: Condvar,
    /// The thread has done something.
    done: Condvar,
}

struct Gathered {
    lines: Vec<u8>,
    stamp: Stamp,
    /// Lines dropped or given up since the log was opened.
    lost: u64,
    /// Those of them that have been reported.
    reported: u64,
    /// Somebody waits for the thread, which is not to linger.
    urgent: bool,
    reopen: bool,
    ended: bool,
    /// Rounds that the thread has begun, and of them those that it has finished.
    rounds_begun: u64,
    rounds_done: u64,
}

impl Default for Gathered {
    fn default() -> Gathered {
        Gathered {
            lines: Vec::new(),
            stamp: Stamp::at(SystemTime::now()),
            lost: 0,
            reported: 0,
            urgent: false,
            reopen: false,
            ended: false,
            rounds_begun: 0,
            rounds_done: 0,
        }
    }
}

impl Log {
    /// Opens a log and starts the thread that writes it.
    ///
    /// # Errors
    ///
    /// When the output cannot be opened for writing, or the system lacks threads.
    pub fn open(output: Output) -> io::Result<Log> {
        Opened::new(output)?.start()
    }

    /// Appends what `write` writes: a line, with its end. Whether there was room for it.
    pub(crate) fn append(&self, write: impl FnOnce(&mut Vec<u8>, &Stamp)) -> bool {
        let shared = &self.owner.shared;
        let now = SystemTime::now();
        let mut gathered = shared.gathered();
        let before = gathered.lines.len();
        if before + LONGEST_LINE > CAPACITY {
            gathered.lost += 1;
            return false;
        }
        gathered.stamp.advance(now);
        let Gathered { lines, stamp, .. } = &mut *gathered;
        write(lines, stamp);
        let after = lines.len();
        drop(gathered);
        // To wake a thread is a system call: twice for each of its rounds, and not once for each line.
        if before == 0 || (before < ENOUGH && after >= ENOUGH) {
            shared.work.notify_one();
        }
        true
    }

    /// Has a file opened anew by its name, after it has been renamed. What has been appended by now goes to the
    /// one or the other. A file that cannot be opened is reported, and the one that is open stays.
    pub fn reopen(&self) {
        self.owner.shared.urge(|gathered| gathered.reopen = true);
    }

    /// Waits until what has been appended or ordered by now is done, and not longer than `within`. Whether it is.
    pub fn flush(&self, within: Duration) -> bool {
        let shared = &self.owner.shared;
        // A round that is under way may have begun without it; the next one cannot.
        let round = shared.urge(|gathered| gathered.rounds_begun + 1);
        let waited = shared
            .done
            .wait_timeout_while(shared.gathered(), within, |gathered| gathered.rounds_done < round);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Lines lost since the log was opened, because there was no room for them or they could not be written.
    pub fn lost(&self) -> u64 {
        self.owner.shared.gathered().lost
    }

    /// Says how many lines have been lost that nobody has heard of yet, if there are any.
    pub(super) fn report_lost(&self) {
        self.owner.shared.report_lost();
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({} lost)", self.lost())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.urge(|gathered| gathered.ended = true);
    }
}

impl Shared {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something that the thread is to see at once.
    fn urge<T>(&self, change: impl FnOnce(&mut Gathered) -> T) -> T {
        let mut gathered = self.gathered();
        gathered.urgent = true;
        let changed = change(&mut gathered);
        drop(gathered);
        self.work.notify_one();
        changed
    }

    /// Waits for lines or orders, and takes them: the lines in exchange for the empty `lines`.
    fn take(&self, lines: &mut Vec<u8>) -> Orders {
        let idle = |gathered: &mut Gathered| gathered.lines.is_empty() && !gathered.urgent;
        let few = |gathered: &mut Gathered| gathered.lines.len() < ENOUGH && !gathered.urgent;
        let gathered = self.work.wait_while(self.gathered(), idle).unwrap_or_else(PoisonError::into_inner);
        let waited = self.work.wait_timeout_while(gathered, LINGER, few);
        let mut gathered = waited.unwrap_or_else(PoisonError::into_inner).0;
        mem::swap(&mut gathered.lines, lines);
        gathered.urgent = false;
        gathered.rounds_begun += 1;
        Orders { reopen: mem::take(&mut gathered.reopen), end: gathered.ended }
    }

    /// Goes to the error log, which may be this very log.
    fn report_lost(&self) {
        let mut gathered = self.gathered();
        let count = gathered.lost - gathered.reported;
        gathered.reported = gathered.lost;
        drop(gathered);
        if count > 0
            && !error_log::say(log::Level::Warn, format_args!("lines lost for {}: {count}", self.output))
        {
            self.gathered().reported -= count;
        }
    }

    fn finish_round(&self) {
        self.gathered().rounds_done += 1;
        self.done.notify_all();
    }
}

struct Orders {
    reopen: bool,
    end: bool,
}

/// The thread.
struct Writer {
    shared: Arc<Shared>,
    lines: Lines<File>,
    /// Whether the last lines could not be written.
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        let mut lines = Vec::new();
        loop {
            let orders = self.shared.take(&mut lines);
            if orders.reopen {
                self.reopen();
            }
            if !lines.is_empty() {
                let outcome = self.lines.write(&lines);
                self.report(outcome);
                lines.clear();
            }
            self.shared.finish_round();
            if orders.end {
                return;
            }
        }
    }

    fn reopen(&mut self) {
        match self.shared.output.open() {
            Ok(file) => self.lines = Lines::new(file),
            Err(error) => log::error!("cannot reopen {}: {error}", self.shared.output),
        }
    }

    /// Says once that lines cannot be written, and how many were lost when they can be again.
    fn report(&mut self, outcome: Result<(), Lost>) {
        match outcome {
            Ok(()) => {
                self.failing = false;
                self.shared.report_lost();
            }
            Err(Lost { lines, why }) => {
                self.shared.gathered().lost += lines;
                if !mem::replace(&mut self.failing, true) {
                    log::error!("cannot write to {}: {why}", self.shared.output);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
    use std::{fs, io::Read};
    use tempfile::TempDir;

    /// Far longer than anything takes here.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn what_was_appended_is_there_once_it_is_flushed() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("log");
        let log = Log::open(Output::File(path.clone())).expect("a log");
        let mut expected = String::new();
        for number in 0..100 {
            expected += &format!("line {number}\n");
            assert!(log.append(|lines, _| lines.extend_from_slice(format!("line {number}\n").as_bytes())));
            assert!(log.flush(PATIENCE));
            assert_eq!(fs::read_to_string(&path).expect("text"), expected);
        }
    }

    #[test]
    fn the_last_clone_leaves_nothing_unwritten() {
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
        // Its end is seen when the thread has ended.
        rustix::io::ioctl_fionbio(&reader, false).expect("a pipe that waits");
        let mut all = String::new();
        reader.read_to_string(&mut all).expect("text");
        assert_eq!(all, "one\ntwo\n");
    }
}
