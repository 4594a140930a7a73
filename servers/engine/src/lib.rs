//! Two engines for [`http_core`], and what is built on them.
//!
//! [`engine::event_loop`] waits for many connections in each of a few threads; [`engine::blocking`] gives each
//! connection a thread. Both take the same [`Handler`](http_core::Handler) and neither needs an async runtime.
//! Linux only.

#[cfg(feature = "demo")]
pub mod app;
#[cfg(feature = "cli")]
pub mod cli;
pub mod engine;
pub mod files;
pub mod handover;
pub mod launch;
pub mod listener;
pub mod log;
pub mod middleware;
pub mod pool;
pub mod prefork;
pub mod service;
pub mod signals;
pub mod sockopt;
pub mod stop;
