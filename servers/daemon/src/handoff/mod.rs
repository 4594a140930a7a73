//! Passes listening sockets, the document root and the PID file from one process to another.
//!
//! Worker processes and successors are this program started once more, not forked, so that no `unsafe` is needed. The
//! new process has one end of a socket pair as its standard input. It receives descriptors through the socket, and
//! sends one byte back when it serves. When either process ends, the other process sees the socket close.

mod control_socket;

pub use control_socket::{ControlSocket, Message};

use crate::system::{Context, spawn};
use control_socket::MAX_LISTENERS;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    ffi::OsStr,
    fmt, io, mem,
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{self, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// The environment variable in which a process passes a [`Role`] to a process that it starts. Unset in a process that
/// the operator or the service manager has started.
const ROLE_VARIABLE: &str = "HTTPD_ROLE";

/// The task of a process that another process of this program has started. Its `Display` output is the value of
/// [`ROLE_VARIABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serve as the worker with this number until the master stops it or ends.
    Worker(usize),
    /// Replace the process that started it.
    Successor,
}

impl Role {
    /// How long a process with this role may take to start serving. A successor takes longer, because it starts
    /// workers.
    fn start_timeout(self) -> Duration {
        match self {
            Role::Worker(_) => Duration::from_secs(10),
            Role::Successor => Duration::from_secs(30),
        }
    }

    /// Parses the `Display` output of a role. Returns `None` for any other text.
    fn parse(text: &str) -> Option<Role> {
        match text.strip_prefix("worker ") {
            Some(number) => number.parse().ok().map(Role::Worker),
            None => (text == "successor").then_some(Role::Successor),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Worker(number) => write!(f, "worker {number}"),
            Role::Successor => f.write_str("successor"),
        }
    }
}

/// The descriptors that a process hands over to a process that it starts. Both processes then have them open.
#[derive(Clone, Copy, Debug)]
pub struct Handoff<'a> {
    /// The sockets to accept connections from.
    pub listeners: &'a [TcpListener],
    /// The document root, so that all workers serve the same directory even if its name refers to another one later.
    /// `None` if the process serves no files, or opens the document root itself.
    pub root: Option<BorrowedFd<'a>>,
    /// The PID file, locked. `None` if the process must not take it over.
    pub pid_file: Option<BorrowedFd<'a>>,
}

/// A process that this process has started. Dropping it kills the process, unless it was [detached](Child::detach).
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    role: Role,
    /// This end of the socket pair, for messages to the process. When it is closed, the process concludes that this
    /// process has ended.
    pub socket: ControlSocket,
    /// When the process was started.
    pub started_at: Instant,
}

impl Child {
    /// Starts this program with the same arguments and this role, and hands `handoff` over. Does not wait until the
    /// process serves. Fails if the program cannot be started.
    pub fn start(role: Role, handoff: Handoff<'_>) -> io::Result<Child> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_else(|| "/proc/self/exe".into());
        // A worker runs the same executable as its master, even if the file was replaced; a successor runs the file
        // that the program's name refers to now.
        let file = if role == Role::Successor { &*name } else { OsStr::new("/proc/self/exe") };
        let process = Command::new(file)
            .arg0(&name)
            .args(arguments)
            .env(ROLE_VARIABLE, role.to_string())
            // The service manager's sockets belong to the process with this PID, which the kernel may reuse.
            .env_remove("LISTEN_PID")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .context(format_args!("cannot start {}", file.display()))?;
        let socket = ControlSocket(socket);
        let child = Child { process, role, socket, started_at: Instant::now() };
        let listeners = handoff.listeners.chunks(MAX_LISTENERS);
        let listeners = listeners.map(|some| Message::Listeners(some.iter().map(AsFd::as_fd).collect()));
        let (root, pid_file) = (handoff.root.map(Message::Root), handoff.pid_file.map(Message::PidFile));
        let rest = [root, pid_file, Some(Message::Serve)].into_iter().flatten();
        match listeners.chain(rest).try_for_each(|message| child.socket.send(&message)) {
            // If the process has ended already, `wait_until_ready` and `exit_status` report it.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(child),
        }
    }

    /// Waits until the process serves. Fails if it ends instead, or if the [time](Role::start_timeout) for it expires.
    pub fn wait_until_ready(&self) -> io::Result<()> {
        self.socket.wait_until_ready(self.role.start_timeout()).context(self.role)
    }

    /// Starts a thread that calls `notify` with the result of [`wait_until_ready`](Child::wait_until_ready). Fails if
    /// the thread cannot be started; `notify` is then not called.
    pub fn on_ready(&self, notify: impl FnOnce(io::Result<()>) + Send + 'static) -> io::Result<()> {
        let (socket, role) = (self.socket.try_clone()?, self.role);
        spawn("handoff", move || notify(socket.wait_until_ready(role.start_timeout()).context(role)))
    }

    /// The process ID.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The exit status, or `None` while the process runs. Reaps a process that has ended.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Sends SIGTERM to the process. Does nothing if the process has ended.
    pub fn terminate(&self) {
        // A process that has ended keeps its PID until it is reaped, so the signal cannot reach another one.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
    }

    /// Lets the process continue to run when this process ends.
    pub fn detach(self) {
        // Skips `drop`, which would kill the process.
        mem::forget(self);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a worker process or a successor has received from the process that started it.
#[derive(Debug)]
pub struct Inherited {
    /// What this process was started for.
    pub role: Role,
    /// The sockets to accept connections from; at least one.
    pub listeners: Vec<TcpListener>,
    /// The document root. `None` if this process opens it itself, or serves no files.
    pub root: Option<OwnedFd>,
    /// The PID file, locked. `None` if this process must not take it over.
    pub pid_file: Option<OwnedFd>,
    /// The connection to the process that started this process.
    pub socket: ControlSocket,
}

impl Inherited {
    /// Receives the handoff. Returns `None` if this process has no role, because the operator or the service manager
    /// started it. Fails if standard input is not a control socket, or if it is closed before the handoff is complete.
    pub fn receive() -> io::Result<Option<Inherited>> {
        let Some(role) = env::var_os(ROLE_VARIABLE) else { return Ok(None) };
        let invalid = || io::Error::other(format!("invalid {ROLE_VARIABLE} {role:?}"));
        let role = role.to_str().and_then(Role::parse).ok_or_else(invalid)?;
        let socket = ControlSocket(io::stdin().as_fd().try_clone_to_owned()?.into());
        let mut inherited = Inherited { role, listeners: Vec::new(), root: None, pid_file: None, socket };
        loop {
            match inherited.socket.receive()? {
                Some(Message::Listeners(sockets)) => {
                    inherited.listeners.extend(sockets.into_iter().map(TcpListener::from));
                }
                Some(Message::Root(root)) => inherited.root = Some(root),
                Some(Message::PidFile(file)) => inherited.pid_file = Some(file),
                Some(Message::Serve) if !inherited.listeners.is_empty() => return Ok(Some(inherited)),
                _ => return Err(io::Error::other("no listening sockets were received")),
            }
        }
    }
}
