//! The code that replies to requests: handlers, middleware around them, and a router. It must not depend on
//! connections.

pub mod content_reader;
#[expect(clippy::module_inception, reason = "the file is named after the trait in it")]
pub mod handler;
pub mod into_reply;
pub mod middleware;
pub mod reply;
pub mod responder;
pub mod router;
pub mod sink;
