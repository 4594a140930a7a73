//! The demo application, tested from outside on both engines, prefork too.
//!
//! | module | what it tests |
//! |---|---|
//! | [`app`] | routes, errors, and the headers of every response |
//! | [`app_echo`] | `/echo` returns what was posted as JSON, or says where it is wrong |
//! | [`operations`] | the programs: graceful shutdown, panics in the error log |
//! | [`app_weather`] | `/weather`: what it returns, how often upstream is asked, what upstream's faults become |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

mod app;
mod app_echo;
mod app_weather;
mod demo;
mod operations;

use http_testing::{client, reply, server};
