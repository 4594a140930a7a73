//! Puts load on HTTP/1.1 servers, checks every response, and compares servers and server architectures.

pub mod clients;
pub mod experiments;
pub mod load;
pub mod report;
pub mod subject;
