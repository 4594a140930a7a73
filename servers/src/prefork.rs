//! Workers as processes: a master that binds, starts itself again for each worker, and looks after them.
//!
//! No fork without exec, and so no `unsafe`: a worker is this program once more, with one end of a socket pair as
//! its standard input. Through it come the listening sockets; back goes a byte once the worker serves; and when it
//! closes, the other side is gone. All workers accept from one queue, so that nobody who waits in it is lost when
//! a worker dies.

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
    process::{Pid, Signal, kill_process},
};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use std::{
    env,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// Tells a process that it is a worker, and which.
const VARIABLE: &str = "HTTPD_WORKER";

/// Listening sockets that fit into one message; the kernel's own limit is 253.
pub const MAX_LISTENERS: usize = 64;

/// How long a worker may take until it serves.
const START: Duration = Duration::from_secs(10);
/// A worker that lived less did not die of what it served.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// The longest pause before a worker that keeps dying is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// What workers get beyond their own grace before they are killed.
const BEYOND_GRACE: Duration = Duration::from_secs(1);

/// A worker's end of the pair.
#[derive(Debug)]
pub struct Inherited {
    /// What it accepts from.
    pub listeners: Vec<TcpListener>,
    /// Which of the workers this process is.
    pub number: usize,
    master: UnixStream,
}

impl Inherited {
    /// Takes over what the master has sent, if this process is a worker.
    ///
    /// # Errors
    ///
    /// When standard input is not the socket that a master gives its workers.
    pub fn take() -> io::Result<Option<Inherited>> {
        let Some(number) = env::var_os(VARIABLE) else { return Ok(None) };
        let number = number.to_str().and_then(|number| number.parse().ok()).unwrap_or_default();
        let master = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let listeners = receive(&master)?.into_iter().map(TcpListener::from).collect();
        Ok(Some(Inherited { listeners, number, master }))
    }

    /// Tells the master that this worker serves. `orphaned` is called when the master has gone.
    ///
    /// # Errors
    ///
    /// When the master has gone already, or no thread can be started.
    pub fn serving(mut self, orphaned: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.master.write_all(b"+")?;
        let watch = move || {
            // The master says nothing more: reading ends only when it does.
            let _ = self.master.read(&mut [0]);
            orphaned();
        };
        thread::Builder::new().name("orphan-watch".to_owned()).spawn(watch).map(drop)
    }
}

struct Worker {
    child: Child,
    /// Kept open for as long as the master lives.
    line: UnixStream,
    started: Instant,
}

/// A place for a worker, empty while its next one waits to be started.
struct Place {
    number: usize,
    worker: Option<Worker>,
    start_at: Instant,
    pause: Duration,
}

/// Starts workers and replaces those that die until SIGTERM or SIGINT; then lets them finish for `grace`, after
/// which, or at a second signal, they are killed. `started` is called once all of them serve.
///
/// # Errors
///
/// When a worker cannot be started at all; one that cannot be replaced later is tried again and again.
pub fn supervise(
    listeners: Vec<TcpListener>,
    workers: usize,
    grace: Duration,
    started: impl FnOnce(),
) -> io::Result<()> {
    let signals = signals()?;
    let mut places = Vec::with_capacity(workers);
    for number in 0..workers {
        let worker = Some(Worker::start(number, &listeners)?);
        places.push(Place { number, worker, start_at: Instant::now(), pause: Duration::ZERO });
    }
    for worker in running(&mut places) {
        worker.wait_until_serving()?;
    }
    started();
    look_after(&mut places, &listeners, &signals);
    // Once the workers have closed theirs too, newcomers are refused, instead of waiting for nobody.
    drop(listeners);
    for worker in running(&mut places) {
        worker.tell(Signal::TERM);
    }
    let deadline = Instant::now() + grace + BEYOND_GRACE;
    while running(&mut places).any(Worker::is_alive) {
        match signals.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(SIGCHLD) => {}
            _ => running(&mut places).for_each(|worker| worker.tell(Signal::KILL)),
        }
    }
    Ok(())
}

fn running(places: &mut [Place]) -> impl Iterator<Item = &mut Worker> {
    places.iter_mut().filter_map(|place| place.worker.as_mut())
}

/// Replaces workers that die, until there is a signal to stop.
fn look_after(places: &mut [Place], listeners: &[TcpListener], signals: &Receiver<i32>) {
    loop {
        let now = Instant::now();
        for place in places.iter_mut() {
            place.bury(now);
            if place.worker.is_none() && place.start_at <= now {
                place.fill(listeners, now);
            }
        }
        let next = places.iter().filter(|place| place.worker.is_none()).map(|place| place.start_at).min();
        let received = match next {
            Some(next) => signals.recv_timeout(next.saturating_duration_since(Instant::now())),
            None => signals.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(SIGCHLD) | Err(RecvTimeoutError::Timeout) => {}
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Place {
    /// Notices that the worker has died, and decides when to start the next.
    fn bury(&mut self, now: Instant) {
        if self.worker.as_mut().is_none_or(Worker::is_alive) {
            return;
        }
        let Some(mut worker) = self.worker.take() else { return };
        let lived = now.saturating_duration_since(worker.started);
        let status = worker.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        eprintln!("worker {} (process {}) ended: {status}", self.number, worker.child.id());
        self.pause = if lived >= SHORT_LIFE {
            Duration::ZERO
        } else {
            (self.pause * 2).clamp(Duration::from_millis(100), LONGEST_PAUSE)
        };
        self.start_at = now + self.pause;
    }

    fn fill(&mut self, listeners: &[TcpListener], now: Instant) {
        match Worker::start(self.number, listeners) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => {
                eprintln!("worker {} cannot be started: {error}", self.number);
                self.pause = (self.pause * 2).clamp(SHORT_LIFE, LONGEST_PAUSE);
                self.start_at = now + self.pause;
            }
        }
    }
}

impl Worker {
    fn start(number: usize, listeners: &[TcpListener]) -> io::Result<Worker> {
        let (line, theirs) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe")
            .args(env::args_os().skip(1))
            .env(VARIABLE, number.to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        let worker = Worker { child, line, started: Instant::now() };
        send(&worker.line, listeners)?;
        Ok(worker)
    }

    fn wait_until_serving(&mut self) -> io::Result<()> {
        self.line.set_read_timeout(Some(START))?;
        match self.line.read(&mut [0]) {
            Ok(1) => Ok(()),
            // It has said itself what is wrong.
            Ok(_) => Err(io::Error::other("a worker process ended before it served")),
            Err(_) => Err(io::Error::other("a worker process did not serve in time")),
        }
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn tell(&mut self, signal: Signal) {
        // It may be dead by now, but it is not reaped, so its number is nobody else's.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Worker {
    /// A master that gives up leaves nobody behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The signals that a master acts on, one by one.
fn signals() -> io::Result<Receiver<i32>> {
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGCHLD])?;
    let (sender, receiver) = channel();
    let forward = move || signals.forever().all(|signal| sender.send(signal).is_ok());
    thread::Builder::new().name("signals".to_owned()).spawn(forward)?;
    Ok(receiver)
}

fn send(line: &UnixStream, listeners: &[TcpListener]) -> io::Result<()> {
    let sockets: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_LISTENERS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("too many listening sockets"));
    }
    sendmsg(line, &[IoSlice::new(b"+")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(line: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_LISTENERS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    loop {
        match recvmsg(line, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    let rights = |message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    };
    let sockets: Vec<OwnedFd> = control.drain().filter_map(rights).flatten().collect();
    if sockets.is_empty() {
        Err(io::Error::other("the master sent no listening socket"))
    } else {
        Ok(sockets)
    }
}
