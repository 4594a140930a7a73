//! One measurement: starts a subject, puts a load on it, reads what its processes use, and stops it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::requests::{Requests, serves_page};
use super::workload::{Background, Conditions, KEEP_ALIVE, Task};
use super::{ab, conformance};
use crate::clients::{IdleClients, SlowClients};
use crate::load::{self, Load, Progress, Stats, Until};
use crate::report::{Metric, Sample};
use crate::subject::catalog::{Serves, Subject};
use crate::subject::configuration::Environment;
use crate::subject::process::{Cpus, Server};
use crate::subject::usage::{Spent, Usage};

/// The timeout for a response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server gets requests before the load, so that its caches are filled.
const WARM_UP: Duration = Duration::from_millis(100);
/// The number of connections that send requests before the load.
const WARM_UP_CONNECTIONS: usize = 16;

/// How much longer a load lasts than the measurement, so that all connections are open before: at least this.
const OPENING: Duration = Duration::from_millis(200);
/// What each connection adds to [`OPENING`].
const OPENING_EACH: Duration = Duration::from_micros(100);

/// The number of starts in one measurement, which yields their median.
const STARTS: usize = 11;

/// Requests per second of a bystander: few enough that it catches up after other clients have blocked the server for a
/// while. So its latency shows the effect of the other clients, not of its own backlog.
const BYSTANDER_RATE: f64 = 250.0;
/// The connections of a bystander. With a thousand other clients they must not exceed the limit of the blocking engine.
const BYSTANDER_CONNECTIONS: usize = 16;

/// When to read the memory of a server that gets all requests at once and responds to all after a second.
const BEFORE_ALL_RESPOND: Duration = Duration::from_millis(700);

/// The response header by which the demo application names the worker.
const WORKER_HEADER: &str = "X-Served-By";

/// A subject to measure, and how.
pub(super) struct Bench<'a> {
    /// The measured subject.
    pub(super) subject: &'static Subject,
    /// The path of its program.
    pub(super) program: &'a Path,
    /// What it is started with.
    pub(super) environment: Environment,
    /// The CPUs of both sides.
    pub(super) cpus: &'a Cpus,
    /// The duration of the measurement.
    pub(super) time: Duration,
    /// A number that differs for each measurement.
    pub(super) number: u32,
}

/// The result of a measurement.
pub(super) enum Measured {
    /// Numbers; the runner sets the round.
    Sample(Sample),
    /// No numbers, and why the task does not apply to the subject.
    NotApplicable(&'static str),
}

/// What a server had used at one time during a load, and how far the load had come.
struct Reading {
    /// What its processes had used.
    usage: Usage,
    /// Correct responses by then.
    requests: f64,
    /// Seconds by then.
    seconds: f64,
}

/// The result of a load, and what the server used for it.
struct Observation {
    /// What the driver counted.
    stats: Stats,
    /// What the server used from when every connection had a response to the last response.
    spent: Spent,
    /// Correct responses in that time.
    requests: f64,
    /// The length of that time in seconds.
    seconds: f64,
    /// Threads of the server after the last response.
    threads: usize,
    /// Memory of the server under load.
    memory_bytes: u64,
}

impl Bench<'_> {
    /// Measures the subject.
    ///
    /// # Errors
    ///
    /// If the server does not start or stop, or has no correct response, or loses a connection that it must keep.
    pub(super) fn measure(&self, task: Task, connections: usize) -> io::Result<Measured> {
        if task == Task::Start {
            return self.starts().map(Measured::Sample);
        }
        let server = self.subject.start(self.program, &self.environment, self.cpus, None)?;
        let sample = match task {
            Task::Ab => ab::measure(&server)?.ok_or("ab is not installed"),
            Task::Conformance => Ok(conformance::measure(server.address)?),
            _ => {
                let memory_at_start = server.processes.memory_bytes()?;
                let observation = self.observe_task(&server, task, connections)?;
                observation
                    .map(|observation| self.sample(task, connections, memory_at_start, &observation))
                    .ok_or("it sends no entity tag")
            }
        };
        self.stop(server)?;
        Ok(sample.map_or_else(Measured::NotApplicable, Measured::Sample))
    }

    /// Measures the time from starting the program to its first response.
    fn starts(&self) -> io::Result<Sample> {
        let start = |_| {
            let begin = Instant::now();
            let server = self.subject.start(self.program, &self.environment, self.cpus, Some(serves_page))?;
            let elapsed = begin.elapsed();
            self.stop(server)?;
            Ok(elapsed.as_secs_f64() * 1e3)
        };
        let mut times = (0..STARTS).map(start).collect::<io::Result<Vec<f64>>>()?;
        times.sort_by(f64::total_cmp);
        Ok(Sample { values: [(Metric::StartTime, times[STARTS / 2])].into(), ..Sample::default() })
    }

    /// Stops the server. The exit status of a packaged server says nothing: some exit with 1 after SIGTERM.
    fn stop(&self, server: Server) -> io::Result<()> {
        server.stop().or_else(|error| if self.subject.is_packaged() { Ok(()) } else { Err(error) })
    }

    /// Puts the load of a task on the server; `None` if the server lacks what the requests need.
    fn observe_task(
        &self,
        server: &Server,
        task: Task,
        connections: usize,
    ) -> io::Result<Option<Observation>> {
        let opening = OPENING + OPENING_EACH * u32::try_from(connections).unwrap_or(u32::MAX);
        let (until, middle) = (Until::Time(opening + self.time), Some(opening + self.time / 2));
        let at_once = Until::Requests(connections as u64);
        let load = match task {
            Task::Load(requests, conditions) => {
                let Some(load) = self.load(server, requests, conditions, connections, until)? else {
                    return Ok(None);
                };
                let until = Until::Time(WARM_UP);
                load::run(&Load { connections: WARM_UP_CONNECTIONS, until, ..load.clone() }, &|_| {})?;
                Some(load)
            }
            Task::AllAtOnce(requests) | Task::Idle(requests) => {
                self.load(server, requests, KEEP_ALIVE, connections, at_once)?
            }
            _ => self.load(server, Requests::Hello, KEEP_ALIVE, BYSTANDER_CONNECTIONS, until)?,
        };
        let Some(load) = load else { return Ok(None) };
        let observation = match task {
            Task::AllAtOnce(_) => observe(server, &load, Some(BEFORE_ALL_RESPOND)),
            // A single thread gives every connection a request before it reads any response, so each sends exactly one.
            Task::Idle(_) => observe(server, &Load { threads: 1, ..load }, None),
            Task::Bystander(background) => {
                let load = Load { rate: Some(BYSTANDER_RATE), ..load };
                self.observe_beside(server, background, connections, || observe(server, &load, middle))
            }
            _ => observe(server, &load, middle),
        };
        observation.map(Some)
    }

    /// Calls `observe` while other clients use the server.
    fn observe_beside(
        &self,
        server: &Server,
        background: Background,
        count: usize,
        observe: impl Fn() -> io::Result<Observation>,
    ) -> io::Result<Observation> {
        let (observation, disconnected) = match background {
            Background::None => (observe()?, 0),
            Background::Idle => {
                let clients = IdleClients::connect(server.address, count)?;
                (observe()?, clients.disconnected())
            }
            Background::Slow => {
                let clients = SlowClients::start(server.address, count)?;
                (observe()?, clients.finish())
            }
            Background::Busy(requests) => {
                let opening = OPENING_EACH * u32::try_from(count).unwrap_or(u32::MAX);
                let until = Until::Time(2 * OPENING + opening + self.time);
                let load = self.load(server, requests, KEEP_ALIVE, count, until)?;
                let load = load.ok_or_else(|| io::Error::other("the other clients have no requests"))?;
                let (observation, stats) = thread::scope(|scope| {
                    let clients = scope.spawn(|| load::run(&load, &|_| {}));
                    (
                        observe(),
                        clients
                            .join()
                            .unwrap_or_else(|_| Err(io::Error::other("the other clients panicked"))),
                    )
                });
                let stats = stats?;
                if stats.error_count() > 0 {
                    return Err(io::Error::other(format!(
                        "wrong responses to other clients: {}",
                        faults(&stats)
                    )));
                }
                (observation?, 0)
            }
        };
        match disconnected {
            0 => Ok(observation),
            _ => Err(io::Error::other(format!("{disconnected} of {count} other clients were disconnected"))),
        }
    }

    /// A load of these requests; `None` if the server lacks what they need.
    fn load(
        &self,
        server: &Server,
        requests: Requests,
        conditions: Conditions,
        connections: usize,
        until: Until,
    ) -> io::Result<Option<Load>> {
        let (address, serves, Conditions { keep_alive, pipeline, .. }) =
            (server.address, self.subject.serves, conditions);
        let exchanges = requests.exchanges(address, serves, keep_alive, self.number)?;
        Ok(exchanges.map(|exchanges| Load {
            address,
            exchanges,
            connections,
            keep_alive,
            pipeline,
            until,
            rate: None,
            threads: self.cpus.driver.len(),
            timeout: TIMEOUT,
            count_header: (serves == Serves::Demo).then_some(WORKER_HEADER),
        }))
    }

    /// The numbers of a task, from what was observed.
    fn sample(
        &self,
        task: Task,
        connections: usize,
        memory_at_start: u64,
        observation: &Observation,
    ) -> Sample {
        let Observation { stats, spent, requests, seconds, threads, memory_bytes } = observation;
        let (cpu_seconds, memory) = (spent.cpu.as_secs_f64(), *memory_bytes as f64);
        let (workers, cpus) = (self.environment.workers, self.cpus.server.len());
        // A worker of an event loop is one thread.
        let usable = if self.subject.has_thread_per_connection { cpus } else { workers.min(cpus) };
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        let millis = |percent| stats.percentile(percent).as_secs_f64() * 1e3;
        let mut values = BTreeMap::from([
            (Metric::Memory, mib(memory)),
            (Metric::MemoryAtStart, mib(memory_at_start as f64)),
        ]);
        if matches!(task, Task::Idle(_) | Task::Bystander(_)) && connections > 0 {
            values
                .insert(Metric::MemoryPerConnection, (memory - memory_at_start as f64) / connections as f64);
        }
        if !matches!(task, Task::Idle(_)) {
            values.extend([
                (Metric::P50, millis(50.0)),
                (Metric::P99, millis(99.0)),
                (Metric::Busy, cpu_seconds / seconds / usable as f64 * 100.0),
                (Metric::DriverBusy, stats.busiest_thread * 100.0),
                (Metric::Threads, *threads as f64),
            ]);
        }
        // A bystander's rate is fixed, and the server also works for others.
        if matches!(task, Task::Load(..) | Task::AllAtOnce(_)) {
            values.extend([
                (Metric::Throughput, requests / seconds),
                (Metric::Cpu, cpu_seconds * 1e6 / requests),
                (Metric::Waits, spent.switches.waits as f64 / requests),
                (Metric::Preemptions, spent.switches.preemptions as f64 / requests),
            ]);
        }
        if matches!(task, Task::AllAtOnce(_)) {
            values.insert(Metric::Elapsed, stats.elapsed.as_secs_f64());
        }
        let wrong = stats.errors.iter().map(|(fault, count)| (fault.to_string(), *count)).collect();
        Sample { round: 0, values, per_worker: with_idle_workers(stats.by_header.clone(), workers), wrong }
    }
}

/// Runs a load, and reads what the server uses for it: from when every connection has a response to the last response.
/// If that takes until `middle`, or there is no `middle`, it reads from the beginning, or too few requests would be left.
/// Reads the memory at `middle`, or after the last response.
fn observe(server: &Server, load: &Load, middle: Option<Duration>) -> io::Result<Observation> {
    let start = Reading { usage: server.processes.usage()?, requests: 0.0, seconds: 0.0 };
    let readings = Mutex::new((None, None));
    let watch = |progress: Progress| {
        let mut readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
        let (begin, memory) = &mut *readings;
        let Some(middle) = middle else { return };
        if progress.elapsed >= middle {
            memory.get_or_insert_with(|| server.processes.memory_bytes());
        } else if progress.requests >= load.connections as u64 {
            begin.get_or_insert_with(|| read_usage(server, &progress));
        }
    };
    let inspect = || (server.processes.usage(), server.processes.memory_bytes());
    let (stats, (usage, memory_at_end)) = load::run_and_inspect(load, &watch, inspect)?;
    if stats.requests == 0 {
        return Err(io::Error::other(format!("no correct response: {}", faults(&stats))));
    }
    let usage = usage?;
    let (begin, memory) = readings.into_inner().unwrap_or_else(PoisonError::into_inner);
    // On a busy machine the first reading may take until the load is over.
    let is_before_end = |begin: &Reading| {
        begin.requests < stats.requests as f64 && begin.seconds < stats.elapsed.as_secs_f64()
    };
    let begin = begin.transpose()?.filter(is_before_end).unwrap_or(start);
    Ok(Observation {
        spent: usage.since(&begin.usage),
        requests: stats.requests as f64 - begin.requests,
        seconds: stats.elapsed.as_secs_f64() - begin.seconds,
        threads: usage.threads(),
        memory_bytes: memory.unwrap_or(memory_at_end)?,
        stats,
    })
}

/// Reads what a server has used during a load. With a thousand threads that takes a while, and the load continues, so
/// the requests and the time are those of the middle of the reading.
fn read_usage(server: &Server, progress: &Progress) -> io::Result<Reading> {
    let begin = Instant::now();
    let usage = server.processes.usage()?;
    let seconds = progress.elapsed.as_secs_f64() + begin.elapsed().as_secs_f64() / 2.0;
    let requests = progress.requests as f64 * seconds / progress.elapsed.as_secs_f64();
    Ok(Reading { usage, requests, seconds })
}

/// The counts of all workers: without responses that name no worker, and with zero for workers that sent none.
fn with_idle_workers(mut per_worker: BTreeMap<String, u64>, workers: usize) -> BTreeMap<String, u64> {
    per_worker.remove("");
    let named = per_worker.keys().next().and_then(|name| name.split_once("worker="));
    if let Some(prefix) = named.map(|(prefix, _)| prefix.to_owned()) {
        for number in 0..workers {
            per_worker.entry(format!("{prefix}worker={number}")).or_default();
        }
    }
    per_worker
}

/// The faults of a load as text: `3 × wrong content, 1 × no response in time`.
fn faults(stats: &Stats) -> String {
    let faults = stats.errors.iter().map(|(fault, count)| format!("{count} × {fault}"));
    faults.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_workers_without_requests() {
        let counts = |counts: &[(&str, u64)]| -> BTreeMap<String, u64> {
            counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        let check = |seen: &[(&str, u64)], workers, expected: &[(&str, u64)]| {
            assert_eq!(with_idle_workers(counts(seen), workers), counts(expected));
        };
        check(&[("async; worker=1", 7), ("", 2)], 2, &[("async; worker=0", 0), ("async; worker=1", 7)]);
        check(&[("", 9)], 2, &[]);
        check(&[], 4, &[]);
    }
}
