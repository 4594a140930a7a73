//! Reads what the processes of a server use: CPU time, context switches, threads and memory (proc(5)).
//!
//! CPU time is that of the process's clock, which counts nanoseconds and includes threads that have ended. Context
//! switches are known for living threads only: read them while the connections are open, because then the threads that
//! serve them are alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::time::ClockId;
use nix::unistd::Pid;

/// The process ids of a server when this was made: its first process and all descendants of that time.
#[derive(Clone, Debug)]
pub struct ProcessTree {
    /// The process ids, beginning with the first process of the server.
    pids: Vec<u32>,
}

/// What the processes of a server had used at one time.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// CPU time in user and kernel mode of all threads, ended ones included.
    cpu: Duration,
    /// The voluntary and the involuntary context switches of each living thread, by thread id.
    threads: BTreeMap<u32, (u64, u64)>,
}

/// What the processes of a server used between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// CPU time in user and kernel mode of all threads.
    pub cpu: Duration,
    /// How often a thread went to sleep (voluntary switches), of the threads that are still alive.
    pub waits: u64,
    /// How often the kernel took the CPU away from a thread (involuntary switches), of the threads that are still
    /// alive.
    pub preemptions: u64,
}

impl ProcessTree {
    /// Finds the process and its current descendants.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    pub fn of(pid: u32) -> io::Result<ProcessTree> {
        let mut pids = vec![pid];
        let mut next = 0;
        while let Some(pid) = pids.get(next) {
            pids.extend(children(*pid)?);
            next += 1;
        }
        Ok(ProcessTree { pids })
    }

    /// The process ids, beginning with the first process of the server.
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Reads what the processes have used so far.
    ///
    /// # Errors
    ///
    /// If a process has ended.
    pub fn usage(&self) -> io::Result<Usage> {
        let mut usage = Usage::default();
        for pid in &self.pids {
            usage.cpu += cpu_time(*pid)?;
            let tasks = format!("/proc/{pid}/task");
            for thread in numbers(tasks.as_ref())? {
                // A thread that has ended in the meantime is skipped.
                let status = fs::read_to_string(format!("{tasks}/{thread}/status")).ok();
                usage.threads.extend(status.as_deref().and_then(switches).map(|switches| (thread, switches)));
            }
        }
        Ok(usage)
    }

    /// The number of established connections to `server` of each worker that has any. If there are several processes,
    /// each is a worker; of a single one, each instance of epoll is, with the connections that are registered there.
    ///
    /// # Errors
    ///
    /// If a process has ended, or belongs to another user.
    pub fn connections_by_worker(&self, server: SocketAddr) -> io::Result<Vec<usize>> {
        let established = established(&fs::read_to_string("/proc/net/tcp")?, server.port());
        // A set, because an instance of epoll can have several descriptors.
        let mut workers = BTreeSet::new();
        for &pid in &self.pids {
            let mut of_process = BTreeSet::new();
            for descriptor in numbers(format!("/proc/{pid}/fd").as_ref())? {
                // A descriptor that was closed in the meantime is skipped.
                let link = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap_or_default();
                let link = link.to_string_lossy();
                if self.pids.len() == 1 && link == "anon_inode:[eventpoll]" {
                    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}"));
                    workers.insert(&registered(&info.unwrap_or_default()) & &established);
                } else if let Some(inode) =
                    link.strip_prefix("socket:[").and_then(|link| link.strip_suffix(']'))
                {
                    of_process.extend(inode.parse::<u64>());
                }
            }
            if self.pids.len() > 1 {
                workers.insert(&of_process & &established);
            }
        }
        Ok(workers.iter().map(BTreeSet::len).filter(|count| *count > 0).collect())
    }

    /// The memory of the processes in bytes; pages that several share are counted once (Pss).
    ///
    /// # Errors
    ///
    /// If a process has ended, or belongs to another user.
    pub fn memory_bytes(&self) -> io::Result<u64> {
        self.pids.iter().map(|pid| memory_bytes(*pid, "Pss:")).sum()
    }
}

impl Usage {
    /// The number of threads that were alive at the reading.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// What was used since an earlier reading of the same processes.
    pub fn since(&self, before: &Usage) -> Spent {
        let mut spent = Spent { cpu: self.cpu.saturating_sub(before.cpu), ..Spent::default() };
        for (thread, (waits, preemptions)) in &self.threads {
            let (waits_before, preemptions_before) = before.threads.get(thread).copied().unwrap_or_default();
            spent.waits += waits.saturating_sub(waits_before);
            spent.preemptions += preemptions.saturating_sub(preemptions_before);
        }
        spent
    }
}

/// The voluntary and the involuntary context switches of a thread, in the text of `/proc/PID/task/TID/status`.
fn switches(status: &str) -> Option<(u64, u64)> {
    Some((field(status, "voluntary_ctxt_switches:")?, field(status, "nonvoluntary_ctxt_switches:")?))
}

/// The inodes of the sockets with this local port and an established connection, in the text of `/proc/net/tcp`.
fn established(table: &str, port: u16) -> BTreeSet<u64> {
    /// The state of an established connection.
    const ESTABLISHED: &str = "01";
    let port = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        if local.ends_with(&port) && state == ESTABLISHED { inode.parse().ok() } else { None }
    };
    table.lines().filter_map(inode).collect()
}

/// The inodes of the files that an instance of epoll watches, in the text of its `/proc/PID/fdinfo/FD`.
fn registered(info: &str) -> BTreeSet<u64> {
    let inode = |line: &str| {
        let (_, inode) = line.split_once("ino:")?;
        u64::from_str_radix(inode.split_ascii_whitespace().next()?, 16).ok()
    };
    info.lines().filter(|line| line.starts_with("tfd:")).filter_map(inode).collect()
}

/// The memory of a process in bytes, in the field `name` of its `smaps_rollup`.
///
/// # Errors
///
/// If the process has ended, or belongs to another user.
pub fn memory_bytes(pid: u32, name: &str) -> io::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read {path}: {error}")))?;
    field(&text, name).map(|kib| kib * 1024).ok_or_else(|| io::Error::other(format!("cannot parse {path}")))
}

/// The number after `name` in the first line of `text` that begins with `name`, as in files of `/proc`.
pub fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

/// The ids of the living child processes of a process.
///
/// # Errors
///
/// If `/proc` cannot be read.
pub fn children(pid: u32) -> io::Result<Vec<u32>> {
    let is_child = |other: &u32| {
        // A process that has ended in the meantime is skipped.
        let stat = fs::read_to_string(format!("/proc/{other}/stat")).ok();
        stat.as_deref().and_then(parent) == Some(pid)
    };
    Ok(numbers("/proc".as_ref())?.into_iter().filter(is_child).collect())
}

/// The id of the parent process in the text of `/proc/PID/stat`. The program's name is in parentheses, and may itself
/// contain parentheses and spaces.
fn parent(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The CPU time of all threads of a process, ended ones included.
fn cpu_time(pid: u32) -> io::Result<Duration> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(ClockId::pid_cpu_clock_id(Pid::from_raw(pid))?.now()?.into())
}

/// The names in a directory of `/proc` that are numbers: ids of processes or threads.
fn numbers(dir: &Path) -> io::Result<Vec<u32>> {
    let names = fs::read_dir(dir)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::process::{self, Command, Stdio};
    use std::thread;

    use super::*;

    #[test]
    fn reads_the_parent_of_a_process() {
        assert_eq!(parent("123 (a name) R (S) 1) S 77 88"), Some(77));
        assert_eq!((parent("123 (short) S"), parent("123 no name S 77")), (None, None));
    }

    #[test]
    fn counts_switches_of_living_threads_since_an_earlier_reading() {
        let usage = |cpu_ms, threads: &[(u32, (u64, u64))]| Usage {
            cpu: Duration::from_millis(cpu_ms),
            threads: threads.iter().copied().collect(),
        };
        // Thread 2 has ended since, thread 3 has started.
        let before = usage(100, &[(1, (5, 1)), (2, (50, 0))]);
        let spent = usage(130, &[(1, (15, 1)), (3, (4, 1))]).since(&before);
        assert_eq!(spent, Spent { cpu: Duration::from_millis(30), waits: 14, preemptions: 1 });
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t1\n";
        assert_eq!((switches(status), switches("Name:\tx\n")), (Some((7, 1)), None));
    }

    #[test]
    fn counts_the_cpu_time_of_a_thread_that_has_ended() {
        let work = Duration::from_millis(50);
        let this_process = ProcessTree { pids: vec![process::id()] };
        let before = this_process.usage().unwrap();
        let cpu_time = || Duration::from(ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap());
        thread::spawn(move || while cpu_time() < work {}).join().unwrap();
        assert!(this_process.usage().unwrap().since(&before).cpu >= work);
    }

    #[test]
    fn counts_the_connections_of_each_event_loop() {
        let this_process = ProcessTree { pids: vec![process::id()] };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let loops = [mio::Poll::new().unwrap(), mio::Poll::new().unwrap()];
        let another_descriptor = loops[0].registry().try_clone().unwrap();
        let mut open = Vec::new();
        for (number, at) in [0, 0, 1].into_iter().enumerate() {
            let client = TcpStream::connect(server).unwrap();
            let mut accepted = mio::net::TcpStream::from_std(listener.accept().unwrap().0);
            let token = mio::Token(number);
            loops[at].registry().register(&mut accepted, token, mio::Interest::READABLE).unwrap();
            open.push((client, accepted));
        }
        let mut counts = this_process.connections_by_worker(server).unwrap();
        counts.sort_unstable();
        assert_eq!(counts, [1, 2]);
        drop(another_descriptor);
    }

    #[test]
    fn finds_a_process_and_its_descendants() {
        // The innermost shell prints a line once all processes run.
        let script = "sh -c 'sleep 60 & echo; wait'; exit";
        let mut child = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let tree = ProcessTree::of(child.id()).unwrap();
        assert_eq!((tree.pids().len(), tree.pids()[0]), (3, child.id()));
        assert_eq!(tree.usage().unwrap().threads(), 3);
        assert!(tree.memory_bytes().unwrap() > 0);
        for pid in tree.pids() {
            Command::new("kill").arg(pid.to_string()).status().unwrap();
        }
        child.wait().unwrap();
        assert!(tree.usage().is_err());
    }
}
