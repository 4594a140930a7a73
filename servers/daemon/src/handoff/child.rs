//! Starts another process of this program and hands over what it needs.

use super::control_socket::{Line, MAX_LISTENERS};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    ffi::OsString,
    fmt, io,
    net::TcpListener,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

/// Tells a process that it was started by another one of us, and what for.
pub(super) const VARIABLE: &str = "HTTPD_ROLE";

/// What a process is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To serve as the worker with this number, for as long as its master lives.
    Worker(usize),
    /// To go on in the place of the one that started it.
    Successor,
}

impl Role {
    /// How long it may take until it serves: a successor starts workers of its own.
    fn patience(self) -> Duration {
        match self {
            Role::Worker(_) => Duration::from_secs(10),
            Role::Successor => Duration::from_secs(30),
        }
    }

    /// A worker is the same program as its master, even if its file has been replaced; a successor is whatever now
    /// stands where this program was started from.
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
            None => Err(io::Error::other(format!("{VARIABLE} says {text:?}"))),
        }
    }
}

/// What is handed over, as it is lent by the process that has it.
#[derive(Clone, Copy, Debug)]
pub struct Bequest<'a> {
    /// What to accept from.
    pub listeners: &'a [TcpListener],
    /// The document root: whatever its name comes to mean, all workers serve the same.
    pub root: Option<BorrowedFd<'a>>,
    /// The pid file, locked.
    pub pid_file: Option<BorrowedFd<'a>>,
}

/// The side of the process that starts another. Dropping it ends the other one, unless it has been let go.
#[derive(Debug)]
pub struct Heir {
    child: Option<Child>,
    role: Role,
    /// Kept open for as long as this process lives.
    line: Line,
    /// When it was started.
    pub started: Instant,
}

impl Heir {
    /// Starts this program once more, with the same arguments, and hands over what it needs.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or ends before it has taken everything.
    pub fn start(role: Role, bequest: Bequest<'_>) -> io::Result<Heir> {
        let (line, theirs) = UnixStream::pair()?;
        let mut arguments = env::args_os();
        let mut program = role.program(arguments.next().unwrap_or_else(|| "/proc/self/exe".into()));
        let child = program
            .args(arguments)
            .env(VARIABLE, role.to_string())
            // Sockets of a service manager are this process's; its number may one day be another's.
            .env_remove("LISTEN_PID")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .map_err(|error| {
                let name = program.get_program().display();
                io::Error::new(error.kind(), format!("{name}: {error}"))
            })?;
        let heir = Heir { child: Some(child), role, line: line.into(), started: Instant::now() };
        for sockets in bequest.listeners.chunks(MAX_LISTENERS) {
            heir.line.send_listeners(sockets)?;
        }
        if let Some(root) = bequest.root {
            heir.line.send_root(root)?;
        }
        if let Some(file) = bequest.pid_file {
            heir.line.send_pid_file(file)?;
        }
        heir.line.send_serve()?;
        Ok(heir)
    }

    /// Returns when it serves.
    ///
    /// # Errors
    ///
    /// When it has ended instead, or takes too long.
    pub fn await_serving(&self) -> io::Result<()> {
        served(&self.line, self.role)
    }

    /// Calls `tell` with what comes of it, as soon as that is known.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn when_serving(&self, tell: impl FnOnce(io::Result<()>) + Send + 'static) -> io::Result<()> {
        let (line, role) = (self.line.try_clone()?, self.role);
        thread::Builder::new().name("heir".to_owned()).spawn(move || tell(served(&line, role))).map(drop)
    }

    /// The way to tell it something.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Its number among the processes.
    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // It may be dead by now, but it is not reaped, so its number is nobody else's.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Leaves it to itself.
    pub fn let_go(mut self) {
        self.child = None;
    }
}

fn served(line: &Line, role: Role) -> io::Result<()> {
    match line.await_serving(role.patience()) {
        Ok(true) => Ok(()),
        // It has said itself what is wrong.
        Ok(false) => Err(io::Error::other(format!("{role} ended before it served"))),
        Err(_) => Err(io::Error::other(format!("{role} did not serve in time"))),
    }
}

impl Drop for Heir {
    /// Who gives up leaves nobody behind.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
