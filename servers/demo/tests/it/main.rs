//! The demo application, tested from outside: on both engines, as threads and as processes.
//!
//! | module | tests |
//! |---|---|
//! | [`app`] | routes, errors, and the headers of every response |
//! | [`app_echo`] | `/echo` |
//! | [`app_weather`] | `/weather` |
//! | [`leaving`] | clients that leave before their response |
//! | [`operations`] | graceful shutdown and the error log of the programs |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

mod app;
mod app_echo;
mod app_weather;
mod demo;
mod leaving;
mod operations;

use http_testing::{client, reply, server};
