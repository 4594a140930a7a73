//! The vocabulary: small values that every other room speaks in. They stand on nothing.

pub mod chars;
pub mod clock;
pub mod error;
pub mod grammar;
pub mod limits;
pub mod method;
pub mod status;
pub mod version;
