//! The engines, tested from outside with small handlers: bytes in and bytes out, over loopback sockets.
//!
//! | module | what it tests |
//! |---|---|
//! | [`replies`] | every kind of reply |
//! | [`routes`] | routers, middleware, and what they attach to a request |
//! | [`content`] | how content is taken, and how much memory it may use |
//! | [`receive`] | content that is pushed to a sink or read by a job as it comes |
//! | [`streams`] | sources that have nothing to send for a while |
//! | [`multipart`] | a form whose parts a job reads while they arrive |
//! | [`channels`] | bodies that other threads send, and bodies that are read |
//! | [`cancellation`] | work for clients that have left, and replies that take too long |
//! | [`panics`] | code and destructors of the application that panic |
//! | [`failures`] | failures of the application: what the client receives, and what is logged |
//! | [`in_memory`] | `testing::TestRequest`, beside the engines |
//! | [`examples`] | the programs in `examples` that stream |
//! | [`timeouts`] | every wait ends at its deadline |
//! | [`capacity`] | the connection limits: eviction of idle connections, then 503 |
//! | [`proxies`] | clients behind proxies: PROXY protocol, X-Forwarded-For |
//! | [`incoming`] | requests as a loop |
//! | [`lifecycle`] | starting and stopping a server |
//! | [`metrics`] | what a server counts |
//! | [`upgrade`] | connections that speak another protocol after a 101 |
//! | [`chat`] | the example of a WebSocket server |
//! | [`sigpipe`] | a host program in which SIGPIPE has its default action |
//!
//! [`app`] is the application of most tests; [`faults`] and [`source`] are parts of it. What every conformance case
//! checks on both engines is not tested here again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

mod app;
mod cancellation;
mod capacity;
mod channels;
mod chat;
mod content;
mod examples;
mod failures;
mod faults;
mod in_memory;
mod incoming;
mod lifecycle;
mod metrics;
mod multipart;
mod panics;
mod proxies;
mod receive;
mod replies;
mod routes;
mod sigpipe;
mod source;
mod streams;
mod timeouts;
mod upgrade;

use http_testing::{client, program, server};
