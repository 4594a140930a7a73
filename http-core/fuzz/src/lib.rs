//! The properties that the fuzz targets check, and what they share: the plan of a run, a simulated engine and
//! application, and independent oracles.
//!
//! | module | contents | uses http-core |
//! |---|---|---|
//! | [`targets`] | the property of each fuzz target | yes |
//! | [`plan`] | how the first line of an input controls the run | yes |
//! | [`engine`] | simulates the engine and the clock of a connection | yes |
//! | [`client`] | the client of the connection, which knows what it has requested | yes |
//! | [`app`] | the application behind the connection | yes |
//! | [`requests`] | an oracle: which requests the bytes of a client contain | no |
//! | [`received`] | an oracle: which response a client receives from the bytes of a server | no |
//! | [`responses`] | an oracle: which responses a client finds in the output | no |
//!
//! An oracle must not share the bugs of what it checks, so oracles import nothing but each other. They may be slow and
//! simple: they read all bytes at once, where http-core reads them as they arrive.
//!
//! http-core compiles this crate a second time, as its test `fuzz`, so that `cargo test` checks every seed and the
//! oracles themselves without libFuzzer.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a panic reports a violated property"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the simulated engine needs a start time and a file, and the tests the seeds"
)]

pub mod app;
pub mod client;
pub mod engine;
pub mod plan;
pub mod received;
pub mod requests;
pub mod responses;
pub mod targets;
