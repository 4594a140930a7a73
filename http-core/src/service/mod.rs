//! What answers: handlers, what wraps them, and what chooses between them. None of it knows a connection.

pub mod handler;
pub mod middleware;
pub mod router;
