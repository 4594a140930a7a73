//! How other threads reach an event loop: they send completions into a queue and wake the loop.
//!
//! A completion says what has happened to a connection outside of the event loop ([`Completion`]).

use super::connections::Key;
use crate::{
    late::Outcome,
    pool::{Pool, Task},
    stream::StreamSupport,
};
use http_core::{CatchDrop, Rejection};
use mio::{Poll, Token, Waker};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    task::{self, Wake},
};

/// What has happened to a connection.
pub(super) enum Completion {
    /// The outcome of its reply is known.
    Reply(Outcome),
    /// The source of its stream has more bytes, or the job that reads its content has made room.
    Stream,
    /// The upgraded connection has ended.
    UpgradedEnd,
}

/// The queue of completions of one event loop.
pub(super) struct Completions {
    queue: Receiver<Message>,
    /// The sender that [`sender`](Completions::sender) clones.
    sender: CompletionSender,
}

/// Sends completions to an event loop, from any thread.
#[derive(Clone)]
pub(super) struct CompletionSender {
    queue: Sender<Message>,
    waker: Arc<Waker>,
}

/// An entry of the queue.
enum Message {
    Reply(Key, CatchDrop<Outcome>),
    Stream(Arc<StreamWaker>),
    UpgradedEnd(Key),
}

/// Makes the wakers of the connection `key`, and runs the tasks that wait for its client.
pub(super) struct ConnectionWaker<'c> {
    pub(super) key: Key,
    pub(super) completions: &'c Completions,
    pub(super) streaming: &'c Pool,
}

/// The waker of a stream, or of the pipe to a job. It is in the queue at most once, however often it is called.
struct StreamWaker {
    key: Key,
    sender: CompletionSender,
    /// Whether the waker is in the queue.
    queued: AtomicBool,
}

impl Completions {
    /// Creates an empty queue. Each completion sent to the queue wakes `poll` with an event for `token`.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    pub(super) fn new(poll: &Poll, token: Token) -> io::Result<Completions> {
        let (sender, queue) = channel();
        let waker = Arc::new(Waker::new(poll.registry(), token)?);
        Ok(Completions { queue, sender: CompletionSender { queue: sender, waker } })
    }

    /// Takes the next completion and the key of its connection. Does not wait: returns `None` if the queue is empty.
    pub(super) fn next(&self) -> Option<(Key, Completion)> {
        loop {
            match self.queue.try_recv().ok()? {
                Message::Reply(key, outcome) => {
                    if let Some(outcome) = outcome.into_inner() {
                        return Some((key, Completion::Reply(outcome)));
                    }
                }
                Message::UpgradedEnd(key) => return Some((key, Completion::UpgradedEnd)),
                Message::Stream(waker) => {
                    // A read-modify-write like that of `wake`: what was written before a call that finds `true` is
                    // visible to the source after this.
                    waker.queued.swap(false, Ordering::AcqRel);
                    return Some((waker.key, Completion::Stream));
                }
            }
        }
    }

    /// Wakes the event loop, so that it takes the completions that are left.
    pub(super) fn wake(&self) {
        let _ = self.sender.waker.wake();
    }

    /// Returns a sender for this queue. Any thread may use it.
    pub(super) fn sender(&self) -> CompletionSender {
        self.sender.clone()
    }
}

impl CompletionSender {
    /// Queues the outcome of the reply for which the connection `key` waits, and wakes the event loop. Drops the
    /// outcome if the event loop has ended.
    pub(super) fn send(&self, key: Key, outcome: Outcome) {
        self.queue(Message::Reply(key, CatchDrop::new(outcome)));
    }

    /// Queues [`Completion::UpgradedEnd`] of the connection `key`, and wakes the event loop.
    pub(super) fn send_end(&self, key: Key) {
        self.queue(Message::UpgradedEnd(key));
    }

    fn queue(&self, message: Message) {
        // If the event loop has ended, the connection is closed.
        if self.queue.send(message).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

impl StreamSupport for ConnectionWaker<'_> {
    fn waker(&self) -> io::Result<task::Waker> {
        let (key, sender) = (self.key, self.completions.sender());
        Ok(Arc::new(StreamWaker { key, sender, queued: AtomicBool::new(false) }).into())
    }

    fn spawn(&self, task: Task) -> Result<(), Rejection> {
        self.streaming.submit(task).map(drop)
    }
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.sender.queue(Message::Stream(Arc::clone(self)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{shutdown::Shutdown, threads::Threads};

    #[test]
    fn a_waker_is_queued_once_until_it_is_taken() {
        let poll = Poll::new().expect("epoll");
        let completions = Completions::new(&poll, Token(0)).expect("an eventfd");
        let threads = Threads::new(256 * 1024, &Arc::new(Shutdown::new().expect("a descriptor")));
        let streaming = &Pool::new("streaming", 1, 0, &threads);
        let key = Key::from_token(Token(7));
        let waker = ConnectionWaker { key, completions: &completions, streaming }.waker().expect("a waker");
        for _ in 0..2 {
            (0..1_000).for_each(|_| waker.wake_by_ref());
            assert!(matches!(completions.next(), Some((woken, Completion::Stream)) if woken == key));
            assert!(completions.next().is_none());
        }
        drop(completions);
        waker.wake();
    }
}
