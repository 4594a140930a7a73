//! The clients of a soak: how many of each kind, and how often they connect. The load leaves some CPU time free on a
//! machine with two cores, so that a slow answer is the server's fault and not the machine's.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::documents::Document;
use super::{civil, unruly};

/// The number of different faults to list for each kind of client; further faults are only counted.
const QUOTED: usize = 3;

/// A kind of client.
struct Kind {
    name: &'static str,
    /// The number of simultaneous clients.
    clients: u32,
    /// Conversations per second of all these clients together, if they are fast enough.
    per_second: f64,
    talk: fn(Visit<'_>) -> Result<(), String>,
}

const fn kind(
    name: &'static str,
    clients: u32,
    per_second: f64,
    talk: fn(Visit<'_>) -> Result<(), String>,
) -> Kind {
    Kind { name, clients, per_second, talk }
}

const KINDS: &[Kind] = &[
    kind("keep-alive", 4, 20.0, civil::keeps_alive),
    kind("pipelining", 2, 20.0, civil::pipelines),
    kind("one request", 4, 60.0, civil::asks_once),
    kind("download", 2, 2.0, civil::downloads),
    kind("HEAD", 1, 20.0, civil::asks_for_heads),
    kind("ranges", 2, 20.0, civil::asks_for_ranges),
    kind("conditional", 1, 20.0, civil::asks_again),
    kind("half-closing", 2, 15.0, civil::half_closes),
    kind("idle", 40, 10.0, civil::idles),
    kind("dripping", 24, 12.0, civil::drips),
    kind("sipping", 6, 2.0, civil::sips),
    kind("garbage", 1, 15.0, unruly::sends_garbage),
    kind("TLS hello", 1, 15.0, unruly::speaks_tls),
    kind("oversize", 1, 10.0, unruly::sends_too_much),
    kind("bad framing", 1, 15.0, unruly::frames_badly),
    kind("reset download", 2, 20.0, unruly::resets_download),
    kind("reset request", 2, 20.0, unruly::resets_request),
    kind("walking away", 10, 20.0, unruly::walks_away),
];

/// The server under test, and the documents that it serves.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) server: SocketAddr,
    /// The documents, at least one; the longest comes last.
    pub(super) documents: &'a [Document],
}

/// One conversation.
#[derive(Clone, Copy)]
pub(super) struct Visit<'a> {
    pub(super) server: SocketAddr,
    documents: &'a [Document],
    /// The number of the conversation among those of its kind; it selects the document and the fault.
    pub(super) number: u64,
}

impl<'a> Visit<'a> {
    /// The document for this conversation, or the `index`-th after it.
    pub(super) fn any(&self, index: u64) -> &'a Document {
        self.turn(self.documents, index)
    }

    /// Like [`any`](Visit::any), but among the small documents.
    pub(super) fn small(&self, index: u64) -> &'a Document {
        self.turn(&self.documents[..self.documents.partition_point(Document::is_small)], index)
    }

    pub(super) fn longest(&self) -> &'a Document {
        &self.documents[self.documents.len() - 1]
    }

    fn turn(&self, documents: &'a [Document], index: u64) -> &'a Document {
        let turn = usize::try_from(self.number + index).unwrap_or_default();
        &documents[turn % documents.len()]
    }
}

/// The results of the clients of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Score {
    /// The name of the kind.
    pub name: &'static str,
    /// Conversations that passed.
    pub right: u64,
    /// Conversations that failed.
    pub wrong: u64,
    /// The first faults, each only once.
    pub faults: Vec<String>,
}

impl Score {
    /// Adds the score of other clients of the same kind.
    pub(super) fn add(&mut self, other: Score) {
        self.right += other.right;
        self.wrong += other.wrong;
        other.faults.into_iter().for_each(|fault| self.quote(fault));
    }

    fn count(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.right += 1,
            Err(fault) => {
                self.wrong += 1;
                self.quote(fault);
            }
        }
    }

    fn quote(&mut self, fault: String) {
        if self.faults.len() < QUOTED && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

/// Runs all clients for `time`, each for at least one conversation. Returns when the last client is done.
pub(super) fn visit(ground: Ground<'_>, time: Duration) -> io::Result<Vec<Score>> {
    let start = Instant::now();
    thread::scope(|scope| {
        let mut clients = Vec::new();
        for (index, kind) in KINDS.iter().enumerate() {
            for client in 0..kind.clients {
                let live = move || live(ground, kind, client, start, time);
                clients.push((index, thread::Builder::new().spawn_scoped(scope, live)?));
            }
        }
        let none = |kind: &Kind| Score { name: kind.name, right: 0, wrong: 0, faults: Vec::new() };
        let mut scores: Vec<_> = KINDS.iter().map(none).collect();
        for (index, client) in clients {
            let score = client.join().map_err(|_| io::Error::other("a client of the soak has failed"))?;
            scores[index].add(score);
        }
        Ok(scores)
    })
}

/// Runs one client: conversations at even intervals, with an offset for each client of the kind. Late conversations are
/// not made up for.
fn live(ground: Ground<'_>, kind: &Kind, client: u32, start: Instant, time: Duration) -> Score {
    let mut score = Score { name: kind.name, right: 0, wrong: 0, faults: Vec::new() };
    let interval = Duration::from_secs_f64(f64::from(kind.clients) / kind.per_second);
    let mut due = start + (interval * client / kind.clients).min(time);
    let mut number = u64::from(client);
    loop {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let visit = Visit { server: ground.server, documents: ground.documents, number };
        score.count((kind.talk)(visit));
        number += u64::from(kind.clients);
        due = (due + interval).max(Instant::now());
        if due >= start + time {
            return score;
        }
    }
}
