//! What the tests of the server crates share: a client, servers to test, a document root.
//!
//! A test starts a server, sends bytes, and looks at the response:
//!
//! ```
//! use http_engine::{Engine, Request, Response};
//! use http_testing::{client::{get, request}, server::{InProcessServer, settings}};
//!
//! let path = |request: &Request<'_>| Response::text(request.path().to_owned());
//! let server = InProcessServer::start(Engine::EventLoop, settings(), path);
//! let mut client = server.connect();
//! assert_eq!(client.fetch(get("/%61/../b")).text(), "/b");
//! let response = client.fetch(request("POST", "/c", "Content-Length: 2\r\n") + "hi");
//! assert_eq!((response.status, response.keeps_alive), (200, true));
//! client.finish();
//! ```
//!
//! [`both_engines!`] makes a test of such a function for each engine, or for each kind of server.
//!
//! [`client`] reads with the strict reader of `http-test-suite`, which shares no code with the servers: otherwise a bug
//! in a parser could hide the same bug in a test. It also checks that each response has the form that our servers give
//! it.
//!
//! A program in a process of its own is a [`Program`](program::Program): its addresses, signals, output and exit code.
//! Put under load, it is a [`ServerUnderTest`](server_under_test::ServerUnderTest), which measures what it uses.
//!
//! Files on a disk that hangs are in a [`SlowFs`](slow_fs::SlowFs).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    clippy::new_without_default,
    missing_docs,
    reason = "this whole crate is tests"
)]

pub mod client;
pub mod program;
pub mod resources;
pub mod server;
pub mod server_under_test;
pub mod site;
pub mod slow_fs;

pub use http_engine::Engine;
pub use server::ServerKind;

/// Turns each function into several tests: one for each engine, or one for each kind of server.
///
/// The type of the function's parameter decides:
///
/// * `Engine`: a test for each of the two engines, which the function starts in the test process.
/// * `ServerKind`: a test for each of the four kinds of server, which the function starts.
///
/// The tests of one engine or kind are in a module of that name, for example `blocking_prefork`.
#[macro_export]
macro_rules! both_engines {
    ($($(#[$meta:meta])* fn $name:ident($engine:ident: Engine) $body:block)+) => {
        $($(#[$meta])* fn $name($engine: $crate::Engine) $body)+
        $crate::both_engines!(@tests event_loop_in_process: $($name)+, $crate::Engine::EventLoop);
        $crate::both_engines!(@tests blocking_in_process: $($name)+, $crate::Engine::Blocking);
    };
    ($($(#[$meta:meta])* fn $name:ident($kind:ident: ServerKind) $body:block)+) => {
        $($(#[$meta])* fn $name($kind: $crate::ServerKind) $body)+
        $crate::both_engines!(@tests event_loop: $($name)+, $crate::ServerKind::EventLoop);
        $crate::both_engines!(@tests blocking: $($name)+, $crate::ServerKind::Blocking);
        $crate::both_engines!(@tests event_loop_prefork: $($name)+, $crate::ServerKind::EventLoopPrefork);
        $crate::both_engines!(@tests blocking_prefork: $($name)+, $crate::ServerKind::BlockingPrefork);
    };
        (@tests $module:ident: $($name:ident)+, $argument:expr) => {
        mod $module {
            $(#[test] fn $name() { super::$name($argument); })+
        }
    };
}

/// Compiles the example in the README of the repository.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct RepositoryReadme;
