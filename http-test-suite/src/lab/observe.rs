//! What a server's processes have used, as `/proc` tells it (proc(5)).
//!
//! Two clocks tell how long a process was on the CPU, and neither is enough. `stat` counts the threads that have ended,
//! too, but in ticks of ten milliseconds; `schedstat` counts nanoseconds, but of living threads. [`Usage::since`] uses
//! the fine one unless the coarse one proves that it has missed a thread. Context switches are only told of living
//! threads: the lab looks while the connections are still open, and so the threads that serve them still there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A process and those it started, directly or not.
#[derive(Clone, Debug)]
pub struct Tree {
    pids: Vec<u32>,
}

/// What the processes of a tree had used at some moment.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    processes: BTreeMap<u32, Process>,
}

/// What a tree used between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// On any CPU, in user and kernel mode.
    pub cpu: Duration,
    /// How often a thread went to sleep: voluntary context switches.
    pub waits: u64,
    /// How often a thread was interrupted in favour of another: involuntary ones.
    pub preemptions: u64,
}

/// What one process had used.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Of all threads there ever were, in ticks.
    pub cpu: Duration,
    /// By thread, of those that live.
    pub threads: BTreeMap<u32, Thread>,
}

/// What one thread had used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// To the nanosecond.
    pub cpu: Duration,
    /// Voluntary context switches.
    pub waits: u64,
    /// Involuntary context switches.
    pub preemptions: u64,
}

/// What `/proc/PID/stat` says here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process that started this one.
    pub parent: u32,
    /// In user and kernel mode, in ticks.
    pub cpu_ticks: u64,
}

impl Tree {
    /// The process and its descendants at this moment.
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

    /// The identifiers of its processes; first the one it began with.
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// What its processes have used until now.
    ///
    /// # Errors
    ///
    /// If one has ended.
    pub fn usage(&self) -> io::Result<Usage> {
        let processes = self.pids.iter().map(|pid| Ok((*pid, process(*pid)?)));
        Ok(Usage { processes: processes.collect::<io::Result<_>>()? })
    }

    /// Its memory in bytes, where a page that several processes share is divided among them (Pss).
    ///
    /// # Errors
    ///
    /// If a process has ended, or is another user's.
    pub fn memory_bytes(&self) -> io::Result<u64> {
        let of = |pid| {
            let text = read(&format!("/proc/{pid}/smaps_rollup"))?;
            field(&text, "Pss:").map(|kib| kib * 1024).ok_or_else(|| strange("smaps_rollup"))
        };
        self.pids.iter().map(of).sum()
    }
}

impl Usage {
    /// Threads at that moment.
    pub fn threads(&self) -> usize {
        self.processes.values().map(|process| process.threads.len()).sum()
    }

    /// What was used since an earlier look at the same tree.
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
    /// What was used since an earlier look at the same process.
    pub fn since(&self, before: &Process) -> Spent {
        /// User and system time are each rounded, at both looks.
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
    /// Understands `/proc/PID/stat`: the name stands in parentheses and may itself hold any character.
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
    /// Understands a thread's `schedstat` and `status`.
    pub fn parse(schedstat: &str, status: &str) -> Option<Thread> {
        let nanos = schedstat.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Thread {
            cpu: Duration::from_nanos(nanos),
            waits: field(status, "voluntary_ctxt_switches:")?,
            preemptions: field(status, "nonvoluntary_ctxt_switches:")?,
        })
    }
}

/// The number behind a name that begins a line.
pub fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

/// The processes that this one started, and that live.
///
/// # Errors
///
/// If `/proc` cannot be read.
pub fn children(pid: u32) -> io::Result<Vec<u32>> {
    let is_child = |other: &u32| {
        // One that ended in between is nobody's child.
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

/// The names in a directory that are numbers: processes or threads.
fn numbers(dir: &Path) -> io::Result<Vec<u32>> {
    let names = fs::read_dir(dir)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(names.collect())
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}

fn strange(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("/proc has a {file} that is not understood"))
}
