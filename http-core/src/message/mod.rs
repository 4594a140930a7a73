//! The messages that an application reads and writes: requests that are valid, and responses that cannot be malformed.

pub mod body;
pub mod channel;
pub mod extended;
pub(crate) mod extensions;
pub mod owned_request;
pub mod rejection;
pub mod request;
mod request_content;
pub mod response;
mod response_sending;
mod stated;
pub mod tls_info;
pub mod upgrade;
