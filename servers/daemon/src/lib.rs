//! Runs an [`http_engine`] server as a Unix service: command line, listeners, logs, signals, worker processes,
//! privileges.
//!
//! A program implements [`Application`] and passes it to [`options::Common::run`] with its parsed command line, or to
//! [`run`] with [`ServerSettings`] from another source. This crate must not know any particular application.
//!
//! | module | role |
//! |---|---|
//! | [`options`] | the command line |
//! | [`bind_address`], [`units`], [`trusted_proxy`] | the values of options: addresses to listen on; counts, sizes, times; proxies |
//! | [`tls`] | that of `http_engine`; without the feature `tls`, types of which there are no values |
//! | `launch` | master process, worker process, and what they need to start |
//! | [`logs`] | access log and error log |
//! | `admin` | the admin server: `/healthz` and `/metrics` |
//! | `signals` | the queue of signals to a process |
//! | `prefork` | supervises worker processes |
//! | `handoff` | passes sockets and files from one process to another: [`Inherited`] |
//! | `privileges`, `confinement` | drop root privileges, and forbid access to files that the server does not need |
//! | `pid_file`, `notify` | tell operator and service manager which process serves, and in which state |
//! | `system` | threads and error messages |

mod admin;
pub mod bind_address;
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
mod system;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
pub mod tls;
pub mod trusted_proxy;
pub mod units;

pub use handoff::Inherited;
#[cfg(feature = "tls")]
pub use http_engine::tls;
pub use launch::{Application, MakeHandler, Metric, Redirects, ServerSettings, run};
