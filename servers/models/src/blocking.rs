//! Models of the blocking engine: the registry of its connections, and the count of its threads.

#[path = "../../engine/src/blocking/registry.rs"]
mod registry;
#[path = "../../engine/src/blocking/thread_count.rs"]
mod thread_count;

/// A limit of connections, in the place of that of `http-engine`.
pub(crate) mod admission {
    use std::{
        mem,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
    };

    pub(crate) struct Admission {
        limit: usize,
        open: AtomicUsize,
    }

    impl Admission {
        pub(crate) fn new(limit: usize) -> Arc<Admission> {
            Arc::new(Admission { limit, open: AtomicUsize::new(0) })
        }

        fn acquire(&self) -> bool {
            let one_more = |open: usize| (open < self.limit).then_some(open + 1);
            self.open.fetch_update(SeqCst, SeqCst, one_more).is_ok()
        }

        pub(crate) fn admit(self: &Arc<Admission>) -> Option<Permit> {
            self.acquire().then(|| Permit { admission: Arc::clone(self), is_counted: true })
        }

        pub(crate) fn open(&self) -> usize {
            self.open.load(SeqCst)
        }
    }

    pub(crate) struct Permit {
        admission: Arc<Admission>,
        is_counted: bool,
    }

    impl Permit {
        pub(crate) fn suspend(&mut self) {
            if mem::take(&mut self.is_counted) {
                self.admission.open.fetch_sub(1, SeqCst);
            }
        }

        pub(crate) fn resume(&mut self) -> bool {
            self.is_counted = self.is_counted || self.admission.acquire();
            self.is_counted
        }
    }

    impl Drop for Permit {
        fn drop(&mut self) {
            self.suspend();
        }
    }
}

/// A socket, in the place of that of `http-engine`.
pub(crate) mod transport {
    use std::sync::{Arc, Condvar, Mutex, PoisonError};

    /// Both ends of a connection.
    #[derive(Clone, Default)]
    pub(crate) struct Transport(Arc<(Mutex<Socket>, Condvar)>);

    #[derive(Default)]
    struct Socket {
        requests: usize,
        is_closed: bool,
    }

    impl Transport {
        fn change(&self, change: impl FnOnce(&mut Socket)) {
            change(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
            self.0.1.notify_all();
        }

        /// The client sends a request.
        pub(crate) fn request(&self) {
            self.change(|socket| socket.requests += 1);
        }

        /// Waits for a request, and takes it. Returns false if the connection was closed, and no request is left.
        pub(crate) fn receive(&self) -> bool {
            let mut socket = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            while socket.requests == 0 && !socket.is_closed {
                socket = self.0.1.wait(socket).unwrap_or_else(PoisonError::into_inner);
            }
            let has_request = socket.requests > 0;
            socket.requests -= usize::from(has_request);
            has_request
        }

        pub(crate) fn has_input(&self) -> bool {
            self.0.0.lock().unwrap_or_else(PoisonError::into_inner).requests > 0
        }

        pub(crate) fn shutdown_read(&self) {
            self.change(|socket| socket.is_closed = true);
        }

        pub(crate) fn shutdown_both(&self) {
            self.shutdown_read();
        }
    }
}

use crate::shutdown::Shutdown;
use admission::Admission;
use registry::Registry;
use shuttle::rand::{Rng, thread_rng};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};
use thread_count::ThreadCount;
use transport::Transport;

/// At the limit, an idle connection is closed for a new one, also if its client sends a request just then. No more
/// requests than there may be connections are served at once.
pub fn registry_closes_idle_connections_for_new_ones() {
    const LIMIT: usize = 2;
    let (registry, admission) = (Arc::new(Registry::default()), Admission::new(LIMIT));
    let serving = Arc::new(AtomicUsize::new(0));
    let serve = |serving: &AtomicUsize| {
        assert!(serving.fetch_add(1, SeqCst) < LIMIT, "more requests than connections are allowed");
        thread::yield_now();
        serving.fetch_sub(1, SeqCst);
    };
    let sessions = [0, 1].map(|_| {
        let (registry, serving) = (Arc::clone(&registry), Arc::clone(&serving));
        let (client, permit) = (Transport::default(), admission.admit().expect("room"));
        let transport = client.clone();
        let session = thread::spawn(move || {
            let entry = registry.insert(transport.clone(), permit);
            let open = &entry.connection;
            loop {
                open.set_idle(Some(Instant::now()));
                let has_request = transport.receive();
                open.set_idle(None);
                if !has_request || (open.is_evicted() && !open.resume()) {
                    return;
                }
                serve(&serving);
            }
        });
        [session, thread::spawn(move || client.request())]
    });
    for _ in 0..LIMIT {
        let permit = loop {
            match admission.admit() {
                Some(permit) => break permit,
                None if registry.evict_idle() => {}
                None => thread::yield_now(),
            }
        };
        serve(&serving);
        drop(permit);
    }
    // Whichever was not closed for one of these.
    while admission.open() > 0 {
        registry.evict_idle();
        thread::yield_now();
    }
    sessions.into_iter().flatten().for_each(|thread| thread.join().expect("no panic"));
}

/// The supervisor closes idle connections, and returns when all threads have ended. An idle connection with a request
/// is served.
pub fn registry_drains_until_all_threads_have_ended() {
    let registry = Arc::new(Registry::default());
    let (admission, serving) = (Admission::new(2), Arc::new(AtomicUsize::new(2)));
    let sessions = [0, 1].map(|requests| {
        let (registry, serving) = (Arc::clone(&registry), Arc::clone(&serving));
        let permit = admission.admit().expect("room");
        thread::spawn(move || {
            let transport = Transport::default();
            let entry = registry.insert(transport.clone(), permit);
            (0..requests).for_each(|_| transport.request());
            let mut received = 0;
            loop {
                entry.connection.set_idle(Some(Instant::now()));
                let has_request = transport.receive();
                entry.connection.set_idle(None);
                if !has_request {
                    break;
                }
                received += 1;
            }
            assert_eq!(received, requests);
            drop(entry);
            serving.fetch_sub(1, SeqCst);
            registry.notify();
        })
    });
    let shutdown = Shutdown::new().expect("a descriptor");
    shutdown.begin(Instant::now(), Duration::from_secs(3600));
    let drained = registry.drain(&shutdown, Duration::from_millis(3), || serving.load(SeqCst) == 0);
    drained.expect("no failure");
    assert_eq!((serving.load(SeqCst), admission.open()), (0, 0));
    let _ = sessions.map(|session| session.join().expect("no panic"));
}

/// After the grace period, no connection waits for its client, not even one that enters the registry later.
pub fn registry_ends_all_waits_after_the_grace_period() {
    let registry = Arc::new(Registry::default());
    let admission = Admission::new(2);
    let sessions = [(), ()].map(|()| {
        let (registry, permit) = (Arc::clone(&registry), admission.admit().expect("room"));
        thread::spawn(move || {
            let transport = Transport::default();
            let _entry = registry.insert(transport.clone(), permit);
            assert!(!transport.receive());
        })
    });
    let shutdown = Shutdown::new().expect("a descriptor");
    shutdown.begin(Instant::now(), Duration::from_millis(5));
    registry.drain(&shutdown, Duration::from_millis(1), || false).expect("no failure");
    let _ = sessions.map(|session| session.join().expect("no panic"));
}

/// A server that accepts connections, as `accept_and_serve` of the engine does it.
struct Acceptor {
    count: ThreadCount,
    /// The connections that no thread has accepted, or `None` after the shutdown.
    queue: Mutex<Option<VecDeque<Connection>>>,
    changed: Condvar,
    max_threads: usize,
}

/// Learns whether the connection is served, and waits until the client closes it.
struct Connection {
    is_served: Sender<bool>,
    closed: Transport,
}

impl Acceptor {
    /// Starts a thread, which counts already.
    fn spawn(self: &Arc<Acceptor>) -> bool {
        let own = Arc::clone(self);
        assert!(self.count.add() < self.max_threads, "too many threads");
        thread::spawn(move || {
            own.run();
            own.count.remove();
        });
        true
    }

    fn queue(&self) -> MutexGuard<'_, Option<VecDeque<Connection>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects as a client. Returns whether the connection is served, and what closes it.
    fn connect(&self) -> (bool, Transport) {
        let (is_served, answer) = channel();
        let closed = Transport::default();
        self.queue().as_mut().expect("open").push_back(Connection { is_served, closed: closed.clone() });
        self.changed.notify_one();
        (answer.recv().expect("an answer"), closed)
    }

    fn run(self: &Arc<Acceptor>) {
        loop {
            // A spare thread may time out.
            let times_out = self.count.has_spare() && thread_rng().r#gen();
            let mut queue = self.queue();
            let accepted = loop {
                match queue.as_mut().map(VecDeque::pop_front) {
                    Some(None) if times_out => break None,
                    Some(None) => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                    Some(accepted) => break accepted,
                    None => return self.count.stop_waiting(),
                }
            };
            drop(queue);
            let Some(connection) = accepted else {
                if self.count.stop_waiting_if_spare() {
                    return;
                }
                continue;
            };
            let is_served = self.count.leave_to_another(|| self.spawn());
            connection.is_served.send(is_served).expect("the client waits");
            if !is_served {
                continue;
            }
            assert!(!connection.closed.receive());
            if !self.count.wait_again() {
                return;
            }
        }
    }
}

/// However long connections stay open, a thread accepts the next one: it is served if there may be one more thread, or
/// else refused. Also after spare threads have ended. At the end no thread is counted.
pub fn a_thread_always_waits_for_a_connection() {
    const CLIENTS: usize = 3;
    let max_threads = thread_rng().gen_range(2..=CLIENTS + 1);
    let acceptor = Arc::new(Acceptor {
        count: ThreadCount::new(1, max_threads),
        queue: Mutex::new(Some(VecDeque::new())),
        changed: Condvar::new(),
        max_threads,
    });
    acceptor.spawn();
    let clients = [(); CLIENTS].map(|()| {
        let acceptor = Arc::clone(&acceptor);
        thread::spawn(move || acceptor.connect())
    });
    // All are answered while all that are served stay open.
    let answers = clients.map(|client| client.join().expect("no panic"));
    let served = answers.iter().filter(|(is_served, _)| *is_served).count();
    assert_eq!(served, CLIENTS.min(max_threads - 1));
    for (_, closed) in answers {
        closed.shutdown_read();
    }
    acceptor.connect().1.shutdown_read();
    *acceptor.queue() = None;
    acceptor.changed.notify_all();
    while !acceptor.count.is_empty() {
        thread::yield_now();
    }
    assert!(acceptor.count.none_waits());
}

/// If all threads that wait for a connection time out at once, as many go on as are wanted.
pub fn spare_threads_leave_as_many_as_are_wanted() {
    const WANTED: usize = 2;
    let count = Arc::new(ThreadCount::new(WANTED, usize::MAX));
    let threads = [(); WANTED + 2].map(|()| {
        count.add();
        let count = Arc::clone(&count);
        thread::spawn(move || count.stop_waiting_if_spare())
    });
    let ended = threads.map(|thread| thread.join().expect("no panic"));
    assert_eq!(ended.iter().filter(|has_ended| !**has_ended).count(), WANTED);
}
