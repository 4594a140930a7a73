//! HTTP/1.1 without I/O.
//!
//! Bytes go in, what to do next comes out. This crate parses requests, judges their framing, runs a connection's
//! state machine, chooses handlers and writes answers. It opens no socket and no file, asks no clock and starts
//! no thread: an engine does that, and there can be as many kinds of engine as there are ways to wait.
//!
//! | room | what is in it | stands on |
//! |---|---|---|
//! | words | [`chars`], [`Method`], [`Status`], [`Version`], [`ParseError`], [`Limits`], [`Clock`] | nothing |
//! | semantics | [`path`], [`spelling`], [`range`], [`conditional`], [`negotiate`], [`MediaType`], [`form`], [`multipart`] | nothing |
//! | wire | [`head`], [`framing`], [`chunked`], [`encode`], [`RecvBuf`], [`SendQueue`], [`BufPool`] | words |
//! | messages | [`Request`], [`Response`], [`Fields`], [`Body`], [`Rejection`] | wire, semantics |
//! | connection | [`Connection`], [`Step`]: the state machine | messages, wire |
//! | client | [`client`]: the mirror image, requests written and responses read | messages, wire |
//! | service | [`Handler`], [`Reply`], [`Middleware`], [`Router`] | messages, semantics |
//!
//! A request answered from a string of bytes, without a socket, stands in [`connection`]'s documentation.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test needs some moment to begin at"))]

pub mod client;
pub mod connection;
mod messages;
mod semantics;
mod service;
mod wire;
mod words;

pub use connection::{CloseReason, Connection, Step};
pub use messages::{
    body::Body,
    fields::{FieldError, Fields, ReadyFields},
    rejection::{Rejected, Rejection},
    request::Request,
    response::Response,
};
pub use semantics::{conditional, form, media_type::MediaType, multipart, negotiate, path, range, spelling};
pub use service::{
    handler::{Handler, Job, Reply, Responder},
    middleware::{Middleware, Next, Stack},
    router::Router,
};
pub use wire::{
    buf_pool::{BufPool, Buffers},
    chunked, encode, framing,
    head::{self, HeadIndex},
    piece::{ChunkSource, FileSlice, Sent},
    recv_buf::RecvBuf,
    send_queue::{Gathered, SendQueue, Transmit},
};
pub use words::{
    chars,
    clock::Clock,
    error::ParseError,
    limits::{Config, Limits, Timeouts},
    method::Method,
    status::Status,
    version::Version,
};
