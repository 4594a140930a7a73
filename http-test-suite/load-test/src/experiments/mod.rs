//! The experiments: tables of workloads, and the runner that measures every subject of a table under each.
//!
//! A [`Plan`] says what to measure and how thoroughly. Running it starts one subject after the other, puts load on it,
//! reads what its processes use, and returns [`Results`](crate::report::Results). Rounds are interleaved (A B C, A B C
//! …), so that a disturbance of the machine affects all subjects alike, and each ratio compares two samples of one
//! round.
//!
//! The main metric is CPU time per request: it hardly depends on the speed of the driver, and varies least on a shared
//! machine. Latencies are those of a closed loop, so they follow the throughput; those of a bystander are not.
//!
//! ```text
//! workload                   what an experiment, a workload and a task are
//! architectures  servers     the tables of workloads
//! requests                   the requests of a workload, with the expected responses
//! measure  fairness  tools   one measurement: of a load; of clients and workers beside each other; by ab, and by the suite
//! machine                    the properties of this machine
//! soak                       many kinds of clients at once, and what the server frees afterwards
//! runner                     all measurements of a plan, in order
//! ```

pub mod architectures;
mod fairness;
mod machine;
mod measure;
pub mod requests;
pub mod runner;
pub mod servers;
pub mod soak;
mod tools;
pub mod workload;

pub use runner::{Plan, PlannedMeasurement};
pub use workload::{Experiment, Workload};
