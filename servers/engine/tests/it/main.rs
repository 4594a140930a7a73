//! The engines, tested from outside with small handlers: bytes in and bytes out, over loopback sockets.
//!
//! | module | what it tests |
//! |---|---|
//! | [`replies`] | every kind of reply and body |
//! | [`responses`] | what a handler says in a response, and what is sent and logged |
//! | [`content`] | how content is taken, and how much memory it may use |
//! | [`timeouts`] | every wait ends at its deadline |
//! | [`paths`] | the path that handlers see, and targets that no handler sees |
//! | [`capacity`] | the connection limits: eviction of idle connections, then 503 |
//! | [`lifecycle`] | starting and stopping a server |
//! | [`sigpipe`] | a host program in which SIGPIPE has its default action |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

mod capacity;
mod content;
mod lifecycle;
mod paths;
mod replies;
mod responses;
mod sigpipe;
mod timeouts;

use http_testing::{client, program, reply, server};
