//! Buffers of one connection: received bytes, bytes to send, and the pool that keeps both between connections.

pub mod pool;
pub mod recv_buf;
pub mod segment;
pub mod send_queue;
