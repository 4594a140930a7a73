//! The buffers of a connection: received bytes, bytes to send, and the pool that keeps both while they are unused.

pub mod pool;
pub mod recv_buf;
pub mod segment;
pub mod send_queue;
