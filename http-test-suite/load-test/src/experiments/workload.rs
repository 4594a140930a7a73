//! What an experiment, a workload and a task are.

use std::time::Duration;

use super::requests::Requests;
use crate::report::{Metric, WorkloadLabel};
use crate::subject::catalog::Subject;

/// A table of workloads, and how thoroughly they are measured.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// The name of the experiment on the command line and in results.
    pub id: &'static str,
    /// The workloads of the experiment, in the order of reports.
    pub workloads: &'static [Workload],
    /// How often each cell (one workload on one subject with one number of connections) is measured.
    pub rounds: usize,
    /// The duration of each measurement, without the warm-up.
    pub time: Duration,
    /// The number of workers of each subject that can have several, unless a workload says otherwise.
    pub workers: usize,
    /// Whether packaged servers have a worker for each CPU of the servers, whatever the number of workers.
    pub packaged_per_cpu: bool,
    /// The metrics that reports show of workloads with [`Task::Load`], the most important first.
    pub load_metrics: &'static [Metric],
}

/// A task for the clients, the subjects on which it is measured, and the numbers of connections.
#[derive(Debug)]
pub struct Workload {
    /// The name of the workload in results and on the command line, unique over all experiments.
    pub id: &'static str,
    /// The title of the workload in tables and charts.
    pub title: &'static str,
    /// One or two sentences for reports: what the clients do, and what this shows.
    pub description: &'static str,
    /// The ids of the subjects that take part, separated by spaces.
    pub subjects: &'static str,
    /// What the clients do, and so what is measured.
    pub task: Task,
    /// The numbers of connections, ascending; beside other clients, the number of those.
    pub connections: &'static [usize],
    /// The numbers of connections in a quick run; empty if the workload is not part of it.
    pub quick: &'static [usize],
    /// Whether connections are kept alive; if not, each request uses a new one.
    pub keep_alive: bool,
    /// The number of requests that a connection sends together, before it waits for their responses.
    pub pipeline: usize,
    /// Whether the server writes an access log.
    pub access_log: bool,
    /// Whether the server and its clients use TLS.
    pub tls: bool,
    /// Whether server and driver share all CPUs, with a worker for each CPU.
    pub shares_cpus: bool,
}

/// What the clients of a workload do, and so what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Every connection sends the next request when it has received the last response: measures the cost of a request.
    Load(Requests),
    /// Requests for the page start at a steady rate (an open loop), whether or not the server keeps up: measures the
    /// tail of the latency.
    Steady(Rate),
    /// Every connection sends one request, all at the same time: measures the time until all have a response.
    AllAtOnce(Requests),
    /// A few connections request `/hello` at a steady rate beside other clients: measures the latency of the few.
    Bystander(Background),
    /// Every connection requests the page once and stays open: measures the memory of an idle connection.
    Idle,
    /// The program is started several times: measures the time until its first response.
    Start,
    /// Clients of several kinds use the server at the same time, in equal numbers: measures how much slower the slowest
    /// client of a kind is than the others.
    Mix,
    /// Every connection sends requests to a server with several workers: measures how evenly these share the
    /// connections.
    Workers,
    /// The tool `ab` (ApacheBench) puts the load on the server: measures its throughput, latency and failed requests.
    Ab,
    /// The conformance suite tests the server: measures how many cases it passes. The server serves the suite's
    /// fixtures with its default configuration.
    Conformance,
}

/// The rate of the requests of an open loop. It follows the speed of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// A percentage of the server's own capacity, which a closed loop measures just before.
    OfCapacity(u32),
    /// A percentage of the least capacity that the same round has measured before, so that all servers do the same
    /// work.
    OfLeastCapacity(u32),
}

/// What the other clients do while the latency of a bystander, a few steady connections, is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// There are no other clients.
    None,
    /// Clients that send these requests, the next when they have received the last response.
    Busy(Requests),
    /// Clients that have sent one request, and keep their connections open.
    Idle,
    /// Clients that send a request one byte at a time.
    Slow,
}

/// The default values of the fields of a workload: 64 keep-alive connections request the page, one request at a time.
pub(super) const BASE: Workload = Workload {
    id: "",
    title: "",
    description: "",
    subjects: "",
    task: Task::Load(Requests::PAGE),
    connections: &[64],
    quick: &[],
    keep_alive: true,
    pipeline: 1,
    access_log: false,
    tls: false,
    shares_cpus: false,
};

/// The most connections for a subject with a thread for each connection; it is not measured with more.
const MOST_THREADS: usize = 5000;

impl Workload {
    /// Whether a subject takes part in the workload.
    pub fn includes(&self, subject: &Subject) -> bool {
        self.subjects.split(' ').any(|id| id == subject.id)
    }

    /// Whether a subject is measured with this number of connections.
    pub fn measures(&self, subject: &Subject, connections: usize) -> bool {
        self.includes(subject) && !(subject.has_thread_per_connection() && connections > MOST_THREADS)
    }

    /// What reports say about the workload: title, description and the metrics to show.
    pub fn label(&self, experiment: &Experiment) -> WorkloadLabel {
        use Metric::{
            Cpu, DriverDelay, Elapsed, FailedRequests, Memory, MemoryAtStart, MemoryPerConnection, MustMet,
            P50, P99, P999, RobustMet, ShouldMet, Size, StartTime, Threads, Throughput,
        };
        let metrics: &[Metric] = match self.task {
            Task::Load(requests) if requests.is_compressed() => &[Cpu, Throughput, Size, P50, P99],
            Task::Load(_) => experiment.load_metrics,
            Task::Steady(_) => &[P99, P50, P999, Metric::Rate, Metric::Busy, DriverDelay],
            Task::AllAtOnce(_) => &[Elapsed, Memory, Threads, Cpu],
            Task::Bystander(_) => &[P99, Metric::Busy, MemoryPerConnection, Threads],
            Task::Idle => &[MemoryPerConnection, MemoryAtStart],
            Task::Start => &[StartTime],
            Task::Mix => {
                &[Metric::SlowestKept, Metric::SlowestNew, Metric::SlowestLarge, Metric::SlowestGzip]
            }
            Task::Workers => &[Metric::BusiestWorker],
            Task::Ab => &[Throughput, FailedRequests, P50, P99, Cpu],
            Task::Conformance => &[MustMet, ShouldMet, RobustMet],
        };
        let [id, title, description] = [self.id, self.title, self.description].map(str::to_owned);
        WorkloadLabel { id, title, description, metrics: metrics.to_vec(), earlier_date: None }
    }
}
