//! The demo application, tested from outside: on both engines, as threads and as processes.
//!
//! | module | tests |
//! |---|---|
//! | [`app`] | routes, errors, and the headers of every response: all routes on each kind of server |
//! | [`app_echo`] | `/echo` |
//! | [`app_weather`] | `/weather` |
//! | [`faults`] | clients that leave before their response, and code that panics |
//! | [`operations`] | graceful shutdown and the error log of the programs |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

mod app;
mod app_echo;
mod app_weather;
mod demo;
mod faults;
mod operations;

use http_testing::{client, server};
