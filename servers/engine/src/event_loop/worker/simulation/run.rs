//! A run of the simulation: the clients, the application, the operator and the event loops act in the order that the
//! seed gives.

use super::{
    MAX_DELAY, TIMEOUTS,
    application::{self, Application, SharedApplication, VersionedHandler, lock},
    client::{Client, Load},
    plan::MAX_LEN,
};
use crate::{
    event_loop::worker::*,
    handlers::Handlers,
    pool::{Pool, SimulatedPool, Task},
    sys::simulated::{self, Kernel, Random, SharedKernel, SimulatedThread, Stopped},
    threads::Threads,
};
use http_core::Handler;
use std::{
    cell::Cell,
    net::{Ipv4Addr, TcpListener},
    os::fd::AsRawFd,
};

/// How many requests of a run there are for each connection that is open at once.
const REQUESTS_PER_CONNECTION: usize = 40;

/// The most connections at once. Each has a descriptor.
const MAX_OPEN: usize = 350;

/// After how many steps a run has failed to end.
const MAX_STEPS: usize = 1_000_000;

/// The address of a proxy that the server trusts to announce its clients.
const PROXY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 90);

/// The longest grace period of the shutdown, in seconds.
const MAX_GRACE: usize = 25;

/// A run of the simulation.
pub(super) struct Simulation {
    pub(super) kernel: SharedKernel,
    pub(super) application: SharedApplication,
    pub(super) workers: Vec<Worker>,
    /// When each worker wakes up without an event.
    wakes_at: Vec<Option<Instant>>,
    /// When the deadlines of each worker's connections were checked.
    pub(super) checked_at: Vec<Instant>,
    handlers: Arc<Handlers>,
    pub(super) shutdown: Arc<Shutdown>,
    /// The pool for jobs, and the jobs that its threads run.
    pub(super) jobs: SimulatedPool,
    running: Vec<Task>,
    /// The pool for what waits for clients, and its threads.
    pub(super) streaming: SimulatedPool,
    pub(super) threads: Vec<SimulatedThread>,
    /// The clients by the numbers of their connections.
    pub(super) clients: Vec<Client>,
    /// The numbers of the connections that have not ended, and how many there may be.
    pub(super) open: Vec<usize>,
    max_open: usize,
    /// Whether the application does nothing for a while, and then much at once.
    is_lazy: bool,
    start: Instant,
    pub(super) now: Instant,
    /// The number of responses of connections that have ended.
    pub(super) responses: usize,
    /// The number of the connection that has failed.
    pub(super) failed: Cell<Option<usize>>,
}

impl Simulation {
    pub(super) fn new(seed: u64) -> Simulation {
        let mut random = Random::new(seed);
        let kernel = Kernel::new(seed ^ 1);
        simulated::enter(Some(Arc::clone(&kernel)));
        let start = Instant::now();
        let has_low_limits = random.one_in(4);
        let application = Application::new(seed ^ 2, start, has_low_limits);
        let is_lazy = random.one_in(4);
        let settings = settings(has_low_limits, &mut random);
        let shutdown = Arc::new(Shutdown::new().expect("a descriptor"));
        let threads = Threads::new(256 * 1024, &shutdown);
        let pools = Pools {
            jobs: Pool::new("pool", settings.pool_threads, settings.pool_queue, &threads),
            streaming: Pool::new("streaming", settings.streaming_threads, 0, &threads),
        };
        let handlers = Handlers::new(settings.workers, |_| handler(&application, 0));
        let workers = workers(&settings, &kernel, &pools, &handlers, &shutdown, start);
        Simulation {
            wakes_at: vec![None; workers.len()],
            checked_at: vec![start; workers.len()],
            jobs: SimulatedPool::new(pools.jobs),
            running: Vec::new(),
            streaming: SimulatedPool::new(pools.streaming),
            threads: Vec::new(),
            clients: Vec::new(),
            open: Vec::new(),
            max_open: if is_lazy { MAX_OPEN } else { 20 + random.below(MAX_OPEN - 20) },
            is_lazy,
            now: start,
            responses: 0,
            failed: Cell::new(None),
            kernel,
            application,
            workers,
            handlers,
            shutdown,
            start,
        }
    }

    /// Runs until the shutdown is complete. Returns the number of responses that clients have received, and a digest of
    /// everything that has happened.
    pub(super) fn run(&mut self) -> (usize, u64) {
        // Later than the real time that a listener remembers from its creation.
        self.advance(Duration::from_secs(60));
        for steps in 0.. {
            if self.workers.iter().all(Worker::is_finished) {
                break;
            }
            assert!(steps < MAX_STEPS, "the simulation does not end");
            for _ in 0..self.random(64) {
                self.act();
            }
            self.turn_all();
        }
        let digest = simulated::lock(&self.kernel).digest;
        self.end();
        (self.responses, digest)
    }

    fn random(&self, bound: usize) -> usize {
        simulated::lock(&self.kernel).random.below(bound)
    }

    fn note(&self, what: &'static str, count: usize) {
        simulated::lock(&self.kernel).note(None, what, count);
    }

    /// A client, the application or an operator does something.
    fn act(&mut self) {
        match self.random(256) {
            0..=15 => self.connect(),
            16..=79 if self.is_lazy => {
                if self.random(1024) == 0 {
                    (0..2000).for_each(|_| self.act_application());
                }
            }
            16..=79 => self.act_application(),
            80 if self.random(8) == 0 => self.reload(),
            81 if self.random(4) == 0 => {
                self.note("no descriptors", 0);
                let mut kernel = simulated::lock(&self.kernel);
                kernel.shortage = kernel.random.up_to(3);
            }
            _ => self.act_client(),
        }
    }

    fn connect(&mut self) {
        let (is_over, drains) = {
            let app = lock(&self.application);
            (app.plans.len() >= REQUESTS_PER_CONNECTION * self.max_open, app.draining_since.is_some())
        };
        if is_over && !drains {
            return self.begin_shutdown();
        }
        if is_over || self.open.len() >= self.max_open {
            return;
        }
        let mut kernel = simulated::lock(&self.kernel);
        let host = 1 + kernel.random.below(8) as u8;
        let address = SocketAddr::from((Ipv4Addr::new(192, 0, 2, host), kernel.peers.len() as u16));
        let is_proxied = kernel.random.one_in(8);
        let peer = if is_proxied { SocketAddr::from((PROXY, 80)) } else { address };
        let (load, capacity) = match kernel.random.below(1000) {
            0 => (Load::Download, 2 * MAX_LEN),
            1..=25 => (Load::Burst, 1 << 16),
            _ => (Load::Usual, 1 << (9 + kernel.random.below(12))),
        };
        let number = kernel.connect(peer, capacity);
        let app = &mut lock(&self.application);
        let client = Client::new(number, address, is_proxied, load, app, &mut kernel.random);
        drop(kernel);
        self.clients.push(client);
        self.open.push(number);
    }

    fn act_client(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let index = self.random(self.open.len());
        let number = self.open[index];
        let client = &mut self.clients[number];
        let acted = client.act(&mut simulated::lock(&self.kernel), &mut lock(&self.application));
        let has_ended = client.has_ended;
        self.check(number, acted);
        if has_ended {
            self.open.swap_remove(index);
        }
    }

    /// The application completes something, or a thread of the pool for jobs takes a job or completes one.
    fn act_application(&mut self) {
        if self.random(2) == 0 {
            application::act(&self.application);
        } else if self.random(2) == 0 {
            self.running.extend(self.jobs.take());
        } else if !self.running.is_empty() {
            self.complete_job(self.random(self.running.len()));
        }
    }

    fn complete_job(&mut self, index: usize) {
        let job = self.running.swap_remove(index);
        let _ = catch_panic(job);
        self.jobs.finish();
    }

    /// Runs what the application has not completed when the event loops have ended. Returns whether everything ends.
    pub(super) fn complete_all(&mut self) -> bool {
        (0..MAX_STEPS).any(|_| {
            self.run_thread();
            self.running.extend(self.jobs.take());
            if !self.running.is_empty() {
                self.complete_job(0);
            }
            application::act(&self.application);
            self.threads.is_empty() && self.jobs.is_idle() && self.streaming.is_idle()
        })
    }

    /// Lets a streaming thread run until it waits. Returns false if there is none.
    fn run_thread(&mut self) -> bool {
        if let Some(task) = self.streaming.take() {
            self.threads.push(SimulatedThread::new(&self.kernel, task));
        }
        if self.threads.is_empty() {
            return false;
        }
        let index = self.random(self.threads.len());
        if self.threads[index].run() == Stopped::Ended {
            self.threads.swap_remove(index);
            self.streaming.finish();
        }
        true
    }

    fn reload(&mut self) {
        self.note("reload", 0);
        let version = {
            let mut app = lock(&self.application);
            app.version += 1;
            app.version
        };
        self.handlers.replace(|_| handler(&self.application, version));
    }

    fn begin_shutdown(&mut self) {
        self.note("shutdown", 0);
        let grace = Duration::from_secs(self.random(MAX_GRACE) as u64);
        let mut app = lock(&self.application);
        (app.draining_since, app.grace_end) = (Some(self.now), Some(self.now + grace));
        drop(app);
        self.shutdown.begin(self.now, grace);
    }

    /// Lets each event loop that has an event, or that wakes up now, do a turn. If there is none, time passes.
    fn turn_all(&mut self) {
        let mut has_turned = false;
        for index in 0..self.workers.len() {
            has_turned |= self.turn(index);
        }
        if has_turned || simulated::lock(&self.kernel).has_events() {
            return;
        }
        // What a thread does may be an event.
        if self.random(4) > 0 && self.run_thread() {
            return;
        }
        self.check_settled();
        let most = if self.random(50) == 0 { 1_000_000 } else { 20_000 };
        let mut wait = Duration::from_micros(self.random(most) as u64);
        if let Some(wakes_at) = self.wakes_at.iter().flatten().min() {
            wait = wait.min(wakes_at.saturating_duration_since(self.now) + MAX_DELAY / 2);
        }
        self.note("microseconds pass", wait.as_micros() as usize);
        self.advance(wait);
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        simulated::lock(&self.kernel).time = self.now - self.start;
        lock(&self.application).now = self.now;
    }

    /// Lets the event loop do a turn, if it has an event or wakes up now. Returns whether it has.
    fn turn(&mut self, index: usize) -> bool {
        let worker = &mut self.workers[index];
        if worker.is_finished() {
            return false;
        }
        // What event loops tell each other and themselves passes through a real epoll.
        let mut real = Events::with_capacity(8);
        worker.poll.poll(&mut real, Some(Duration::ZERO)).expect("epoll");
        let mut events: Vec<Event> = real.iter().map(Event::from).collect();
        events.extend(simulated::lock(&self.kernel).events(worker.poll.registry().as_raw_fd(), index));
        let wakes = self.wakes_at[index].is_some_and(|at| at <= self.now);
        if events.is_empty() && !wakes {
            return false;
        }
        self.note("turn with events", events.len());
        let worker = &mut self.workers[index];
        worker.turn(events.into_iter(), self.now);
        self.wakes_at[index] = worker.poll_timeout().map(|timeout| self.now + timeout);
        self.check_turn(index);
        true
    }
}

fn handler(application: &SharedApplication, version: usize) -> Arc<dyn Handler> {
    Arc::new(VersionedHandler { application: Arc::clone(application), version })
}

/// The settings of a server.
fn settings(has_low_limits: bool, random: &mut Random) -> Settings {
    let mut settings = Settings {
        workers: random.up_to(2),
        max_connections: Some(if has_low_limits { 20 + random.below(100) } else { 100_000 }),
        max_connections_per_address: has_low_limits.then_some(30),
        pool_threads: random.up_to(4),
        pool_queue: random.up_to(1024),
        streaming_threads: 4 + random.below(60),
        server: "simulated".to_owned(),
        ..Settings::default()
    };
    settings.protocol.timeouts = TIMEOUTS;
    settings.protocol.proxies.networks = vec![PROXY.to_string().parse().expect("an address")];
    settings.protocol.proxies.proxy_protocol = true;
    settings
}

/// Creates the event loops of a server. The time of all of them begins at `start`.
fn workers(
    settings: &Settings,
    kernel: &SharedKernel,
    pools: &Pools,
    handlers: &Arc<Handlers>,
    shutdown: &Arc<Shutdown>,
    start: Instant,
) -> Vec<Worker> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let admission = Admission::new(settings, settings.max_connections.unwrap_or_default());
    let ring = Transfers::new(admission.all_counters(), start).expect("descriptors");
    let workers = ring.into_iter().enumerate().map(|(number, transfers)| {
        let listener = Listener::from(listener.try_clone().expect("a descriptor"));
        simulated::lock(kernel).add_listener(&listener);
        let (handler, admission) = (handlers.of_worker(number), admission.for_worker(number));
        let worker =
            Worker::new(vec![listener], transfers, settings, handler, admission, pools.clone(), shutdown);
        let mut worker = worker.expect("descriptors");
        worker.clock = Clock::new(&settings.server, start, SystemTime::now());
        worker.timers = Timers::new(start);
        worker
    });
    workers.collect()
}
