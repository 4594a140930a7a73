//! From settings to a server at work.
//!
//! A process is one of two. The `master` is the one that an operator talks to: it binds, or takes over what a
//! predecessor or a service manager has bound, and serves with threads of its own or looks after worker processes.
//! A `worker` has everything from its master.

mod addresses;
mod descriptors;
mod master;
pub mod reload;
mod settings;
mod swap;
mod threads;
mod worker;

pub use settings::{Application, Failure, Settings, default_workers};

use crate::{
    handoff::{Inherited, Role},
    logs,
    signals::Caught,
};
use settings::failed;

/// Serves until it is told to stop, or a successor serves instead.
///
/// # Errors
///
/// What stands in the way of serving, as a sentence.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    // First of all: who signals a program that has just been started must not kill it.
    let caught = Caught::new().map_err(failed("cannot handle signals"))?;
    logs::install_logger();
    descriptors::raise_limit();
    let inherited =
        Inherited::take().map_err(failed("cannot take over from the process that started this"))?;
    match inherited {
        Some(inherited) => match inherited.role {
            Role::Worker(number) => worker::run(settings, number, inherited, caught),
            Role::Successor => master::run(settings, Some(inherited), caught),
        },
        None => master::run(settings, None, caught),
    }
}
