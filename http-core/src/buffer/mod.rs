//! The buffers of a connection: received bytes, bytes to send, and the pool that keeps unused buffers of both kinds.

pub mod budget;
pub mod chunk_source;
pub mod pool;
pub mod recv_buf;
pub mod segment;
pub mod send_queue;
pub mod stream;
