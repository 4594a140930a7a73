//! Bytes to messages and back: the head parser, the framing rules, body decoding and the response writer.

pub mod body;
pub mod chunked;
pub mod encode;
pub mod framing;
pub mod head;
pub mod proxy_header;
