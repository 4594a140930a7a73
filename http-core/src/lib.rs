//! HTTP/1.1 without I/O.
//!
//! Bytes go in, what to do next comes out. This crate parses requests, judges their framing, runs a connection's
//! state machine, chooses handlers and writes answers. It opens no socket and no file, asks no clock and starts
//! no thread: an engine does that, and there can be as many kinds of engine as there are ways to wait.
//!
//! | module | contents | imports |
//! |---|---|---|
//! | types | [`chars`], [`Method`], [`Status`], [`Version`], [`ParseError`], [`Limits`], [`Clock`] | nothing |
//! | semantics | [`path`], [`uri`], [`range`], [`conditional`], [`negotiate`], [`MediaType`], [`form`], [`multipart`] | types |
//! | codec | [`head`], [`framing`], [`chunked`], [`encode`] | types |
//! | buffer | [`RecvBuf`], [`SendQueue`], [`BufferPool`] | codec, types |
//! | message | [`Request`], [`Response`], [`Headers`], [`Body`], [`Rejection`] | buffer, codec, semantics, types |
//! | connection | [`Connection`], [`Step`]: the state machine | message and below |
//! | handler | [`Handler`], [`Reply`], [`Middleware`], [`Router`] | message and below |
//! | client | [`client`]: requests written and responses read | message and below |
//!
//! A request answered from a string of bytes, without a socket, stands in [`connection`]'s documentation.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test needs some moment to begin at"))]

mod buffer;
pub mod client;
mod codec;
pub mod connection;
mod handler;
mod message;
mod semantics;
mod types;

pub use buffer::{
    pool::{BufferPool, Buffers},
    recv_buf::RecvBuf,
    segment::{ChunkSource, FileSlice, Sent},
    send_queue::{IoSlices, SendQueue, Transmit},
};
pub use codec::{
    chunked, encode, framing,
    head::{self, HeadIndex},
};
pub use connection::{CloseReason, Connection, Misuse, Step};
pub use handler::{
    handler::{Handler, Job, Reply, Responder, catch_panic},
    middleware::{Middleware, Next, Stack},
    router::Router,
};
pub use message::{
    body::Body,
    headers::{HeaderError, Headers, SharedHeaders},
    rejection::{Rejected, Rejection},
    request::Request,
    response::Response,
};
pub use semantics::{conditional, form, media_type::MediaType, multipart, negotiate, path, range, uri};
pub use types::{
    chars,
    clock::Clock,
    error::ParseError,
    limits::{Config, Limits, Timeouts},
    method::{Method, Version},
    status::Status,
};
