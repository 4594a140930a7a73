//! The resource use of a server's processes, read from `/proc` (proc(5)).
//!
//! There are two clocks for CPU time, and neither is sufficient. `stat` includes threads that have ended, but counts
//! ticks of ten milliseconds; `schedstat` counts nanoseconds, but only of living threads. [`Usage::since`] uses
//! `schedstat`, unless `stat` proves that a thread is missing. Context switches are known for living threads only: the
//! lab reads them while the connections are open, so that the threads that serve them are alive.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A process and all its descendants.
#[derive(Clone, Debug)]
pub struct Tree {
    pids: Vec<u32>,
}

/// What the processes of a tree had used at one time.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    processes: BTreeMap<u32, Process>,
}

/// What a tree used between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// CPU time in user and kernel mode.
    pub cpu: Duration,
    /// How often a thread went to sleep: voluntary context switches.
    pub waits: u64,
    /// How often the kernel preempted a thread: involuntary context switches.
    pub preemptions: u64,
}

/// What one process had used.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// CPU time of all threads, ended ones included, with the precision of ticks.
    pub cpu: Duration,
    /// The living threads, by thread id.
    pub threads: BTreeMap<u32, Thread>,
}

/// What one thread had used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// CPU time, in nanoseconds.
    pub cpu: Duration,
    /// Voluntary context switches.
    pub waits: u64,
    /// Involuntary context switches.
    pub preemptions: u64,
}

/// Fields of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The parent process.
    pub parent: u32,
    /// CPU time in user and kernel mode, in ticks.
    pub cpu_ticks: u64,
}

impl Tree {
    /// Finds the process and its current descendants.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    pub fn of(pid: u32) -> io::Result<Tree> {
        let mut pids = vec![pid];
        let mut next = 0;
        while let Some(pid) = pids.get(next) {
            pids.extend(children(*pid)?);
            next += 1;
        }
        Ok(Tree { pids })
    }

    /// The process ids, beginning with the root of the tree.
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Reads what its processes have used so far.
    ///
    /// # Errors
    ///
    /// If a process has ended.
    pub fn usage(&self) -> io::Result<Usage> {
        let processes = self.pids.iter().map(|pid| Ok((*pid, process(*pid)?)));
        Ok(Usage { processes: processes.collect::<io::Result<_>>()? })
    }

    /// Its memory in bytes, with shared pages divided among the processes (Pss).
    ///
    /// # Errors
    ///
    /// If a process has ended, or belongs to another user.
    pub fn memory_bytes(&self) -> io::Result<u64> {
        let of = |pid| {
            let text = read(&format!("/proc/{pid}/smaps_rollup"))?;
            field(&text, "Pss:").map(|kib| kib * 1024).ok_or_else(|| strange("smaps_rollup"))
        };
        self.pids.iter().map(of).sum()
    }
}

impl Usage {
    /// The number of living threads.
    pub fn threads(&self) -> usize {
        self.processes.values().map(|process| process.threads.len()).sum()
    }

    /// What was used since an earlier reading of the same tree.
    pub fn since(&self, before: &Usage) -> Spent {
        let none = Process::default();
        let pairs = self.processes.iter().map(|(pid, now)| (now, before.processes.get(pid).unwrap_or(&none)));
        pairs.fold(Spent::default(), |sum, (now, before)| {
            let spent = now.since(before);
            Spent {
                cpu: sum.cpu + spent.cpu,
                waits: sum.waits + spent.waits,
                preemptions: sum.preemptions + spent.preemptions,
            }
        })
    }
}

impl Process {
    /// What was used since an earlier reading of the same process.
    pub fn since(&self, before: &Process) -> Spent {
        /// User and system time are each rounded to ticks, in both readings.
        const ROUNDING: Duration = Duration::from_millis(40);
        let mut spent = Spent::default();
        for (tid, now) in &self.threads {
            let before = before.threads.get(tid).copied().unwrap_or_default();
            spent.cpu += now.cpu.saturating_sub(before.cpu);
            spent.waits += now.waits.saturating_sub(before.waits);
            spent.preemptions += now.preemptions.saturating_sub(before.preemptions);
        }
        let coarse = self.cpu.saturating_sub(before.cpu);
        if coarse > spent.cpu + ROUNDING {
            spent.cpu = coarse;
        }
        spent
    }
}

impl Stat {
    /// Parses `/proc/PID/stat`. The name is in parentheses, and may itself contain parentheses and spaces.
    pub fn parse(text: &str) -> Option<Stat> {
        let (_, behind_name) = text.rsplit_once(')')?;
        let mut fields = behind_name.split_ascii_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let user: u64 = fields.nth(9)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Stat { parent, cpu_ticks: user + system })
    }
}

impl Thread {
    /// Parses a thread's `schedstat` and `status`.
    pub fn parse(schedstat: &str, status: &str) -> Option<Thread> {
        let nanos = schedstat.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Thread {
            cpu: Duration::from_nanos(nanos),
            waits: field(status, "voluntary_ctxt_switches:")?,
            preemptions: field(status, "nonvoluntary_ctxt_switches:")?,
        })
    }
}

/// The number behind `name` at the beginning of a line.
pub fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

/// The living child processes.
///
/// # Errors
///
/// If `/proc` cannot be read.
pub fn children(pid: u32) -> io::Result<Vec<u32>> {
    let is_child = |other: &u32| {
        // A process that has ended in the meantime is skipped.
        let stat = fs::read_to_string(format!("/proc/{other}/stat")).ok();
        stat.as_deref().and_then(Stat::parse).is_some_and(|stat| stat.parent == pid)
    };
    Ok(numbers("/proc".as_ref())?.into_iter().filter(is_child).collect())
}

fn process(pid: u32) -> io::Result<Process> {
    let stat = Stat::parse(&read(&format!("/proc/{pid}/stat"))?).ok_or_else(|| strange("stat"))?;
    let micros = stat.cpu_ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let tasks = format!("/proc/{pid}/task");
    let living = numbers(tasks.as_ref())?.into_iter().filter_map(|tid| {
        let schedstat = fs::read_to_string(format!("{tasks}/{tid}/schedstat")).ok()?;
        let status = fs::read_to_string(format!("{tasks}/{tid}/status")).ok()?;
        Some((tid, Thread::parse(&schedstat, &status)?))
    });
    Ok(Process { cpu: Duration::from_micros(micros), threads: living.collect() })
}

/// The numeric names in a directory of `/proc`: processes or threads.
fn numbers(dir: &Path) -> io::Result<Vec<u32>> {
    let names = fs::read_dir(dir)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(names.collect())
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}

fn strange(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot parse {file} in /proc"))
}
