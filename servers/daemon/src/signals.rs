//! The queue of signals to a process: Unix signals, messages from its master, and events of its own threads.
//!
//! The main thread handles them one after the other, so that no two of them interleave.

use crate::system::spawn;
use signal_hook::{
    consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::Signals,
};
use std::{
    io,
    os::fd::OwnedFd,
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

/// The Unix signals that are handled. All others keep their default action, except SIGPIPE, which the standard library
/// ignores: writing to a closed connection or pipe fails with an error instead.
const HANDLED: [i32; 6] = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD];

/// What a process must do next, or has to know.
#[derive(Debug)]
pub enum Signal {
    /// Finish the requests in flight and end. A second one ends the process at once.
    Stop,
    /// Reopen the log files, which were renamed.
    ReopenLogs,
    /// Reopen the log files and the document root by their names.
    Refresh,
    /// Start a successor from the program file and hand the listeners over to it.
    StartSuccessor,
    /// Check the child processes: one of them has ended, or the time given to [`SignalQueue::next`] has come.
    CheckWorkers,
    /// The successor serves.
    SuccessorReady,
    /// The successor could not start.
    SuccessorFailed(io::Error),
    /// To a worker process: serve this directory from now on.
    ServeRoot(OwnedFd),
    /// To a worker process: the master process has ended.
    MasterEnded,
    /// The threads of the engine have ended.
    EngineEnded,
}

impl Signal {
    /// The meaning of a Unix signal to a master process.
    pub fn for_master(number: i32) -> Option<Signal> {
        match number {
            SIGTERM | SIGINT => Some(Signal::Stop),
            SIGUSR1 => Some(Signal::ReopenLogs),
            SIGHUP => Some(Signal::Refresh),
            SIGUSR2 => Some(Signal::StartSuccessor),
            SIGCHLD => Some(Signal::CheckWorkers),
            _ => None,
        }
    }

    /// The meaning of a Unix signal to a worker process. Workers ignore SIGINT and SIGUSR2: a terminal and `killall`
    /// send them to the master too, which decides what its workers do.
    pub fn for_worker(number: i32) -> Option<Signal> {
        match number {
            SIGTERM => Some(Signal::Stop),
            SIGUSR1 | SIGHUP => Some(Signal::ReopenLogs),
            _ => None,
        }
    }
}

/// Installed handlers of Unix signals. The signals wait until [`into_queue`](SignalHandlers::into_queue) is called.
#[derive(Debug)]
pub struct SignalHandlers(Signals);

impl SignalHandlers {
    /// Installs the handlers. Starts no thread, because only a single-threaded process can drop its privileges.
    pub fn install() -> io::Result<SignalHandlers> {
        Signals::new(HANDLED).map(SignalHandlers)
    }

    /// Starts a thread that translates Unix signals with `meaning` and puts them into a queue.
    pub fn into_queue(mut self, meaning: fn(i32) -> Option<Signal>) -> io::Result<SignalQueue> {
        let (sender, receiver) = channel();
        let own = sender.clone();
        spawn("signals", move || {
            self.0.forever().filter_map(meaning).all(|signal| own.send(signal).is_ok());
        })?;
        Ok(SignalQueue { sender, receiver })
    }
}

/// The signals that the process has not handled yet.
#[derive(Debug)]
pub struct SignalQueue {
    sender: Sender<Signal>,
    receiver: Receiver<Signal>,
}

impl SignalQueue {
    /// A sender for another thread.
    pub fn sender(&self) -> Sender<Signal> {
        self.sender.clone()
    }

    /// Waits for the next signal. Returns [`Signal::CheckWorkers`] at `deadline` if none has come.
    pub fn next(&self, deadline: Option<Instant>) -> Signal {
        let timeout = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        // The queue has a sender itself, so it is never disconnected, and only the timeout can fail.
        self.receiver.recv_timeout(timeout).unwrap_or(Signal::CheckWorkers)
    }
}
