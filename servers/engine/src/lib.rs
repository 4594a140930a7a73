//! HTTP/1.1 servers for [`http_core`]: a blocking engine and an event loop, without an async runtime. Linux only.
//!
//! An engine accepts connections, receives, sends and watches deadlines. What the bytes mean is `http-core`'s part;
//! what to respond is the application's, which an engine knows only as a [`Handler`]. [`Engine::EventLoop`] waits for
//! many connections in each of a few threads (epoll); [`Engine::Blocking`] gives each connection a thread. Both run
//! the same handler.
//!
//! ```no_run
//! use http_engine::{Engine, Request, Response, Server};
//!
//! let hello = |request: &Request<'_>| Response::text(format!("Hello from {}\n", request.path()));
//! Server::bind("127.0.0.1:8080")?.start(Engine::EventLoop, hello)?.wait()?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! An application depends on this crate alone: it re-exports what an application needs of `http-core`, and the whole of it
//! as [`http_core`]. Errors that no response can report go to the [`log`] crate; install a logger to see them. The threads of
//! an engine block SIGPIPE, so that a client that leaves does not end a program in which that signal has its default action.

mod admission;
mod blocking;
mod descriptors;
#[doc(hidden)]
pub mod drive;
mod event_loop;
mod handlers;
mod late;
pub mod listener;
mod pool;
mod reserve;
mod server;
mod settings;
mod shutdown;
#[doc(hidden)]
pub mod sockopt;
mod stream;
mod threads;
mod transport;

pub use descriptors::ConnectionBudget;
pub use handlers::MakeHandler;
pub use http_core;
#[doc(no_inline)]
pub use http_core::{
    Admit, Body, CancellationToken, Chunk, ChunkSource, Config, ConfigError, FileSlice, Handler, HeaderError,
    Headers, Job, Limits, MediaType, Method, Middleware, Next, ParseError, Rejected, Rejection, Reply,
    Request, Responder, Response, Router, Schemes, Sent, SharedHeaders, Stack, Status, Timeouts, Version,
    client, conditional, form, multipart, negotiate, path, range, uri,
};
pub use server::{Running, Server, ServerHandle};
pub use settings::{Engine, Settings, SettingsError};
