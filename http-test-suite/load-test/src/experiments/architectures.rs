//! The experiment `architectures`: compares one application as threads, as processes and as event loops.

use std::time::Duration;

use super::requests::Requests;
use super::workload::{BASE, Background, Experiment, Task, Workload};
use crate::report::Metric::{Cpu, Fairness, Memory, P99, Preemptions, Threads, Throughput, Waits};

/// The bound of [`Requests::Primes`] that takes a server about ten milliseconds of computing.
const LONG: u32 = 180_000;
/// The bound of [`Requests::Primes`] that takes a server about two milliseconds of computing.
const SHORT: u32 = 60_000;

/// The experiment `architectures`: one application as threads, as processes and as event loops.
pub const ARCHITECTURES: Experiment = Experiment {
    id: "architectures",
    workloads: WORKLOADS,
    rounds: 3,
    time: Duration::from_millis(900),
    workers: 4,
    packaged_per_cpu: true,
    load_metrics: &[Throughput, P99, Cpu, Memory, Threads, Waits, Preemptions, Fairness],
};

/// The default values of a workload: all architectures of the demo application respond with a constant text.
const USUAL: Workload = Workload {
    subjects: "threads prefork-threads loop loops prefork-loops",
    task: Task::Load(Requests::Hello),
    connections: &[1, 16, 64],
    quick: &[16],
    ..BASE
};

/// The ids of the subjects of workloads with files: all architectures, and nginx.
const DEMO_AND_NGINX: &str = "threads prefork-threads loop loops prefork-loops nginx";

/// The workloads of the experiment, in the order of reports.
const WORKLOADS: &[Workload] = &[
    Workload {
        id: "hello",
        title: "Hello, World!",
        description: "The basic cost of a response: receiving, parsing, sending, and waking the thread that does it. \
        With more connections an event loop has more to do at each wake-up, and the kernel has more threads to schedule.",
        connections: &[1, 16, 64, 256, 1000],
        quick: &[1, 64],
        ..USUAL
    },
    Workload {
        id: "static",
        title: "A file of 1 KiB",
        description: "The same with a file, and with nginx: the additional cost of finding, checking and sending a file.",
        subjects: DEMO_AND_NGINX,
        task: Task::Load(Requests::File("/static/1.txt")),
        connections: &[1, 64, 1000],
        quick: &[1, 64],
        ..USUAL
    },
    Workload {
        id: "static-large",
        title: "A file of 1 MiB",
        description: "The kernel does most of the work, copying, so the architectures can differ only a little.",
        subjects: DEMO_AND_NGINX,
        task: Task::Load(Requests::File("/static/1024.txt")),
        connections: &[16],
        quick: &[16],
        ..USUAL
    },
    Workload {
        id: "io-task",
        title: "Waiting for 50 ms",
        description: "A response that takes time but no CPU, as if the server waited for a database. How many requests \
        can wait at the same time, and what does each cost: a timer, or a thread with its stack?",
        task: Task::Load(Requests::Wait { ms: 50 }),
        connections: &[16, 64, 256, 1000],
        quick: &[16, 256],
        ..USUAL
    },
    Workload {
        id: "thousand-waits",
        title: "A thousand responses of one second each, at once",
        description: "All requests are sent at the same time and take one second each. A server that handles them \
        concurrently is done after little more than one second.",
        task: Task::AllAtOnce(Requests::Wait { ms: 1000 }),
        connections: &[1000],
        quick: &[1000],
        ..USUAL
    },
    Workload {
        id: "cpu-offloaded",
        title: "Computing, offloaded",
        description: "Two milliseconds of work for each response. An event loop hands the work to a pool of threads; a \
        blocking thread does it itself. The work is the same for all, so only the cost of the handover differs.",
        task: Task::Load(Requests::Primes { below: SHORT, inline: false }),
        ..USUAL
    },
    Workload {
        id: "cpu-inline",
        title: "Computing, inline",
        description: "The same work, done on the thread that serves requests. As long as there are no other requests, \
        this is faster: a handover to a pool costs more than it gains.",
        task: Task::Load(Requests::Primes { below: SHORT, inline: true }),
        ..USUAL
    },
    Workload {
        id: "weather",
        title: "Asking another server",
        description: "Every response needs a forecast from another server. The client inside the server blocks, so an \
        event loop has to hand it to its pool, and can have only as many forecasts in progress as the pool has threads.",
        task: Task::Load(Requests::Weather),
        ..USUAL
    },
    Workload {
        id: "beside-none",
        title: "A few clients alone",
        description: "Sixteen connections request a text at a steady rate, without other clients, for comparison.",
        task: Task::Bystander(Background::None),
        connections: &[0],
        quick: &[0],
        ..USUAL
    },
    Workload {
        id: "beside-offloaded",
        title: "A few clients beside offloaded computations",
        description: "Four other clients request ten milliseconds of work each, which the pool does.",
        task: Task::Bystander(Background::Busy(Requests::Primes { below: LONG, inline: false })),
        connections: &[4],
        quick: &[4],
        ..USUAL
    },
    Workload {
        id: "beside-inline",
        title: "A few clients beside inline computations",
        description: "The same work on the thread that serves requests: on an event loop, all other clients wait for it.",
        task: Task::Bystander(Background::Busy(Requests::Primes { below: LONG, inline: true })),
        connections: &[4],
        quick: &[4],
        ..USUAL
    },
    Workload {
        id: "beside-idle",
        title: "A few clients beside 1,000 idle connections",
        description: "A thousand clients have sent one request and stay connected. What does an idle connection cost?",
        task: Task::Bystander(Background::Idle),
        connections: &[1000],
        quick: &[1000],
        ..USUAL
    },
    Workload {
        id: "beside-slow",
        title: "A few clients beside 500 slow clients",
        description: "Five hundred clients send their requests at ten bytes per second: every byte wakes a thread of the \
        server, and almost none completes a request.",
        task: Task::Bystander(Background::Slow),
        connections: &[500],
        quick: &[500],
        ..USUAL
    },
];
