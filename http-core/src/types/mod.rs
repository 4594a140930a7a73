//! Types and grammar that every other module uses. Imports no other module of this crate.

pub mod admit;
pub mod cancellation;
pub mod chars;
pub mod clock;
pub mod error;
pub mod grammar;
pub mod headers;
pub mod http_date;
pub mod limits;
pub mod method;
pub mod network;
pub mod panic;
pub mod path;
pub mod progress;
pub mod proxies;
pub mod status;
pub mod uri;
