//! Tasks for tests: each reports what happens to it, and hangs as long as the test says.

use super::{
    Pool, Task,
    pool::{Busy, MAX_THREADS},
};
use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

/// The longest wait for another thread, after which the test fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

thread_local! {
    /// The sender of the last task on this thread: if all senders are dropped, all such threads have ended.
    static SENDER: RefCell<Option<Sender<String>>> = const { RefCell::new(None) };
}

/// Makes tasks, and receives what happens to them: `NAME runs`, `NAME expires`, and when the pool has removed it,
/// `NAME ends`.
pub(crate) struct Tasks {
    sender: Sender<String>,
    events: Receiver<String>,
}

/// Lets a task return when it is dropped.
pub(crate) struct Gate(#[expect(dead_code, reason = "dropping it closes the channel")] Sender<()>);

struct TestTask {
    name: String,
    script: Script,
    sender: Sender<String>,
}

/// What a task does when it runs.
enum Script {
    Return,
    /// Waits until the [`Gate`] is dropped.
    Hang(Mutex<Receiver<()>>),
    Panic,
}

impl Tasks {
    pub(crate) fn new() -> Tasks {
        let (sender, events) = mpsc::channel();
        Tasks { sender, events }
    }

    fn task(&self, name: &str, script: Script) -> Arc<dyn Task> {
        Arc::new(TestTask { name: name.to_owned(), script, sender: self.sender.clone() })
    }

    pub(crate) fn short(&self, name: &str) -> Arc<dyn Task> {
        self.task(name, Script::Return)
    }

    pub(crate) fn panicking(&self, name: &str) -> Arc<dyn Task> {
        self.task(name, Script::Panic)
    }

    /// Makes a task that returns when the gate is dropped.
    pub(crate) fn hanging(&self, name: &str) -> (Arc<dyn Task>, Gate) {
        let (gate, dropped) = mpsc::channel();
        (self.task(name, Script::Hang(Mutex::new(dropped))), Gate(gate))
    }

    /// Occupies `count` threads of a pool with tasks called `hanging`, until their gates are dropped.
    pub(crate) fn occupy(&self, pool: &Arc<Pool>, count: usize) -> Vec<Gate> {
        let occupy = |_| {
            let (task, gate) = self.hanging("hanging");
            assert_eq!(pool.submit(None.into(), task), Ok::<(), Busy>(()));
            self.check(&["hanging runs"]);
            gate
        };
        (0..count).map(occupy).collect()
    }

    /// Occupies all threads that a pool may have: later tasks stay in its queue.
    pub(crate) fn occupy_all(&self, pool: &Arc<Pool>) -> Vec<Gate> {
        self.occupy(pool, MAX_THREADS)
    }

    /// Lets tasks of [`occupy`](Tasks::occupy) return, and waits until the pool has removed them. Its queue is empty.
    pub(crate) fn release(&self, gates: Vec<Gate>) {
        let count = gates.len();
        drop(gates);
        self.check(&vec!["hanging ends"; count]);
    }

    /// Waits for as many events as are expected, and checks them.
    #[track_caller]
    pub(crate) fn check(&self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.events.recv_timeout(TIMEOUT).as_deref(), Ok(*expected));
        }
    }

    /// Waits for this event, whatever happens before.
    #[track_caller]
    pub(crate) fn wait_for(&self, expected: &str) {
        while self.events.recv_timeout(TIMEOUT).expect(expected) != expected {}
    }

    /// Checks that there are no more events.
    #[track_caller]
    pub(crate) fn check_none(&self) {
        assert_eq!(self.events.try_recv().ok(), None);
    }

    /// Waits until all threads have ended that have run or expired a task.
    #[track_caller]
    pub(crate) fn check_threads_end(self) {
        drop(self.sender);
        let last = std::iter::repeat_with(|| self.events.recv_timeout(TIMEOUT)).find_map(Result::err);
        assert_eq!(last, Some(RecvTimeoutError::Disconnected));
    }
}

/// Expires all tasks of a pool.
pub(crate) fn expire(pool: &Pool) {
    pool.expire(Some(Instant::now()));
}

impl TestTask {
    fn report(&self, event: &str) {
        // Fails if the test has ended.
        let _ = self.sender.send(format!("{} {event}", self.name));
    }
}

impl Task for TestTask {
    fn run(&self) {
        SENDER.set(Some(self.sender.clone()));
        self.report("runs");
        match &self.script {
            Script::Return => {}
            Script::Hang(dropped) => drop(dropped.lock().expect("one thread").recv()),
            // Without the message of a panic.
            Script::Panic => std::panic::resume_unwind(Box::new("on purpose")),
        }
    }

    fn expire(&self) {
        SENDER.set(Some(self.sender.clone()));
        self.report("expires");
    }
}

impl Drop for TestTask {
    fn drop(&mut self) {
        self.report("ends");
    }
}
