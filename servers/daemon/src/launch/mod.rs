//! Starts a server from its settings, runs it until it is stopped, and hands it over to a successor.
//!
//! A process has one of two roles. The master process, which the operator starts and signals, gets the listeners (it
//! binds them, or receives them from a predecessor or a service manager) and serves with threads of its own or
//! supervises worker processes. A worker process receives everything from its master.
//!
//! The master acquires and drops resources in this order:
//!
//! | step | what | why then |
//! |---|---|---|
//! | 1 | signal handlers | a signal to a process that is still starting must not kill it |
//! | 2 | PID file | a second server must fail before it binds anything |
//! | 3 | document root, listeners | may need root privileges |
//! | 4 | drop privileges | only a process with a single thread can |
//! | 5 | logs | opened as the unprivileged user, so that they can be reopened later |
//! | 6 | Landlock rules | only a process with a single thread can be confined |
//! | 7 | threads, worker processes | they inherit the privileges and the rules |

mod addresses;
mod descriptors;
mod master;
mod reload;
mod settings;
mod swap;
mod threads;
mod worker;

pub use reload::reload;
pub use settings::{Application, ServerSettings, default_workers};

use crate::{
    error::Context,
    handoff::{Inherited, Role},
    logs,
    signals::SignalHandlers,
};
use std::io;

/// Serves until a signal stops the server or a successor replaces it.
///
/// # Errors
///
/// If the server cannot start or continue. The message names the failed operation, its object and the cause.
pub fn run(settings: &ServerSettings) -> io::Result<()> {
    let handlers = SignalHandlers::install().context("cannot install signal handlers")?;
    logs::install_logger();
    descriptors::raise_limit();
    match Inherited::receive().context("cannot receive sockets from the parent process")? {
        Some(inherited @ Inherited { role: Role::Worker(number), .. }) => {
            worker::run(settings, number, inherited, handlers)
        }
        inherited => master::run(settings, inherited, handlers),
    }
}
