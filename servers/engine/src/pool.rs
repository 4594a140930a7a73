//! Threads for work that would hold up an event loop, behind a queue with a bound.

use std::{
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
};

/// A unit of work. It must not panic: whoever makes it fences what may.
pub type Task = Box<dyn FnOnce() + Send>;

/// A pool of threads. They are started for the first task, and end when the last handle is dropped and the queue is
/// empty.
#[derive(Clone, Debug)]
pub struct Pool {
    queue: SyncSender<Task>,
    tasks: Arc<Mutex<Receiver<Task>>>,
    threads: usize,
    /// How many have been started.
    started: Arc<OnceLock<usize>>,
}

impl Pool {
    /// A pool of `threads` threads behind a queue of at most `queued` tasks.
    pub fn new(threads: usize, queued: usize) -> Pool {
        let (queue, tasks) = sync_channel(queued);
        Pool { queue, tasks: Arc::new(Mutex::new(tasks)), threads: threads.max(1), started: Arc::default() }
    }

    /// Queues a task.
    ///
    /// # Errors
    ///
    /// The task, when there is no room for it, or no thread could be started.
    pub fn submit(&self, task: Task) -> Result<(), Task> {
        if *self.started.get_or_init(|| self.start()) == 0 {
            return Err(task);
        }
        self.queue.try_send(task).map_err(|refused| match refused {
            TrySendError::Full(task) | TrySendError::Disconnected(task) => task,
        })
    }

    fn start(&self) -> usize {
        let start = |number: usize| {
            let tasks = Arc::clone(&self.tasks);
            thread::Builder::new().name(format!("pool-{number}")).spawn(move || work(&tasks))
        };
        (0..self.threads).map_while(|number| start(number).ok()).count()
    }
}

fn work(tasks: &Mutex<Receiver<Task>>) {
    loop {
        // One thread waits inside the lock, the others for the lock: either way each wakes for its own task.
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
    use std::sync::mpsc::channel;

    #[test]
    fn a_full_queue_gives_the_task_back() {
        let pool = Pool::new(1, 1);
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let (done, all_done) = channel();
        let signal = done.clone();
        let first = Box::new(move || {
            started.send(()).expect("a listener");
            released.recv().expect("a sender");
            signal.send(1).expect("a listener");
        });
        assert!(pool.submit(first).is_ok());
        has_started.recv().expect("the first task runs");
        assert!(pool.submit(Box::new(move || done.send(2).expect("a listener"))).is_ok());
        assert!(pool.submit(Box::new(|| ())).is_err());
        release.send(()).expect("the first task waits");
        assert_eq!((all_done.recv(), all_done.recv()), (Ok(1), Ok(2)));
    }
}
