//! Bytes to messages and back: the head parser, the framing rules, the chunked coding and the response writer.

pub mod chunked;
pub mod delimiting;
pub mod encode;
pub mod framing;
pub mod head;
pub mod span;
