//! One cell, once: puts the load on a server, and looks at it meanwhile.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::neighbours::{Drips, Herd};
use super::observe::Usage;
use super::results::Sample;
use super::server::{Cpus, Server};
use super::workloads::{BYSTANDER_CONNECTIONS, BYSTANDER_RATE, Neighbours, Question, Scene, Workload};
use crate::load::{self, Ask, Load, Progress, Tally, Until};

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a server is asked before anything counts.
const WARM_UP: Duration = Duration::from_millis(100);

/// How much longer the neighbours of a bystander are busy than it looks.
const MARGIN: Duration = Duration::from_millis(100);

/// When a server is looked at whose answers all come after a second.
const BEFORE_ALL_AT_ONCE: Duration = Duration::from_millis(700);

/// What tells the workers of a server apart.
const WORKER_FIELD: &str = "X-Served-By";

/// A server to measure, and with what.
pub struct Bench<'a> {
    /// Who is measured.
    pub server: &'a Server,
    /// The CPUs of both sides.
    pub cpus: &'a Cpus,
    /// How long the load lasts.
    pub time: Duration,
    /// Another number for each measurement.
    pub turn: u32,
}

/// What is seen of a server in the middle of the load.
struct Look {
    usage: Usage,
    memory_bytes: u64,
    /// Right answers by then.
    requests: f64,
    /// Seconds by then.
    seconds: f64,
}

impl Bench<'_> {
    /// Makes sure that the first measurement does not find a server that has never answered.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn warm_up(&self, workload: &Workload) -> io::Result<()> {
        let Scene::Busy(question) = workload.scene else { return Ok(()) };
        let until = Until::Time(WARM_UP);
        load::run(&Load { until, ..self.load(question.asks(self.server.address, self.turn)?, 16) }, &|_| {})?;
        Ok(())
    }

    /// Measures with so many connections, or neighbours.
    ///
    /// # Errors
    ///
    /// What went wrong: with it, no number counts.
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

    /// A bystander's sample, with these neighbours.
    fn beside(&self, neighbours: Neighbours, count: usize) -> io::Result<Sample> {
        let address = self.server.address;
        let asks = Question::Hello.asks(address, self.turn)?;
        let memory_before = self.server.processes.memory_bytes()?;
        let rate = Some(f64::from(BYSTANDER_RATE));
        let bystander = Load { rate, ..self.load(asks, BYSTANDER_CONNECTIONS) };
        let sample = || self.sample(&bystander, memory_before);
        match neighbours {
            Neighbours::Nobody => sample(),
            Neighbours::Idle => {
                let herd = Herd::settle(address, count)?;
                let sample = sample()?;
                nobody_lost(herd.lost(), count, sample)
            }
            Neighbours::Dripping => {
                let drips = Drips::start(address, count)?;
                let sample = sample()?;
                nobody_lost(drips.end(), count, sample)
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

    fn load(&self, asks: Vec<Ask>, connections: usize) -> Load {
        Load {
            address: self.server.address,
            asks,
            connections,
            keep_alive: true,
            pipeline: 1,
            until: Until::Time(self.time),
            rate: None,
            threads: self.cpus.driver.len(),
            timeout: PATIENCE,
            count_field: Some(WORKER_FIELD),
        }
    }

    /// Runs a load and says what came of it, for it and for the server.
    fn sample(&self, load: &Load, memory_before_bytes: u64) -> io::Result<Sample> {
        let before = self.server.processes.usage()?;
        let (tally, look) = self.run(load)?;
        let seconds = tally.elapsed.as_secs_f64();
        // Where nothing was answered by then, it is the end that counts; threads that are gone by now are forgiven.
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
            workers: tally.by_field,
        })
    }

    /// Runs a load, and looks at the server once meanwhile.
    fn run(&self, load: &Load) -> io::Result<(Tally, Look)> {
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
        // On a machine that was too busy to look meanwhile, later is better than never.
        let Tally { requests, elapsed, .. } = tally;
        let look = look.unwrap_or_else(|| self.look(&Progress { requests, errors: 0, elapsed }));
        Ok((tally, look?))
    }

    /// Looking takes a while with a thousand threads, and the load goes on: what counts is the middle of it.
    fn look(&self, progress: &Progress) -> io::Result<Look> {
        let begin = Instant::now();
        let usage = self.server.processes.usage()?;
        let seconds = progress.elapsed.as_secs_f64() + begin.elapsed().as_secs_f64() / 2.0;
        let requests = progress.requests as f64 * seconds / progress.elapsed.as_secs_f64();
        Ok(Look { usage, memory_bytes: self.server.processes.memory_bytes()?, requests, seconds })
    }
}

/// A wrong answer costs the whole measurement: a fast server that is wrong is not fast.
fn all_right(tally: &Tally) -> io::Result<()> {
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

fn nobody_lost(lost: usize, of: usize, sample: Sample) -> io::Result<Sample> {
    if lost == 0 {
        return Ok(sample);
    }
    Err(io::Error::other(format!("{lost} of {of} neighbours were disconnected")))
}
