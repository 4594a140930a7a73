//! A server program under load: checks that it serves other clients meanwhile and that it recovers afterwards.

use crate::{
    client::{Client, TIMEOUT, get, wait_for},
    program::Program,
    reply::ReplyReader,
    resources::Resources,
    server::ServerKind,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long a server is observed, and how often a bystander sends a request meanwhile.
const OBSERVATION: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(100);

/// How long a bystander may wait for a response. It takes milliseconds, unless the machine is busy with other work.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The largest share of one processor, as its inverse, that a server may use while it has little to do. A busy loop
/// would use all of it.
const MAX_CPU_SHARE: u32 = 4;

/// How long a server must use no processor time to count as idle.
const IDLE_TIME: Duration = Duration::from_millis(150);

/// Descriptors that a server may keep open after the load: each worker caches open files for a while.
const KEPT_DESCRIPTORS: usize = 8;
/// Memory that a server may keep: allocators and caches free it late.
const KEPT_KIB: usize = 48 * 1024;
/// Threads that workers may start after the program has printed its startup line.
const KEPT_THREADS: usize = 4;

/// Descriptors that this process needs besides those of the clients.
const OWN_DESCRIPTORS: u64 = 200;

pub struct ServerUnderTest {
    kind: ServerKind,
    pub program: Program,
    /// The target of the site's `notes.txt`, which bystanders request.
    notes: &'static str,
    before: Resources,
    /// Only one server is under test at a time, because others would distort what is measured.
    _exclusive: MutexGuard<'static, ()>,
}

impl ServerUnderTest {
    /// Starts a program by calling `start`. It must serve the site's `notes.txt` at the target `notes`.
    pub fn start(kind: ServerKind, notes: &'static str, start: impl FnOnce() -> Program) -> ServerUnderTest {
        static EXCLUSIVE: Mutex<()> = Mutex::new(());
        let exclusive = EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner);
        let program = start();
        let before = Resources::of(&program);
        ServerUnderTest { kind, program, notes, before, _exclusive: exclusive }
    }

    pub fn address(&self) -> SocketAddr {
        self.program.address()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    pub fn resources(&self) -> Resources {
        Resources::of(&self.program)
    }

    /// Requests `notes.txt` on a new connection, as a client that is not part of the load. Returns the time it took.
    pub fn bystander(&self) -> Duration {
        let start = Instant::now();
        let mut client = self.connect();
        assert_eq!(client.fetch(get(self.notes)).text(), "notes\n");
        let waited = start.elapsed();
        client.finish();
        waited
    }

    /// How many connections the server has accepted and not closed, by its open descriptors.
    pub fn connections(&self) -> usize {
        self.resources().descriptors.saturating_sub(self.before.descriptors)
    }

    /// Waits until the server has accepted this many connections, or almost: the first count of its descriptors may
    /// include some that were open for a moment only.
    pub fn wait_for_connections(&self, count: usize) {
        let accepted = || self.connections() + KEPT_DESCRIPTORS >= count;
        wait_for("all connections to be accepted", || accepted().then_some(()));
    }

    /// Waits until the server uses no more processor time.
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

    /// Repeats `load` for a while. Checks that bystanders are served soon, and that the server uses little
    /// processor time.
    pub fn check_responsive(&self, what: &str, mut load: impl FnMut()) {
        let mut slowest = Duration::ZERO;
        self.check_low_cpu(what, || {
            load();
            slowest = slowest.max(self.bystander());
        });
        eprintln!("{:?}, {what}: a bystander waited {slowest:?} at most", self.kind);
        assert!(slowest < MAX_WAIT, "{what}: a bystander waited {slowest:?}");
    }

    /// Repeats `load` for a while, and checks that the server uses little processor time.
    pub fn check_low_cpu(&self, what: &str, mut load: impl FnMut()) {
        let (start, before) = (Instant::now(), self.resources());
        while start.elapsed() < OBSERVATION {
            load();
            // Time itself must pass: a busy loop would use all of it.
            thread::sleep(INTERVAL);
        }
        let (lasted, now) = (start.elapsed(), self.resources());
        let cpu = now.cpu.saturating_sub(before.cpu);
        eprintln!("{:?}, {what}: {cpu:?} of processor time in {lasted:?}, {now:?}", self.kind);
        assert!(cpu < lasted / MAX_CPU_SHARE, "{what}: {cpu:?} of processor time in {lasted:?}");
    }

    /// Checks that the server releases what it used for clients that have gone, and that it still serves.
    pub fn check_recovers(&self) {
        self.check_recovers_with_threads(0);
    }

    /// The same for a server that keeps `extra` threads, those of a pool for example.
    pub fn check_recovers_with_threads(&self, extra: usize) {
        self.bystander();
        let (start, before) = (Instant::now(), self.before);
        loop {
            let now = self.resources();
            if now.descriptors <= before.descriptors + KEPT_DESCRIPTORS
                && now.threads <= before.threads + KEPT_THREADS + extra
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

/// Raises this process's limit on descriptors as far as it may. Returns how many of the `wanted` connections it
/// allows.
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

/// A connection on which `bytes` have been sent. Unlike a [`Client`], it uses a single descriptor of this process.
pub fn connect_and_send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a read timeout");
    stream.set_write_timeout(Some(TIMEOUT)).expect("a write timeout");
    stream.write_all(bytes.as_ref()).expect("the server receives");
    stream
}

/// Whether the next response on the connection is `notes.txt`.
pub fn receives_notes(stream: &TcpStream) -> bool {
    ReplyReader::new(stream).reply().is_ok_and(|reply| reply.text() == "notes\n")
}

/// Whether the server has closed the connection. Consumes nothing that the server sent.
pub fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    peeked.map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |count| count == 0)
}
