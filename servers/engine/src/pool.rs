//! A thread pool for jobs that would block a connection's thread, with a bounded number of threads and a bounded queue.

use crate::threads::Threads;
use http_core::{CatchDrop, Rejection, catch_panic};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a thread of a pool waits for a task before it ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A function that a pool thread runs.
pub type Task = Box<dyn FnOnce() + Send>;

/// The two pools of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    /// Runs what never waits for a client: the jobs of [`Reply::Offload`](http_core::Reply::Offload).
    pub(crate) jobs: Pool,
    /// Runs what may wait for its client for long, and so must not take a thread from the jobs of others. It has no
    /// queue.
    pub(crate) streaming: Pool,
}

/// A pool of threads. A thread starts when a task finds no thread waiting, and ends after ten seconds without a task.
/// When the last clone of the pool is dropped, the threads run the tasks in the queue, and end.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    owner: Arc<Owner>,
}

/// A task that was submitted to a pool.
#[derive(Clone)]
pub(crate) struct QueuedTask {
    /// `None` when a thread has taken the task, or the task was cancelled.
    task: Arc<Mutex<Option<CatchDrop<Task>>>>,
}

/// What the clones of a pool share. Dropping it ends the threads.
#[derive(Debug)]
struct Owner(Arc<PoolState>);

/// What the pool and its threads share.
#[derive(Debug)]
struct PoolState {
    /// How the names of the threads begin.
    name: &'static str,
    queue: Mutex<TaskQueue>,
    /// Wakes a waiting thread when a task was queued, and all of them when the pool was dropped.
    changed: Condvar,
    /// The maximum number of threads, at least 1.
    max_threads: usize,
    /// The maximum number of tasks that wait although no thread is waiting for one.
    max_queued: usize,
    /// The threads of the server, to which those of the pool belong.
    threads: Arc<Threads>,
}

/// The tasks that wait for a thread, and the number of threads.
#[derive(Debug, Default)]
struct TaskQueue {
    tasks: VecDeque<QueuedTask>,
    threads: usize,
    /// The number of threads that wait for a task.
    waiting: usize,
    /// Whether the pool was dropped.
    closed: bool,
}

impl Pool {
    /// A pool of at most `max_threads` threads (at least 1), which belong to `threads` and are named after `name`, with
    /// a queue of at most `max_queued` tasks.
    pub(crate) fn new(
        name: &'static str,
        max_threads: usize,
        max_queued: usize,
        threads: &Arc<Threads>,
    ) -> Pool {
        let (queue, changed, threads) = (Mutex::default(), Condvar::new(), Arc::clone(threads));
        let state = PoolState { name, queue, changed, max_threads: max_threads.max(1), max_queued, threads };
        Pool { owner: Arc::new(Owner(Arc::new(state))) }
    }

    /// Queues a task.
    ///
    /// # Errors
    ///
    /// [`Rejection::Overloaded`] if the queue is full, or no thread could be started. The task is dropped.
    pub(crate) fn submit(&self, task: Task) -> Result<QueuedTask, Rejection> {
        let state = &self.owner.0;
        let task = QueuedTask::new(task);
        let mut queue = state.queue();
        // The first tasks in the queue are those of the waiting threads.
        if queue.tasks.len() >= queue.waiting
            && !(queue.threads < state.max_threads && state.start_thread(&mut queue))
        {
            let max_tasks = queue.waiting.saturating_add(state.max_queued);
            if queue.tasks.len() >= max_tasks {
                queue.tasks.retain(|task| !task.is_cancelled());
            }
            if queue.threads == 0 || queue.tasks.len() >= max_tasks {
                return Err(Rejection::Overloaded);
            }
        }
        queue.tasks.push_back(task.clone());
        drop(queue);
        state.changed.notify_one();
        Ok(task)
    }
}

impl QueuedTask {
    fn new(task: Task) -> QueuedTask {
        QueuedTask { task: Arc::new(Mutex::new(Some(CatchDrop::new(task)))) }
    }

    /// Drops the task, unless a thread has taken it.
    pub(crate) fn cancel(&self) {
        drop(self.take());
    }

    /// Whether no thread has to run the task any more.
    fn is_cancelled(&self) -> bool {
        self.lock().is_none()
    }

    /// Takes the task; `None` if it was taken or cancelled before.
    fn take(&self) -> Option<CatchDrop<Task>> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<CatchDrop<Task>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for QueuedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueuedTask")
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.queue().closed = true;
        self.0.changed.notify_all();
    }
}

impl PoolState {
    /// Locks the queue. No code of an application runs under the lock.
    fn queue(&self) -> MutexGuard<'_, TaskQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread. Returns false if the system has none left.
    fn start_thread(self: &Arc<PoolState>, queue: &mut TaskQueue) -> bool {
        // The simulation runs the tasks of simulated threads: see `simulated`.
        #[cfg(test)]
        if crate::sys::is_simulated() {
            queue.threads += 1;
            return true;
        }
        let state = Arc::clone(self);
        let name = format!("{}-{}", self.name, queue.threads);
        let run = move || {
            state.run_tasks();
            Ok(())
        };
        let started = self.threads.spawn(&name, run).is_ok();
        queue.threads += usize::from(started);
        started
    }

    /// The loop of a thread: runs tasks, until none comes for [`IDLE_TIMEOUT`], or the pool is dropped and the queue is
    /// empty.
    fn run_tasks(&self) {
        let mut queue = self.queue();
        loop {
            if let Some(queued) = queue.tasks.pop_front() {
                drop(queue);
                if let Some(task) = queued.take().and_then(CatchDrop::into_inner) {
                    let _ = catch_panic(task);
                }
                queue = self.queue();
                continue;
            }
            if queue.closed {
                break;
            }
            queue.waiting += 1;
            let (locked, timeout) =
                self.changed.wait_timeout(queue, IDLE_TIMEOUT).unwrap_or_else(PoisonError::into_inner);
            queue = locked;
            queue.waiting -= 1;
            if timeout.timed_out() && queue.tasks.is_empty() {
                break;
            }
        }
        queue.threads -= 1;
    }
}

/// The threads of a pool in the simulation of the event loop, which runs their tasks when it wants to.
#[cfg(test)]
pub(crate) struct SimulatedPool {
    pool: Pool,
    /// The number of threads that run a task.
    busy: usize,
}

#[cfg(test)]
impl SimulatedPool {
    pub(crate) fn new(pool: Pool) -> SimulatedPool {
        SimulatedPool { pool, busy: 0 }
    }

    /// Takes the next task from the queue, as a thread of the pool that has started, or was woken. `None` if all
    /// threads run tasks, or no task is there.
    pub(crate) fn take(&mut self) -> Option<Task> {
        let mut queue = self.pool.owner.0.queue();
        while self.busy < queue.threads {
            let queued = queue.tasks.pop_front()?;
            if queue.waiting == queue.threads - self.busy {
                queue.waiting -= 1;
            }
            self.busy += 1;
            if let Some(task) = queued.take().and_then(CatchDrop::into_inner) {
                return Some(task);
            }
            self.busy -= 1;
            queue.waiting += 1;
        }
        None
    }

    /// The thread that ran a task waits for the next.
    pub(crate) fn finish(&mut self) {
        self.busy -= 1;
        self.pool.owner.0.queue().waiting += 1;
    }

    /// Whether no thread runs a task, and none is queued.
    pub(crate) fn is_idle(&self) -> bool {
        self.busy == 0 && self.pool.owner.0.queue().tasks.iter().all(QueuedTask::is_cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::Shutdown;
    use std::{
        sync::mpsc::{Receiver, Sender, channel},
        thread,
    };

    fn new_pool(max_threads: usize, max_queued: usize) -> Pool {
        let shutdown = Arc::new(Shutdown::new().expect("a descriptor"));
        Pool::new("pool", max_threads, max_queued, &Threads::new(256 * 1024, &shutdown))
    }

    /// Submits a task that reports its start, and then waits for the returned sender.
    fn occupy(pool: &Pool) -> Sender<()> {
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let task = Box::new(move || {
            started.send(()).expect("a receiver");
            let _ = released.recv();
        });
        pool.submit(task).expect("a free thread");
        has_started.recv().expect("the task runs");
        release
    }

    /// Submits a task that reports that it has run.
    fn submit(pool: &Pool) -> Result<Receiver<()>, Rejection> {
        let (done, is_done) = channel();
        pool.submit(Box::new(move || done.send(()).expect("a receiver")))?;
        Ok(is_done)
    }

    #[test]
    fn rejects_a_task_when_threads_and_queue_are_full() {
        for queued in 0..3 {
            let pool = new_pool(2, queued);
            let busy = [occupy(&pool), occupy(&pool)];
            let tasks: Vec<_> = (0..queued).map(|_| submit(&pool).expect("room")).collect();
            assert!(submit(&pool).is_err(), "a queue for {queued}");
            drop(busy);
            for is_done in tasks {
                is_done.recv().expect("the task runs");
            }
        }
    }

    #[test]
    fn a_cancelled_task_leaves_its_thread_to_the_next() {
        let pool = new_pool(1, 0);
        {
            // As if a thread waited that has not been woken yet.
            let mut queue = pool.owner.0.queue();
            (queue.threads, queue.waiting) = (1, 1);
        }
        let first = pool.submit(Box::new(|| ())).expect("a free thread");
        assert!(submit(&pool).is_err());
        first.cancel();
        assert!(submit(&pool).is_ok());
    }

    #[test]
    fn a_panicking_task_does_not_end_its_thread() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
        }
        let pool = new_pool(1, 8);
        let busy = occupy(&pool);
        pool.submit(Box::new(|| std::panic::resume_unwind(Box::new(Bomb)))).expect("room");
        let bomb = Bomb;
        pool.submit(Box::new(move || drop(bomb))).expect("room");
        let bomb = Bomb;
        let cancelled = pool.submit(Box::new(move || drop(bomb))).expect("room");
        cancelled.cancel();
        let is_done = submit(&pool).expect("room");
        drop(busy);
        is_done.recv().expect("the thread still runs");
        assert_eq!(pool.owner.0.queue().threads, 1);
    }

    #[test]
    fn the_threads_empty_the_queue_when_the_pool_is_dropped() {
        let pool = new_pool(1, 1);
        let state = Arc::downgrade(&pool.owner.0);
        let busy = occupy(&pool);
        let is_done = submit(&pool).expect("room");
        drop(pool);
        drop(busy);
        is_done.recv().expect("the task runs");
        while state.upgrade().is_some() {
            thread::yield_now();
        }
    }
}
