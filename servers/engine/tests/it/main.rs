//! The engines, tested from outside with small handlers: bytes in and bytes out, over loopback sockets.
//!
//! | module | what it tests |
//! |---|---|
//! | [`replies`] | every kind of reply and body |
//! | [`responses`] | what a handler says in a response, and what is sent and logged |
//! | [`content`] | how content is taken, and how much memory it may use |
//! | [`streams`] | sources that have nothing to send for a while |
//! | [`cancellation`] | work for clients that have left, and replies that take too long |
//! | [`panics`] | code and destructors of the application that panic |
//! | [`failures`] | failures of the application that only the log shows |
//! | [`timeouts`] | every wait ends at its deadline |
//! | [`paths`] | the path that handlers see, and targets that no handler sees |
//! | [`capacity`] | the connection limits: eviction of idle connections, then 503 |
//! | [`lifecycle`] | starting and stopping a server |
//! | [`sigpipe`] | a host program in which SIGPIPE has its default action |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

mod cancellation;
mod capacity;
mod content;
mod failures;
mod lifecycle;
mod panics;
mod paths;
mod recorder;
mod replies;
mod responses;
mod sigpipe;
mod source;
mod streams;
mod timeouts;

use http_testing::{client, program, reply, server};
