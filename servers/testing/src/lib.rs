//! What the tests of the servers share: a client, a strict reply reader, a document root, and servers to test.
//!
//! The client shares no code with `http-core`: a test must not repeat the bugs of the code under test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "this whole crate is tests"
)]

pub mod client;
pub mod program;
pub mod reply;
pub mod resources;
pub mod server;
pub mod shared;
pub mod site;
pub mod subject;

pub use http_engine::Engine;

/// Makes each function a test for each kind of server, in a module with that kind's name.
///
/// What a function takes says what it is run on: `&TestServer` a server of files in each of its four shapes, `Kind`
/// the same four without a server, `Engine` the two engines in this process.
#[macro_export]
macro_rules! both_engines {
    ($($(#[$about:meta])* fn $name:ident($server:ident: &TestServer) $body:block)+) => {
        $($(#[$about])* fn $name($server: &crate::server::TestServer) $body)+
        $crate::both_engines!(@event_loop: $($name)+, &crate::server::TestServer::shared($crate::server::Kind::EventLoop));
        $crate::both_engines!(@blocking: $($name)+, &crate::server::TestServer::shared($crate::server::Kind::Blocking));
        $crate::both_engines!(
            @event_loop_prefork: $($name)+,
            &crate::server::TestServer::shared($crate::server::Kind::EventLoopPrefork)
        );
        $crate::both_engines!(
            @blocking_prefork: $($name)+,
            &crate::server::TestServer::shared($crate::server::Kind::BlockingPrefork)
        );
    };
    ($($(#[$about:meta])* fn $name:ident($kind:ident: Kind) $body:block)+) => {
        $($(#[$about])* fn $name($kind: $crate::server::Kind) $body)+
        $crate::both_engines!(@event_loop: $($name)+, $crate::server::Kind::EventLoop);
        $crate::both_engines!(@blocking: $($name)+, $crate::server::Kind::Blocking);
        $crate::both_engines!(@event_loop_prefork: $($name)+, $crate::server::Kind::EventLoopPrefork);
        $crate::both_engines!(@blocking_prefork: $($name)+, $crate::server::Kind::BlockingPrefork);
    };
    ($($(#[$about:meta])* fn $name:ident($engine:ident: Engine) $body:block)+) => {
        $($(#[$about])* fn $name($engine: $crate::Engine) $body)+
        $crate::both_engines!(@event_loop_in_process: $($name)+, $crate::Engine::EventLoop);
        $crate::both_engines!(@blocking_in_process: $($name)+, $crate::Engine::Blocking);
    };
    (@$module:ident: $($name:ident)+, $argument:expr) => {
        mod $module {
            $(#[test] fn $name() { super::$name($argument); })+
        }
    };
}
