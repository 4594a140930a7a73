//! The load driver: it sends many requests over many connections, checks the answers, and measures them.
//!
//! A [`Load`] says what to ask and how often, [`run`] runs it, and a [`Tally`] is the result. Every answer is read
//! strictly and compared with the expected answer before it counts. The driver is designed to cost less than any
//! server: on a keep-alive connection it makes one `send` and one `recv` per request, and does not allocate.
//!
//! ```no_run
//! use http_test_suite::{load::{self, Ask, Load, Until}, request::get};
//!
//! let ask = Ask::new(get("/hello")).expect_status(200).expect_body(*b"Hello, World!");
//! let load = Load { until: Until::Requests(50_000), ..Load::new("127.0.0.1:8002".parse()?, ask) };
//! let tally = load::run(&load, &|progress| println!("{} of 50000", progress.requests))?;
//! println!("{:.0} requests/s, p99 {:?}", tally.requests_per_second(), tally.percentile(99.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! `plan` and `tally` are data. `driver` starts the threads. Each thread runs an event loop in `worker`, which takes
//! due requests from the `agenda` and gives them to a `connection`. A connection reads answers with `answer` and
//! `syntax`, and records outcomes in the `ledger`. [`reply`](http_test_suite::reply) is not used here, because it stores every
//! reply.

mod recorder;
mod answer;
mod connection;
mod driver;
mod schedule;
mod plan;
mod syntax;
mod stats;
mod worker;

pub use driver::{Progress, run, run_and_look};
pub use plan::{Ask, Expect, Load, Until};
pub use stats::{Fault, Tally};
