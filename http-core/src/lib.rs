#![doc = include_str!("../README.md")]
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
    chunk_source::{Chunk, ChunkSource},
    pool::{BufferPool, Buffers},
    recv_buf::RecvBuf,
    segment::{FileSlice, Sent},
    send_queue::{IoSlices, SendQueue, Transmit},
};
/// For the benchmarks and fuzz targets of this repository. They are no part of the interface, and may change at any
/// time.
#[doc(hidden)]
pub use codec::{
    chunked, encode, framing,
    head::{self, HeadIndex},
    proxy_header,
};
pub use connection::{CloseReason, Connection, Misuse, Step};
pub use handler::{
    content_reader::{ContentReader, ContentSender, IncompleteContent, content_pipe},
    handler::{Handler, HandlerFn},
    into_reply::{IntoReply, IntoResponse},
    middleware::{BodyLimit, Middleware, Next, Stack},
    reply::{Job, ReadJob, Reply},
    responder::Responder,
    router::{
        Router,
        builder::{RouteError, RouterBuilder},
    },
    sink::Sink,
};
pub use message::{
    body::Body,
    channel::{BodySender, SendError},
    extended::Extended,
    owned_request::OwnedRequest,
    rejection::{Rejected, Rejection},
    request::Request,
    response::Response,
    tls_info::TlsInfo,
    upgrade::{OnUpgrade, Upgraded, UpgradedTransport},
};
pub use semantics::{
    conditional, cookies, form,
    media_type::{InvalidMediaType, MediaType},
    multipart, negotiate, range,
    set_cookie::{SameSite, SetCookie},
};
pub use types::{
    admit::Admit,
    cancellation::CancellationToken,
    clock::{Clock, deadline_after},
    error::{HeaderError, ParseError, io_cause},
    headers::{Headers, SharedHeaders},
    limits::{Config, ConfigError, Limits, Timeouts},
    method::{Method, Schemes, Version},
    network::Network,
    panic::{CatchDrop, Panicked, catch_panic, drop_caught},
    path,
    proxies::{ForwardedHeaders, Proxies},
    status::{InvalidStatus, Status},
    uri,
};
