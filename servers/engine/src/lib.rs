#![doc = include_str!("../README.md")]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "http-engine needs Linux: its engines use epoll, eventfd and sendfile (http-core builds on every system)"
);

mod admission;
mod blocking;
mod descriptors;
#[doc(hidden)]
pub mod drive;
mod event_loop;
mod handlers;
mod incoming;
mod label;
mod late;
pub mod listener;
mod metrics;
mod pool;
mod receiving;
mod reserve;
mod server;
mod settings;
mod shutdown;
#[doc(hidden)]
pub mod sockopt;
mod stream;
mod sys;
mod threads;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
mod unix_socket;
mod upgrade;

pub use descriptors::ConnectionBudget;
pub use http_core;
#[doc(no_inline)]
pub use http_core::{
    Admit, Body, BodyLimit, BodySender, CancellationToken, Chunk, ChunkSource, Config, ConfigError,
    ContentReader, Extended, FileSlice, ForwardedHeaders, Handler, HandlerFn, HeaderError, Headers,
    IncompleteContent, IntoReply, IntoResponse, Job, Limits, MediaType, Method, Middleware, Network, Next,
    OnUpgrade, OwnedRequest, ParseError, Proxies, ReadJob, Rejected, Rejection, Reply, Request, Responder,
    Response, RouteError, Router, RouterBuilder, SameSite, Schemes, SendError, Sent, SetCookie,
    SharedHeaders, Sink, Stack, Status, Timeouts, TlsInfo, Upgraded, UpgradedTransport, Version, client,
    conditional, cookies, form, io_cause, multipart, negotiate, path, range, testing, uri,
};
pub use incoming::{Exchange, Incoming};
pub use metrics::{LATENCY_BOUNDS, WorkerMetrics};
pub use server::{Running, Server, Stopper};
pub use settings::{Engine, Settings, SettingsError};
