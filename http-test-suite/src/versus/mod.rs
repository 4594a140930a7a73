//! Versus: `httpd` beside other servers on the same work, in the same minutes, on the same CPUs.
//!
//! A [`Plan`] says who is measured at what; running it starts one server after the other, over and over, puts load on
//! it and looks at what its processes use, and gives [`Results`]; these become a [table](table::page) and a
//! [picture](plot::svg). Rounds are interleaved (A B C, A B C …), so that what disturbs the machine for a while
//! disturbs all alike, and a ratio is that of two measurements of the same round.
//!
//! What counts is the CPU time of a server for each request: it hardly depends on how fast the driver is, and on a
//! machine that others use as well it moves least. Latencies are those of a closed loop; they follow the throughput.
//!
//! # Rooms
//!
//! ```text
//! rivals  configuration        who is measured, and how each is set up to be fast: tables
//! works  site                  what is asked of them, and the files for it
//! plan  contest  measure       all measurements, in order; one of them
//! results  table  plot         what came of it, and what is shown of it
//! ```
//!
//! What servers, processes and machines are is the [`lab`](crate::lab)'s, how to ask is [`load`](crate::load)'s.

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
