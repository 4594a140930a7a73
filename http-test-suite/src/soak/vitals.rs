//! What a server's processes hold, as `/proc` tells it (proc(5)): looked at from outside, so that nothing can be
//! hidden.

use std::fs;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::lab::observe::{Tree, field};

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// So long descriptors and threads must not change to be called settled.
const STILL: Duration = Duration::from_secs(2);

/// How long a server may take to let go of what is over. Longer than one lingers after an error, shorter than any wait
/// for a peer that says nothing: whoever needs that one has not noticed that the peer is gone.
const PATIENCE: Duration = Duration::from_secs(8);

/// Memory need not come back to the byte, for allocators keep some: so many bytes, and one part in so many of what was
/// held before.
const MEMORY_TOLERANCE: (u64, u64) = (4 * 1024 * 1024, 10);

/// Descriptors that may be more: a worker that keeps large files open may have met some of them for the first time.
const KEPT_FILES: usize = 8;

/// What a server and all processes that it started hold at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Vitals {
    /// Their identifiers.
    pub processes: Vec<u32>,
    /// Open ones.
    pub descriptors: usize,
    /// Living ones.
    pub threads: usize,
    /// Anonymous; pages that several share are divided among them (`Pss_Anon`). Those of the program's file are left
    /// out: their share changes whenever somebody else starts the same program.
    pub memory_bytes: u64,
}

impl Vitals {
    /// Looks at process `pid` and those it started.
    ///
    /// # Errors
    ///
    /// If one has ended.
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

    /// What is more than `before`, a sentence each; nothing if all has been given back.
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

    /// The larger of each.
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

/// The vitals once they stand still, or when patience ends.
pub(super) fn settle(pid: u32) -> io::Result<Vitals> {
    let (start, mut since) = (Instant::now(), Instant::now());
    let mut vitals = Vitals::of(pid)?;
    while since.elapsed() < STILL && start.elapsed() < PATIENCE {
        thread::sleep(LOOK_EVERY);
        let now = Vitals::of(pid)?;
        if (now.descriptors, now.threads) != (vitals.descriptors, vitals.threads) {
            since = Instant::now();
        }
        vitals = now;
    }
    Ok(vitals)
}

/// The vitals once they are no more than `before`, or when patience ends.
pub(super) fn await_return(pid: u32, before: &Vitals) -> io::Result<Vitals> {
    let start = Instant::now();
    loop {
        let vitals = Vitals::of(pid)?;
        if vitals.excess(before).is_empty() || start.elapsed() > PATIENCE {
            return Ok(vitals);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// The most of each that was seen until the other side of `until` is dropped.
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
    fn tells_what_has_not_been_given_back() {
        check((10, 4, 20, 2), &[]);
        check((9, 3, 26, 2), &[]);
        check((18, 4, 20, 2), &[]);
        check((19, 4, 20, 2), &["descriptors"]);
        check((10, 5, 20, 2), &["threads"]);
        check((10, 4, 27, 2), &["memory"]);
        check((10, 4, 20, 3), &["processes"]);
    }

    #[test]
    fn looks_at_a_process() {
        let pid = std::process::id();
        let before = Vitals::of(pid).unwrap();
        assert!(before.processes.contains(&pid) && before.memory_bytes > 0);
        assert!(before.descriptors > 2 && before.threads > 0);
    }
}
