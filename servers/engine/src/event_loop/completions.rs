//! How late responses return to an event loop: other threads send them into a queue and wake the loop.
//!
//! The queue holds outcomes: the response to a request, or why there is none. `K` is the key of the connection.

use crate::drive::Outcome;
use mio::{Poll, Token, Waker};
use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};

/// The queue of completions of one event loop. A completion is the outcome of a reply (the response, or why there is
/// none), sent from any thread, with the key `K` of the connection that waits for it.
pub(super) struct Completions<K> {
    queue: Receiver<(K, Outcome)>,
    /// The sender that [`sender`](Completions::sender) clones.
    sender: CompletionSender<K>,
}

/// Sends the outcomes of replies (responses, or why there are none) to an event loop, from any thread.
#[derive(Clone)]
pub(super) struct CompletionSender<K> {
    queue: Sender<(K, Outcome)>,
    waker: Arc<Waker>,
}

impl<K: Copy + Send + 'static> Completions<K> {
    /// Creates an empty queue. Each outcome sent to the queue wakes `poll` with an event for `token`.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    pub(super) fn new(poll: &Poll, token: Token) -> io::Result<Completions<K>> {
        let (sender, queue) = channel();
        let waker = Arc::new(Waker::new(poll.registry(), token)?);
        Ok(Completions { queue, sender: CompletionSender { queue: sender, waker } })
    }

    /// Takes the next outcome and the key of its connection. Does not wait: returns `None` if the queue is empty.
    pub(super) fn next(&self) -> Option<(K, Outcome)> {
        self.queue.try_recv().ok()
    }

    /// Returns a sender for this queue. Any thread may use it to send the outcome of a reply (the response, or why
    /// there is none) to this event loop.
    pub(super) fn sender(&self) -> CompletionSender<K> {
        self.sender.clone()
    }
}

impl<K> CompletionSender<K> {
    /// Queues the outcome of the reply for which the connection `key` waits, and wakes the event loop. Drops the
    /// outcome if the event loop has ended.
    pub(super) fn send(&self, key: K, outcome: Outcome) {
        // If the event loop has ended, the connection is closed: drop the outcome.
        if self.queue.send((key, outcome)).is_ok() {
            let _ = self.waker.wake();
        }
    }
}
