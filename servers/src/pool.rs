//! Threads for work that would hold up an event loop, behind a queue with a bound.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// A unit of work. It must not panic: whoever makes it fences what may.
pub type Task = Box<dyn FnOnce() + Send>;

/// A pool of threads. They end when the last handle is dropped and the queue is empty.
#[derive(Clone, Debug)]
pub struct Pool {
    queue: SyncSender<Task>,
}

impl Pool {
    /// Starts `threads` threads behind a queue of at most `queued` tasks.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub fn start(threads: usize, queued: usize) -> io::Result<Pool> {
        let (queue, tasks) = sync_channel::<Task>(queued);
        let tasks = Arc::new(Mutex::new(tasks));
        for number in 0..threads.max(1) {
            let tasks = Arc::clone(&tasks);
            thread::Builder::new().name(format!("pool-{number}")).spawn(move || work(&tasks))?;
        }
        Ok(Pool { queue })
    }

    /// Queues a task, or gives it back when the queue is full.
    ///
    /// # Errors
    ///
    /// The task, when there is no room for it.
    pub fn submit(&self, task: Task) -> Result<(), Task> {
        self.queue.try_send(task).map_err(|refused| match refused {
            std::sync::mpsc::TrySendError::Full(task) | std::sync::mpsc::TrySendError::Disconnected(task) => {
                task
            }
        })
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
        let pool = Pool::start(1, 1).expect("a thread");
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
