//! Load: many requests, over many connections, and what came of them.
//!
//! A [`Load`] says what to ask and how often; [`run`] asks; a [`Tally`] tells. Every answer is read strictly and compared
//! with what was expected before it counts. The driver is meant to cost less than any server: on a connection that is
//! kept alive it makes one `send` and one `recv` for each request, and nothing is allocated on the way.
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
//! # Rooms
//!
//! `plan` and `tally` are data. `driver` starts the threads; each has an event loop in `worker`, which asks the `agenda`
//! what is due and gives it to a `connection`, which reads with `answer` and `syntax` and enters in the `ledger` what came
//! of it. None of it looks at [`reply`](crate::reply): that reader keeps everything for a verdict, this one nothing.

mod agenda;
mod answer;
mod connection;
mod driver;
mod ledger;
mod plan;
mod syntax;
mod tally;
mod worker;

pub use driver::{Progress, run, run_and_look};
pub use plan::{Ask, Expect, Load, Until};
pub use tally::{Fault, Tally};
