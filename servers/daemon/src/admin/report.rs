//! What a process reports to the admin server, and how a worker process sends it to its master: one line of numbers.

use crate::{launch::Expiry, system::Context};
use http_engine::WorkerMetrics;
use std::{
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::{Duration, Instant, SystemTime},
};

/// The maximum length of the line of a worker process, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// What one worker has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    pub engine: WorkerMetrics,
    /// The values of [`Application::measure`](crate::Application::measure).
    pub application: Vec<u64>,
}

/// What a process of the server has counted.
#[derive(Debug)]
pub struct Report {
    /// The number of the worker process; `None` for the master process.
    pub process: Option<usize>,
    pub pid: u32,
    pub started_at: SystemTime,
    /// The workers of this process with their numbers. A master of worker processes has none of its own.
    pub workers: Vec<(usize, Measured)>,
    /// The lines that did not reach the logs of this process.
    pub lost_log_lines: u64,
    /// The certificates that secure the listeners. Only the master has them.
    pub certificates: Vec<Expiry>,
}

/// A report, or where it will come from.
#[derive(Debug)]
pub enum WorkerReport {
    /// The report of this process.
    Own(Report),
    /// The report of a worker process. It lacks what the process will send through the socket.
    Pending(Report, UnixStream),
}

impl WorkerReport {
    /// Returns the report. Waits for the worker process until `deadline`; returns `None` if it does not send its report
    /// in time, or ends before that.
    pub fn read(self, deadline: Instant) -> Option<Report> {
        let (mut report, socket) = match self {
            WorkerReport::Own(report) => return Some(report),
            WorkerReport::Pending(report, socket) => (report, socket),
        };
        // A timeout of zero would be none.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(left)).ok()?;
        let mut line = String::new();
        socket.take(MAX_LINE).read_to_string(&mut line).ok()?;
        let (worker, lost) = decode(&line)?;
        report.workers.extend(report.process.map(|number| (number, worker)));
        report.lost_log_lines = lost;
        Some(report)
    }
}

/// In a worker process: sends its report through the socket that the master has sent.
pub fn send(socket: OwnedFd, worker: &Measured, lost_log_lines: u64) -> io::Result<()> {
    // The buffer of the new socket has room for the line.
    UnixStream::from(socket)
        .write_all(encode(worker, lost_log_lines).as_bytes())
        .context("cannot report the metrics")
}

/// Writes the numbers in one line.
fn encode(Measured { engine: worker, application }: &Measured, lost_log_lines: u64) -> String {
    let WorkerMetrics { responses, latency, .. } = worker;
    let single = [
        worker.sent_bytes,
        worker.open_connections,
        worker.idle_connections,
        worker.refused_connections,
        worker.latency_sum.as_micros() as u64,
        lost_log_lines,
    ];
    let numbers = responses.iter().chain(latency).chain(&single).chain(application);
    let numbers: Vec<String> = numbers.map(u64::to_string).collect();
    numbers.join(" ") + "\n"
}

/// Reads the line that [`encode`] has written. Returns `None` if it is not complete.
fn decode(line: &str) -> Option<(Measured, u64)> {
    let mut numbers = line.strip_suffix('\n')?.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next()?;
    let mut worker = WorkerMetrics::default();
    for number in worker.responses.iter_mut().chain(&mut worker.latency) {
        *number = next()?;
    }
    worker.sent_bytes = next()?;
    worker.open_connections = next()?;
    worker.idle_connections = next()?;
    worker.refused_connections = next()?;
    worker.latency_sum = Duration::from_micros(next()?);
    let lost = next()?;
    Some((Measured { engine: worker, application: numbers.collect::<Option<_>>()? }, lost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_process_sends_all_numbers() {
        let engine = WorkerMetrics {
            responses: [1, 2, 3, 4, 5],
            sent_bytes: u64::MAX,
            open_connections: 7,
            idle_connections: 8,
            refused_connections: 9,
            latency: std::array::from_fn(|bucket| bucket as u64),
            latency_sum: Duration::from_micros(10),
        };
        let worker = Measured { engine, application: vec![12, 13] };
        let line = encode(&worker, 11);
        assert_eq!(decode(&line), Some((worker, 11)));
        (0..line.len()).for_each(|len| assert_eq!(decode(&line[..len]), None));
    }
}
