//! Measures one cell once: runs the load on a server, and reads the server's resource use during the load.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::observe::Usage;
use super::results::Sample;
use super::server::{Cpus, Server};
use super::workloads::{BYSTANDER_CONNECTIONS, BYSTANDER_RATE, Neighbours, Question, Scene, Workload};
use crate::clients::{IdleClients, SlowClients};
use crate::load::{self, Exchange, Load, Progress, Stats, Until};

/// The timeout for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server gets requests before the measurement starts.
const WARM_UP: Duration = Duration::from_millis(100);

/// How much longer the load of the neighbours lasts than the measurement of the bystander.
const MARGIN: Duration = Duration::from_millis(100);

/// When to read the resource use of a server whose answers all come after a second.
const BEFORE_ALL_AT_ONCE: Duration = Duration::from_millis(700);

/// The response field that names the worker.
const WORKER_FIELD: &str = "X-Served-By";

/// A server to measure, and the conditions.
pub struct Bench<'a> {
    /// The measured server.
    pub server: &'a Server,
    /// The CPUs of both sides.
    pub cpus: &'a Cpus,
    /// How long the load lasts.
    pub time: Duration,
    /// A number that differs for each measurement.
    pub turn: u32,
}

/// The resource use of a server in the middle of the load.
struct Look {
    usage: Usage,
    memory_bytes: u64,
    /// Right answers by then.
    requests: f64,
    /// Seconds by then.
    seconds: f64,
}

impl Bench<'_> {
    /// Sends requests for a moment, so that the server is warm when the measurement starts.
    ///
    /// # Errors
    ///
    /// If the load could not run.
    pub fn warm_up(&self, workload: &Workload) -> io::Result<()> {
        let Scene::Busy(question) = workload.scene else { return Ok(()) };
        let until = Until::Time(WARM_UP);
        load::run(&Load { until, ..self.load(question.asks(self.server.address, self.turn)?, 16) }, &|_| {})?;
        Ok(())
    }

    /// Measures with this number of connections, or of neighbours.
    ///
    /// # Errors
    ///
    /// If the load could not run, or anything went wrong during it; then no number counts.
    pub fn measure(&self, workload: &Workload, connections: usize) -> io::Result<Sample> {
        let address = self.server.address;
        match workload.scene {
            Scene::Busy(question) => {
                let asks = question.asks(address, self.turn)?;
                self.sample(&self.load(asks, connections), self.server.processes.memory_bytes()?)
            }
            Scene::AllAtOnce(question) => {
                let until = Until::Requests(connections as u64);
                let load = Load { until, ..self.load(question.asks(address, self.turn)?, connections) };
                self.sample(&load, self.server.processes.memory_bytes()?)
            }
            Scene::Bystander(neighbours) => self.beside(neighbours, connections),
        }
    }

    /// Measures a bystander beside these neighbours.
    fn beside(&self, neighbours: Neighbours, count: usize) -> io::Result<Sample> {
        let address = self.server.address;
        let asks = Question::Hello.asks(address, self.turn)?;
        let memory_before = self.server.processes.memory_bytes()?;
        let rate = Some(f64::from(BYSTANDER_RATE));
        let bystander = Load { rate, ..self.load(asks, BYSTANDER_CONNECTIONS) };
        let sample = || self.sample(&bystander, memory_before);
        match neighbours {
            Neighbours::None => sample(),
            Neighbours::Idle => {
                let clients = IdleClients::connect(address, count)?;
                let sample = sample()?;
                check_lost(clients.disconnected(), count, sample)
            }
            Neighbours::Dripping => {
                let clients = SlowClients::start(address, count)?;
                let sample = sample()?;
                check_lost(clients.finish(), count, sample)
            }
            Neighbours::Asking(question) => {
                let asks = question.asks(address, self.turn)?;
                let until = Until::Time(self.time + MARGIN);
                let load = Load { until, ..self.load(asks, count) };
                thread::scope(|scope| {
                    let neighbours = scope.spawn(|| load::run(&load, &|_| {}));
                    let sample = sample()?;
                    let tally = neighbours.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
                    all_right(&tally)?;
                    Ok(sample)
                })
            }
        }
    }

    fn load(&self, asks: Vec<Exchange>, connections: usize) -> Load {
        Load {
            address: self.server.address,
            exchanges: asks,
            connections,
            keep_alive: true,
            pipeline: 1,
            until: Until::Time(self.time),
            rate: None,
            threads: self.cpus.driver.len(),
            timeout: TIMEOUT,
            count_header: Some(WORKER_FIELD),
        }
    }

    /// Runs a load, and makes a sample of its tally and the server's resource use.
    fn sample(&self, load: &Load, memory_before_bytes: u64) -> io::Result<Sample> {
        let before = self.server.processes.usage()?;
        let (tally, look) = self.run(load)?;
        let seconds = tally.elapsed.as_secs_f64();
        // A load of simultaneous requests has no answers in the middle, so read the usage at the end. Threads that
        // have ended by then are missing from it.
        let (usage, requests, until) = match load.until {
            Until::Time(_) => (&look.usage, look.requests, look.seconds),
            Until::Requests(_) => (&self.server.processes.usage()?, tally.requests as f64, seconds),
        };
        let spent = usage.since(&before);
        let cpu_seconds = spent.cpu.as_secs_f64();
        let each = |total: f64| if requests > 0.0 { total / requests } else { 0.0 };
        let micros = |percent| tally.percentile(percent).as_secs_f64() * 1e6;
        Ok(Sample {
            seconds,
            requests: tally.requests,
            p50_micros: micros(50.0),
            p99_micros: micros(99.0),
            paced: load.rate.is_some(),
            cpu_micros: each(cpu_seconds * 1e6),
            server_busy: cpu_seconds / until / self.cpus.server.len() as f64,
            driver_busy: tally.busiest_thread,
            memory_bytes: look.memory_bytes,
            memory_before_bytes,
            threads: look.usage.threads(),
            waits: each(spent.waits as f64),
            preemptions: each(spent.preemptions as f64),
            workers: tally.by_header,
        })
    }

    /// Runs a load, and reads the server's resource use once during it.
    fn run(&self, load: &Load) -> io::Result<(Stats, Look)> {
        let look_at = match load.until {
            Until::Time(time) => time.mul_f64(0.4),
            Until::Requests(_) => BEFORE_ALL_AT_ONCE,
        };
        let look = Mutex::new(None);
        let tally = load::run(load, &|progress| {
            let mut look = look.lock().unwrap_or_else(PoisonError::into_inner);
            if look.is_none() && progress.elapsed > look_at {
                *look = Some(self.look(&progress));
            }
        })?;
        all_right(&tally)?;
        let look = look.into_inner().unwrap_or_else(PoisonError::into_inner);
        // If the machine was too busy to look during the load, look now.
        let Stats { requests, elapsed, .. } = tally;
        let look = look.unwrap_or_else(|| self.look(&Progress { requests, errors: 0, elapsed }));
        Ok((tally, look?))
    }

    /// Reads the resource use. With a thousand threads that takes a while, and the load continues, so the requests and
    /// the time are those of the middle of the reading.
    fn look(&self, progress: &Progress) -> io::Result<Look> {
        let begin = Instant::now();
        let usage = self.server.processes.usage()?;
        let seconds = progress.elapsed.as_secs_f64() + begin.elapsed().as_secs_f64() / 2.0;
        let requests = progress.requests as f64 * seconds / progress.elapsed.as_secs_f64();
        Ok(Look { usage, memory_bytes: self.server.processes.memory_bytes()?, requests, seconds })
    }
}

/// Fails the measurement if any answer was wrong.
fn all_right(tally: &Stats) -> io::Result<()> {
    if tally.requests == 0 {
        return Err(io::Error::other("nothing was answered"));
    }
    if tally.errors.is_empty() {
        return Ok(());
    }
    let errors: Vec<String> =
        tally.errors.iter().map(|(fault, count)| format!("{count} × {fault}")).collect();
    Err(io::Error::other(format!(
        "{} of {} right: {}",
        tally.requests,
        tally.requests + tally.error_count(),
        errors.join(", ")
    )))
}

fn check_lost(lost: usize, of: usize, sample: Sample) -> io::Result<Sample> {
    if lost == 0 {
        return Ok(sample);
    }
    Err(io::Error::other(format!("{lost} of {of} neighbours were disconnected")))
}
