//! What an application sees: a request that is right, and a response that cannot be wrong.

pub mod body;
pub mod fields;
pub mod rejection;
pub mod request;
pub mod response;
