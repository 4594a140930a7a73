//! The queue of signals to a process: Unix signals, messages from its master process, and events of its own threads.
//!
//! The main thread handles them one after the other, so that no two of them interleave.

use crate::{admin::WorkerReport, system::spawn};
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

/// The numbers of the Unix signals that a process handles. The other signals keep their default action, except SIGPIPE:
/// the Rust standard library ignores it, so that writing to a closed connection returns an error.
const HANDLED_SIGNALS: [i32; 6] = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD];

/// An event that the main thread handles: a task for this process, or a change in another process or in the engine.
#[derive(Debug)]
pub enum Signal {
    /// Finish the requests in flight and end. A second `Stop` ends the process at once.
    Stop,
    /// Reopen the log files by their names, after log rotation.
    ReopenLogs,
    /// Reopen the log files and the document roots by their names, and read the configuration again.
    Reload,
    /// The thread of a reload has ended: its result can be taken.
    ReloadEnded,
    /// Start a successor from the program file and hand the listeners over to it.
    StartSuccessor,
    /// Do what is due: a child process has ended, or the deadline of [`SignalQueue::next`] has passed.
    CheckDue,
    /// The successor accepts connections.
    SuccessorReady,
    /// The successor could not start to accept connections, for this reason.
    SuccessorFailed(io::Error),
    /// To a worker process: serve the application with this configuration and these document roots from now on.
    ServeApplication(Vec<OwnedFd>),
    /// Collect the reports of all processes that serve, and send them here.
    ReportMetrics(Sender<Vec<WorkerReport>>),
    /// The admin server has finished its requests, after a successor has taken over.
    AdminEnded,
    /// To a worker process: send your report through this socket.
    SendMetrics(OwnedFd),
    /// To a worker process: the master process has ended.
    MasterEnded,
    /// All threads of the engine in this process have ended, after a shutdown or a failure.
    EngineEnded,
}

impl Signal {
    /// Translates the number of a Unix signal that a master process has received. Returns `None` if the master ignores
    /// the signal.
    pub fn for_master(unix_signal: i32) -> Option<Signal> {
        match unix_signal {
            SIGTERM | SIGINT => Some(Signal::Stop),
            SIGUSR1 => Some(Signal::ReopenLogs),
            SIGHUP => Some(Signal::Reload),
            SIGUSR2 => Some(Signal::StartSuccessor),
            SIGCHLD => Some(Signal::CheckDue),
            _ => None,
        }
    }

    /// Translates the number of a Unix signal that a worker process has received. Returns `None` if the worker ignores
    /// the signal. A worker ignores SIGINT and SIGUSR2: a terminal and `killall` also send them to the master, which
    /// decides what its workers do.
    pub fn for_worker(unix_signal: i32) -> Option<Signal> {
        match unix_signal {
            SIGTERM => Some(Signal::Stop),
            SIGUSR1 | SIGHUP => Some(Signal::ReopenLogs),
            _ => None,
        }
    }
}

/// The installed handlers of Unix signals. Signals that arrive before [`into_queue`](SignalHandlers::into_queue) is
/// called are kept for the queue.
#[derive(Debug)]
pub struct SignalHandlers(Signals);

impl SignalHandlers {
    /// Installs a handler for each of [`HANDLED_SIGNALS`]. Starts no thread, so that the process can still drop its
    /// privileges: that requires a single thread.
    pub fn install() -> io::Result<SignalHandlers> {
        Signals::new(HANDLED_SIGNALS).map(SignalHandlers)
    }

    /// Returns a signal queue, and starts a thread that puts the received Unix signals into it. `translate` is
    /// [`Signal::for_master`] or [`Signal::for_worker`]; a signal for which it returns `None` is ignored.
    pub fn into_queue(mut self, translate: fn(i32) -> Option<Signal>) -> io::Result<SignalQueue> {
        let (sender, receiver) = channel();
        let own = sender.clone();
        spawn("signals", move || {
            self.0.forever().filter_map(translate).all(|signal| own.send(signal).is_ok());
        })?;
        Ok(SignalQueue { sender, receiver })
    }
}

/// The signals that the main thread has not handled yet, in order of arrival.
#[derive(Debug)]
pub struct SignalQueue {
    /// Cloned for other threads, and kept so that the queue is never disconnected.
    sender: Sender<Signal>,
    receiver: Receiver<Signal>,
}

impl SignalQueue {
    /// Returns a sender with which another thread can put signals into this queue.
    pub fn sender(&self) -> Sender<Signal> {
        self.sender.clone()
    }

    /// Waits for the next signal and removes it from the queue. Returns [`Signal::CheckDue`] if no signal arrives
    /// before `deadline`. Without a deadline, waits without a limit.
    pub fn next(&self, deadline: Option<Instant>) -> Signal {
        let timeout = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        // Fails only when the timeout expires, because the queue is never disconnected.
        self.receiver.recv_timeout(timeout).unwrap_or(Signal::CheckDue)
    }
}
