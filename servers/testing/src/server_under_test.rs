//! A server program under load: checks that it serves other clients meanwhile and that it recovers afterwards.
//!
//! A *bystander* is a client that is not part of the load: it requests a small file on a new connection.

use crate::{
    client::{Client, TIMEOUT, get, wait_for},
    program::Program,
    reply::ReplyReader,
    resources::Resources,
    server::ServerKind,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long [`ServerUnderTest::check_low_cpu`] and [`ServerUnderTest::check_responsive`] observe a server.
const OBSERVATION: Duration = Duration::from_secs(1);

/// The pause between two rounds of load in an observation.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long a bystander may wait for a response. It takes milliseconds, unless the machine is busy with other work.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// A server that has little to do may use one part in `MAX_CPU_SHARE` of one processor's time. A busy loop would use
/// all of it.
const MAX_CPU_SHARE: u32 = 4;

/// How long a server must use no processor time to count as idle.
const IDLE_TIME: Duration = Duration::from_millis(150);

/// How many more descriptors than before the load a server may have open: each worker caches open files for a while.
const KEPT_DESCRIPTORS: usize = 8;

/// How much more memory than before the load a server may use, in KiB: allocators and caches free it late.
const KEPT_KIB: usize = 48 * 1024;

/// How many more threads than before the load a server may have: workers may start some after the program has printed
/// its startup line.
const KEPT_THREADS: usize = 4;

/// How many descriptors the test process needs besides those of the clients.
const OWN_DESCRIPTORS: u64 = 200;

/// A running server program. A test process has only one at a time, because others would distort the measurements.
pub struct ServerUnderTest {
    kind: ServerKind,
    pub program: Program,
    /// The target of the site's `notes.txt`, which bystanders request.
    notes: &'static str,
    /// What the program used when it had just started.
    before: Resources,
    /// The lock that excludes other servers under test.
    _exclusive: MutexGuard<'static, ()>,
}

impl ServerUnderTest {
    /// Calls `start` to start a program of this kind, as soon as no other server is under test. The program must serve
    /// the site's `notes.txt` at the target `notes`.
    pub fn start(kind: ServerKind, notes: &'static str, start: impl FnOnce() -> Program) -> ServerUnderTest {
        static EXCLUSIVE: Mutex<()> = Mutex::new(());
        let exclusive = EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner);
        let program = start();
        let before = Resources::of(&program);
        ServerUnderTest { kind, program, notes, before, _exclusive: exclusive }
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

    /// Requests `notes.txt` on a new connection, as a bystander does. Returns the time until the response had arrived.
    pub fn bystander(&self) -> Duration {
        let start = Instant::now();
        let mut client = self.connect();
        assert_eq!(client.fetch(get(self.notes)).text(), "notes\n");
        let waited = start.elapsed();
        client.finish();
        waited
    }

    /// Returns about how many connections the server has accepted and not closed: how many more descriptors than at its
    /// start are open.
    pub fn connections(&self) -> usize {
        self.resources().descriptors.saturating_sub(self.before.descriptors)
    }

    /// Waits until the server has accepted `count` connections, or up to `KEPT_DESCRIPTORS` fewer: some of the
    /// descriptors counted at its start may have been closed since.
    pub fn wait_for_connections(&self, count: usize) {
        let accepted = || self.connections() + KEPT_DESCRIPTORS >= count;
        wait_for("all connections to be accepted", || accepted().then_some(()));
    }

    /// Waits until the server has used no processor time for `IDLE_TIME`.
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

    /// Calls `load` repeatedly for `OBSERVATION`, each time followed by a bystander. Checks that each bystander is
    /// served within `MAX_WAIT`, and that the server uses little processor time. Messages name the load `what`.
    pub fn check_responsive(&self, what: &str, mut load: impl FnMut()) {
        let mut slowest = Duration::ZERO;
        self.check_low_cpu(what, || {
            load();
            slowest = slowest.max(self.bystander());
        });
        eprintln!("{:?}, {what}: a bystander waited {slowest:?} at most", self.kind);
        assert!(slowest < MAX_WAIT, "{what}: a bystander waited {slowest:?}");
    }

    /// Calls `load` repeatedly for `OBSERVATION`, and checks that the server uses little processor time
    /// (`MAX_CPU_SHARE`). Messages name the load `what`.
    pub fn check_low_cpu(&self, what: &str, mut load: impl FnMut()) {
        let (start, before) = (Instant::now(), self.resources());
        while start.elapsed() < OBSERVATION {
            load();
            // The server must have time in which it has nothing to do.
            thread::sleep(INTERVAL);
        }
        let (lasted, now) = (start.elapsed(), self.resources());
        let cpu = now.cpu.saturating_sub(before.cpu);
        eprintln!("{:?}, {what}: {cpu:?} of processor time in {lasted:?}, {now:?}", self.kind);
        assert!(cpu < lasted / MAX_CPU_SHARE, "{what}: {cpu:?} of processor time in {lasted:?}");
    }

    /// Checks that the server still serves, and that it releases what it used for the load within [`TIMEOUT`]. The
    /// clients must have closed their connections.
    pub fn check_recovers(&self) {
        self.check_recovers_with_threads(0);
    }

    /// Checks what [`check_recovers`](Self::check_recovers) does, for a server that has started up to `extra_threads`
    /// threads since its start and keeps them, for example those of a pool.
    pub fn check_recovers_with_threads(&self, extra_threads: usize) {
        self.bystander();
        let (start, before) = (Instant::now(), self.before);
        loop {
            let now = self.resources();
            if now.descriptors <= before.descriptors + KEPT_DESCRIPTORS
                && now.threads <= before.threads + KEPT_THREADS + extra_threads
                && now.resident_kib <= before.resident_kib + KEPT_KIB
            {
                let elapsed = start.elapsed();
                return eprintln!("{:?}: recovered after {elapsed:?}: {before:?}, now {now:?}", self.kind);
            }
            assert!(start.elapsed() < TIMEOUT, "{:?}: it was {before:?} and stays {now:?}", self.kind);
            thread::sleep(INTERVAL / 5);
        }
    }
}

/// Raises the descriptor limit of the test process to the hard limit. Returns how many connections that allows, at most
/// `wanted`.
pub fn raise_descriptor_limit(wanted: usize) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = maximum.map_or(u64::MAX, |maximum| maximum.saturating_sub(OWN_DESCRIPTORS));
    let count = wanted.min(usize::try_from(allowed).unwrap_or(usize::MAX));
    if count < wanted {
        eprintln!("{count} connections instead of {wanted}: the limit on descriptors allows no more");
    }
    count
}

/// Opens a connection and sends `bytes` on it. Unlike a [`Client`], the result uses only one descriptor.
pub fn connect_and_send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut client = Client::connect(address);
    client.send(bytes);
    client.stream
}

/// Reads a response, and returns whether it is valid and its body is that of `notes.txt`.
pub fn receives_notes(stream: &TcpStream) -> bool {
    ReplyReader::new(stream).reply().is_ok_and(|reply| reply.text() == "notes\n")
}

/// Returns whether the server has closed the connection and no bytes from it are left to read. Consumes nothing.
pub fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    peeked.map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |count| count == 0)
}
