//! HTTP/1.1 without I/O.
//!
//! An engine passes received bytes and the time to a [`Connection`], which returns the next [`Step`] for the engine to
//! take. This crate parses and validates requests, runs the state machine of a connection, routes requests to handlers
//! and writes responses. It opens no sockets and no files, reads no clock and starts no threads: the engine does that.
//!
//! | module | contents | imports |
//! |---|---|---|
//! | types | [`chars`], [`Method`], [`Status`], [`Version`], [`ParseError`], [`Limits`], [`Admit`], [`Clock`], [`path`], [`uri`] | |
//! | semantics | [`range`], [`conditional`], [`negotiate`], [`MediaType`], [`form`], [`multipart`] | types |
//! | codec | [`head`], [`framing`], [`chunked`], [`encode`] | types |
//! | buffer | [`RecvBuf`], [`SendQueue`], [`BufferPool`], [`MemoryBudget`] | codec, types |
//! | message | [`Request`], [`Response`], [`Headers`], [`Body`], [`Rejection`] | buffer, codec, types |
//! | connection | [`Connection`], [`Step`]: the state machine | message, buffer, codec, types |
//! | handler | [`Handler`], [`Reply`], [`Middleware`], [`Router`] | message, semantics, types |
//! | client | [`client`]: writes requests, reads responses | message, codec, types |
//! | testing | [`testing`]: requests in memory, for tests of handlers | message, buffer, codec, types |
//!
//! The page of [`connection`] has an example that responds to a request without a socket.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test needs a start time"))]

mod buffer;
pub mod client;
mod codec;
pub mod connection;
mod handler;
mod message;
mod semantics;
pub mod testing;
mod types;

pub use buffer::{
    budget::MemoryBudget,
    pool::{BufferPool, Buffers},
    recv_buf::RecvBuf,
    segment::{Chunk, ChunkSource, FileSlice, Sent},
    send_queue::{IoSlices, SendQueue, Transmit},
};
pub use codec::{
    chunked, encode, framing,
    head::{self, HeadIndex},
};
pub use connection::{CloseReason, Connection, Misuse, Step};
pub use handler::{
    cancellation::CancellationToken,
    handler::{Handler, Job, Reply, Responder},
    middleware::{Middleware, Next, Stack},
    router::Router,
};
pub use message::{
    body::Body,
    headers::{Headers, SharedHeaders},
    rejection::{Rejected, Rejection},
    request::Request,
    response::Response,
};
pub use semantics::{conditional, form, media_type::MediaType, multipart, negotiate, range};
pub use types::{
    chars,
    clock::{Clock, deadline_after},
    error::{HeaderError, ParseError},
    limits::{Admit, Config, ConfigError, Limits, Timeouts},
    method::{Method, Schemes, Version},
    panic::{CatchDrop, Panicked, catch_panic, drop_caught},
    path,
    status::Status,
    uri,
};
