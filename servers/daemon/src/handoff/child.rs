//! Starts another process of this program as a worker or as a successor, and hands sockets over to it.

use super::control_socket::{ControlSocket, MAX_LISTENERS, Message};
use crate::error::Context;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    ffi::OsString,
    fmt, io,
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{self, Command, ExitStatus, Stdio},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

/// The environment variable that holds the role of a process that was started by another one of this program.
pub(super) const ROLE_VARIABLE: &str = "HTTPD_ROLE";

/// What a process is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To serve as the worker with this number, for as long as its master lives.
    Worker(usize),
    /// To replace the process that started it.
    Successor,
}

impl Role {
    /// How long the process may take to start serving. A successor takes longer, because it starts workers.
    fn start_timeout(self) -> Duration {
        match self {
            Role::Worker(_) => Duration::from_secs(10),
            Role::Successor => Duration::from_secs(30),
        }
    }

    /// A worker runs the same executable as its master, even if the file was replaced; a successor runs the file that
    /// the program's name now refers to.
    fn program(self, name: OsString) -> Command {
        match self {
            Role::Worker(_) => {
                let mut command = Command::new("/proc/self/exe");
                command.arg0(name);
                command
            }
            Role::Successor => Command::new(name),
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

impl FromStr for Role {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Role> {
        match text.strip_prefix("worker ") {
            Some(number) => number.parse().map(Role::Worker).map_err(io::Error::other),
            None if text == "successor" => Ok(Role::Successor),
            None => Err(io::Error::other(format!("unknown role {text:?}"))),
        }
    }
}

/// The descriptors that a process hands over, borrowed from it.
#[derive(Clone, Copy, Debug)]
pub struct Handoff<'a> {
    /// The sockets to accept connections from.
    pub listeners: &'a [TcpListener],
    /// The document root, so that all workers serve the same directory even if its name refers to another one later.
    pub root: Option<BorrowedFd<'a>>,
    /// The PID file, locked.
    pub pid_file: Option<BorrowedFd<'a>>,
}

/// A started process, as seen by the process that started it. Dropping it kills the process, unless it was
/// [detached](Child::detach).
#[derive(Debug)]
pub struct Child {
    process: Option<process::Child>,
    role: Role,
    /// Closing it tells the child that this process has ended.
    socket: ControlSocket,
    /// When the process was started.
    pub started_at: Instant,
}

impl Child {
    /// Starts this program with the same arguments, and hands `handoff` over. Fails if the program cannot be started,
    /// or ends before it has received everything.
    pub fn start(role: Role, handoff: Handoff<'_>) -> io::Result<Child> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut arguments = env::args_os();
        let mut program = role.program(arguments.next().unwrap_or_else(|| "/proc/self/exe".into()));
        program
            .args(arguments)
            .env(ROLE_VARIABLE, role.to_string())
            // The service manager's sockets belong to this process, whose PID the kernel may reuse one day.
            .env_remove("LISTEN_PID")
            .stdin(Stdio::from(OwnedFd::from(theirs)));
        let process = program.spawn().context(program.get_program().display())?;
        let socket = ControlSocket::from(socket);
        let child = Child { process: Some(process), role, socket, started_at: Instant::now() };
        for listeners in handoff.listeners.chunks(MAX_LISTENERS) {
            child.send(&Message::Listeners(listeners.iter().map(AsFd::as_fd).collect()))?;
        }
        if let Some(root) = handoff.root {
            child.send(&Message::Root(root))?;
        }
        if let Some(file) = handoff.pid_file {
            child.send(&Message::PidFile(file))?;
        }
        child.send(&Message::Serve)?;
        Ok(child)
    }

    /// Waits until the process serves. Fails if it ends instead, or takes longer than its role allows.
    pub fn wait_until_ready(&self) -> io::Result<()> {
        wait_until_ready(&self.socket, self.role)
    }

    /// Calls `notify` from another thread with the result of [`wait_until_ready`](Child::wait_until_ready).
    pub fn on_ready(&self, notify: impl FnOnce(io::Result<()>) + Send + 'static) -> io::Result<()> {
        let (socket, role) = (self.socket.try_clone()?, self.role);
        let wait = move || notify(wait_until_ready(&socket, role));
        thread::Builder::new().name("handoff".to_owned()).spawn(wait).map(drop)
    }

    /// Sends a message, as [`ControlSocket::send`] does.
    pub fn send(&self, message: &Message<BorrowedFd<'_>>) -> io::Result<()> {
        self.socket.send(message)
    }

    /// The process ID.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, process::Child::id)
    }

    /// The exit status, or `None` while the process runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.try_wait().ok().flatten()
    }

    /// Sends SIGTERM to the process.
    pub fn terminate(&self) {
        if let Some(process) = &self.process {
            // A process that has ended keeps its PID until it is reaped, so the signal cannot reach another one.
            let _ = kill_process(Pid::from_child(process), Signal::TERM);
        }
    }

    /// Lets the process continue after this value is dropped.
    pub fn detach(mut self) {
        self.process = None;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn wait_until_ready(socket: &ControlSocket, role: Role) -> io::Result<()> {
    let timeout = role.start_timeout();
    match socket.wait_until_ready(timeout) {
        Ok(true) => Ok(()),
        // The process has reported the cause itself.
        Ok(false) => Err(io::Error::other(format!("{role} ended before it was ready"))),
        Err(_) => Err(io::Error::other(format!("{role} was not ready within {} s", timeout.as_secs()))),
    }
}
