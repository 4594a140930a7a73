//! Starts a server from its settings, runs it until it is stopped, and hands it over to a successor.
//!
//! A process has one of two roles. The master process, which the operator starts and signals, gets the listeners (it
//! binds them, or receives them from a predecessor or a service manager). It then serves with threads of its own, or
//! supervises worker processes. A worker process receives everything from its master.
//!
//! The master starts in this order:
//!
//! | step | what | why then |
//! |---|---|---|
//! | 1 | signal handlers | a signal to a process that is still starting must not kill it |
//! | 2 | PID file | a second server must fail before it binds anything |
//! | 3 | document roots, listeners | may need root privileges |
//! | 4 | logs that only root may open | may need root privileges |
//! | 5 | drop privileges, other logs | only a process with a single thread can |
//! | 6 | Landlock rules | only a process with a single thread can be confined |
//! | 7 | certificates | a reload reads them again, with the same privileges and rules |
//! | 8 | threads, worker processes | they inherit the privileges and the rules |
//! | 9 | PID file of a predecessor | the predecessor removes a file that still holds its own PID |
//! | 10 | message to the predecessor | it ends when its successor is ready |

mod access;
mod announcement;
mod differences;
mod engine;
mod listeners;
mod master;
mod reload;
mod settings;
mod socket_files;
mod tls;
mod upgrade;
mod worker;

pub use settings::{Application, MakeHandler, Metric, Redirects, ServerSettings};
pub(crate) use tls::Expiry;

use crate::{
    handoff::{Inherited, Role},
    logs::{self, Output},
    options::Common,
    privileges::Identity,
    signals::SignalHandlers,
    system::{Context, parent_directory},
};
use http_engine::{Engine, io_cause};
use master::Master;
use rustix::process::geteuid;
use std::{fs, io, path::Path, process::ExitCode, sync::Arc, time::Duration};

/// How long printing the reason for a failure may take before the process ends.
const PRINT_TIMEOUT: Duration = Duration::from_secs(2);

impl Common {
    /// Checks what [`run`](Common::run) would do first, but changes nothing and binds nothing: whether the user exists
    /// and may access what `application` serves, the names of `--bind` can be resolved, and the directories of Unix
    /// sockets, the logs and the PID file are there. `application` is what it would serve.
    ///
    /// # Errors
    ///
    /// What would fail at the start, with the message of the start.
    pub fn check(&self, application: &dyn Application) -> io::Result<()> {
        let service = &self.service;
        if let Some(user) = &service.user {
            let identity = Identity::find(user, service.group.as_deref())?;
            // Only root can become that user.
            if geteuid().is_root() {
                let denied = identity.run(|| access::denied(application))?;
                if let Some(denied) = denied.first() {
                    return Err(io::Error::other(format!("with --user {user}: {denied}")));
                }
            }
        }
        listeners::check(self, application.redirects())?;
        for socket in socket_files::paths(&self.bind) {
            check_file(&socket).context(format_args!("cannot bind unix:{}", socket.display()))?;
        }
        for log in service.logs.paths() {
            check_file(&log).context(format_args!("cannot open the log {}", log.display()))?;
        }
        match &service.pid_file {
            Some(path) => {
                check_file(path).context(format_args!("cannot claim the PID file {}", path.display()))
            }
            None => Ok(()),
        }
    }

    /// Runs the program `name` with these options: serves `application` until a signal stops the server or a successor
    /// replaces it. With `--upgrade` makes another, running server start a successor instead.
    ///
    /// `inherited` is what [`Inherited::receive`] has returned, for an application that needs it; `None` otherwise.
    ///
    /// Prints a failure to standard error. The exit code is 0 without a failure, 1 after a failure, and 2 for wrong
    /// usage.
    pub fn run(
        self,
        name: &'static str,
        application: Arc<dyn Application>,
        engine: Engine,
        inherited: Option<Inherited>,
    ) -> ExitCode {
        let service = &self.service;
        let result = match &service.pid_file {
            Some(pid_file) if service.upgrade => upgrade::upgrade(pid_file).context("cannot upgrade"),
            _ => run(&ServerSettings { name, application, engine, options: self }, inherited),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Standard error may be closed, or a full pipe that no process reads.
                let line = format!("{name}: {}\n", io_cause(&error));
                let _ = logs::print(Output::Stderr, &line).map(|log| log.flush(PRINT_TIMEOUT));
                ExitCode::FAILURE
            }
        }
    }
}

/// Fails if `path` is a directory, or if there is neither a file nor a directory to make it in.
fn check_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = fs::metadata(parent_directory(path))?;
            if directory.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
        }
        result => result.map(drop),
    }
}

/// Starts a server with these settings, and serves until a signal stops it or a successor replaces it. A successor is a
/// process that this server starts on SIGUSR2. In a worker process, serves as that worker. `inherited` is what
/// [`Inherited::receive`] has returned, for an application that needs it; `None` otherwise.
///
/// # Errors
///
/// If the server cannot start or continue. The message names the failed operation, its object and the cause.
pub fn run(settings: &ServerSettings, inherited: Option<Inherited>) -> io::Result<()> {
    let handlers = SignalHandlers::install().context("cannot install signal handlers")?;
    logs::install_logger();
    engine::raise_open_file_limit();
    let inherited = inherited.map_or_else(Inherited::receive, |inherited| Ok(Some(inherited)));
    match inherited.context("cannot receive sockets from the parent process")? {
        Some(inherited @ Inherited { role: Role::Worker(number), .. }) => {
            worker::run(settings, number, inherited, handlers)
        }
        inherited => Master::start(settings, inherited, handlers)?.run(),
    }
}
