//! A server program under load: checks that it serves other clients meanwhile and that it recovers afterwards.
//!
//! The *load* is what a test does to the server: for example, it opens thousands of connections or sends requests
//! slowly.
//!
//! A *bystander* is a client that is not part of the load: it requests a small file on a new connection.

use crate::{
    client::{Client, TIMEOUT, get, wait_for},
    program::Program,
    resources::Resources,
    server::ServerKind,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

/// How long [`ServerUnderTest::check_low_cpu`] and [`ServerUnderTest::check_responsive`] observe a server.
const OBSERVATION: Duration = Duration::from_secs(1);

/// The pause after each call of the function that puts load on the server.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long a bystander may wait for a response. It usually arrives within milliseconds; the rest allows for a machine
/// that is busy with other work.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// A server that has little to do may use one part in `MAX_CPU_SHARE` of one processor's time. A busy loop would use
/// all of it.
const MAX_CPU_SHARE: u32 = 4;

/// How long a server must use no processor time to count as idle.
const IDLE_TIME: Duration = Duration::from_millis(150);

/// How many more descriptors than at its start a server may have open after a test: its caches keep files open.
const KEPT_DESCRIPTORS: usize = 8;

/// How much more memory than at its start a server may use after a test, in KiB: allocators and caches free memory
/// late.
const KEPT_KIB: usize = 48 * 1024;

/// How many more threads than at its start a server may have after a test: its workers may start some of their threads
/// after the startup line.
const KEPT_THREADS: usize = 4;

/// A running server program.
pub struct ServerUnderTest {
    kind: ServerKind,
    pub program: Program,
    /// The request target of `notes.txt`, a small file of the test site. Bystanders request it.
    notes_target: &'static str,
    /// What the program used when it had just started.
    before: Resources,
}

impl ServerUnderTest {
    /// Calls `launch` to start a program of this kind. `notes_target` is the request target at which it serves
    /// `notes.txt` of the test site, for example `/static/notes.txt`.
    pub fn start(kind: ServerKind, notes_target: &'static str, launch: impl FnOnce() -> Program) -> Self {
        let program = launch();
        let before = Resources::of(&program);
        ServerUnderTest { kind, program, notes_target, before }
    }

    /// Returns the first address that the program listens on.
    pub fn address(&self) -> SocketAddr {
        self.program.address()
    }

    /// Opens a connection to the program.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Returns what the program uses now.
    pub fn resources(&self) -> Resources {
        Resources::of(&self.program)
    }

    /// Requests `notes.txt` on a new connection, as a client that is not part of the load. Returns the time from
    /// connecting until the whole response had arrived. Panics if the response is wrong or does not arrive within
    /// [`TIMEOUT`].
    pub fn bystander(&self) -> Duration {
        let start = Instant::now();
        let mut client = self.connect();
        assert_eq!(client.fetch(get(self.notes_target)).text(), "notes\n");
        let waited = start.elapsed();
        client.finish();
        waited
    }

    /// Returns whether the server has accepted `count` connections and not closed them, or at most `KEPT_DESCRIPTORS`
    /// fewer: they are counted by descriptors, which is not exact.
    pub fn has_connections(&self, count: usize) -> bool {
        self.resources().descriptors + KEPT_DESCRIPTORS >= self.before.descriptors + count
    }

    /// Waits until the server [has `count` connections](Self::has_connections). Panics after [`TIMEOUT`].
    pub fn wait_for_connections(&self, count: usize) {
        wait_for("all connections to be accepted", || self.has_connections(count).then_some(()));
    }

    /// Waits until the server has used no processor time for `IDLE_TIME`. Panics after [`TIMEOUT`].
    pub fn wait_until_idle(&self) {
        let (mut since, mut cpu) = (Instant::now(), self.resources().cpu);
        wait_for("an idle server", || {
            let now = self.resources().cpu;
            if now != cpu {
                (since, cpu) = (Instant::now(), now);
            }
            (since.elapsed() > IDLE_TIME).then_some(())
        });
    }

    /// Calls `load` repeatedly for `OBSERVATION`, and after each call requests `notes.txt` as a bystander. Panics if a
    /// bystander waits for `MAX_WAIT` or longer, or if the server uses more processor time than `MAX_CPU_SHARE` allows.
    /// `what` names the load in the panic message.
    pub fn check_responsive(&self, what: &str, mut load: impl FnMut()) {
        let mut slowest = Duration::ZERO;
        self.check_low_cpu(what, || {
            load();
            slowest = slowest.max(self.bystander());
        });
        assert!(slowest < MAX_WAIT, "{:?}, {what}: a bystander waited {slowest:?}", self.kind);
    }

    /// Calls `load` repeatedly for `OBSERVATION`. Panics if the server uses more processor time than `MAX_CPU_SHARE`
    /// allows. `what` names the load in the panic message.
    pub fn check_low_cpu(&self, what: &str, mut load: impl FnMut()) {
        let (start, before) = (Instant::now(), self.resources());
        while start.elapsed() < OBSERVATION {
            load();
            // The server must have time in which it has nothing to do.
            thread::sleep(INTERVAL);
        }
        let (lasted, now) = (start.elapsed(), self.resources());
        let cpu = now.cpu.saturating_sub(before.cpu);
        let kind = self.kind;
        assert!(cpu < lasted / MAX_CPU_SHARE, "{kind:?}, {what}: {cpu:?} of processor time in {lasted:?}");
    }

    /// Checks that within [`TIMEOUT`] the server's descriptors, threads and memory exceed those at its start by at most
    /// `KEPT_DESCRIPTORS`, `KEPT_THREADS` and `KEPT_KIB`, and that it then serves `notes.txt`. Panics otherwise.
    ///
    /// Call this at the end of a test, when all its clients have closed their connections.
    pub fn check_recovers(&self) {
        self.check_recovers_with_threads(0);
    }

    /// Checks what [`check_recovers`](Self::check_recovers) checks, that the server soon uses little more than at its
    /// start and still serves `notes.txt`, but allows `extra_threads` more threads, for example those of a pool.
    pub fn check_recovers_with_threads(&self, extra_threads: usize) {
        let (start, before) = (Instant::now(), self.before);
        let mut now = self.resources();
        while now.descriptors > before.descriptors + KEPT_DESCRIPTORS
            || now.threads > before.threads + KEPT_THREADS + extra_threads
            || now.resident_kib > before.resident_kib + KEPT_KIB
        {
            assert!(start.elapsed() < TIMEOUT, "{:?}: it was {before:?} and stays {now:?}", self.kind);
            thread::sleep(INTERVAL / 5);
            now = self.resources();
        }
        // Not before: a worker process may still have as many connections as it may.
        self.bystander();
    }
}

/// Raises the descriptor limit of the test process to the hard limit, and returns it.
pub fn raise_descriptor_limit() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    maximum.map_or(usize::MAX, |maximum| maximum as usize)
}
