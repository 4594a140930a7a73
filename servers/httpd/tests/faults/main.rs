//! The servers under fire, from outside: peers that are slow, many or rude, files that change while they are sent,
//! disks and handlers that fail. Every time somebody else is served meanwhile, and nothing is left behind.
//!
//! | module | what happens |
//! |---|---|
//! | [`slow`] | heads that drip, downloads that nobody reads, connections that idle, peers slower than they may be |
//! | [`many`] | more connections than places, or than descriptors |
//! | [`rude`] | resets, half-closes, endless pipelines, garbage, requests larger than they may be |
//! | [`files`] | files cut, replaced, removed, lengthened or rewritten in mid-transfer |
//! | [`disk`] | reading fails in mid-transfer |
//! | [`panics`] | application code panics, wherever it can |
//!
//! [`subject`] is the program that has to bear it, and [`resources`] what it uses. How to talk to a server stands in `it`,
//! of which this binary takes what it needs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../it/program.rs"]
mod program;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../it/server.rs"]
mod server;

use http_testing::{
    client, reply, site,
    subject::{self, Subject},
};
use server::Kind;

mod disk;
mod files;
mod many;
mod rude;
mod slow;

/// Serves the shared site with `httpd`.
fn start(kind: Kind) -> Subject {
    Subject::of(kind, "/notes.txt", || program::serve(kind.arguments()))
}
