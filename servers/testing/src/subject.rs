//! The program that has to bear it all: watched while it does, and expected to be as before when it is over.

use crate::{
    client::{Client, PATIENCE, get, until},
    program::Program,
    reply::{Asked, Reader},
    resources::Resources,
    server::Kind,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long a subject is watched, and how often a bystander comes meanwhile.
const WATCH: Duration = Duration::from_secs(1);
const PACE: Duration = Duration::from_millis(100);

/// A bystander is served within milliseconds; this is for machines that do something else besides.
const SOON: Duration = Duration::from_secs(5);

/// The share of the time, one in so many, that may go to the processor while hardly anything happens. Who spins takes
/// all of it.
const CALM: u32 = 4;

/// Descriptors that may stay: files are kept open for a while after they are sent, by each worker.
const KEPT_OPEN: usize = 8;
/// Memory that may stay: allocators and caches give back late.
const KEPT_KIB: usize = 48 * 1024;

/// Threads that a worker starts after it has said that it serves: a few in each process.
const KEPT_THREADS: usize = 4;

/// How long a program uses no processor that has done all there is to do.
const REST: Duration = Duration::from_millis(150);

/// Descriptors that this process wants besides its clients'.
const OWN_DESCRIPTORS: u64 = 200;

/// A program under fire.
pub struct Subject {
    kind: Kind,
    pub program: Program,
    /// What bystanders ask for.
    notes: &'static str,
    before: Resources,
    /// Subjects come one after the other: what is measured of one must not be another's doing.
    _alone: MutexGuard<'static, ()>,
}

impl Subject {
    /// Puts a program under fire that `start` starts, and that serves the site's `notes.txt` as `notes`.
    pub fn of(kind: Kind, notes: &'static str, start: impl FnOnce() -> Program) -> Subject {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let program = start();
        let before = Resources::of(&program);
        Subject { kind, program, notes, before, _alone: alone }
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

    /// How long somebody waits who comes, asks and goes.
    pub fn bystander(&self) -> Duration {
        let start = Instant::now();
        let mut client = self.connect();
        assert_eq!(client.ask(get(self.notes)).text(), "notes\n");
        let waited = start.elapsed();
        client.finish();
        waited
    }

    /// How many connections it has accepted and not closed.
    pub fn connections(&self) -> usize {
        self.resources().descriptors.saturating_sub(self.before.descriptors)
    }

    /// Waits until it has that many. Something may have been open for a moment when it was counted first.
    pub fn holds(&self, connections: usize) {
        let held = || self.connections() + KEPT_OPEN >= connections;
        until("all connections are accepted", || held().then_some(()));
    }

    /// Waits until the program has done all there was to do.
    pub fn comes_to_rest(&self) {
        let (mut since, mut cpu) = (Instant::now(), self.resources().cpu);
        until("it comes to rest", || {
            let now = self.resources().cpu;
            if now != cpu {
                (since, cpu) = (Instant::now(), now);
            }
            (since.elapsed() > REST).then_some(())
        });
    }

    /// Has bystanders come while `meanwhile` goes on: they are served, and the program's processor is at rest.
    pub fn watch(&self, what: &str, mut meanwhile: impl FnMut()) {
        let mut slowest = Duration::ZERO;
        let calm = self.measure(what, || {
            meanwhile();
            slowest = slowest.max(self.bystander());
        });
        eprintln!("{:?}, {what}: a bystander waited {slowest:?} at most", self.kind);
        assert!(slowest < SOON, "{what}: a bystander waited {slowest:?}");
        assert!(calm, "{what}: it is busy");
    }

    /// The same where nobody can be served.
    pub fn is_calm(&self, what: &str) {
        assert!(self.measure(what, || {}), "{what}: it is busy");
    }

    fn measure(&self, what: &str, mut each_time: impl FnMut()) -> bool {
        let (start, before) = (Instant::now(), self.resources());
        while start.elapsed() < WATCH {
            each_time();
            // It is time itself that has to pass: who spins would use all of it.
            thread::sleep(PACE);
        }
        let (lasted, now) = (start.elapsed(), self.resources());
        let cpu = now.cpu.saturating_sub(before.cpu);
        eprintln!("{:?}, {what}: {cpu:?} of processor time in {lasted:?}, {now:?}", self.kind);
        cpu < lasted / CALM
    }

    /// Nothing stays behind: once all clients have gone, the program is as it was, and serves.
    pub fn recovers(&self) {
        self.recovers_but_for(0);
    }

    /// The same, but for threads that it has started on purpose.
    pub fn recovers_but_for(&self, threads: usize) {
        let allowed = Resources {
            descriptors: self.before.descriptors + KEPT_OPEN,
            threads: self.before.threads + KEPT_THREADS + threads,
            resident_kib: self.before.resident_kib + KEPT_KIB,
            ..self.before
        };
        self.bystander();
        let start = Instant::now();
        let mut now = self.resources();
        let as_before = |now: &Resources| {
            now.descriptors <= allowed.descriptors
                && now.threads <= allowed.threads
                && now.resident_kib <= allowed.resident_kib
        };
        while !as_before(&now) {
            assert!(
                start.elapsed() < PATIENCE,
                "{:?}: it was {:?} and stays {now:?}",
                self.kind,
                self.before
            );
            thread::sleep(PACE / 5);
            now = self.resources();
        }
        eprintln!("{:?}: as before after {:?}: {:?}, now {now:?}", self.kind, start.elapsed(), self.before);
    }
}

/// As many connections as this process may have, up to `wanted`.
pub fn affordable(wanted: usize) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let room = maximum.map_or(u64::MAX, |maximum| maximum.saturating_sub(OWN_DESCRIPTORS));
    let count = wanted.min(usize::try_from(room).unwrap_or(usize::MAX));
    if count < wanted {
        eprintln!("{count} connections instead of {wanted}: this process may not have more descriptors");
    }
    count
}

/// A connection that has sent `bytes`, in a single descriptor of this process.
pub fn plain(address: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
    stream.write_all(bytes.as_ref()).expect("the server takes it");
    stream
}

/// Reads the answer to a GET of `/notes.txt`; whether it came.
pub fn is_answered(stream: &TcpStream) -> bool {
    Reader::new(stream).reply(Asked::Http11).is_ok_and(|reply| reply.text() == "notes\n")
}

/// Whether the server has ended it; what is looked at is not taken.
pub fn has_ended(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    seen.map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |count| count == 0)
}
