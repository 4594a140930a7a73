//! A thread pool for jobs that would block an event loop, with a bounded queue.

use crate::threads::Threads;
use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// A function that a pool thread runs. It must not panic.
pub(crate) type Task = Box<dyn FnOnce() + Send>;

/// A pool of threads. The first task starts them. They end when the last clone of the pool is dropped and the queue is
/// empty.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    /// Queues tasks.
    queue: SyncSender<Task>,
    /// The other end of the queue, from which the threads take tasks.
    tasks: Arc<Mutex<Receiver<Task>>>,
    /// The number of threads to start.
    max_threads: usize,
    /// The threads of the server, to which those of the pool belong.
    threads: Arc<Threads>,
    /// The number of threads that could be started; not set before the first task.
    started: Arc<OnceLock<usize>>,
}

/// The error of [`Pool::submit`]: the queue is full, or no thread could be started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolFull;

impl Pool {
    /// A pool of `max_threads` threads (at least 1), which belong to `threads`, with a queue of at most `queued` tasks.
    pub(crate) fn new(max_threads: usize, queued: usize, threads: &Arc<Threads>) -> Pool {
        let (queue, tasks) = sync_channel(queued);
        Pool {
            queue,
            tasks: Arc::new(Mutex::new(tasks)),
            max_threads: max_threads.max(1),
            threads: Arc::clone(threads),
            started: Arc::default(),
        }
    }

    /// Queues a task.
    ///
    /// # Errors
    ///
    /// The queue is full, or no thread could be started. The task is dropped.
    pub(crate) fn submit(&self, task: Task) -> Result<(), PoolFull> {
        if *self.started.get_or_init(|| self.start()) == 0 {
            return Err(PoolFull);
        }
        self.queue.try_send(task).map_err(|_| PoolFull)
    }

    /// Starts the threads. Returns how many could be started.
    fn start(&self) -> usize {
        let start = |number: usize| {
            let tasks = Arc::clone(&self.tasks);
            self.threads.spawn(&format!("pool-{number}"), move || {
                run_tasks(&tasks);
                Ok(())
            })
        };
        (0..self.max_threads).map_while(|number| start(number).ok()).count()
    }
}

/// The loop of a pool thread: runs tasks, until the pool is dropped and the queue is empty.
fn run_tasks(tasks: &Mutex<Receiver<Task>>) {
    loop {
        // One thread waits in `recv`, the others for the lock; each task wakes exactly one of them.
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match task {
            Ok(task) => task(),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::Shutdown;
    use std::sync::mpsc::channel;

    #[test]
    fn rejects_a_task_when_the_queue_is_full() {
        let shutdown = Arc::new(Shutdown::new().expect("a descriptor"));
        let pool = Pool::new(1, 1, &Threads::new(256 * 1024, &shutdown));
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let (done, all_done) = channel();
        let signal = done.clone();
        let first = Box::new(move || {
            started.send(()).expect("a receiver");
            released.recv().expect("a sender");
            signal.send(1).expect("a receiver");
        });
        assert!(pool.submit(first).is_ok());
        has_started.recv().expect("the first task runs");
        assert!(pool.submit(Box::new(move || done.send(2).expect("a receiver"))).is_ok());
        assert!(pool.submit(Box::new(|| ())).is_err());
        release.send(()).expect("the first task waits");
        assert_eq!((all_done.recv(), all_done.recv()), (Ok(1), Ok(2)));
    }
}
