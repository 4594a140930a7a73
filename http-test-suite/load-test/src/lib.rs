//! Puts load on HTTP/1.1 servers, checks every response, and compares servers and server architectures.

#![forbid(unsafe_code)]

pub mod clients;
pub mod experiments;
pub mod load;
pub mod report;
pub mod subject;
