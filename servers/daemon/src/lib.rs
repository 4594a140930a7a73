//! Runs an [`http_engine`] server as a Unix service: options, launch, logs, signals, worker processes, privileges.
//!
//! It knows no application: what is served is an [`Application`], which a program implements.

mod confinement;
mod handoff;
mod launch;
pub mod logs;
mod notify;
pub mod options;
mod pid_file;
mod prefork;
mod privileges;
mod signals;

pub use launch::{Application, Failure, Settings, run};
