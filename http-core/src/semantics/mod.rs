//! The meaning of headers, paths and bodies: pure functions from their bytes to values.

pub mod conditional;
mod disposition;
pub mod form;
pub mod media_type;
pub mod multipart;
pub mod negotiate;
pub mod path;
pub mod range;
pub mod uri;
