//! Runs an [`http_engine`] server as a Unix service: options, launch, logs, signals, worker processes, privileges.
//!
//! It knows no application: what is served is an [`Application`], which a program implements.

mod handoff;
mod launch;
pub mod logs;
pub mod options;
mod prefork;
mod service;
mod signals;

pub use launch::{Application, Failure, Settings, run};
