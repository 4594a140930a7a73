//! The load driver: it sends many requests over many connections, checks the responses, and measures them.
//!
//! A [`Load`] says which requests to send and how often, [`run`] sends them, and [`Stats`] are the result. Every
//! response is read strictly and compared with the expected response before it counts. The driver is designed to cost
//! less than any server: on a keep-alive connection it makes one `send` and one `recv` per request, and does not
//! allocate.
//!
//! ```no_run
//! use http_test_suite::request::get;
//! use load_test::load::{self, Exchange, Load, Until};
//!
//! let exchange = Exchange::new(get("/hello")).expect_status(200).expect_body(*b"Hello, World!");
//! let load = Load { until: Until::Requests(50_000), ..Load::new("127.0.0.1:8002".parse()?, exchange) };
//! let stats = load::run(&load, &|progress| println!("{} of 50000", progress.requests))?;
//! println!("{:.0} requests/s, p99 {:?}", stats.requests_per_second(), stats.percentile(99.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! `plan` and `stats` are data. `driver` starts the threads. Each thread runs an event loop in `worker`, which takes
//! due requests from the `schedule` and queues them on a `connection`. A connection has a `stream`, checks each
//! `response`, and records its outcome in the `recorder`.

mod connection;
mod driver;
mod plan;
mod recorder;
mod response;
mod schedule;
mod stats;
pub(crate) mod stream;
mod worker;

pub use driver::{Progress, run, run_and_inspect};
pub use plan::{Exchange, Load, Until};
pub use stats::{Fault, Stats};
