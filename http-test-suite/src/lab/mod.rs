//! The lab: compares server architectures under the same workloads, and shows what it has seen.
//!
//! A [`Plan`] says what is measured; running it starts the servers, puts load on them and watches them, and gives
//! [`Results`]; these become a [table](table()), [pictures](plot::draw) and a [page](html::page), and are held against
//! others by a [`Comparison`].
//!
//! # Rooms
//!
//! ```text
//! architectures  workloads            what is compared, by what: tables
//! programs  server  observe           what runs, and what it uses
//! questions  neighbours  measure      one measurement
//! plan  rounds                        all of them, in order
//! results  metric  machine            what came of it
//! table  plot  findings  lessons  html   what is shown of it
//! compare                             what has changed since
//! ```

pub mod architectures;
pub mod compare;
mod findings;
pub mod html;
mod lessons;
mod machine;
mod measure;
pub mod metric;
mod neighbours;
pub mod observe;
pub mod plan;
pub mod plot;
pub mod programs;
mod questions;
pub mod results;
mod rounds;
pub mod server;
pub mod table;
pub mod workloads;

pub use architectures::Architecture;
pub use compare::Comparison;
pub use metric::Metric;
pub use plan::Plan;
pub use programs::Programs;
pub use results::Results;
pub use rounds::Stage;
pub use table::table;
pub use workloads::Workload;
