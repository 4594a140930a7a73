//! One measurement: starts a server, runs a load, reads the server's resource use, and stops it.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::results::Sample;
use super::rivals::{Entrant, Place};
use super::site::answers;
use super::works::{Manner, Point, Task, Work};
use crate::lab::observe::Usage;
use crate::lab::server::{Cpus, Server};
use crate::load::{self, Load, Progress, Stats, Until};

/// The timeout for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server gets requests before the measurement starts, so that caches are filled and connections are open.
const WARM_UP: Duration = Duration::from_millis(200);
const WARM_UP_EACH: Duration = Duration::from_micros(100);

/// The number of starts in one measurement, which reports their median.
const STARTS: usize = 11;

/// A server to measure, and the conditions.
pub(super) struct Bench<'a> {
    /// The measured server.
    pub(super) entrant: &'a Entrant,
    /// The environment of the server.
    pub(super) place: Place<'a>,
    /// The CPUs of both sides.
    pub(super) cpus: &'a Cpus,
    /// The duration of the measured load.
    pub(super) time: Duration,
}

/// The result of a measurement.
pub(super) enum Measured {
    /// Numbers.
    Sample(Sample),
    /// No numbers, because the server lacks a feature.
    Unable(&'static str),
}

/// What a server had used when the measurement started.
#[derive(Default)]
struct Outset {
    usage: Usage,
    /// Right answers by then.
    requests: f64,
    /// Seconds by then.
    seconds: f64,
}

impl Bench<'_> {
    /// # Errors
    ///
    /// If the server or the load failed; then there are no numbers.
    pub(super) fn measure(&self, work: &Work, point: &Point) -> io::Result<Measured> {
        if work.task == Task::Start {
            return self.starts().map(Measured::Sample);
        }
        let server = self.entrant.start(&self.place, self.cpus, None)?;
        let Manner { keep_alive, pipeline, .. } = work.manner();
        let skill = self.entrant.rival.skill;
        let Some(asks) = point.question.asks(server.address, skill, keep_alive)? else {
            return Ok(Measured::Unable("it gives files no tags"));
        };
        let load = Load {
            address: server.address,
            exchanges: asks,
            connections: point.connections,
            keep_alive,
            pipeline,
            until: Until::Time(warm_up(point.connections) + self.time),
            rate: None,
            threads: self.cpus.driver.len(),
            timeout: TIMEOUT,
            count_header: None,
        };
        let sample = match work.task {
            Task::Load(_) => self.load(&server, &load)?,
            Task::Idle | Task::Start => idle(&server, load)?,
        };
        // A failure to stop does not matter here: the server is killed when dropped.
        drop(server.stop());
        Ok(Measured::Sample(sample))
    }

    /// Measures the cost of requests, from when every connection has got an answer to the last answer.
    fn load(&self, server: &Server, load: &Load) -> io::Result<Sample> {
        let none = Outset { usage: server.processes.usage()?, ..Outset::default() };
        let outset = Mutex::new(None);
        // A server too slow to warm up in time is measured from the beginning, or too few requests would be left.
        let latest = warm_up(load.connections) + self.time / 2;
        let watch = |progress: Progress| {
            let mut outset = outset.lock().unwrap_or_else(PoisonError::into_inner);
            let is_warm = progress.requests >= load.connections as u64 && progress.elapsed < latest;
            if outset.is_none() && is_warm {
                *outset = Some(begin(server, &progress));
            }
        };
        let (tally, usage) = load::run_and_inspect(load, &watch, || server.processes.usage())?;
        let usage = usage?;
        something_right(&tally)?;
        let outset = outset.into_inner().unwrap_or_else(PoisonError::into_inner).transpose()?;
        let outset = outset.filter(|outset| outset.requests < tally.requests as f64).unwrap_or(none);
        let cpu_seconds = usage.since(&outset.usage).cpu.as_secs_f64();
        let requests = tally.requests as f64 - outset.requests;
        let seconds = tally.elapsed.as_secs_f64() - outset.seconds;
        let micros = |percent| tally.percentile(percent).as_secs_f64() * 1e6;
        Ok(Sample::Load {
            seconds,
            requests: requests.round() as u64,
            per_second: requests / seconds,
            cpu_micros: cpu_seconds * 1e6 / requests,
            p50_micros: micros(50.0),
            p99_micros: micros(99.0),
            server_busy: cpu_seconds / seconds / self.place.workers.min(self.cpus.server.len()) as f64,
            driver_busy: tally.busiest_thread,
            wrong: tally.errors,
        })
    }

    /// Measures the time from starting the program to its first answer.
    fn starts(&self) -> io::Result<Sample> {
        let start = |_| {
            let begin = Instant::now();
            let server = self.entrant.start(&self.place, self.cpus, Some(answers))?;
            let elapsed = begin.elapsed();
            drop(server.stop());
            Ok(elapsed.as_secs_f64() * 1e3)
        };
        let mut millis = (0..STARTS).map(start).collect::<io::Result<Vec<f64>>>()?;
        millis.sort_by(f64::total_cmp);
        Ok(Sample::Start { median_millis: millis[STARTS / 2], millis })
    }
}

/// Measures the memory of idle connections that have sent one request.
fn idle(server: &Server, load: Load) -> io::Result<Sample> {
    let connections = load.connections;
    // A single thread gives every connection a request before it reads any answer, so each sends exactly one.
    let load = Load { until: Until::Requests(connections as u64), threads: 1, ..load };
    let start_bytes = server.processes.memory_bytes()?;
    let (tally, bytes) = load::run_and_inspect(&load, &|_| {}, || server.processes.memory_bytes())?;
    something_right(&tally)?;
    let full_bytes = bytes?;
    let each_bytes = (full_bytes as f64 - start_bytes as f64) / connections as f64;
    Ok(Sample::Idle { connections, start_bytes, full_bytes, each_bytes, wrong: tally.errors })
}

fn warm_up(connections: usize) -> Duration {
    WARM_UP + WARM_UP_EACH * u32::try_from(connections).unwrap_or(u32::MAX)
}

/// Reads the resource use. With a thousand threads that takes a while, and the load continues, so the requests and the
/// time are those of the middle of the reading.
fn begin(server: &Server, progress: &Progress) -> io::Result<Outset> {
    let look = Instant::now();
    let usage = server.processes.usage()?;
    let seconds = progress.elapsed.as_secs_f64() + look.elapsed().as_secs_f64() / 2.0;
    let requests = progress.requests as f64 * seconds / progress.elapsed.as_secs_f64();
    Ok(Outset { usage, requests, seconds })
}

/// Fails if no answer was right. If only some were wrong, the report shows their number.
fn something_right(tally: &Stats) -> io::Result<()> {
    if tally.requests > 0 {
        return Ok(());
    }
    let wrong: Vec<String> = tally.errors.iter().map(|(fault, count)| format!("{count} × {fault}")).collect();
    Err(io::Error::other(format!("nothing was answered rightly: {}", wrong.join(", "))))
}
