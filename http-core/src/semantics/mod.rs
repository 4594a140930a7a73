//! What a request means for a file or any other representation: pure functions from field bytes to a value.

pub mod conditional;
mod disposition;
pub mod form;
pub mod media_type;
pub mod multipart;
pub mod negotiate;
pub mod path;
pub mod range;
pub mod uri;
