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
use crate::load::{self, Exchange, Load, Progress, Stats, Until};
use crate::report::{Metric, Sample};
use crate::subject::catalog::{Serves, Subject};
use crate::subject::configuration::Environment;
use crate::subject::process::{Cpus, Server};
use crate::subject::usage::{Spent, Usage};

/// The timeout for a response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long, and over how many connections, a server gets requests before the load, so that its caches are filled.
const WARM_UP: Duration = Duration::from_millis(100);
const WARM_UP_CONNECTIONS: usize = 16;

/// How much longer a load lasts than the measurement, so that all its connections are open: at least, and for each.
const OPENING: Duration = Duration::from_millis(200);
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
    NotApplicable(String),
}

/// The state of a server during a load.
struct Reading {
    usage: Usage,
    /// Correct responses by then.
    requests: f64,
    /// Seconds by then.
    seconds: f64,
}

/// The result of a load, and what the server used for it.
struct Observation {
    stats: Stats,
    /// What the server used from when every connection had a response to the last response.
    spent: Spent,
    /// Correct responses in that time.
    requests: f64,
    /// The length of that time in seconds.
    seconds: f64,
    /// Threads of the server after the last response.
    threads: usize,
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
        let measured = match task {
            Task::Load(requests, conditions) => self.load(&server, requests, conditions, connections)?,
            Task::AllAtOnce(requests) => self.all_at_once(&server, requests, connections)?,
            Task::Bystander(background) => self.bystander(&server, background, connections)?,
            Task::Idle(requests) => self.idle(&server, requests, connections)?,
            Task::Ab => ab::measure(&server)?,
            Task::Start | Task::Conformance => Measured::Sample(conformance::measure(server.address)?),
        };
        self.stop(server)?;
        Ok(measured)
    }

    /// Stops the server. The exit status of a packaged server says nothing: some exit with 1 after SIGTERM.
    fn stop(&self, server: Server) -> io::Result<()> {
        server.stop().or_else(|error| if self.subject.is_packaged() { Ok(()) } else { Err(error) })
    }

    /// Measures the cost of requests.
    fn load(
        &self,
        server: &Server,
        requests: Requests,
        conditions: Conditions,
        connections: usize,
    ) -> io::Result<Measured> {
        let memory_at_start = server.processes.memory_bytes()?;
        let Some(exchanges) = self.exchanges(server, requests, conditions.keep_alive)? else {
            return Ok(Measured::NotApplicable("it sends no entity tag".to_owned()));
        };
        let opening = OPENING + OPENING_EACH * u32::try_from(connections).unwrap_or(u32::MAX);
        let Conditions { keep_alive, pipeline, .. } = conditions;
        let load = self.plan(server, exchanges, connections, Until::Time(opening + self.time));
        let load = Load { keep_alive, pipeline, ..load };
        load::run(
            &Load { connections: WARM_UP_CONNECTIONS, until: Until::Time(WARM_UP), ..load.clone() },
            &|_| {},
        )?;
        // A server that is too slow to open all connections in time is measured from the beginning, or too few requests
        // would be left.
        let observation = observe(server, &load, opening + self.time / 2, Some(opening + self.time / 2))?;
        let mut sample = self.sample(&observation, memory_at_start);
        sample.values.extend(self.costs(&observation));
        Ok(Measured::Sample(sample))
    }

    /// Measures the time for all requests.
    fn all_at_once(&self, server: &Server, requests: Requests, connections: usize) -> io::Result<Measured> {
        let memory_at_start = server.processes.memory_bytes()?;
        let exchanges = self.exchanges(server, requests, true)?.unwrap_or_default();
        let load = self.plan(server, exchanges, connections, Until::Requests(connections as u64));
        let observation = observe(server, &load, Duration::ZERO, Some(BEFORE_ALL_RESPOND))?;
        let mut sample = self.sample(&observation, memory_at_start);
        sample.values.extend(self.costs(&observation));
        sample.values.insert(Metric::Elapsed, observation.stats.elapsed.as_secs_f64());
        Ok(Measured::Sample(sample))
    }

    /// Measures the latency of a few clients beside others.
    fn bystander(&self, server: &Server, background: Background, count: usize) -> io::Result<Measured> {
        let memory_at_start = server.processes.memory_bytes()?;
        let exchanges = self.exchanges(server, Requests::Hello, true)?.unwrap_or_default();
        let load = self.plan(server, exchanges, BYSTANDER_CONNECTIONS, Until::Time(OPENING + self.time));
        let load = Load { rate: Some(BYSTANDER_RATE), ..load };
        let run = || observe(server, &load, OPENING, Some(OPENING + self.time / 2));
        let observation = match background {
            Background::None => run()?,
            Background::Idle => {
                let clients = IdleClients::connect(server.address, count)?;
                let observation = run()?;
                none_disconnected(clients.disconnected(), count)?;
                observation
            }
            Background::Slow => {
                let clients = SlowClients::start(server.address, count)?;
                let observation = run()?;
                none_disconnected(clients.finish(), count)?;
                observation
            }
            Background::Busy(requests) => {
                let exchanges = self.exchanges(server, requests, true)?.unwrap_or_default();
                let until = Until::Time(2 * OPENING + self.time);
                let busy = self.plan(server, exchanges, count, until);
                let (observation, stats) = thread::scope(|scope| {
                    let busy = scope.spawn(|| load::run(&busy, &|_| {}));
                    (
                        run(),
                        busy.join().unwrap_or_else(|_| Err(io::Error::other("the other clients panicked"))),
                    )
                });
                let stats = stats?;
                if stats.error_count() > 0 {
                    return Err(io::Error::other(format!(
                        "wrong responses to other clients: {}",
                        faults(&stats)
                    )));
                }
                observation?
            }
        };
        let mut sample = self.sample(&observation, memory_at_start);
        if count > 0 {
            let each = per_connection(observation.memory_bytes, memory_at_start, count);
            sample.values.insert(Metric::MemoryPerConnection, each);
        }
        Ok(Measured::Sample(sample))
    }

    /// Measures the memory of idle connections that have sent one request.
    fn idle(&self, server: &Server, requests: Requests, connections: usize) -> io::Result<Measured> {
        let memory_at_start = server.processes.memory_bytes()?;
        let exchanges = self.exchanges(server, requests, true)?.unwrap_or_default();
        let load = self.plan(server, exchanges, connections, Until::Requests(connections as u64));
        // A single thread gives every connection a request before it reads any response, so each sends exactly one.
        let observation = observe(server, &Load { threads: 1, ..load }, Duration::ZERO, None)?;
        let each = per_connection(observation.memory_bytes, memory_at_start, connections);
        let values = BTreeMap::from([
            (Metric::MemoryAtStart, mib(memory_at_start)),
            (Metric::Memory, mib(observation.memory_bytes)),
            (Metric::MemoryPerConnection, each),
        ]);
        Ok(Measured::Sample(Sample { values, wrong: wrong(&observation.stats), ..Sample::default() }))
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

    fn exchanges(
        &self,
        server: &Server,
        requests: Requests,
        keep_alive: bool,
    ) -> io::Result<Option<Vec<Exchange>>> {
        requests.exchanges(server.address, self.subject.serves, keep_alive, self.number)
    }

    /// A load with the usual conditions.
    fn plan(&self, server: &Server, exchanges: Vec<Exchange>, connections: usize, until: Until) -> Load {
        Load {
            address: server.address,
            exchanges,
            connections,
            keep_alive: KEEP_ALIVE.keep_alive,
            pipeline: KEEP_ALIVE.pipeline,
            until,
            rate: None,
            threads: self.cpus.driver.len(),
            timeout: TIMEOUT,
            count_header: (self.subject.serves == Serves::Demo).then_some(WORKER_HEADER),
        }
    }

    /// What every load yields.
    fn sample(&self, observation: &Observation, memory_at_start: u64) -> Sample {
        let Observation { stats, spent, seconds, threads, memory_bytes, .. } = observation;
        let millis = |percent| stats.percentile(percent).as_secs_f64() * 1e3;
        let (workers, cpus) = (self.environment.workers, self.cpus.server.len());
        // A worker of an event loop is one thread.
        let usable = if self.subject.has_thread_per_connection { cpus } else { workers.min(cpus) };
        let values = BTreeMap::from([
            (Metric::P50, millis(50.0)),
            (Metric::P99, millis(99.0)),
            (Metric::Busy, spent.cpu.as_secs_f64() / seconds / usable as f64 * 100.0),
            (Metric::DriverBusy, stats.busiest_thread * 100.0),
            (Metric::Memory, mib(*memory_bytes)),
            (Metric::MemoryAtStart, mib(memory_at_start)),
            (Metric::Threads, *threads as f64),
        ]);
        let per_worker = complete(stats.by_header.clone(), workers);
        Sample { round: 0, values, per_worker, wrong: wrong(stats) }
    }

    /// What a load yields unless its rate is fixed.
    fn costs(&self, observation: &Observation) -> [(Metric, f64); 4] {
        let Observation { spent, requests, seconds, .. } = observation;
        [
            (Metric::Throughput, requests / seconds),
            (Metric::Cpu, spent.cpu.as_secs_f64() * 1e6 / requests),
            (Metric::Waits, spent.switches.waits as f64 / requests),
            (Metric::Preemptions, spent.switches.preemptions as f64 / requests),
        ]
    }
}

/// Runs a load, and reads what the server uses for it: from when every connection has a response, unless that takes
/// until `latest`, to the last response. Reads the memory at `memory_at`, or after the last response.
fn observe(
    server: &Server,
    load: &Load,
    latest: Duration,
    memory_at: Option<Duration>,
) -> io::Result<Observation> {
    let start = Reading { usage: server.processes.usage()?, requests: 0.0, seconds: 0.0 };
    let readings = Mutex::new((None, None));
    let watch = |progress: Progress| {
        let mut readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
        let (begin, memory) = &mut *readings;
        if begin.is_none() && progress.requests >= load.connections as u64 && progress.elapsed < latest {
            *begin = Some(read(server, &progress));
        }
        if memory.is_none() && memory_at.is_some_and(|at| progress.elapsed >= at) {
            *memory = Some(server.processes.memory_bytes());
        }
    };
    let inspect = || (server.processes.usage(), server.processes.memory_bytes());
    let (stats, (usage, memory_at_end)) = load::run_and_inspect(load, &watch, inspect)?;
    if stats.requests == 0 {
        return Err(io::Error::other(format!("no correct response: {}", faults(&stats))));
    }
    let usage = usage?;
    let (begin, memory) = readings.into_inner().unwrap_or_else(PoisonError::into_inner);
    let begin = begin.transpose()?.filter(|begin| begin.requests < stats.requests as f64).unwrap_or(start);
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
fn read(server: &Server, progress: &Progress) -> io::Result<Reading> {
    let begin = Instant::now();
    let usage = server.processes.usage()?;
    let seconds = progress.elapsed.as_secs_f64() + begin.elapsed().as_secs_f64() / 2.0;
    let requests = progress.requests as f64 * seconds / progress.elapsed.as_secs_f64();
    Ok(Reading { usage, requests, seconds })
}

/// The counts of all workers: without responses that name no worker, and with zero for workers that sent none.
fn complete(mut per_worker: BTreeMap<String, u64>, workers: usize) -> BTreeMap<String, u64> {
    per_worker.remove("");
    let named = per_worker.keys().next().and_then(|name| name.split_once("worker="));
    if let Some(prefix) = named.map(|(prefix, _)| prefix.to_owned()) {
        for number in 0..workers {
            per_worker.entry(format!("{prefix}worker={number}")).or_default();
        }
    }
    per_worker
}

fn none_disconnected(disconnected: usize, count: usize) -> io::Result<()> {
    match disconnected {
        0 => Ok(()),
        _ => Err(io::Error::other(format!("{disconnected} of {count} other clients were disconnected"))),
    }
}

/// The requests without a correct response, by fault.
fn wrong(stats: &Stats) -> BTreeMap<String, u64> {
    stats.errors.iter().map(|(fault, count)| (fault.to_string(), *count)).collect()
}

fn faults(stats: &Stats) -> String {
    let faults = stats.errors.iter().map(|(fault, count)| format!("{count} × {fault}"));
    faults.collect::<Vec<_>>().join(", ")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The growth of the memory in bytes for each connection.
fn per_connection(bytes: u64, bytes_at_start: u64, connections: usize) -> f64 {
    (bytes as f64 - bytes_at_start as f64) / connections as f64
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
            assert_eq!(complete(counts(seen), workers), counts(expected));
        };
        check(&[("async; worker=1", 7), ("", 2)], 2, &[("async; worker=0", 0), ("async; worker=1", 7)]);
        check(&[("", 9)], 2, &[]);
        check(&[], 4, &[]);
    }
}
