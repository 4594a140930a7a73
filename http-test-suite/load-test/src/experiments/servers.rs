//! The experiment `servers`: compares `httpd` with other servers on the same work.

use std::time::Duration;

use super::requests::Requests;
use super::workload::{BASE, Experiment, Rate, Task, Workload};
use crate::report::Metric::{Cpu, P50, P99, Throughput};
use crate::subject::site::LONG_TEXT;

/// The ids of httpd with both engines, and of the packaged servers.
const PACKAGED: &str = "httpd httpd-blocking nginx lighttpd h2o";
/// The ids of the servers that are measured with the page of 1 KiB: servers of files, and of one constant response.
const EVERY: &str = "httpd httpd-blocking nginx lighttpd h2o bare-loop deferred-loop hyper-dir actix-dir tiny-http \
    hyper-hello";
/// The ids of httpd with both engines, and of nginx.
const HTTPD_AND_NGINX: &str = "httpd httpd-blocking nginx";
/// The ids of the servers whose workers are threads or processes, and of httpd with both.
const SHARING: &str = "httpd httpd-prefork httpd-blocking-prefork nginx h2o";
/// The ids of the servers that are measured with TLS and with compression, which need further packages for lighttpd.
const ENCODING: &str = "httpd httpd-blocking nginx h2o";
/// The ids of httpd with both engines, each also with worker processes, and of nginx.
const EVERY_HTTPD_AND_NGINX: &str = "httpd httpd-blocking httpd-prefork httpd-blocking-prefork nginx";
/// The ids of the servers that the conformance suite tests.
const CONFORMANCE: &str =
    "httpd httpd-blocking httpd-prefork httpd-blocking-prefork nginx lighttpd h2o apache";

/// The experiment `servers`: httpd and other servers on the same work.
pub const SERVERS: Experiment = Experiment {
    id: "servers",
    workloads: WORKLOADS,
    rounds: 3,
    time: Duration::from_secs(2),
    workers: 1,
    packaged_per_cpu: false,
    load_metrics: &[Cpu, Throughput, P50, P99],
};

/// The default values of a workload: servers of files, on 64 connections for the page of 1 KiB.
const USUAL: Workload =
    Workload { subjects: "httpd httpd-blocking nginx lighttpd h2o hyper-dir actix-dir tiny-http", ..BASE };

/// The workloads of the experiment, in the order of reports.
const WORKLOADS: &[Workload] = &[
    Workload {
        id: "keep-alive",
        title: "A file of 1 KiB, keep-alive",
        description: "64 connections request the same file again and again: the least work for a request.",
        subjects: EVERY,
        quick: &[64],
        ..USUAL
    },
    Workload {
        id: "close",
        title: "A connection for each request",
        description: "100 clients, each with a new connection for every request of 1 KiB: accepting and closing.",
        subjects: EVERY,
        keep_alive: false,
        connections: &[100],
        quick: &[100],
        ..USUAL
    },
    Workload {
        id: "large",
        title: "A file of 955 kB, keep-alive",
        description: "32 connections. The kernel does most of the work; servers differ in how they call it.",
        task: Task::Load(Requests::File("/large.html")),
        connections: &[32],
        quick: &[32],
        ..USUAL
    },
    Workload {
        id: "many",
        title: "5,000 different files of 1 KiB",
        description: "64 connections request all of them in turn: what finding a file costs.",
        task: Task::Load(Requests::Directory { files: 5000, requested: 5000 }),
        ..USUAL
    },
    Workload {
        id: "absent",
        title: "404",
        description: "64 connections request a file that does not exist.",
        task: Task::Load(Requests::Absent),
        quick: &[64],
        ..USUAL
    },
    Workload {
        id: "not-modified",
        title: "304",
        description: "64 connections send If-None-Match with the entity tag that the server gave the file of 1 KiB.",
        task: Task::Load(Requests::PageIfChanged),
        ..USUAL
    },
    Workload {
        id: "head",
        title: "HEAD",
        description: "64 connections request the head of the file of 1 KiB.",
        task: Task::Load(Requests::PageHead),
        ..USUAL
    },
    Workload {
        id: "pipelined",
        title: "1 KiB, pipelined by 16",
        description: "64 connections send 16 requests together, and the next 16 when they have received all responses.",
        subjects: EVERY,
        pipeline: 16,
        quick: &[64],
        ..USUAL
    },
    Workload {
        id: "logged",
        title: "1 KiB, keep-alive, with an access log",
        description: "As the first, with a line in the combined format for each request in a file.",
        subjects: PACKAGED,
        access_log: true,
        ..USUAL
    },
    Workload {
        id: "crowd",
        title: "More connections: 1 KiB, keep-alive",
        description: "As the first, with more and more connections, all of them busy.",
        subjects: EVERY,
        connections: &[64, 1000, 10_000],
        ..USUAL
    },
    Workload {
        id: "tail-50",
        title: "Latency at half of the capacity",
        description: "64 connections request the file of 1 KiB at a steady rate: half of what the server can do, as a \
        closed loop has just measured it.",
        subjects: PACKAGED,
        task: Task::Steady(Rate::OfCapacity(50)),
        ..USUAL
    },
    Workload {
        id: "tail-80",
        title: "Latency at 80 % of the capacity",
        description: "As before, at 80 % of what the server can do. So a faster server does more work.",
        subjects: PACKAGED,
        task: Task::Steady(Rate::OfCapacity(80)),
        ..USUAL
    },
    Workload {
        id: "tail-equal",
        title: "Latency at the same rate for all",
        description: "As before, at 80 % of what the slowest server could do in this round, so all do the same work.",
        subjects: PACKAGED,
        task: Task::Steady(Rate::OfLeastCapacity(80)),
        ..USUAL
    },
    Workload {
        id: "tls-keep-alive",
        title: "TLS: a file of 1 KiB, keep-alive",
        description: "As the first, encrypted with AES-128-GCM.",
        subjects: ENCODING,
        tls: true,
        ..USUAL
    },
    Workload {
        id: "tls-close",
        title: "TLS: a connection for each request",
        description: "32 clients, each with a new connection and a full handshake (X25519, ECDSA P-256) for every request \
        of 1 KiB.",
        subjects: ENCODING,
        tls: true,
        keep_alive: false,
        connections: &[32],
        ..USUAL
    },
    Workload {
        id: "tls-large",
        title: "TLS: a file of 955 kB, keep-alive",
        description: "16 connections. Encryption and copying are most of the work.",
        subjects: ENCODING,
        task: Task::Load(Requests::File("/large.html")),
        tls: true,
        connections: &[16],
        ..USUAL
    },
    Workload {
        id: "gzip",
        title: "A text of 5 MiB, compressed while it is sent",
        description: "4 connections request it with Accept-Encoding: gzip. Servers compress at their default level, so the \
        lengths of the responses differ.",
        subjects: ENCODING,
        task: Task::Load(Requests::Gzip(LONG_TEXT)),
        connections: &[4],
        ..USUAL
    },
    Workload {
        id: "idle",
        title: "5,000 idle connections",
        description: "Each has sent one request for 1 KiB and stays open. The cost is the growth of the server's memory.",
        subjects: EVERY,
        task: Task::Idle,
        connections: &[5000],
        ..USUAL
    },
    Workload {
        id: "start",
        title: "From start to first response",
        description: "The program is started, and gets requests until it responds.",
        subjects: EVERY,
        task: Task::Start,
        connections: &[1],
        ..USUAL
    },
    Workload {
        id: "cores",
        title: "All cores, with the driver beside",
        description: "As the first, with a worker for each core, and the driver on the same cores.",
        subjects: HTTPD_AND_NGINX,
        shares_cpus: true,
        ..USUAL
    },
    Workload {
        id: "mixed-http",
        title: "Mixed load",
        description: "8 clients of each kind at the same time: small files; a connection for each small file; files of \
        955 kB; compressed texts of 64 KiB. A worker for each core, and the driver on the same cores. Does one of them \
        wait longer than others of its kind?",
        subjects: HTTPD_AND_NGINX,
        task: Task::Mix,
        connections: &[32],
        shares_cpus: true,
        ..USUAL
    },
    Workload {
        id: "mixed-tls",
        title: "Mixed load over TLS",
        description: "As before, with TLS for all.",
        subjects: HTTPD_AND_NGINX,
        task: Task::Mix,
        connections: &[32],
        tls: true,
        shares_cpus: true,
        ..USUAL
    },
    Workload {
        id: "workers",
        title: "Connections of four workers",
        description: "64 connections request the file of 1 KiB, from four event loops or four processes. Do these have \
        the same number of connections?",
        subjects: SHARING,
        task: Task::Workers,
        shares_cpus: true,
        ..USUAL
    },
    Workload {
        id: "directory-100",
        title: "100 files of a directory",
        description: "64 connections request the 100 files of a directory in turn.",
        subjects: HTTPD_AND_NGINX,
        task: Task::Load(Requests::Directory { files: 100, requested: 100 }),
        ..USUAL
    },
    Workload {
        id: "directory-100-of-100000",
        title: "100 of 100,000 files of a directory",
        description: "64 connections request 100 files in turn, of a directory that has 100,000.",
        subjects: HTTPD_AND_NGINX,
        task: Task::Load(Requests::Directory { files: 100_000, requested: 100 }),
        ..USUAL
    },
    Workload {
        id: "directory-100000",
        title: "100,000 files of a directory",
        description: "64 connections request the 100,000 files of a directory in turn, more than caches hold.",
        subjects: HTTPD_AND_NGINX,
        task: Task::Load(Requests::Directory { files: 100_000, requested: 100_000 }),
        ..USUAL
    },
    Workload {
        id: "ab",
        title: "ab -n 50000 -c 100 -r http://localhost/",
        description: "ApacheBench requests a page of 1 KiB, with a connection for each request, from servers with eight \
        workers. It shares all cores with them, and often is the bottleneck.",
        subjects: EVERY_HTTPD_AND_NGINX,
        task: Task::Ab,
        shares_cpus: true,
        connections: &[100],
        ..USUAL
    },
    Workload {
        id: "conformance",
        title: "Conformance",
        description: "The suite's cases for a server of files, on servers with the default behaviour of their packages.",
        subjects: CONFORMANCE,
        task: Task::Conformance,
        connections: &[8],
        ..USUAL
    },
];
