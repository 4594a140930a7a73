//! Reads from `/proc` what a program uses: descriptors, threads, memory, processor time.

use crate::program::{Program, stat_fields};
use rustix::process::Pid;
use std::{fs, time::Duration};

/// The unit of processor time in `/proc`. The tests assume 100 ticks a second, the value on most architectures, such as
/// x86 and Arm. The exact value is `sysconf(_SC_CLK_TCK)` (proc(5)).
const TICK: Duration = Duration::from_millis(10);

/// What one or several processes use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resources {
    /// The number of open descriptors.
    pub descriptors: usize,
    /// The number of threads.
    pub threads: usize,
    /// The memory that is resident, in KiB. Memory that processes share counts once for each of them.
    pub resident_kib: usize,
    /// The processor time used since the processes started, in user and in kernel mode.
    pub cpu: Duration,
}

impl Resources {
    /// Returns the sum over all processes of a program: its own and those of its workers. Processes that end meanwhile
    /// do not count.
    pub fn of(program: &Program) -> Resources {
        let mut total = Resources::default();
        for process in program.processes().into_iter().filter_map(Resources::of_process) {
            total.descriptors += process.descriptors;
            total.threads += process.threads;
            total.resident_kib += process.resident_kib;
            total.cpu += process.cpu;
        }
        total
    }

    /// Returns what one process uses, or `None` if it has ended.
    fn of_process(pid: Pid) -> Option<Resources> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let value = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.split_whitespace().next()?.parse().ok()
        };
        // utime and stime are the 14th and 15th field.
        let ticks: u32 = stat_fields(pid)?[11..13].iter().filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
        Some(Resources {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
            threads: value("Threads:")?,
            resident_kib: value("VmRSS:")?,
            cpu: TICK * ticks,
        })
    }
}
