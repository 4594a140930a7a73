//! Tests the suite itself, against servers that are wrong on purpose: a case that no wrong server fails tests nothing.

#![allow(clippy::unwrap_used, reason = "the lints know tests by their attribute, not their folder")]

mod framing;
mod responses;
mod semantics;
mod server;
