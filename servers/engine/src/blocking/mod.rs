//! The blocking engine: one thread per connection.
//!
//! A few threads wait for connections. A thread that accepts one serves it until it closes; if no other thread is
//! waiting then, it first starts one, up to the connection limit. At the limit the longest idle connection is closed
//! for a new one, or the new one gets 503. A thread whose connection has closed waits again. If the configured number
//! of threads waits already, it is a spare thread and waits only for a while: to start a thread for each short
//! connection costs as much as to serve it.

mod acceptor;
mod registry;
mod session;

use crate::{
    admission::Admission,
    handlers::Handlers,
    settings::{Engine, Settings},
    shutdown::Shutdown,
};
use acceptor::{Accepted, Acceptor};
use http_core::Clock;
use registry::Registry;
use session::{Session, first_receive_timeout};
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

/// The number of threads that may exist in addition to one for each allowed connection. They send 503 to connections
/// beyond the limit. If every thread is busy, new connections wait in the kernel's queue.
const REJECTING_THREADS: usize = 16;

/// The maximum number of spare threads: those that wait for connections in addition to the configured number
/// ([`Settings::workers`]). A spare thread ends if no connection comes within `SPARE_TIMEOUT`.
const SPARE_THREADS: usize = 16;

/// Bytes of a thread's stack. Most of it is never touched; handlers must not recurse deeply.
const STACK_SIZE: usize = 256 * 1024;

/// What all threads of the engine share.
struct Shared {
    acceptor: Acceptor,
    registry: Registry,
    /// The number of threads that wait for a connection now.
    waiting: AtomicUsize,
    /// The number of all threads now. The supervisor does not count.
    threads: AtomicUsize,
    /// The configured number of threads that always wait for connections ([`Settings::workers`]).
    workers: usize,
    admission: Admission,
    handlers: Arc<Handlers>,
    /// The value of the `Server` header.
    server: String,
    shutdown: Arc<Shutdown>,
}

/// Starts the threads that wait for connections, and a supervisor thread. When the shutdown begins, the supervisor
/// closes idle connections. It closes the listening sockets once no thread waits for connections.
///
/// Returns only the handle of the supervisor. The supervisor ends when all other threads have ended or the grace period
/// is over.
///
/// # Errors
///
/// The system has no threads or descriptors left.
pub(crate) fn start(
    listeners: Vec<TcpListener>,
    settings: &Settings,
    handlers: &Arc<Handlers>,
    shutdown: &Arc<Shutdown>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let shared = Arc::new(Shared {
        acceptor: Acceptor::new(listeners, &settings.protocol.timeouts, shutdown)?,
        registry: Registry::default(),
        waiting: AtomicUsize::new(0),
        threads: AtomicUsize::new(0),
        workers: settings.workers(),
        admission: Admission::new(settings, settings.connection_limit(Engine::Blocking)),
        handlers: Arc::clone(handlers),
        server: settings.server.clone(),
        shutdown: Arc::clone(shutdown),
    });
    for _ in 0..shared.workers {
        spawn_thread(&shared)?;
    }
    let supervise = move || {
        // An empty registry does not show that all threads have ended: one may have accepted a connection, but not
        // inserted it yet.
        shared.registry.drain(&shared.shutdown, || {
            if shared.waiting.load(Ordering::SeqCst) == 0 {
                shared.acceptor.close();
            }
            shared.threads.load(Ordering::SeqCst) == 0
        });
    };
    let supervisor = thread::Builder::new().name("supervisor".to_owned()).stack_size(STACK_SIZE);
    Ok(vec![supervisor.spawn(supervise)?])
}

/// Starts a thread that waits for connections.
fn spawn_thread(shared: &Arc<Shared>) -> io::Result<()> {
    let number = shared.threads.fetch_add(1, Ordering::SeqCst);
    // Count the thread as waiting before it runs, so that no other thread starts one more meanwhile.
    shared.waiting.fetch_add(1, Ordering::SeqCst);
    let own = Arc::clone(shared);
    let run = move || {
        own.accept_and_serve(number);
        own.threads.fetch_sub(1, Ordering::SeqCst);
        own.registry.notify();
    };
    let started = thread::Builder::new().name(format!("thread-{number}")).stack_size(STACK_SIZE).spawn(run);
    if started.is_err() {
        shared.waiting.fetch_sub(1, Ordering::SeqCst);
        shared.threads.fetch_sub(1, Ordering::SeqCst);
    }
    started.map(drop)
}

impl Shared {
    /// Accepts and serves one connection after the other. Returns, which ends the thread, if enough other threads wait
    /// for connections, or if the server shuts down. `number` selects the thread's handler ([`Handlers::of_worker`]).
    fn accept_and_serve(self: &Arc<Shared>, number: usize) {
        let mut handler = self.handlers.of_worker(number);
        // A thread needs one pair of buffers; the pool clears it between two connections.
        let mut pool = self.admission.buffer_pool(1);
        let mut clock = Clock::new(&self.server, Instant::now(), SystemTime::now());
        loop {
            let is_spare = self.waiting.load(Ordering::SeqCst) > self.workers;
            let accepted = self.acceptor.next(is_spare);
            if matches!(accepted, Accepted::TimedOut) {
                if self.stop_waiting_if_spare() {
                    return;
                }
                continue;
            }
            let waiting = self.waiting.fetch_sub(1, Ordering::SeqCst) - 1;
            let Accepted::Connection(transport, client_addr) = accepted else { return };
            // Threads beyond the connection limit wait too: they are needed to send 503.
            let max_threads = self.admission.max_connections() + REJECTING_THREADS;
            if waiting == 0 && self.threads.load(Ordering::SeqCst) < max_threads {
                // Without another thread, new connections wait in the kernel's queue until this one closes.
                let _ = spawn_thread(self);
            }
            clock.update(Instant::now(), SystemTime::now);
            handler.refresh();
            let has_room =
                self.registry.len() < self.admission.max_connections() || self.registry.evict_idle();
            let (conn, _permit) = self.admission.admit(client_addr, has_room, clock.now());
            let open = self.registry.insert(transport);
            let timeouts = &self.admission.config().timeouts;
            let session = Session {
                open: &open,
                conn,
                timeouts,
                handler: &mut handler,
                clock: &mut clock,
                shutdown: &self.shutdown,
                receive_timeout: Some(first_receive_timeout(timeouts)),
            };
            session.serve(&mut pool);
            self.registry.remove(&open);
            if !self.wait_again() {
                return;
            }
        }
    }

    /// Counts this thread as waiting for a connection, and returns true. If enough threads wait already (`workers` and
    /// [`SPARE_THREADS`] more), counts nothing and returns false: the thread must end.
    fn wait_again(&self) -> bool {
        // Compare and count in one atomic step. If this thread were counted first and then ended, another thread could
        // accept a connection meanwhile, and start no thread because it saw this one waiting.
        let one_more = |waiting: usize| (waiting < self.workers + SPARE_THREADS).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    /// If more than `workers` threads wait for connections, no longer counts this thread as waiting, and returns true:
    /// the thread must end. Otherwise changes nothing and returns false: the thread must wait again.
    fn stop_waiting_if_spare(&self) -> bool {
        let one_less = |waiting: usize| (waiting > self.workers).then(|| waiting - 1);
        self.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }
}
