//! How the thread of a connection waits for another thread: an eventfd that any thread can signal.

use crate::{
    late::Outcome,
    pool::{Pool, Task},
    stream::StreamSupport,
};
use http_core::{CatchDrop, Rejection};
use rustix::{
    event::{EventfdFlags, eventfd},
    io::{read, write},
};
use std::{
    cell::OnceCell,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    task::{Wake, Waker},
};

/// An eventfd. It is readable from the first [`signal`](WakeEvent::signal) until it is cleared.
#[derive(Debug)]
pub(super) struct WakeEvent(OwnedFd);

impl WakeEvent {
    fn new() -> io::Result<WakeEvent> {
        Ok(WakeEvent(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes the thread that waits for the event, or its next wait.
    fn signal(&self) {
        // This fails only if the counter is full, and then the descriptor is readable already.
        let _ = write(&self.0, &1u64.to_ne_bytes());
    }

    /// Makes the event not readable.
    fn clear(&self) {
        // This fails if the event was not signalled.
        let _ = read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for WakeEvent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Wake for WakeEvent {
    fn wake(self: Arc<Self>) {
        self.signal();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.signal();
    }
}

/// The event of one connection. It is created when it is first needed: most connections need none.
#[derive(Debug)]
pub(super) struct ConnectionEvent<'t> {
    event: OnceCell<Arc<WakeEvent>>,
    /// The threads for tasks that wait for the client.
    streaming: &'t Pool,
}

impl<'t> ConnectionEvent<'t> {
    pub(super) fn new(streaming: &'t Pool) -> ConnectionEvent<'t> {
        ConnectionEvent { event: OnceCell::new(), streaming }
    }

    /// Closes the event, if there is one, to free its descriptor. The next wait creates another.
    pub(super) fn reset(&mut self) {
        self.event = OnceCell::new();
    }

    /// Returns the event, and creates it if needed.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    fn event(&self) -> io::Result<&Arc<WakeEvent>> {
        if let Some(event) = self.event.get() {
            return Ok(event);
        }
        let event = Arc::new(WakeEvent::new()?);
        Ok(self.event.get_or_init(|| event))
    }

    /// Creates a channel for the outcome of a late reply. The sender also signals the event.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    pub(super) fn channel(&self) -> io::Result<(OutcomeSender, OutcomeReceiver)> {
        let event = Arc::clone(self.event()?);
        let (sender, receiver) = channel();
        Ok((OutcomeSender { sender, event }, OutcomeReceiver(receiver)))
    }

    /// Returns the descriptor to wait for; `None` if there is no event yet.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.event.get().map(|event| event.as_fd())
    }

    /// Makes the event not readable. Call this before asking for what it announces.
    pub(super) fn clear(&self) {
        if let Some(event) = self.event.get() {
            event.clear();
        }
    }
}

impl StreamSupport for ConnectionEvent<'_> {
    fn waker(&self) -> io::Result<Waker> {
        Ok(Arc::clone(self.event()?).into())
    }

    fn spawn(&self, task: Task) -> Result<(), Rejection> {
        self.streaming.submit(task).map(drop)
    }

    fn may_wait(&self) -> bool {
        true
    }
}

/// Sends the outcome of a late reply (the response, or why there is none) to the thread of its connection.
pub(super) struct OutcomeSender {
    sender: Sender<CatchDrop<Outcome>>,
    event: Arc<WakeEvent>,
}

impl OutcomeSender {
    /// Sends the outcome. Drops it if the thread no longer waits for it.
    pub(super) fn send(self, outcome: Outcome) {
        if self.sender.send(CatchDrop::new(outcome)).is_ok() {
            self.event.signal();
        }
    }
}

/// Receives the outcome of a late reply.
pub(super) struct OutcomeReceiver(Receiver<CatchDrop<Outcome>>);

impl OutcomeReceiver {
    /// Returns the outcome; `None` if it has not arrived.
    pub(super) fn try_receive(&self) -> Option<Outcome> {
        self.0.try_recv().ok().and_then(CatchDrop::into_inner)
    }
}
