//! The blocking engine: one thread per connection.
//!
//! A few threads wait for connections. A thread that accepts one serves it until it closes; if no other thread is
//! waiting then, it first starts one, so that a thread always waits. At the connection limit the longest idle
//! connection is closed for a new one. If there is none, or no thread can be started, the new connection is refused:
//! its thread sends 503 without waiting, and accepts the next one. A thread whose connection has closed waits again. If
//! the configured number of threads waits already, it is a spare thread and waits only for a while: to start a thread
//! for each short connection costs as much as to serve it.

mod acceptor;
mod refused;
mod registry;
mod reply;
mod session;
mod thread_count;
mod wait;

use crate::{
    admission::{Admission, Permit, SHORTAGE_EVICTIONS},
    handlers::Handlers,
    listener::{Accepted, Listener},
    metrics::Counters,
    pool::{Pool, Pools},
    settings::Settings,
    shutdown::Shutdown,
    threads::Threads,
};
use acceptor::{Acceptor, Next};
use http_core::{Clock, Handler, catch_panic};
use refused::{RefusedConnection, RefusedConnections};
use registry::Registry;
use session::{Session, first_receive_timeout};
use std::{
    io,
    sync::Arc,
    time::{Instant, SystemTime},
};
use thread_count::ThreadCount;
use wait::ConnectionEvent;

/// The number of threads that may exist in addition to one for each allowed connection: a thread that waits for the
/// next connection, and the threads of connections that are being closed for new ones.
const EXTRA_THREADS: usize = 16;

/// The maximum number of jobs of [`Reply::Offload`](http_core::Reply::Offload) that may run in addition to one for each
/// allowed connection: those whose client has left, or whose reply has timed out. If there are more, further requests
/// for jobs get 503.
const ABANDONED_JOBS: usize = 64;

/// What all threads of the engine share.
struct Shared {
    acceptor: Acceptor,
    registry: Registry,
    refused: RefusedConnections,
    count: ThreadCount,
    /// The threads for what a connection's own thread must not do.
    pools: Pools,
    admission: Admission,
    handlers: Arc<Handlers>,
    /// The value of the `Server` header.
    server: String,
    shutdown: Arc<Shutdown>,
    threads: Arc<Threads>,
}

/// Starts the threads that wait for connections, and a supervisor thread. When the shutdown begins, the supervisor
/// closes idle connections on which no request comes in time. It closes the listening sockets once no thread waits for
/// connections. After the grace period it shuts down all sockets.
///
/// # Errors
///
/// The system has no threads or descriptors left. Threads that were started before the error continue until the
/// shutdown.
pub(crate) fn start(
    listeners: Vec<Listener>,
    settings: &Settings,
    admission: Admission,
    handlers: &Arc<Handlers>,
    shutdown: &Arc<Shutdown>,
    threads: &Arc<Threads>,
) -> io::Result<()> {
    let shared = Arc::new(Shared {
        acceptor: Acceptor::new(listeners, &settings.protocol.timeouts, admission.reserve(), shutdown)?,
        registry: Registry::default(),
        refused: RefusedConnections::default(),
        // The threads of evicted connections still count, although each is about to return.
        count: ThreadCount::new(settings.workers, admission.max_connections().saturating_add(EXTRA_THREADS)),
        pools: Pools {
            jobs: Pool::new("pool", admission.max_connections().saturating_add(ABANDONED_JOBS), 0, threads),
            streaming: Pool::new("streaming", settings.streaming_threads, 0, threads),
        },
        admission,
        handlers: Arc::clone(handlers),
        server: settings.server.clone(),
        shutdown: Arc::clone(shutdown),
        threads: Arc::clone(threads),
    });
    for _ in 0..settings.workers {
        shared.spawn_thread()?;
    }
    threads.spawn("supervisor", move || {
        // An empty registry does not show that all threads have ended: one may have accepted a connection, but not
        // inserted it yet.
        let idle_grace = shared.admission.config().timeouts.idle_grace;
        let drained = shared.registry.drain(&shared.shutdown, idle_grace, || {
            if shared.count.none_waits() {
                shared.acceptor.close();
            }
            shared.count.is_empty()
        });
        shared.acceptor.close();
        drained
    })
}

/// Counts a thread until it is dropped.
struct ServingThread(Arc<Shared>);

impl Drop for ServingThread {
    fn drop(&mut self) {
        self.0.count.remove();
        self.0.registry.notify();
    }
}

impl Shared {
    /// Starts a thread that waits for connections.
    fn spawn_thread(self: &Arc<Shared>) -> io::Result<()> {
        let number = self.count.add();
        let counted = ServingThread(Arc::clone(self));
        // A thread that panics outside of the handler costs one connection. (Around each connection, this would take
        // more stack of every idle one.)
        let run = move || {
            catch_panic(|| counted.0.accept_and_serve(number)).unwrap_or_else(|_| {
                log::error!("a connection is closed: its thread has panicked outside of the handler");
                Ok(())
            })
        };
        let started = self.threads.spawn(&format!("thread-{number}"), run);
        if started.is_err() {
            self.count.stop_waiting();
        }
        started
    }

    /// Accepts and serves one connection after the other. Returns, which ends the thread, if enough other threads wait
    /// for connections, or if the server shuts down. `number` selects the thread's handler ([`Handlers::of_worker`]).
    ///
    /// # Errors
    ///
    /// epoll fails.
    fn accept_and_serve(self: &Arc<Shared>, number: usize) -> io::Result<()> {
        let mut handler = self.handlers.of_worker(number);
        let admission = self.admission.for_worker(number);
        // A thread needs one pair of buffers; the pool clears it between two connections.
        let mut pool = self.admission.buffer_pool(1);
        let mut clock = Clock::new(&self.server, Instant::now(), SystemTime::now());
        self.acceptor.leave_to_others();
        loop {
            let accepted = match self.acceptor.next(self.count.has_spare()) {
                Ok(Next::Connection(accepted)) => accepted,
                Ok(Next::TimedOut) if self.count.stop_waiting_if_spare() => return Ok(()),
                Ok(Next::TimedOut) => continue,
                ended => {
                    self.count.stop_waiting();
                    return ended.map(drop);
                }
            };
            clock.update(Instant::now(), SystemTime::now);
            handler.refresh();
            let Some(permit) = self.admit(&admission, &accepted) else {
                self.refuse(admission.counters(), accepted, handler.get(), &clock);
                continue;
            };
            let tls = accepted.transport.tls_info();
            let entry = self.registry.insert(accepted.transport, permit);
            let timeouts = &admission.config().timeouts;
            let session = Session {
                open: &entry.connection,
                conn: admission.connection(accepted.client_addr, tls, false, clock.now()),
                pools: &self.pools,
                handler: &mut handler,
                clock: &mut clock,
                counters: admission.counters(),
                admission: &admission,
                announced: None,
                shutdown: &self.shutdown,
                // Only TCP sockets inherit it.
                receive_timeout: accepted.client_addr.map(|_| first_receive_timeout(timeouts)),
                late: None,
                running: None,
                event: ConnectionEvent::new(&self.pools.streaming),
            };
            session.serve(&mut pool);
            drop(entry);
            // It may be missing since a connection has taken it.
            self.acceptor.restore_reserve();
            if !self.count.wait_again() {
                return Ok(());
            }
        }
    }

    /// Decides whether a new connection is served. If it is, this thread no longer counts as waiting, and another one
    /// waits. Returns `None` if the connection must be refused: a limit is reached, or no thread can be started.
    fn admit(self: &Arc<Shared>, admission: &Admission, new: &Accepted) -> Option<Permit> {
        let mut address = admission.admit_address(new.client_addr).ok()?;
        if !self.count.leave_to_another(|| self.spawn_thread().is_ok()) {
            return None;
        }
        let end_shortage = || (0..SHORTAGE_EVICTIONS).take_while(|_| self.registry.evict_idle()).count() > 0;
        if !new.took_reserve || end_shortage() {
            loop {
                match admission.admit(address) {
                    Ok(permit) => return Some(permit),
                    Err(returned) if self.registry.evict_idle() => address = returned,
                    Err(_) => break,
                }
            }
        }
        self.count.wait();
        None
    }

    /// Sends 503 on a new connection, and leaves it to another thread to close it. Closes it at once if it has taken
    /// the reserve, or TLS secures it, or if no thread can be started.
    // Not inlined: its part of the stack would count for every idle connection.
    #[cold]
    #[inline(never)]
    fn refuse(
        self: &Arc<Shared>,
        counters: &Counters,
        accepted: Accepted,
        handler: &dyn Handler,
        clock: &Clock,
    ) {
        counters.count_refused();
        let Accepted { transport, client_addr, took_reserve } = accepted;
        let conn = self.admission.connection(client_addr, None, true, clock.now());
        // A TLS handshake takes more of the processor than the 503 is worth.
        let refused = if transport.is_secure() {
            None
        } else {
            RefusedConnection::new(transport, conn, handler, clock, counters)
        };
        if took_reserve {
            drop(refused);
            self.acceptor.restore_reserve();
        } else if refused.is_some_and(|refused| self.refused.push(refused)) {
            let own = Arc::clone(self);
            let close = move || {
                let handler = own.handlers.of_worker(0);
                let mut clock = Clock::new(&own.server, Instant::now(), SystemTime::now());
                own.refused.close_all(handler.get(), &mut clock, own.admission.counters(), &own.shutdown);
                Ok(())
            };
            if self.threads.spawn("refused", close).is_err() {
                self.refused.clear();
            }
        }
    }
}
