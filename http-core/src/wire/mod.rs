//! Bytes to meaning and back: the parser, the framing rules, the two codings, and the buffers they work in.

pub mod buf_pool;
pub mod chunked;
pub mod delimiting;
pub mod encode;
pub mod framing;
pub mod head;
pub mod piece;
pub mod recv_buf;
pub mod send_queue;
pub mod span;
