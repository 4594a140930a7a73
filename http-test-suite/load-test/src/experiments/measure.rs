//! One measurement: starts a subject, puts a load on it, reads what its processes use, and stops it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::fairness::{self, KINDS};
use super::requests::{Requests, serves_page};
use super::tools;
use super::workload::{Background, Rate, Task, Workload};
use crate::clients::{beside_idle, beside_slow};
use crate::load::{self, Load, Progress, Stats, Until};
use crate::report::{Metric, Sample};
use crate::subject::catalog::Subject;
use crate::subject::configuration::Environment;
use crate::subject::process::{Cpus, Server};
use crate::subject::programs::Program;
use crate::subject::usage::Usage;

/// The timeout for a response to the load.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server gets requests before the load, so that its caches are filled.
const WARM_UP: Duration = Duration::from_millis(100);
/// The number of connections that send requests before the load.
const WARM_UP_CONNECTIONS: usize = 16;

/// How long a load may take to open its connections before the measurement begins: this time, and [`OPENING_EACH`] for
/// each connection.
const OPENING: Duration = Duration::from_millis(200);
/// How much longer than [`OPENING`] a load may take to open its connections, for each connection.
const OPENING_EACH: Duration = Duration::from_micros(100);

/// How often one measurement of [`Task::Start`] starts the server; the result is the median.
const STARTS: usize = 11;

/// Requests per second of a bystander, the few connections whose latency is measured beside other clients: few enough
/// that it catches up after other clients have blocked the server for a while. So its latency shows the effect of the
/// other clients, not of its own backlog.
const BYSTANDER_RATE: f64 = 250.0;
/// The number of connections of a bystander. With a thousand other clients they must not exceed the limit of the
/// blocking engine.
const BYSTANDER_CONNECTIONS: usize = 16;

/// When to read the memory of a server in [`Task::AllAtOnce`], after the start: it has all requests, and responds to
/// all after one second.
const BEFORE_ALL_RESPOND: Duration = Duration::from_millis(700);

/// How long a closed loop measures the capacity before an open loop.
const CAPACITY_TIME: Duration = Duration::from_millis(500);

/// The response header by which the demo application names the worker.
const WORKER_HEADER: &str = "X-Served-By";

/// One measurement: a workload on a subject, and how to start and load the subject.
pub(super) struct Measurement {
    /// The workload to measure.
    pub(super) workload: &'static Workload,
    /// The number of connections; beside other clients, the number of those.
    pub(super) connections: usize,
    /// The subject to measure.
    pub(super) subject: &'static Subject,
    /// The path of the subject's program.
    pub(super) program: PathBuf,
    /// What the subject is started with: document root, number of workers, settings.
    pub(super) environment: Environment,
    /// The CPUs of the server and of the load driver.
    pub(super) cpus: Cpus,
    /// The duration of the measurement, without warm-up and opening.
    pub(super) time: Duration,
    /// The least capacity that this round has measured so far, in requests per second.
    pub(super) least_capacity: Option<f64>,
}

/// What a server had used at one time during a load, and how far the load had come.
struct Reading {
    /// What the processes of the server had used.
    usage: Usage,
    /// The number of correct responses by then.
    requests: f64,
    /// The seconds since the start of the load.
    seconds: f64,
}

/// The result of a load, and what the server used for it.
struct Observation {
    /// What the load driver counted.
    stats: Stats,
    /// What it had used when every connection had a response, or at the start of the load.
    begin: Reading,
    /// What the server had used (CPU time, context switches, threads) when the last response had arrived.
    end: Reading,
    /// Memory of the server under load, in bytes.
    memory_bytes: u64,
    /// The rate of the load, if it was an open loop.
    rate: Option<f64>,
    /// What a closed loop has measured before an open one, in requests per second.
    capacity: Option<f64>,
}

impl Measurement {
    /// Measures the subject. The runner sets the round of the sample.
    ///
    /// # Errors
    ///
    /// If the server does not start or stop, or has no correct response, or loses a connection that it must keep. If
    /// the task cannot be done here, or not with this subject, the error is
    /// [`Unsupported`](io::ErrorKind::Unsupported).
    pub(super) fn run(&self) -> io::Result<Sample> {
        if self.workload.task == Task::Start {
            return self.start_repeatedly();
        }
        let server = self.subject.start(&self.program, &self.environment, &self.cpus, None)?;
        let sample = match self.workload.task {
            Task::Ab => tools::run_ab(&server)?,
            Task::Conformance => tools::run_conformance_suite(server.address)?,
            Task::Mix => fairness::run_mix(&self.mix(&server)?)?,
            Task::Workers => {
                let load = self.load(&server, Requests::PAGE)?;
                fairness::spread_over_workers(&server, &load, self.environment.workers)?
            }
            _ => {
                let memory_at_start = server.processes.memory_bytes()?;
                self.sample(memory_at_start, &self.put_load(&server)?)
            }
        };
        self.stop(server)?;
        Ok(sample)
    }

    /// Measures the time from starting the program to its first response, several times, and returns the median.
    fn start_repeatedly(&self) -> io::Result<Sample> {
        let start = |_| {
            let begin = Instant::now();
            let server =
                self.subject.start(&self.program, &self.environment, &self.cpus, Some(serves_page))?;
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

    /// Puts the load of the task on the server, and observes it.
    fn put_load(&self, server: &Server) -> io::Result<Observation> {
        let middle = Some(self.opening() + self.time / 2);
        let at_once = Until::Requests(self.connections as u64);
        match self.workload.task {
            Task::AllAtOnce(requests) => {
                let load = Load { until: at_once, ..self.load(server, requests)? };
                observe(server, &load, Some(BEFORE_ALL_RESPOND))
            }
            Task::Bystander(background) => {
                let (connections, rate) = (BYSTANDER_CONNECTIONS, Some(BYSTANDER_RATE));
                let load = Load { connections, rate, ..self.load(server, Requests::Hello)? };
                self.observe_beside(server, background, || observe(server, &load, middle))
            }
            Task::Load(requests) => {
                let load = self.load(server, requests)?;
                warm_up(&load)?;
                observe(server, &load, middle)
            }
            Task::Steady(rate) => {
                let load = self.load(server, Requests::PAGE)?;
                warm_up(&load)?;
                let (capacity, base, percent) = match rate {
                    Rate::OfCapacity(percent) => {
                        let until = Until::Time(CAPACITY_TIME);
                        let stats = load::run(&Load { until, ..load.clone() }, &|_| {})?;
                        let capacity = Some(stats.requests_per_second());
                        (capacity, capacity, percent)
                    }
                    Rate::OfLeastCapacity(percent) => (None, self.least_capacity, percent),
                };
                let unknown = || {
                    let why = "no capacity was measured before in the same round";
                    io::Error::new(io::ErrorKind::Unsupported, why)
                };
                let rate = Some(base.ok_or_else(unknown)? * f64::from(percent) / 100.0);
                // Without a middle, so that no reading of the server's memory disturbs it.
                let observation = observe(server, &Load { rate, opening: self.opening(), ..load }, None)?;
                Ok(Observation { capacity, ..observation })
            }
            _ => {
                // A single thread gives every connection a request before it reads any response, so each sends one.
                let load = Load { until: at_once, threads: 1, ..self.load(server, Requests::PAGE)? };
                observe(server, &load, None)
            }
        }
    }

    /// Calls `observe` while other clients use the server. Fails if one is disconnected or has a wrong response.
    fn observe_beside(
        &self,
        server: &Server,
        background: Background,
        observe: impl Fn() -> io::Result<Observation>,
    ) -> io::Result<Observation> {
        let count = self.connections;
        let (observation, disconnected) = match background {
            Background::None => (observe(), 0),
            Background::Idle => beside_idle(server.address, count, &observe)?,
            Background::Slow => beside_slow(server.address, count, &observe)?,
            Background::Busy(requests) => {
                let until = Until::Time(OPENING + self.opening() + self.time);
                let load = Load { until, ..self.load(server, requests)? };
                let (observation, clients) = thread::scope(|scope| {
                    let clients = scope.spawn(|| load::run(&load, &|_| {}));
                    (observe(), clients.join())
                });
                let stats = clients.map_err(|_| io::Error::other("the other clients panicked"))??;
                if stats.error_count() > 0 {
                    let faults = faults(&stats);
                    return Err(io::Error::other(format!("wrong responses to other clients: {faults}")));
                }
                (observation, 0)
            }
        };
        match disconnected {
            0 => observation,
            _ => Err(io::Error::other(format!("{disconnected} of {count} other clients were disconnected"))),
        }
    }

    /// The loads of a mix, which divide the connections among them.
    fn mix(&self, server: &Server) -> io::Result<Vec<Load>> {
        let connections = self.connections / KINDS.len();
        let load = |(_, requests, keep_alive)| {
            let load = self.load_of(server, requests, keep_alive)?;
            Ok(Load { connections, threads: 1, ..load })
        };
        KINDS.into_iter().map(load).collect()
    }

    /// A load of these requests on all connections, for the time of opening them and of the measurement.
    fn load(&self, server: &Server, requests: Requests) -> io::Result<Load> {
        self.load_of(server, requests, self.workload.keep_alive)
    }

    /// As [`load`](Measurement::load), with connections that are kept alive or not.
    fn load_of(&self, server: &Server, requests: Requests, keep_alive: bool) -> io::Result<Load> {
        let program = self.subject.program;
        Ok(Load {
            address: server.address,
            exchanges: requests.exchanges(server.address, program, keep_alive)?,
            connections: self.connections,
            keep_alive,
            pipeline: self.workload.pipeline,
            until: Until::Time(self.opening() + self.time),
            rate: None,
            opening: Duration::ZERO,
            tls: self.workload.tls.then(|| "localhost".to_owned()),
            threads: self.cpus.driver.len(),
            timeout: TIMEOUT,
            count_header: matches!(program, Program::Demo(..)).then_some(WORKER_HEADER),
        })
    }

    /// How long the load may take to open all connections before the measurement begins.
    fn opening(&self) -> Duration {
        OPENING + OPENING_EACH * u32::try_from(self.connections).unwrap_or(u32::MAX)
    }

    /// Computes the metrics that apply to the task, from what was observed. The memory is in bytes.
    fn sample(&self, memory_at_start: u64, observation: &Observation) -> Sample {
        let Observation { stats, begin, end, memory_bytes, rate, capacity } = observation;
        let (requests, seconds) = (end.requests - begin.requests, end.seconds - begin.seconds);
        let spent = end.usage.since(&begin.usage);
        let (task, workers, cpus) = (self.workload.task, self.environment.workers, self.cpus.server.len());
        // A worker of an event loop is one thread.
        let usable = if self.subject.has_thread_per_connection() { cpus } else { workers.min(cpus) };
        let cpu_seconds = spent.cpu.as_secs_f64();
        let (memory, memory_at_start) = (*memory_bytes as f64, memory_at_start as f64);
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        let millis = |percent| stats.percentile(percent).as_secs_f64() * 1e3;
        let growth = memory - memory_at_start;
        let has_connections = matches!(task, Task::Idle | Task::Bystander(_)) && self.connections > 0;
        let is_busy = task != Task::Idle;
        // A bystander's rate is fixed, and the server also works for others.
        let is_load = matches!(task, Task::Load(_) | Task::AllAtOnce(_));
        let is_steady = matches!(task, Task::Steady(_));
        let metrics = [
            (true, Metric::Memory, mib(memory)),
            (true, Metric::MemoryAtStart, mib(memory_at_start)),
            (has_connections, Metric::MemoryPerConnection, growth / self.connections as f64),
            (is_busy, Metric::P50, millis(50.0)),
            (is_busy, Metric::P99, millis(99.0)),
            (is_steady, Metric::P999, millis(99.9)),
            (is_steady, Metric::Rate, rate.unwrap_or_default()),
            (capacity.is_some(), Metric::Capacity, capacity.unwrap_or_default()),
            (is_steady, Metric::DriverDelay, stats.driver_delay(99.0).as_secs_f64() * 1e3),
            (is_busy, Metric::Busy, cpu_seconds / seconds / usable as f64 * 100.0),
            (is_busy, Metric::DriverBusy, stats.busiest_thread * 100.0),
            (is_busy, Metric::Threads, end.usage.threads() as f64),
            (is_load, Metric::Size, stats.bytes_received as f64 / stats.requests as f64),
            (is_load, Metric::Throughput, requests / seconds),
            (is_load, Metric::Cpu, cpu_seconds * 1e6 / requests),
            (is_load, Metric::Waits, spent.waits as f64 / requests),
            (is_load, Metric::Preemptions, spent.preemptions as f64 / requests),
            (matches!(task, Task::AllAtOnce(_)), Metric::Elapsed, stats.elapsed.as_secs_f64()),
        ];
        let applies = |(applies, metric, value): (bool, Metric, f64)| applies.then_some((metric, value));
        let values = metrics.into_iter().filter_map(applies).collect();
        let per_worker = with_idle_workers(stats.by_header.clone(), workers);
        Sample { round: 0, values, per_worker, wrong: wrong(stats) }
    }
}

/// Sends requests for a short time, so that the server's caches are filled.
fn warm_up(load: &Load) -> io::Result<Stats> {
    let (connections, until) = (WARM_UP_CONNECTIONS, Until::Time(WARM_UP));
    load::run(&Load { connections, until, ..load.clone() }, &|_| {})
}

/// Runs a load, and reads what the server uses for it: from when every connection has a response to the last response.
/// If that takes until `middle`, or there is no `middle`, it reads from the beginning, or too few requests would be
/// left. Reads the memory at `middle`, or after the last response.
fn observe(server: &Server, load: &Load, middle: Option<Duration>) -> io::Result<Observation> {
    let start = Reading { usage: server.processes.usage()?, requests: 0.0, seconds: 0.0 };
    let readings = Mutex::new((None, None));
    let watch = |progress: Progress| {
        let Some(middle) = middle else { return };
        let mut readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.elapsed >= middle {
            readings.1.get_or_insert_with(|| server.processes.memory_bytes());
        } else if progress.requests >= load.connections as u64 {
            readings.0.get_or_insert_with(|| read_usage(server, &progress));
        }
    };
    let inspect = || (server.processes.usage(), server.processes.memory_bytes());
    let (stats, (usage, memory_at_end)) = load::run_and_inspect(load, &watch, inspect)?;
    if stats.requests == 0 {
        return Err(io::Error::other(format!("no correct response: {}", faults(&stats))));
    }
    let (begin, memory) = readings.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (requests, seconds) = (stats.requests as f64, stats.elapsed.as_secs_f64());
    // On a busy machine the first reading may take until the load is over.
    let is_before_end = |begin: &Reading| begin.requests < requests && begin.seconds < seconds;
    Ok(Observation {
        begin: begin.transpose()?.filter(is_before_end).unwrap_or(start),
        end: Reading { usage: usage?, requests, seconds },
        memory_bytes: memory.unwrap_or(memory_at_end)?,
        rate: load.rate,
        capacity: None,
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

/// The number of responses of each worker: without responses that name no worker, and with zero for workers that sent
/// none.
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

/// The number of requests of a load that had no correct response, for each fault.
pub(super) fn wrong(stats: &Stats) -> BTreeMap<String, u64> {
    stats.errors.iter().map(|(fault, count)| (fault.to_string(), *count)).collect()
}

/// The faults of a load as text: `3 × wrong content, 1 × timeout`.
fn faults(stats: &Stats) -> String {
    let faults = stats.errors.iter().map(|(fault, count)| format!("{count} × {fault}"));
    faults.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_workers_without_requests() {
        let check = |seen: &[(&str, u64)], workers, expected: &[(&str, u64)]| {
            let counts = seen.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            let all = with_idle_workers(counts, workers);
            assert_eq!(all.iter().map(|(name, count)| (&**name, *count)).collect::<Vec<_>>(), expected);
        };
        check(&[("async; worker=1", 7), ("", 2)], 2, &[("async; worker=0", 0), ("async; worker=1", 7)]);
        check(&[("", 9)], 2, &[]);
    }
}
