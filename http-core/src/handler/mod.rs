//! What answers: handlers, what wraps them, and what chooses between them. None of it knows a connection.

#[expect(clippy::module_inception, reason = "the file is named after the trait in it")]
pub mod handler;
pub mod middleware;
pub mod router;
