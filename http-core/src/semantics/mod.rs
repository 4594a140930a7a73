//! What a request means for a file or any other representation: pure functions from field bytes to a value.

pub mod conditional;
pub mod path;
pub mod range;
pub mod spelling;
