//! What a program uses, by its own account in `/proc`: descriptors, threads, memory, time on the processor.

use crate::program::Program;
use std::{fs, iter::Sum, ops::Add, time::Duration};

/// Ticks in which `/proc` counts time on the processor: 100 a second on every Linux (proc(5), `USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// What one or several processes use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resources {
    pub descriptors: usize,
    pub threads: usize,
    pub resident_kib: usize,
    pub cpu: Duration,
}

impl Resources {
    /// What the program and its workers use together. A worker that ends meanwhile counts as nothing.
    pub fn of(program: &Program) -> Resources {
        processes(program).into_iter().filter_map(Resources::of_process).sum()
    }

    fn of_process(pid: i32) -> Option<Resources> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        let (status, stat) = (read("status")?, read("stat")?);
        let line = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.split_whitespace().next()?.parse().ok()
        };
        // Behind the name, which stands in brackets and may hold anything, utime and stime are the 12th and 13th.
        let ticks = stat.rsplit_once(") ")?.1.split(' ').skip(11).take(2);
        let ticks: u32 = ticks.filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
        Some(Resources {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
            threads: line("Threads:")?,
            resident_kib: line("VmRSS:")?,
            cpu: TICK * ticks,
        })
    }
}

/// The program's process and those of its workers.
pub fn processes(program: &Program) -> Vec<i32> {
    let workers = program.workers().into_iter().map(|(pid, _)| pid.as_raw_nonzero().get());
    [program.pid().as_raw_nonzero().get()].into_iter().chain(workers).collect()
}

impl Add for Resources {
    type Output = Resources;

    fn add(self, other: Resources) -> Resources {
        Resources {
            descriptors: self.descriptors + other.descriptors,
            threads: self.threads + other.threads,
            resident_kib: self.resident_kib + other.resident_kib,
            cpu: self.cpu + other.cpu,
        }
    }
}

impl Sum for Resources {
    fn sum<I: Iterator<Item = Resources>>(all: I) -> Resources {
        all.fold(Resources::default(), Add::add)
    }
}
