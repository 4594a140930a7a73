//! Results of the experiments: the file that stores them, and the tables, charts and pages made from it.
//!
//! A results file describes itself (titles, colours, metrics), so this module knows no server and no workload, except
//! for the choice of [`figures`] that documents show.

mod axis;
mod charts;
pub mod compare;
pub mod figures;
mod file;
pub mod metric;
mod page;
mod plot;
pub mod publish;
pub mod results;
pub mod table;

pub use metric::Metric;
pub use results::{Cell, Colour, Machine, Results, Run, Sample, Spread, SubjectLabel, WorkloadLabel};
