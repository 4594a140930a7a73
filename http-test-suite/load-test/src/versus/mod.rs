//! Versus: compares `httpd` with other servers on the same work, in the same minutes, on the same CPUs.
//!
//! A [`Plan`] says which servers do which works. Running it starts one server after the other, repeatedly, puts load on
//! each, reads the resource use of its processes, and returns [`Results`]; these become a [table](table::page) and a
//! [picture](plot::svg). Rounds are interleaved (A B C, A B C …), so that a disturbance of the machine affects all
//! servers alike, and each ratio compares two measurements of the same round.
//!
//! The main metric is CPU time per request: it hardly depends on the speed of the driver, and varies least on a shared
//! machine. Latencies are those of a closed loop, so they follow the throughput.
//!
//! # Modules
//!
//! ```text
//! rivals  configuration        tables: the servers, and their configuration for speed
//! works  site                  the works, and the files for them
//! plan  contest  measure       all measurements in order; one measurement
//! results  table  plot         the results and the reports
//! ```
//!
//! Servers, processes and the machine come from the [`lab`](crate::lab), requests from [`load`](crate::load).

mod configuration;
mod contest;
mod measure;
pub mod plan;
pub mod plot;
pub mod results;
pub mod rivals;
mod site;
pub mod table;
pub mod works;

pub use contest::Stage;
pub use plan::Plan;
pub use results::Results;
pub use rivals::Rival;
pub use works::Work;
