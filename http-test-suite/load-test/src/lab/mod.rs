//! The lab: compares server architectures under the same workloads, and reports the results.
//!
//! A [`Plan`] says what to measure. Running it starts the servers, puts load on them, reads their resource use, and
//! returns [`Results`]. These become a [table](table()), [pictures](plot::draw) and a [page](html::page); a
//! [`Comparison`] compares two runs.
//!
//! # Modules
//!
//! ```text
//! architectures  workloads            tables: which servers, under which load
//! programs  server  observe           the programs, their processes, their resource use
//! questions  neighbours  measure      one measurement
//! plan  rounds                        all measurements, in order
//! results  metric  machine            the results
//! table  plot  findings  lessons  html   the reports
//! compare                             the comparison of two runs
//! ```

pub mod architectures;
pub mod compare;
mod findings;
pub mod html;
mod lessons;
mod machine;
mod measure;
pub mod metric;
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
