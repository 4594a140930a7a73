//! Orders to a process, whoever gives them: an operator by signals, a master by its line, its own threads. All wait
//! in one queue and are carried out one after the other, so that no two of them ever meet half done.

use signal_hook::{
    consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::Signals,
};
use std::{
    io,
    os::fd::OwnedFd,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Instant,
};

/// The signals that mean something; all others keep the system's meaning, but for SIGPIPE, which the standard
/// library ignores: a peer or a reader of our output that has gone is an error of one write.
const SIGNALS: [i32; 6] = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD];

/// What a process is to do next.
#[derive(Debug)]
pub enum Order {
    /// Finish what is in flight and end; given again, end at once.
    Stop,
    /// Open the log files anew: they have been moved away.
    Reopen,
    /// Read anew whatever can change without dropping a connection.
    Renew,
    /// Start the program anew, and let it go on in this one's place.
    Replace,
    /// See what has become of the processes that this one has started.
    Look,
    /// The successor serves.
    Succeeded,
    /// There will be no successor, for this reason.
    Unsucceeded(io::Error),
    /// From a master to its worker: serve the files of this directory from now on.
    Root(OwnedFd),
    /// The master has gone.
    Orphaned,
    /// All threads that served have ended.
    Ended,
}

impl Order {
    /// What a signal means to the process that an operator talks to.
    pub fn to_master(signal: i32) -> Option<Order> {
        match signal {
            SIGTERM | SIGINT => Some(Order::Stop),
            SIGUSR1 => Some(Order::Reopen),
            SIGHUP => Some(Order::Renew),
            SIGUSR2 => Some(Order::Replace),
            SIGCHLD => Some(Order::Look),
            _ => None,
        }
    }

    /// What a signal means to a worker process. A terminal sends SIGINT, and killall whatever it is told, to the
    /// master as well, and it is the master who decides.
    pub fn to_worker(signal: i32) -> Option<Order> {
        match signal {
            SIGTERM => Some(Order::Stop),
            SIGUSR1 | SIGHUP => Some(Order::Reopen),
            _ => None,
        }
    }
}

/// Signals that are caught from now on, and wait until somebody asks for [`orders`](Caught::orders).
#[derive(Debug)]
pub struct Caught(Signals);

impl Caught {
    /// Catches them. Starts no thread: privileges can be dropped only by a process that has one.
    ///
    /// # Errors
    ///
    /// When the system lacks descriptors.
    pub fn new() -> io::Result<Caught> {
        Signals::new(SIGNALS).map(Caught)
    }

    /// Passes them on as what they mean.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn orders(mut self, meaning: fn(i32) -> Option<Order>) -> io::Result<Orders> {
        let (sender, receiver) = channel();
        let giver = sender.clone();
        let forward = move || self.0.forever().filter_map(meaning).all(|order| giver.send(order).is_ok());
        thread::Builder::new().name("signals".to_owned()).spawn(forward)?;
        Ok(Orders { sender, receiver })
    }
}

/// The queue of what is to be done.
#[derive(Debug)]
pub struct Orders {
    sender: Sender<Order>,
    receiver: Receiver<Order>,
}

impl Orders {
    /// For threads that give orders, too.
    pub fn giver(&self) -> Sender<Order> {
        self.sender.clone()
    }

    /// Waits for the next order. When `until` comes first, it is to look.
    pub fn next(&self, until: Option<Instant>) -> Order {
        let received = match until {
            Some(until) => self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())),
            None => self.receiver.recv().map_err(RecvTimeoutError::from),
        };
        // As we hold a sender ourselves, only time can have run out.
        received.unwrap_or(Order::Look)
    }
}
