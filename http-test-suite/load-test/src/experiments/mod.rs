//! The experiments that run on the load driver.

pub mod soak;
