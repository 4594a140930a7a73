//! The blocking engine: a thread for each connection.
//!
//! A few threads stand ready to accept. One that takes a connection serves it to its end; when none is left to
//! accept, another is started, up to the connection limit. Beyond that the longest-idle connection makes room,
//! and if none is idle, the newcomer is told 503. Who has served stands ready again, for a while even where there are
//! enough: to start a thread for each connection costs as much as to serve it.

mod acceptor;
mod registry;
mod session;

use crate::shutdown::Shutdown;
use crate::{MakeHandler, Settings, admission::Addresses};
use acceptor::{Accepted, Acceptor};
use http_core::{BufPool, Clock, Config, Connection, Handler};
use registry::Registry;
use session::Session;
use std::{
    io,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Instant, SystemTime},
};

/// Connections, and so threads, held at once unless the settings say otherwise.
pub const MAX_CONNECTIONS: usize = 1024;

/// Threads beyond the connections that may be held: they say 503 to who is one too many.
const REFUSING: usize = 16;

/// Threads that stand ready beyond those that always do, for as long as there is something to do for them.
const RESERVE: usize = 16;

/// Stack of a thread. Most of it is never touched; handlers that recurse deeply are none of ours.
const STACK: usize = 256 * 1024;

/// What all threads of an engine share.
struct Shared {
    acceptor: Acceptor,
    registry: Registry,
    /// Threads waiting for a connection.
    ready: AtomicUsize,
    /// Threads there are.
    threads: AtomicUsize,
    workers: usize,
    max_connections: usize,
    /// How many each address may hold, if that is limited.
    addresses: Option<Arc<Addresses>>,
    apps: Vec<Arc<dyn Handler>>,
    config: Arc<Config>,
    server: String,
    stop: Arc<Shutdown>,
}

/// Starts the threads that stand ready, and one that keeps house when the engine is stopped.
///
/// # Errors
///
/// When the system lacks threads or descriptors.
pub fn start(
    listeners: Vec<TcpListener>,
    settings: &Settings,
    make_app: &MakeHandler,
    stop: &Arc<Shutdown>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let workers = settings.workers.max(1);
    let shared = Arc::new(Shared {
        acceptor: Acceptor::new(listeners, &settings.protocol.timeouts, stop)?,
        registry: Registry::default(),
        ready: AtomicUsize::new(0),
        threads: AtomicUsize::new(0),
        workers,
        max_connections: settings.max_connections.unwrap_or(MAX_CONNECTIONS).max(1),
        addresses: settings.max_connections_per_address.map(Addresses::at_most),
        apps: (0..workers).map(|number| make_app(number)).collect(),
        config: Arc::new(settings.protocol.clone()),
        server: settings.server.clone(),
        stop: Arc::clone(stop),
    });
    for _ in 0..workers {
        spawn(&shared)?;
    }
    let keeper = Arc::clone(&shared);
    let keep = move || {
        keeper.registry.drain(&keeper.stop, || {
            if keeper.ready.load(Ordering::SeqCst) == 0 {
                keeper.acceptor.close();
            }
            keeper.threads.load(Ordering::SeqCst) == 0
        });
    };
    Ok(vec![thread::Builder::new().name("keeper".to_owned()).stack_size(STACK).spawn(keep)?])
}

/// Starts a thread that stands ready.
fn spawn(shared: &Arc<Shared>) -> io::Result<()> {
    let number = shared.threads.fetch_add(1, Ordering::SeqCst);
    // Counted before it runs: whoever looks meanwhile must not start yet another.
    shared.ready.fetch_add(1, Ordering::SeqCst);
    let own = Arc::clone(shared);
    let run = move || {
        own.work(&*own.apps[number % own.workers]);
        own.threads.fetch_sub(1, Ordering::SeqCst);
        own.registry.look_again();
    };
    let started = thread::Builder::new().name(format!("thread-{number}")).stack_size(STACK).spawn(run);
    if started.is_err() {
        shared.ready.fetch_sub(1, Ordering::SeqCst);
        shared.threads.fetch_sub(1, Ordering::SeqCst);
    }
    started.map(drop)
}

impl Shared {
    /// Accepts and serves, one connection after the other, until there are threads enough without this one.
    fn work(self: &Arc<Shared>, app: &dyn Handler) {
        // One pair is enough for one thread; the pool is what empties it between two connections.
        let mut pool = BufPool::new(1);
        let mut clock = Clock::new(&self.server, Instant::now(), SystemTime::now());
        loop {
            let is_reserve = self.ready.load(Ordering::SeqCst) > self.workers;
            let accepted = self.acceptor.next(is_reserve);
            if matches!(accepted, Accepted::Nobody) {
                if self.steps_down() {
                    return;
                }
                continue;
            }
            let left = self.ready.fetch_sub(1, Ordering::SeqCst) - 1;
            let Accepted::Connection(socket, address) = accepted else { return };
            // Some threads beyond the limit stand ready when all others are busy: somebody has to say 503.
            if left == 0 && self.threads.load(Ordering::SeqCst) < self.max_connections + REFUSING {
                // Without another thread, connections wait in the queue until this one is done.
                let _ = spawn(self);
            }
            let counted = self.addresses.as_ref().zip(address);
            let visit = counted.map(|(addresses, address)| addresses.enter(address.ip())).transpose();
            let full = self.registry.len() >= self.max_connections && !self.registry.evict();
            let seat = self.registry.enter(socket);
            clock.advance(Instant::now(), SystemTime::now);
            let make = if full || visit.is_err() { Connection::refused } else { Connection::new };
            let mut conn = make(Arc::clone(&self.config), clock.now());
            if let Some(address) = address {
                conn = conn.with_peer(address);
            }
            let mut buffers = pool.take();
            Session::new(&seat, conn, &self.config, app, &mut clock, &self.stop).serve(&mut buffers);
            self.registry.leave(&seat);
            pool.put(buffers);
            if !self.stands_ready() {
                return;
            }
        }
    }

    /// Counts this thread among those that stand ready, unless there are enough. It must not count itself in even for
    /// a moment otherwise: whoever accepts in that moment would take it for the next in line.
    fn stands_ready(&self) -> bool {
        let one_more = |ready: usize| (ready < self.workers + RESERVE).then_some(ready + 1);
        self.ready.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    /// Takes this thread from those that stand ready, if there are enough without it.
    fn steps_down(&self) -> bool {
        let one_less = |ready: usize| (ready > self.workers).then(|| ready - 1);
        self.ready.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }
}
