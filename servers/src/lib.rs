//! Two engines for [`http_core`], and what is built on them.
//!
//! [`engine::event_loop`] waits for many connections in each of a few threads; [`engine::blocking`] gives each
//! connection a thread. Both take the same [`Handler`](http_core::Handler) and neither needs an async runtime.
//! Linux only.

pub mod engine;
pub mod files;
pub mod launch;
pub mod listener;
pub mod pool;
pub mod prefork;
mod sockopt;
pub mod stop;
