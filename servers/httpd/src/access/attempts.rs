//! The attempts to log in that wait for a thread. Clients take turns, so that a client that guesses passwords does not
//! lock out others.

use super::rate::client_key;
use http_engine::http_core::catch_panic;
use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, available_parallelism},
};

/// How many attempts wait. One more gets 503.
const MAX_WAITING: usize = 128;

/// Threads that run attempts, and the attempts that wait for them.
pub struct Attempts<T> {
    queue: Arc<Mutex<Queue<T>>>,
    /// Has a message for each attempt that waits. The threads end with the sender.
    sender: SyncSender<()>,
}

impl<T: Send + 'static> Attempts<T> {
    /// Starts the threads that `run` attempts: half as many as there are CPUs, so that the workers get the others.
    pub fn start(run: fn(T)) -> Attempts<T> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let (receiver, queue) = (Arc::new(Mutex::new(receiver)), Arc::<Mutex<Queue<T>>>::default());
        let threads = available_parallelism().map_or(1, |cpus| cpus.get().div_ceil(2));
        for _ in 0..threads {
            let (receiver, queue) = (Arc::clone(&receiver), Arc::clone(&queue));
            let thread = thread::Builder::new().name("verify".to_owned()).spawn(move || {
                while lock(&receiver).recv().is_ok() {
                    let attempt = lock(&queue).next();
                    // A panic drops the responder, and the request gets 500.
                    let _ = catch_panic(|| attempt.map(run));
                }
            });
            if let Err(error) = thread {
                // If there is none at all, the receiver is dropped, and no attempt is queued.
                log::error!("cannot start a thread to verify passwords: {error}");
            }
        }
        Attempts { queue, sender }
    }

    /// Queues an attempt of a client. If the queue is full, returns an attempt that does not stay in it: the last one
    /// of the client that has the most.
    pub fn push(&self, client: Option<IpAddr>, attempt: T) -> Option<T> {
        let mut queue = lock(&self.queue);
        queue.push(client.map(client_key), attempt);
        let has_room = queue.len <= MAX_WAITING && self.sender.try_send(()).is_ok();
        if has_room { None } else { queue.remove() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The attempts that wait.
struct Queue<T> {
    /// By client, in the order of their turns. No client has none. All clients on Unix sockets count as one, `None`.
    clients: VecDeque<(Option<u64>, VecDeque<T>)>,
    /// The number of attempts.
    len: usize,
}

impl<T> Queue<T> {
    fn push(&mut self, client: Option<u64>, attempt: T) {
        self.len += 1;
        match self.clients.iter_mut().find(|(other, _)| *other == client) {
            Some((_, attempts)) => attempts.push_back(attempt),
            None => self.clients.push_back((client, [attempt].into())),
        }
    }

    /// Removes the first attempt of the client whose turn it is.
    fn next(&mut self) -> Option<T> {
        let (client, mut attempts) = self.clients.pop_front()?;
        let attempt = attempts.pop_front();
        if !attempts.is_empty() {
            self.clients.push_back((client, attempts));
        }
        self.len -= usize::from(attempt.is_some());
        attempt
    }

    /// Removes the last attempt of the client with the most. If several have the most, of the one whose turn is last.
    fn remove(&mut self) -> Option<T> {
        let clients = self.clients.iter_mut().enumerate();
        let (index, (_, attempts)) = clients.max_by_key(|(_, (_, attempts))| attempts.len())?;
        let attempt = attempts.pop_back();
        if attempts.is_empty() {
            self.clients.remove(index);
        }
        self.len -= usize::from(attempt.is_some());
        attempt
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { clients: VecDeque::new(), len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Adds `attempts` to a queue that has room for four: a letter for the client of each. Expects that it has no room
    /// for `rejected`, and the others in the order `expected`. The number of an attempt counts those of its client.
    fn check(attempts: &str, rejected: &str, expected: &str) {
        let mut queue = Queue::default();
        let mut lost = String::new();
        for (number, client) in attempts.chars().enumerate() {
            let count = attempts.chars().take(number).filter(|other| *other == client).count();
            queue.push(Some(client.into()), format!("{client}{count}"));
            if queue.len > 4 {
                lost.extend(queue.remove());
            }
        }
        let order: String = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!((&*lost, &*order, queue.len), (rejected, expected, 0), "{attempts}");
    }

    #[test]
    fn clients_take_turns() {
        check("", "", "");
        check("aaa", "", "a0a1a2");
        check("aaab", "", "a0b0a1a2");
        check("aabb", "", "a0b0a1b1");
        check("aaaaa", "a4", "a0a1a2a3");
        check("aaaab", "a3", "a0b0a1a2");
        check("aaaabbb", "a3a2b2", "a0b0a1b1");
        check("abcde", "e0", "a0b0c0d0");
        check("aabcda", "a1a2", "a0b0c0d0");
    }

    #[test]
    fn threads_run_what_has_room() {
        type Attempt = (Arc<Mutex<()>>, Sender<()>);
        let attempts = Attempts::<Attempt>::start(|(end, ran)| {
            drop(lock(&end));
            let _ = ran.send(());
        });
        let (end, (sender, ran)) = (Arc::default(), channel());
        let waits = lock(&end);
        let push = |_: &usize| attempts.push(None, (Arc::clone(&end), sender.clone())).is_none();
        let queued = (0..1000).filter(push).count();
        assert!((MAX_WAITING..1000).contains(&queued), "{queued}");
        drop((waits, sender));
        assert_eq!(ran.iter().count(), queued);
    }
}
