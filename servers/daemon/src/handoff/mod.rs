//! Passes listening sockets, the application's files, log files and the PID file from one process to another.
//!
//! Worker processes and successors are this program started once more, not forked, so that no `unsafe` is needed. The
//! new process has one end of a socket pair as its standard input. It receives descriptors through the socket, and
//! sends one byte back when it serves. When either process ends, the other process sees the socket close.

mod control_socket;

pub(crate) use control_socket::{ControlSocket, MAX_DESCRIPTORS, Message};

use crate::{
    logs::LogFiles,
    system::{Context, spawn},
};
use http_engine::listener::Listener;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    ffi::OsStr,
    fmt,
    fs::File,
    io, mem,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{fs::FileExt, net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::{self, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The environment variable in which a process passes a [`Role`] to its child process. Not set in a process that the
/// operator or the service manager has started.
const ROLE_VARIABLE: &str = "HTTPD_ROLE";

/// How long a parent waits for the end of a child that it has killed.
const REAP_TIMEOUT: Duration = Duration::from_millis(250);

/// How often the parent looks whether the child has ended.
const REAP_INTERVAL: Duration = Duration::from_millis(1);

/// The task of a child process that runs this program. The `Display` output is the value of [`ROLE_VARIABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serve as the worker with this number, counted from 0, until the parent stops the worker or ends.
    Worker(usize),
    /// Accept connections in place of the parent, which then ends.
    Successor,
}

impl Role {
    /// How long a child process with this role may take until it accepts connections. More for a successor, which may
    /// start worker processes first.
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

/// The descriptors that a process sends to its child process, a worker process or a successor. They stay open in the
/// parent.
#[derive(Clone, Copy, Debug)]
pub struct Handoff<'a> {
    /// The sockets to accept connections from.
    pub listeners: &'a [Listener],
    /// The sockets without TLS beside them.
    pub plain: &'a [Listener],
    /// The application's configuration and its open document roots, so that all worker processes serve the same. Empty
    /// if the child reads and opens them itself.
    pub application: &'a [OwnedFd],
    /// The PID file, locked, for the child to take over. `None` if the parent keeps it, or if there is no PID file.
    pub pid_file: Option<BorrowedFd<'a>>,
    /// The sockets of the admin server. Empty if the parent keeps them, or if there is none.
    pub admin: &'a [Listener],
    /// The log files that the child may be unable to open.
    pub logs: LogFiles<BorrowedFd<'a>>,
}

impl<'a> Handoff<'a> {
    /// Returns the messages that the child receives.
    fn messages(self) -> impl Iterator<Item = Message<BorrowedFd<'a>>> {
        let listeners = chunks(self.listeners).map(Message::Listeners);
        let plain = chunks(self.plain).map(Message::PlainListeners);
        let admin = chunks(self.admin).map(Message::Admin);
        let application: Vec<_> = self.application.iter().map(AsFd::as_fd).collect();
        let application = (!application.is_empty()).then_some(Message::Application(application));
        let pid_file = self.pid_file.map(Message::PidFile);
        let LogFiles { access, errors } = self.logs;
        let (access, errors) = (access.map(Message::AccessLog), errors.map(Message::ErrorLog));
        let rest = [application, pid_file, access, errors, Some(Message::Serve)].into_iter().flatten();
        listeners.chain(plain).chain(admin).chain(rest)
    }
}

/// Borrows the descriptors, in as many parts as there are messages for them.
fn chunks<D: AsFd>(descriptors: &[D]) -> impl Iterator<Item = Vec<BorrowedFd<'_>>> {
    descriptors.chunks(MAX_DESCRIPTORS).map(|chunk| chunk.iter().map(AsFd::as_fd).collect())
}

/// A child process: a worker process or a successor that this process has started. Dropping this value kills the child.
/// [`detach`](Child::detach) lets it run.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    role: Role,
    /// The parent's end of the socket pair, for messages to the child. When the parent closes it, the child concludes
    /// that the parent has ended.
    pub socket: ControlSocket,
    /// When the child was started.
    pub started_at: Instant,
    /// When the child was started, for the metrics.
    pub started_on: SystemTime,
}

impl Child {
    /// Starts this program as a child process with the same arguments, and sends `handoff` to it. Does not wait until
    /// the child accepts connections.
    ///
    /// Fails if the program cannot be started, or if `handoff` does not fit into the queue of the socket. Does not fail
    /// if the child has ended already: [`wait_until_ready`](Child::wait_until_ready) then fails.
    pub fn start(role: Role, handoff: Handoff<'_>) -> io::Result<Child> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_else(|| "/proc/self/exe".into());
        // A worker runs the same executable as its master, even if the file was replaced; a successor runs the file
        // that the program's name refers to now.
        let program = Path::new(&name).file_name().unwrap_or(&name).display();
        let (file, shown_name) = match role {
            Role::Worker(_) => (OsStr::new("/proc/self/exe"), format!("{program}: {role}").into()),
            Role::Successor => (&*name, name.clone()),
        };
        let process = Command::new(file)
            .arg0(shown_name)
            .args(arguments)
            .env(ROLE_VARIABLE, role.to_string())
            // The service manager's sockets belong to the process with this PID, which the kernel may reuse.
            .env_remove("LISTEN_PID")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .context(format_args!("cannot start {}", file.display()))?;
        let socket = ControlSocket(socket);
        let child =
            Child { process, role, socket, started_at: Instant::now(), started_on: SystemTime::now() };
        match handoff.messages().try_for_each(|message| child.socket.send(&message)) {
            // If the process has ended already, `wait_until_ready` and `exit_status` report it.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(child),
        }
    }

    /// Waits until the child accepts connections. Fails if the child ends before that, or if it takes longer than its
    /// role [permits](Role::start_timeout).
    pub fn wait_until_ready(&self) -> io::Result<()> {
        self.socket.wait_until_ready(self.role.start_timeout()).context(self.role)
    }

    /// Starts a thread that waits until the child accepts connections, and returns at once. The thread calls `notify`
    /// with the result: an error if the child ends before that or takes too long. Fails if the thread cannot be
    /// started; `notify` is then not called.
    pub fn on_ready(&self, notify: impl FnOnce(io::Result<()>) + Send + 'static) -> io::Result<()> {
        let (socket, role) = (self.socket.try_clone()?, self.role);
        spawn("handoff", move || notify(socket.wait_until_ready(role.start_timeout()).context(role)))
    }

    /// The process ID of the child.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Returns the exit status of the child, or `None` while it runs. Does not wait. Reaps a child that has ended
    /// (waitpid(2)).
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Sends SIGTERM to the child. Does nothing if the child has ended.
    pub fn terminate(&self) {
        // A process that has ended keeps its PID until it is reaped, so the signal cannot reach another one.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
    }

    /// Drops this value without killing the child, so that the child continues to run when this process ends.
    pub fn detach(self) {
        // Skips `drop`, which would kill the process.
        mem::forget(self);
    }
}

impl Drop for Child {
    /// Kills the child, and waits until it has ended, but not for long: the kernel cannot end a process that is in a
    /// call to a file system which does not answer.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let deadline = Instant::now() + REAP_TIMEOUT;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(REAP_INTERVAL);
        }
    }
}

/// What a worker process or a successor has received from its parent, the process that started it.
#[derive(Debug)]
pub struct Inherited {
    /// The task of this process.
    pub(crate) role: Role,
    /// The sockets to accept connections from; at least one.
    pub(crate) listeners: Vec<Listener>,
    /// The sockets without TLS beside them.
    pub(crate) plain: Vec<Listener>,
    /// The application's configuration and its open document roots. Empty if this process reads and opens them itself.
    pub(crate) application: Vec<OwnedFd>,
    /// The PID file, locked, to take over. `None` if the parent keeps it, or if there is no PID file.
    pub(crate) pid_file: Option<OwnedFd>,
    /// The sockets of the admin server. Empty if the parent keeps them, or if there is none.
    pub(crate) admin: Vec<Listener>,
    /// The log files that this process may be unable to open.
    pub(crate) logs: LogFiles<OwnedFd>,
    /// This process's end of the socket pair, whose other end the parent has.
    pub(crate) socket: ControlSocket,
}

impl Inherited {
    /// The configuration that the master process has given to this worker process. `None` if this is no worker process.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn configuration(&self) -> io::Result<Option<String>> {
        self.application.first().map(read_configuration).transpose()
    }

    /// Receives what the parent hands over, through the socket on standard input. Returns `None` in a process that the
    /// operator or the service manager has started.
    ///
    /// # Errors
    ///
    /// If the environment names an unknown role, if standard input is not a socket, or if the parent ends before
    /// it has sent everything.
    pub fn receive() -> io::Result<Option<Inherited>> {
        let Some(role) = env::var_os(ROLE_VARIABLE) else { return Ok(None) };
        let invalid = || io::Error::other(format!("invalid {ROLE_VARIABLE} {role:?}"));
        let role = role.to_str().and_then(Role::parse).ok_or_else(invalid)?;
        let socket = ControlSocket(io::stdin().as_fd().try_clone_to_owned()?.into());
        let mut inherited = Inherited {
            role,
            listeners: Vec::new(),
            plain: Vec::new(),
            application: Vec::new(),
            pid_file: None,
            admin: Vec::new(),
            logs: LogFiles::default(),
            socket,
        };
        loop {
            match inherited.socket.receive()? {
                Some(Message::Listeners(sockets)) => inherited.listeners.extend(listeners(sockets)?),
                Some(Message::PlainListeners(sockets)) => inherited.plain.extend(listeners(sockets)?),
                Some(Message::Application(files)) => inherited.application = files,
                Some(Message::PidFile(file)) => inherited.pid_file = Some(file),
                Some(Message::Admin(sockets)) => inherited.admin.extend(listeners(sockets)?),
                Some(Message::AccessLog(file)) => inherited.logs.access = Some(file),
                Some(Message::ErrorLog(file)) => inherited.logs.errors = Some(file),
                Some(Message::Serve) if !inherited.listeners.is_empty() => return Ok(Some(inherited)),
                _ => return Err(io::Error::other("no listening sockets were received")),
            }
        }
    }
}

/// Converts sockets to listeners. Fails if one of them does not listen.
fn listeners(sockets: Vec<OwnedFd>) -> io::Result<Vec<Listener>> {
    sockets.into_iter().map(Listener::try_from).collect()
}

/// Reads a configuration from the file in memory that the master process has written.
pub(crate) fn read_configuration(file: &OwnedFd) -> io::Result<String> {
    let file = File::from(file.try_clone()?);
    let mut text = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
    // All worker processes share the position in the file.
    file.read_exact_at(&mut text, 0)?;
    String::from_utf8(text).map_err(io::Error::other)
}
