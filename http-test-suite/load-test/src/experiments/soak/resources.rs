//! The resources that a server's processes hold: descriptors, threads and memory, read from `/proc` (proc(5)), so that
//! the server need not cooperate.

use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::subject::usage::{ProcessTree, memory_bytes};

/// The interval between two readings of the resources.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long the numbers of descriptors and threads must not change to count as settled.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The longest time to wait for the numbers of descriptors and threads to settle.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(8);

/// How much more memory than before is tolerated, because allocators keep some: this many bytes, plus one part in this
/// many of the memory held before.
const MEMORY_TOLERANCE: (u64, u64) = (4 * 1024 * 1024, 10);

/// How many more descriptors than before are tolerated: a worker may have opened and cached further large files.
const DESCRIPTORS_TOLERANCE: usize = 8;

/// The resources that a server and all its descendant processes hold at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// The ids of the processes, ascending.
    pub processes: Vec<u32>,
    /// The number of open descriptors of all processes.
    pub descriptors: usize,
    /// The number of living threads of all processes.
    pub threads: usize,
    /// Anonymous memory in bytes, with shared pages divided among the processes (`Pss_Anon`). Pages of the program's
    /// file are left out, because their share changes when another process runs the same program.
    pub memory_bytes: u64,
}

impl Resources {
    /// Reads the resources of process `pid` and its descendants.
    ///
    /// # Errors
    ///
    /// If a process has ended.
    pub fn read(pid: u32) -> io::Result<Resources> {
        let mut processes = ProcessTree::of(pid)?.pids().to_vec();
        processes.sort_unstable();
        let mut resources = Resources::default();
        for pid in &processes {
            resources.descriptors += count_entries(*pid, "fd")?;
            resources.threads += count_entries(*pid, "task")?;
            resources.memory_bytes += memory_bytes(*pid, "Pss_Anon:")?;
        }
        Ok(Resources { processes, ..resources })
    }

    /// Describes each resource of which the server holds more than `before`; empty if it has freed everything.
    pub fn excess(&self, before: &Resources) -> Vec<String> {
        let memory_max = before.memory_bytes + MEMORY_TOLERANCE.0 + before.memory_bytes / MEMORY_TOLERANCE.1;
        let descriptors_max = before.descriptors + DESCRIPTORS_TOLERANCE;
        let excess = |is_excess: bool, name: &str, value: fn(&Resources) -> String| {
            is_excess.then(|| format!("{name}: {} before, {} after", value(before), value(self)))
        };
        [
            excess(self.descriptors > descriptors_max, "descriptors", |held| held.descriptors.to_string()),
            excess(self.threads > before.threads, "threads", |held| held.threads.to_string()),
            excess(self.memory_bytes > memory_max, "memory", |held| format!("{} bytes", held.memory_bytes)),
            excess(self.processes != before.processes, "processes", |held| format!("{:?}", held.processes)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Raises each resource to that of `other` if that is more.
    fn raise_to(&mut self, other: &Resources) {
        if self.processes.len() < other.processes.len() {
            self.processes.clone_from(&other.processes);
        }
        self.descriptors = self.descriptors.max(other.descriptors);
        self.threads = self.threads.max(other.threads);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
    }
}

/// Waits until the numbers of descriptors and threads no longer change, or until the timeout, and returns the
/// resources.
pub(super) fn wait_until_settled(pid: u32) -> io::Result<Resources> {
    let (mut before, mut since) = (Resources::default(), Instant::now());
    read_until(pid, SETTLE_TIMEOUT, |now| {
        if (now.descriptors, now.threads) != (before.descriptors, before.threads) {
            since = Instant::now();
        }
        before.clone_from(now);
        since.elapsed() >= SETTLED_AFTER
    })
}

/// Waits until [`Resources::excess`] finds nothing more than `before`, within its tolerances, but no longer than
/// `timeout`. Returns the last reading.
pub(super) fn wait_until_freed(pid: u32, before: &Resources, timeout: Duration) -> io::Result<Resources> {
    read_until(pid, timeout, |now| now.excess(before).is_empty())
}

/// Reads the resources at intervals until `is_done` returns true, or until the timeout, and returns the last.
fn read_until(
    pid: u32,
    timeout: Duration,
    mut is_done: impl FnMut(&Resources) -> bool,
) -> io::Result<Resources> {
    let start = Instant::now();
    loop {
        let resources = Resources::read(pid)?;
        if is_done(&resources) || start.elapsed() > timeout {
            return Ok(resources);
        }
        thread::sleep(INTERVAL);
    }
}

/// Calls `run`, and returns its result with the maximum of each resource during the call.
pub(super) fn peak_during<T: Send>(pid: u32, run: impl FnOnce() -> T + Send) -> (T, io::Result<Resources>) {
    let mut peak = Resources::default();
    thread::scope(|scope| {
        let running = scope.spawn(run);
        let last = read_until(pid, Duration::MAX, |now| {
            peak.raise_to(now);
            running.is_finished()
        });
        (running.join().unwrap_or_else(|panic| resume_unwind(panic)), last.map(|_| peak))
    })
}

/// The number of entries of a directory in `/proc/PID`: `fd` for descriptors, `task` for threads.
fn count_entries(pid: u32, directory: &str) -> io::Result<usize> {
    let path = format!("/proc/{pid}/{directory}");
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot read {path}: {error}"));
    Ok(fs::read_dir(&path).map_err(named)?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares a server that held 10 descriptors, 4 threads, 20 MiB and process 2 with what it holds after the soak.
    /// Expects these resources to be in excess.
    fn check(after: (usize, usize, u64, u32), expected: &[&str]) {
        let resources = |(descriptors, threads, mebibytes, pid): (usize, usize, u64, u32)| Resources {
            processes: vec![1, pid],
            descriptors,
            threads,
            memory_bytes: mebibytes * 1024 * 1024,
        };
        let excess = resources(after).excess(&resources((10, 4, 20, 2)));
        let names: Vec<_> = excess.iter().map(|excess| excess.split(':').next().unwrap()).collect();
        assert_eq!(names, expected, "{after:?}");
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
    fn reads_the_resources_of_a_process() {
        let pid = std::process::id();
        let resources = Resources::read(pid).unwrap();
        assert!(resources.processes.contains(&pid) && resources.memory_bytes > 0);
        assert!(resources.descriptors > 2 && resources.threads > 0);
    }
}
