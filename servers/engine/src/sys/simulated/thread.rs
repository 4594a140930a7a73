//! Threads of the application that wait for their clients. One runs only while the simulation waits for it, so that the
//! order of everything depends on the seed alone.

use super::{SharedKernel, enter, is_simulated};
use std::{
    cell::RefCell,
    sync::{
        Arc,
        mpsc::{Receiver, RecvError, RecvTimeoutError, Sender, TryRecvError, channel},
    },
    thread,
    time::Duration,
};

/// How long a thread may run until it waits: longer than any test.
const LONGEST_TURN: Duration = Duration::from_secs(60);

thread_local! {
    /// What the thread needs to wait for its next turn.
    static TURNS: RefCell<Option<(Receiver<()>, Sender<Stopped>)>> = const { RefCell::new(None) };
}

/// A thread of the application.
#[derive(Debug)]
pub(crate) struct SimulatedThread {
    turns: Sender<()>,
    stopped: Receiver<Stopped>,
}

/// Why a [`SimulatedThread`] has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// It waits.
    Waits,
    /// Its function has returned.
    Ended,
}

impl SimulatedThread {
    /// Creates a thread for `run`. It does not run yet.
    pub(crate) fn new(kernel: &SharedKernel, run: impl FnOnce() + Send + 'static) -> SimulatedThread {
        let ((turns, own_turns), (stops, stopped)) = (channel(), channel());
        let kernel = Arc::clone(kernel);
        thread::spawn(move || {
            if own_turns.recv().is_ok() {
                enter(Some(kernel));
                TURNS.set(Some((own_turns, stops.clone())));
                run();
                let _ = stops.send(Stopped::Ended);
            }
        });
        SimulatedThread { turns, stopped }
    }

    /// Lets the thread run until it waits or ends.
    pub(crate) fn run(&self) -> Stopped {
        let _ = self.turns.send(());
        match self.stopped.recv_timeout(LONGEST_TURN) {
            Ok(stopped) => stopped,
            Err(RecvTimeoutError::Disconnected) => Stopped::Ended,
            Err(RecvTimeoutError::Timeout) => panic!("a thread of the application waits outside of `wait`"),
        }
    }
}

/// Ends the turn of a simulated thread. Returns when its next turn begins.
pub(crate) fn wait() {
    TURNS.with_borrow(|turns| {
        let Some((turns, stops)) = turns else { panic!("not a simulated thread") };
        let _ = stops.send(Stopped::Waits);
        if turns.recv().is_err() {
            // The simulation has failed.
            std::panic::resume_unwind(Box::new("no more turns"));
        }
    });
}

/// As `Receiver::recv`, but a simulated thread ends its turn while nothing is there.
pub(crate) fn wait_for<T>(receiver: &Receiver<T>) -> Result<T, RecvError> {
    if !is_simulated() {
        return receiver.recv();
    }
    loop {
        match receiver.try_recv() {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
            Err(TryRecvError::Empty) => wait(),
        }
    }
}
