//! How late responses return to an event loop: other threads send them into a queue and wake the loop.

use crate::drive::Outcome;
use mio::{Poll, Token, Waker};
use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};

/// The receiving end of one event loop. Each connection `K` has at most one outcome in it, which bounds the queue.
pub(super) struct Completions<K> {
    queue: Receiver<(K, Outcome)>,
    sender: CompletionSender<K>,
}

/// Sends outcomes to an event loop, from any thread.
#[derive(Clone)]
pub(super) struct CompletionSender<K> {
    queue: Sender<(K, Outcome)>,
    waker: Arc<Waker>,
}

impl<K: Copy + Send + 'static> Completions<K> {
    /// Creates the queue. Each outcome sent to it wakes `poll` with an event for `token`.
    pub(super) fn new(poll: &Poll, token: Token) -> io::Result<Completions<K>> {
        let (sender, queue) = channel();
        let waker = Arc::new(Waker::new(poll.registry(), token)?);
        Ok(Completions { queue, sender: CompletionSender { queue: sender, waker } })
    }

    /// The next outcome, if one has arrived.
    pub(super) fn next(&self) -> Option<(K, Outcome)> {
        self.queue.try_recv().ok()
    }

    /// A sender for another thread.
    pub(super) fn sender(&self) -> CompletionSender<K> {
        self.sender.clone()
    }
}

impl<K> CompletionSender<K> {
    /// Queues the outcome of the connection `key`, and wakes the event loop.
    pub(super) fn send(&self, key: K, outcome: Outcome) {
        // If the worker has ended, the connection has closed.
        if self.queue.send((key, outcome)).is_ok() {
            let _ = self.waker.wake();
        }
    }
}
