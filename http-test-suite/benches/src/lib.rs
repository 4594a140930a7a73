//! What the benchmarks, the instruction counts and the allocation test of the file server share.
//!
//! | target | what it does |
//! |---|---|
//! | `benches/protocol` | times http-core: parser, encoder, exchanges, router |
//! | `benches/drive` | times requests to the file server without their system calls |
//! | `src/bin/instructions` | counts the instructions of the hot path, which `.ci/count-instructions` compares with its bounds |

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a failure must end the measurement"
)]

pub mod heads;
pub mod memory_server;
