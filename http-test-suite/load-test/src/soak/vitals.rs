//! What a server's processes hold, read from `/proc` (proc(5)), so that no cooperation of the server is needed.

use std::fs;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::lab::observe::{Tree, field};

/// The interval between two readings.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long the numbers of descriptors and threads must not change to count as settled.
const STILL: Duration = Duration::from_secs(2);

/// How long a server may take to free the resources of closed connections. Longer than a lingering close after an
/// error; shorter than any timeout for a silent client, so that a server fails if it frees a closed connection only by
/// timeout.
const TIMEOUT: Duration = Duration::from_secs(8);

/// How much more memory than before is tolerated, because allocators keep some: this many bytes, plus one part in this
/// many of the memory held before.
const MEMORY_TOLERANCE: (u64, u64) = (4 * 1024 * 1024, 10);

/// How many more descriptors than before are tolerated: a worker may have opened and cached further large files.
const KEPT_FILES: usize = 8;

/// What a server and all its descendants hold at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Vitals {
    /// The process ids.
    pub processes: Vec<u32>,
    /// Open descriptors.
    pub descriptors: usize,
    /// Living threads.
    pub threads: usize,
    /// Anonymous memory in bytes, with shared pages divided among the processes (`Pss_Anon`). Pages of the program's
    /// file are left out, because their share changes when another process runs the same program.
    pub memory_bytes: u64,
}

impl Vitals {
    /// Reads what process `pid` and its descendants hold.
    ///
    /// # Errors
    ///
    /// If a process has ended.
    pub fn of(pid: u32) -> io::Result<Vitals> {
        let tree = Tree::of(pid)?;
        let mut processes = tree.pids().to_vec();
        processes.sort_unstable();
        let count = |what: &str| processes.iter().map(|pid| entries(*pid, what)).sum::<io::Result<usize>>();
        Ok(Vitals {
            descriptors: count("fd")?,
            threads: count("task")?,
            memory_bytes: processes.iter().map(|pid| anonymous_bytes(*pid)).sum::<io::Result<u64>>()?,
            processes,
        })
    }

    /// Describes each resource of which the server holds more than `before`; empty if all has been freed.
    pub fn excess(&self, before: &Vitals) -> Vec<String> {
        let (bytes, part) = MEMORY_TOLERANCE;
        let memory_most = before.memory_bytes + bytes + before.memory_bytes / part;
        let all = [
            (self.descriptors > before.descriptors + KEPT_FILES)
                .then(|| format!("descriptors: {} before, {} after", before.descriptors, self.descriptors)),
            (self.threads > before.threads)
                .then(|| format!("threads: {} before, {} after", before.threads, self.threads)),
            (self.memory_bytes > memory_most).then(|| {
                let (before, after, most) = (before.memory_bytes, self.memory_bytes, memory_most);
                format!("memory: {before} bytes before, {after} after, where {most} are tolerated")
            }),
            (self.processes != before.processes)
                .then(|| format!("processes: {:?} before, {:?} after", before.processes, self.processes)),
        ];
        all.into_iter().flatten().collect()
    }

    /// The maximum of each resource.
    fn most(self, other: &Vitals) -> Vitals {
        Vitals {
            processes: if self.processes.len() < other.processes.len() {
                other.processes.clone()
            } else {
                self.processes
            },
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }
}

/// Waits until the vitals no longer change, or until the timeout, and returns them.
pub(super) fn settle(pid: u32) -> io::Result<Vitals> {
    let (start, mut since) = (Instant::now(), Instant::now());
    let mut vitals = Vitals::of(pid)?;
    while since.elapsed() < STILL && start.elapsed() < TIMEOUT {
        thread::sleep(LOOK_EVERY);
        let now = Vitals::of(pid)?;
        if (now.descriptors, now.threads) != (vitals.descriptors, vitals.threads) {
            since = Instant::now();
        }
        vitals = now;
    }
    Ok(vitals)
}

/// Waits until the vitals are no more than `before`, or until the timeout, and returns them.
pub(super) fn await_return(pid: u32, before: &Vitals) -> io::Result<Vitals> {
    let start = Instant::now();
    loop {
        let vitals = Vitals::of(pid)?;
        if vitals.excess(before).is_empty() || start.elapsed() > TIMEOUT {
            return Ok(vitals);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Returns the maximum of each resource until the other side of `until` is dropped.
pub(super) fn peak(pid: u32, until: &Receiver<()>) -> io::Result<Vitals> {
    let mut peak = Vitals::of(pid)?;
    while until.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        peak = peak.most(&Vitals::of(pid)?);
    }
    Ok(peak)
}

fn entries(pid: u32, what: &str) -> io::Result<usize> {
    let dir = format!("/proc/{pid}/{what}");
    Ok(fs::read_dir(&dir).map_err(|error| named(&dir, &error))?.count())
}

fn anonymous_bytes(pid: u32) -> io::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| named(&path, &error))?;
    let kib = field(&text, "Pss_Anon:").ok_or_else(|| named(&path, &io::ErrorKind::InvalidData.into()))?;
    Ok(kib * 1024)
}

fn named(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(after: (usize, usize, u64, u32), expected: &[&str]) {
        let vitals = |(descriptors, threads, mebibytes, pid): (usize, usize, u64, u32)| Vitals {
            processes: vec![1, pid],
            descriptors,
            threads,
            memory_bytes: mebibytes * 1024 * 1024,
        };
        let excess = vitals(after).excess(&vitals((10, 4, 20, 2)));
        let subjects: Vec<_> = excess.iter().map(|excess| excess.split(':').next().unwrap()).collect();
        assert_eq!(subjects, expected, "{after:?}");
    }

    #[test]
    fn reports_resources_that_were_not_freed() {
        check((10, 4, 20, 2), &[]);
        check((9, 3, 26, 2), &[]);
        check((18, 4, 20, 2), &[]);
        check((19, 4, 20, 2), &["descriptors"]);
        check((10, 5, 20, 2), &["threads"]);
        check((10, 4, 27, 2), &["memory"]);
        check((10, 4, 20, 3), &["processes"]);
    }

    #[test]
    fn reads_the_vitals_of_a_process() {
        let pid = std::process::id();
        let before = Vitals::of(pid).unwrap();
        assert!(before.processes.contains(&pid) && before.memory_bytes > 0);
        assert!(before.descriptors > 2 && before.threads > 0);
    }
}
