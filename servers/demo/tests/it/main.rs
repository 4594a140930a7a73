//! The demo application, tested from outside: on both engines, as threads and as processes.
//!
//! | module | tests |
//! |---|---|
//! | [`app`] | routes, errors, and the headers of every response: all routes on each kind of server |
//! | [`weather`] | `/weather` |
//! | [`faults`] | clients that leave before their response, and code that panics |
//! | [`operations`] | graceful shutdown and the error log of the programs |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

mod app;
mod demo;
mod faults;
mod operations;
mod weather;

use http_testing::{client, server};
