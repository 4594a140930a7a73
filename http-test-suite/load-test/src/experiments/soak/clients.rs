//! The clients of a soak: how many there are of each kind, and how often they connect. The load leaves some CPU time
//! free on a machine with two cores, so that a slow response is the server's fault and not the machine's.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::connection::ClientTask;
use super::documents::Document;
use super::{misbehaving, well_behaved};

/// The most error messages that are kept for each kind of client; further failures are only counted.
const MESSAGES_MAX: usize = 3;

/// A kind of client: a row of the table [`KINDS`].
struct Kind {
    /// The name in the table of results.
    name: &'static str,
    /// The number of simultaneous clients.
    clients: u32,
    /// Connections per second of all these clients together, if they are fast enough.
    per_second: f64,
    /// What a client does on each connection.
    behaviour: fn(ClientTask<'_>) -> Result<(), String>,
}

/// Makes a row of the table.
const fn kind(
    name: &'static str,
    clients: u32,
    per_second: f64,
    behaviour: fn(ClientTask<'_>) -> Result<(), String>,
) -> Kind {
    Kind { name, clients, per_second, behaviour }
}

/// All kinds of clients.
const KINDS: &[Kind] = &[
    kind("keep-alive", 4, 20.0, well_behaved::keeps_alive),
    kind("pipelining", 2, 20.0, well_behaved::pipelines),
    kind("one request", 4, 60.0, well_behaved::requests_once),
    kind("download", 2, 2.0, well_behaved::downloads),
    kind("HEAD", 1, 20.0, well_behaved::requests_heads),
    kind("ranges", 2, 20.0, well_behaved::requests_ranges),
    kind("conditional", 1, 20.0, well_behaved::revalidates),
    kind("half-close", 2, 15.0, well_behaved::half_closes),
    kind("idle", 40, 10.0, well_behaved::idles),
    kind("slow sender", 24, 12.0, well_behaved::sends_slowly),
    kind("slow reader", 6, 2.0, well_behaved::reads_slowly),
    kind("garbage", 1, 15.0, misbehaving::sends_garbage),
    kind("TLS hello", 1, 15.0, misbehaving::starts_tls),
    kind("too large", 1, 10.0, misbehaving::sends_too_much),
    kind("bad framing", 1, 15.0, misbehaving::frames_ambiguously),
    kind("reset download", 2, 20.0, misbehaving::resets_download),
    kind("reset request", 2, 20.0, misbehaving::resets_request),
    kind("leaves early", 10, 20.0, misbehaving::leaves),
];

/// The results of all clients of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientResults {
    /// The name of the kind.
    pub name: &'static str,
    /// The number of connections on which the server did everything right.
    pub passed: u64,
    /// The number of connections on which the server did something wrong.
    pub failed: u64,
    /// What the server did wrong: the first messages, each only once.
    pub messages: Vec<String>,
}

impl ClientResults {
    /// Empty results of each kind of client.
    pub(super) fn of_all_kinds() -> Vec<ClientResults> {
        let empty =
            |kind: &Kind| ClientResults { name: kind.name, passed: 0, failed: 0, messages: Vec::new() };
        KINDS.iter().map(empty).collect()
    }

    /// Counts the result of a connection, and keeps its message if it is new.
    fn record(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(message) => {
                self.failed += 1;
                if self.messages.len() < MESSAGES_MAX && !self.messages.contains(&message) {
                    self.messages.push(message);
                }
            }
        }
    }
}

/// Runs all clients for `time`, each for at least one connection, and adds to the `results` of each kind. Returns when
/// the last client has finished.
pub(super) fn run(
    server: SocketAddr,
    documents: &[Document],
    time: Duration,
    results: &mut [ClientResults],
) -> io::Result<()> {
    let start = Instant::now();
    let results: Vec<_> = results.iter_mut().map(Mutex::new).collect();
    thread::scope(|scope| {
        for (kind, results) in KINDS.iter().zip(&results) {
            for client in 0..kind.clients {
                let first = ClientTask { server, documents, number: u64::from(client) };
                let run = move || run_client(kind, first, start, time, results);
                thread::Builder::new().spawn_scoped(scope, run)?;
            }
        }
        Ok(())
    })
}

/// Runs one client: connections at even intervals, with another offset for each client of the kind. Late connections are
/// not made up for.
fn run_client(
    kind: &Kind,
    first: ClientTask<'_>,
    start: Instant,
    time: Duration,
    results: &Mutex<&mut ClientResults>,
) {
    let mut task = first;
    let interval = Duration::from_secs_f64(f64::from(kind.clients) / kind.per_second);
    let mut due = start + (interval.mul_f64(first.number as f64) / kind.clients).min(time);
    loop {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let result = (kind.behaviour)(task);
        results.lock().unwrap_or_else(PoisonError::into_inner).record(result);
        task.number += u64::from(kind.clients);
        due = (due + interval).max(Instant::now());
        if due >= start + time {
            return;
        }
    }
}
