//! Models of the concurrent parts of the servers: each runs the product's own source files under many schedules.
//!
//! A model starts threads, and asserts an invariant. [`explore`] runs it under schedules that a seed determines. A
//! thread that waits forever, because a wake-up is lost, is a deadlock, which fails the model. The product's files are
//! compiled here a second time, with this crate in the place of `std`: so they use [`sync`] and [`thread`], which a
//! schedule controls, without a word about it in the product.
//!
//! | file | what runs under a schedule |
//! |---|---|
//! | `tasks` | the pool of the engines, the list of threads, the shutdown |
//! | `event_loop` | the completions of an event loop |
//! | `blocking` | the registry of the blocking engine, and its count of waiting threads |
//! | `content` | body channels, the pipe to a job, cancellation tokens |
//! | `logs` | the queue and the writer of a log |
//!
//! Atomics are sequentially consistent here, whatever ordering the code states. Sockets are stand-ins; eventfds and
//! epoll are real, but never waited for.

// Nothing for the tests of the product's files, which would run without a schedule.
#![cfg(not(test))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a panic reports a violated invariant"
)]
#![allow(dead_code, reason = "no model uses every function of a file")]

// What the product's files call `std` is this crate: what it does not define itself is that of the standard library.
extern crate self as std;
extern crate std as real;

pub use real::*;

#[allow(missing_docs, clippy::missing_errors_doc, reason = "the standard library documents them")]
pub mod sync;
#[allow(missing_docs, clippy::missing_errors_doc, reason = "the standard library documents them")]
pub mod time;
pub use shuttle::thread;

/// The collections of the standard library. A map is sorted: a random order would make a schedule that no seed repeats.
pub mod collections {
    pub use real::collections::{BTreeMap as HashMap, VecDeque};
}

pub mod blocking;
pub mod content;
pub mod event_loop;
pub mod logs;
pub mod tasks;

#[path = "../../engine/src/pool.rs"]
mod pool;
#[path = "../../engine/src/shutdown.rs"]
mod shutdown;
#[path = "../../daemon/src/system.rs"]
mod system;
#[path = "../../engine/src/threads.rs"]
mod threads;

use blocking::{admission, transport};

// What the files import from the other modules of their crates.
mod late {
    pub(crate) type Outcome = Result<http_core::Response, http_core::Rejection>;
}
mod stream {
    /// As the trait of this name of `http-engine`.
    pub(crate) trait StreamSupport {
        fn waker(&self) -> std::io::Result<std::task::Waker>;
        fn spawn(&self, task: crate::pool::Task) -> Result<(), http_core::Rejection>;
    }
}
mod buffer {
    pub(crate) mod chunk_source {
        pub(crate) use http_core::{Chunk, ChunkSource};
    }
}
mod privileges {
    pub(crate) struct Identity;

    impl Identity {
        pub(crate) fn controls(&self, _: &std::path::Path) -> std::io::Result<bool> {
            Ok(false)
        }
    }
}
mod types;

use shuttle::{
    Config, FailurePersistence, MaxSteps, Runner,
    scheduler::{PctScheduler, RandomScheduler},
};

/// How many schedules one seed determines for each scheduler.
const SCHEDULES: usize = 100;

/// The variable of the environment for the number of seeds, and that for the only seed.
const SEEDS: &str = "MODEL_SEEDS";
const SEED: &str = "MODEL_SEED";

/// Runs a model under many schedules: for each seed, 100 that choose each step at random, and 100 that prefer few
/// changes between threads (probabilistic concurrency testing), which finds other mistakes.
///
/// The seeds are 0 to 9, or to one less than `MODEL_SEEDS` says, or only that which `MODEL_SEED` says. A failure prints
/// its seed.
pub fn explore(name: &str, model: fn()) {
    let number = |variable| env::var(variable).ok().map(|text| text.parse().expect(variable));
    let seeds = match number(SEED) {
        Some(seed) => seed..seed + 1,
        None => 0..number(SEEDS).unwrap_or(10),
    };
    for seed in seeds {
        let _replay = Replay { name, seed };
        let mut config = Config::new();
        config.stack_size = 512 * 1024;
        config.failure_persistence = FailurePersistence::None;
        config.max_steps = MaxSteps::FailAfter(20_000);
        config.silence_warnings = true;
        Runner::new(RandomScheduler::new_from_seed(seed, SCHEDULES), config.clone()).run(model);
        Runner::new(PctScheduler::new_from_seed(seed, 3, SCHEDULES), config).run(model);
    }
}

/// Prints how to repeat a failure.
struct Replay<'n> {
    name: &'n str,
    seed: u64,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("to repeat this: {SEED}={} cargo test -p http-models {}", self.seed, self.name);
        }
    }
}
