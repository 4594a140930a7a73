//! What an application sees: a request that is right, and a response that cannot be wrong.

pub mod body;
pub mod headers;
pub mod rejection;
pub mod request;
pub mod response;
