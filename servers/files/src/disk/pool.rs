//! The threads for calls to the file system of one mount, and their queue.
//!
//! A thread may hang in a call for ever, and nothing can interrupt it. So each mount has threads of its own, and a
//! mount whose threads hang gets no more work until one of them returns. The queue is fair: the threads take one task
//! of each client in turn.

use super::monitor::Monitor;
use foldhash::fast::RandomState;
use http_core::catch_panic;
use std::{
    collections::{HashMap, VecDeque},
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The maximum number of threads of one mount. A disk serves about so many calls at once; nginx has 32 threads for all.
pub(super) const MAX_THREADS: usize = 16;

/// How many threads may hang before the mount gets no more tasks, and how many more after each [`Pool::retry`].
const MAX_HUNG: usize = 4;

/// The maximum number of tasks in the queue of one mount. A connection waits for at most one, so that this is enough
/// for the default limit of connections.
const MAX_QUEUED: usize = 16 * 1024;

/// How long a thread waits for a task before it ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls to a file system, which may block.
pub(crate) trait Task: Send + Sync {
    /// Makes the calls.
    fn run(&self);

    /// Tells the clients that wait for the task that the file system has not answered in time. A thread may be in
    /// [`run`](Task::run) meanwhile, or begin it later.
    fn expire(&self);
}

/// The client that a task is for. Clients are told apart by their addresses, and in IPv6 by the first 64 bits of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey(u128);

impl ClientKey {
    /// For tasks that no client waits for. No address has this key.
    const NONE: ClientKey = ClientKey(u128::MAX);
}

impl From<Option<SocketAddr>> for ClientKey {
    fn from(address: Option<SocketAddr>) -> ClientKey {
        ClientKey(match address.map(|address| address.ip().to_canonical()) {
            Some(IpAddr::V4(address)) => u128::from(address.to_bits()),
            Some(IpAddr::V6(address)) => address.to_bits() >> 64 << 64,
            None => 0,
        })
    }
}

/// The mount takes no more tasks now: its queue is full, its threads hang, or the system has no more threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

impl From<Busy> for io::Error {
    fn from(_: Busy) -> io::Error {
        io::Error::new(io::ErrorKind::ResourceBusy, "the file system is overloaded or does not answer")
    }
}

/// The threads and the queue of one mount.
pub(crate) struct Pool {
    /// Names the mount in the log.
    name: String,
    monitor: Arc<Monitor>,
    state: Mutex<PoolState>,
    /// Wakes a thread for a task.
    changed: Condvar,
}

struct PoolState {
    /// The tasks that no thread has taken, by client, the one that waits for longest first.
    queues: HashMap<ClientKey, VecDeque<Queued>, RandomState>,
    /// The clients whose tasks are taken next, each once, in the order of [`add_turn`].
    turns: VecDeque<ClientKey>,
    /// The number of tasks in `queues`.
    queued: usize,
    /// The tasks that threads run.
    running: Vec<Running>,
    threads: usize,
    /// The number of threads that wait for a task.
    waiting: usize,
    /// The number of tasks in `running` that have hung.
    hung: usize,
    /// How many tasks may hang before the mount gets no more tasks.
    max_hung: usize,
    /// Whether the document root was dropped.
    is_closed: bool,
}

struct Queued {
    task: Arc<dyn Task>,
    /// Since when the client waits.
    since: Instant,
}

struct Running {
    queued: Queued,
    /// Whether the task has expired.
    is_hung: bool,
}

impl Pool {
    pub(super) fn new(name: String, monitor: Arc<Monitor>) -> Pool {
        let state = PoolState {
            queues: HashMap::default(),
            turns: VecDeque::new(),
            queued: 0,
            running: Vec::new(),
            threads: 0,
            waiting: 0,
            hung: 0,
            max_hung: MAX_HUNG,
            is_closed: false,
        };
        Pool { name, monitor, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Gives the mount tasks again although threads hang: an operator may have mounted another file system there. The
    /// last [`MAX_HUNG`] threads are for tasks that must not be lost.
    pub(super) fn retry(&self) {
        let mut state = self.state();
        state.max_hung = (state.hung + MAX_HUNG).min(MAX_THREADS - MAX_HUNG);
    }

    /// Queues a task for a client.
    ///
    /// # Errors
    ///
    /// The mount takes no more tasks now. The task is dropped.
    pub(crate) fn submit(self: &Arc<Pool>, client: ClientKey, task: Arc<dyn Task>) -> Result<(), Busy> {
        self.submit_since(client, task, Instant::now())
    }

    /// Queues a task for a client who has waited since `since`, perhaps for a task of another mount.
    ///
    /// # Errors
    ///
    /// As of [`submit`](Pool::submit).
    pub(crate) fn submit_since(
        self: &Arc<Pool>,
        client: ClientKey,
        task: Arc<dyn Task>,
        since: Instant,
    ) -> Result<(), Busy> {
        let state = self.state();
        if state.hung >= state.max_hung || state.queued >= MAX_QUEUED {
            return Err(Busy);
        }
        self.queue(state, client, Queued { task, since })
    }

    /// Queues a task that no client waits for and that must not be lost, such as closing a file. It stays in the queue
    /// until a thread takes it. If the system has no thread, drops the task: dropping it must do what its `run` does.
    pub(crate) fn submit_always(self: &Arc<Pool>, task: Arc<dyn Task>) {
        let _ = self.queue(self.state(), ClientKey::NONE, Queued { task, since: Instant::now() });
    }

    fn queue(
        self: &Arc<Pool>,
        mut state: MutexGuard<'_, PoolState>,
        client: ClientKey,
        queued: Queued,
    ) -> Result<(), Busy> {
        // The waiting threads take the tasks that are queued already: this one needs another thread.
        if state.queued >= state.waiting && state.threads < MAX_THREADS {
            let pool = Arc::clone(self);
            let thread =
                thread::Builder::new().name("file-system".to_owned()).spawn(move || pool.run_tasks());
            state.threads += usize::from(thread.is_ok());
        }
        if state.threads == 0 {
            // The lock is not held while the task is dropped, which may take long.
            drop(state);
            return Err(Busy);
        }
        let state = &mut *state;
        let queue = state.queues.entry(client).or_default();
        if queue.is_empty() {
            add_turn(&mut state.turns, client);
        }
        // The oldest first. Most new tasks go to the end.
        queue.insert(queue.partition_point(|other| other.since <= queued.since), queued);
        state.queued += 1;
        self.changed.notify_one();
        self.monitor.wake();
        Ok(())
    }

    /// The loop of a thread: runs tasks, until none comes for [`IDLE_TIMEOUT`], or the document root was dropped and
    /// the queue is empty.
    fn run_tasks(&self) {
        let mut state = self.state();
        loop {
            if let Some(task) = state.next() {
                drop(state);
                let _ = catch_panic(|| task.run());
                state = self.state();
                if state.end(&task) {
                    log::info!("{} answers again", self.name);
                }
                drop(state);
                let _ = catch_panic(|| drop(task));
                state = self.state();
                continue;
            }
            if state.is_closed {
                break;
            }
            state.waiting += 1;
            let (locked, timeout) =
                self.changed.wait_timeout(state, IDLE_TIMEOUT).unwrap_or_else(PoisonError::into_inner);
            state = locked;
            state.waiting -= 1;
            if timeout.timed_out() && state.queued == 0 {
                break;
            }
        }
        state.threads -= 1;
    }

    /// Expires the tasks that were submitted before `before` and have not ended: removes those that wait, and counts
    /// the threads that run the others. `None` is before all tasks. Returns whether no task is left that can expire.
    pub(super) fn expire(&self, before: Option<Instant>) -> bool {
        let mut state = self.state();
        let (expired, first_hung) = state.expire(before);
        let is_idle = state.queued == 0 && state.running.iter().all(|running| running.is_hung);
        drop(state);
        if first_hung {
            log::warn!("{} does not answer; responding 504 to requests for its files", self.name);
        }
        for task in expired {
            let _ = catch_panic(|| task.expire());
        }
        is_idle
    }

    /// Makes the threads end when the queue is empty.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Locks the state. It is valid at all times, so a panic of another thread that held the lock is ignored.
    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolState {
    /// Takes a task of the client whose turn it is.
    fn next(&mut self) -> Option<Arc<dyn Task>> {
        let client = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&client)?;
        let mut queued = queue.pop_front()?;
        if client == ClientKey::NONE {
            // It may have waited for longer than a call may take.
            queued.since = Instant::now();
        }
        if queue.is_empty() {
            self.queues.remove(&client);
        } else {
            add_turn(&mut self.turns, client);
        }
        self.queued -= 1;
        let task = Arc::clone(&queued.task);
        self.running.push(Running { queued, is_hung: false });
        Some(task)
    }

    /// Removes a task that a thread has run. Returns whether the mount takes tasks again because this one no longer
    /// hangs.
    fn end(&mut self, task: &Arc<dyn Task>) -> bool {
        let index = self.running.iter().position(|running| Arc::ptr_eq(&running.queued.task, task));
        let was_hung = index.is_some_and(|index| self.running.swap_remove(index).is_hung);
        self.hung -= usize::from(was_hung);
        was_hung && self.hung == 0
    }

    /// Removes from the queue the tasks whose clients have waited since `before` or longer, and marks the running ones
    /// as hung. Returns these tasks, and whether threads hang now and none did before.
    fn expire(&mut self, before: Option<Instant>) -> (Vec<Arc<dyn Task>>, bool) {
        let mut expired = Vec::new();
        let had_hung = self.hung > 0;
        for running in self.running.iter_mut().filter(|running| !running.is_hung) {
            if Some(running.queued.since) <= before {
                running.is_hung = true;
                self.hung += 1;
                expired.push(Arc::clone(&running.queued.task));
            }
        }
        for (_, queue) in self.queues.iter_mut().filter(|(client, _)| **client != ClientKey::NONE) {
            let count = queue.partition_point(|queued| Some(queued.since) <= before);
            self.queued -= count;
            expired.extend(queue.drain(..count).map(|queued| queued.task));
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        self.turns.retain(|client| self.queues.contains_key(client));
        (expired, self.hung > 0 && !had_hung)
    }
}

/// Gives a client the last turn, and tasks that no client waits for the first: each lookup may open a file that must be
/// closed, so that one turn among those of many clients would not suffice.
fn add_turn(turns: &mut VecDeque<ClientKey>, client: ClientKey) {
    match client {
        ClientKey::NONE => turns.push_front(client),
        _ => turns.push_back(client),
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Gate, TIMEOUT, Tasks},
        *,
    };

    /// A pool whose tasks expire only when the test says so.
    struct TestPool {
        pool: Arc<Pool>,
        monitor: Arc<Monitor>,
        tasks: Tasks,
    }

    impl TestPool {
        fn new() -> TestPool {
            let monitor = Monitor::new(Duration::MAX);
            let pool = Arc::new(Pool::new("test".to_owned(), Arc::clone(&monitor)));
            TestPool { pool, monitor, tasks: Tasks::new() }
        }

        /// Submits a short task for this client.
        fn submit(&self, client: u128, name: &str) -> Result<(), Busy> {
            self.pool.submit(ClientKey(client), self.tasks.short(name))
        }

        /// Expires all tasks, and returns whether none is left that can expire.
        fn expire(&self) -> bool {
            self.pool.expire(Some(Instant::now()))
        }

        /// Lets one of the tasks that hang return, and checks what the pool does then.
        fn release_one(&self, gates: &mut Vec<Gate>, expected: &[&str]) {
            drop(gates.pop().expect("a gate"));
            self.tasks.check(&["hanging ends"]);
            self.tasks.check(expected);
        }
    }

    impl Drop for TestPool {
        fn drop(&mut self) {
            self.monitor.end();
            self.pool.close();
        }
    }

    #[test]
    fn clients_take_turns() {
        let test = TestPool::new();
        let mut gates = test.tasks.occupy_all(&test.pool);
        for (client, name) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1"), (2, "b2")] {
            assert_eq!(test.submit(client, name), Ok(()));
        }
        let order = ["a1", "b1", "c1", "a2", "b2", "a3"];
        let events = order.map(|name| ["runs", "ends"].map(|event| format!("{name} {event}")));
        let events: Vec<_> = events.as_flattened().iter().map(String::as_str).collect();
        test.release_one(&mut gates, &events);
    }

    #[test]
    fn files_are_closed_before_others_are_opened() {
        let test = TestPool::new();
        let mut gates = test.tasks.occupy_all(&test.pool);
        for client in [1, 2] {
            assert_eq!(test.submit(client, "open"), Ok(()));
            test.pool.submit_always(test.tasks.short("close"));
        }
        let (close, open) = (["close runs", "close ends"], ["open runs", "open ends"]);
        test.release_one(&mut gates, [close, close, open, open].as_flattened());
    }

    #[test]
    fn the_queue_has_a_limit() {
        let test = TestPool::new();
        let gates = test.tasks.occupy_all(&test.pool);
        for _ in 0..MAX_QUEUED {
            assert_eq!(test.submit(1, "queued"), Ok(()));
        }
        assert_eq!(test.submit(2, "rejected"), Err(Busy));
        test.tasks.check(&["rejected ends"]);
        test.pool.submit_always(test.tasks.short("always"));
        assert_eq!(test.pool.state().queued, MAX_QUEUED + 1);
        drop(gates);
    }

    #[test]
    fn takes_no_tasks_while_threads_hang() {
        let test = TestPool::new();
        let mut gates = test.tasks.occupy(&test.pool, MAX_HUNG);
        assert_eq!(test.submit(1, "before"), Ok(()));
        test.tasks.check(&["before runs", "before ends"]);
        assert!(test.expire());
        test.tasks.check(&["hanging expires"; MAX_HUNG]);
        assert_eq!(test.submit(1, "rejected"), Err(Busy));
        test.tasks.check(&["rejected ends"]);
        test.pool.submit_always(test.tasks.short("always"));
        test.tasks.check(&["always runs", "always ends"]);
        test.release_one(&mut gates, &[]);
        assert_eq!(test.submit(1, "after"), Ok(()));
        test.tasks.check(&["after runs", "after ends"]);
        // A task expires once.
        assert!(test.expire());
        test.tasks.check_none();
        test.tasks.release(gates);
        assert_eq!(test.pool.state().hung, 0);
    }

    #[test]
    fn each_retry_lets_more_threads_hang_up_to_a_limit() {
        let test = TestPool::new();
        let mut gates = Vec::new();
        for hung in [4, 8, 12] {
            gates.extend(test.tasks.occupy(&test.pool, hung - gates.len()));
            assert!(test.expire());
            test.tasks.check(&["hanging expires"; MAX_HUNG]);
            assert_eq!(test.submit(1, "rejected"), Err(Busy));
            test.tasks.check(&["rejected ends"]);
            test.pool.retry();
        }
        assert_eq!(test.submit(1, "rejected"), Err(Busy));
        test.tasks.check(&["rejected ends"]);
        test.pool.submit_always(test.tasks.short("always"));
        test.tasks.check(&["always runs", "always ends"]);
        test.tasks.release(gates);
        test.pool.retry();
        assert_eq!(test.pool.state().max_hung, MAX_HUNG);
    }

    #[test]
    fn tasks_in_the_queue_expire() {
        let test = TestPool::new();
        let submitted = Instant::now();
        let gates = test.tasks.occupy_all(&test.pool);
        for client in [1, 1, 2] {
            assert_eq!(test.submit(client, "queued"), Ok(()));
        }
        for before in [None, submitted.checked_sub(Duration::from_secs(1))] {
            assert!(!test.pool.expire(before));
            test.tasks.check_none();
        }
        assert!(test.expire());
        // The pool drops its reference to a task that hangs later.
        test.tasks.check(&["hanging expires"; MAX_THREADS]);
        test.tasks.check(&["queued expires", "queued ends"].repeat(3));
        test.tasks.release(gates);
        assert_eq!(test.submit(1, "after"), Ok(()));
        test.tasks.check(&["after runs", "after ends"]);
        test.tasks.check_none();
    }

    /// A task may come from another mount.
    #[test]
    fn a_task_expires_by_the_time_when_the_client_began_to_wait() {
        let test = TestPool::new();
        let gates = test.tasks.occupy_all(&test.pool);
        let now = Instant::now();
        for (name, age) in [("young", 0), ("old", 2)] {
            let since = now.checked_sub(Duration::from_secs(age)).expect("a time since the start");
            assert_eq!(test.pool.submit_since(ClientKey(1), test.tasks.short(name), since), Ok(()));
        }
        test.pool.expire(now.checked_sub(Duration::from_secs(1)));
        test.tasks.check(&["old expires", "old ends"]);
        test.tasks.check_none();
        drop(gates);
    }

    /// Closing a file may block, and the thread that expires tasks must not. So only a thread of the pool drops the
    /// task.
    #[test]
    fn a_task_that_nobody_waits_for_stays_in_the_queue() {
        let test = TestPool::new();
        let mut gates = test.tasks.occupy_all(&test.pool);
        test.pool.submit_always(test.tasks.short("always"));
        assert!(!test.expire());
        test.tasks.check(&["hanging expires"; MAX_THREADS]);
        test.tasks.check_none();
        test.release_one(&mut gates, &["always runs", "always ends"]);
    }

    #[test]
    fn a_task_that_panics_ends_no_thread() {
        let test = TestPool::new();
        assert_eq!(test.pool.submit(ClientKey(1), test.tasks.panicking("panicking")), Ok(()));
        test.tasks.check(&["panicking runs", "panicking ends"]);
        let state = test.pool.state();
        assert_eq!((state.threads, state.running.len()), (1, 0));
        drop(state);
        assert_eq!(test.submit(1, "after"), Ok(()));
        test.tasks.check(&["after runs", "after ends"]);
    }

    #[test]
    fn threads_end_with_the_queue_when_the_pool_is_closed() {
        let mut test = TestPool::new();
        let mut gates = test.tasks.occupy_all(&test.pool);
        assert_eq!(test.submit(1, "queued"), Ok(()));
        test.pool.close();
        test.release_one(&mut gates, &["queued runs", "queued ends"]);
        drop(gates);
        std::mem::replace(&mut test.tasks, Tasks::new()).check_threads_end();
    }

    /// A thread that runs a task is not counted as waiting.
    #[test]
    fn threads_that_have_waited_make_no_other_unnecessary() {
        let test = TestPool::new();
        assert_eq!(test.submit(1, "short"), Ok(()));
        test.tasks.check(&["short runs", "short ends"]);
        let end = Instant::now() + TIMEOUT;
        while test.pool.state().waiting == 0 {
            assert!(Instant::now() < end, "no thread waits");
            thread::yield_now();
        }
        test.tasks.release(test.tasks.occupy(&test.pool, 2));
    }

    /// The log tells only of the first.
    #[test]
    fn the_first_thread_that_hangs_is_told_from_others() {
        let test = TestPool::new();
        let mut gates = Vec::new();
        for expected in [true, false] {
            gates.extend(test.tasks.occupy(&test.pool, 1));
            let (_, is_first) = test.pool.state().expire(Some(Instant::now()));
            assert_eq!(is_first, expected);
        }
        test.tasks.release(gates);
    }

    #[test]
    fn clients_are_told_apart_by_their_addresses() {
        let check = |one: &str, other: &str, expected: bool| {
            let key = |address: &str| {
                ClientKey::from(address.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 1)))
            };
            assert_eq!(key(one) == key(other), expected, "{one} {other}");
        };
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("2001:db8::1", "2001:db8::ffff:0:0:1", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
        check("192.0.2.1", "2001:db8::1", false);
        check("192.0.2.1", "unknown", false);
        check("unknown", "unknown", true);
    }
}
