//! The servers under fire, from outside: peers that are slow, many or rude, files that change while they are sent,
//! disks and handlers that fail. Every time somebody else is served meanwhile, and nothing is left behind.
//!
//! | module | what happens |
//! |---|---|
//! | [`slow`] | heads that drip, downloads that nobody reads, connections that idle, peers slower than they may be |
//! | [`many`] | more connections than places, or than descriptors |
//! | [`rude`] | resets, half-closes, endless pipelines, garbage, requests larger than they may be |
//! | [`files`] | files cut, replaced, removed, lengthened or rewritten in mid-transfer |
//! | [`disk`] | reading fails in mid-transfer |
//! | [`panics`] | application code panics, wherever it can |
//!
//! [`subject`] is the program that has to bear it, and [`vitals`] what it uses. How to talk to a server stands in `it`,
//! of which this binary takes what it needs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

/// Makes each function a test for each kind of server, or for each engine, in a module with that one's name.
macro_rules! each {
    ($($(#[$about:meta])* fn $name:ident($kind:ident: Kind) $body:block)+) => {
        $($(#[$about])* fn $name($kind: crate::server::Kind) $body)+
        each!(@event_loop: $($name)+, crate::server::Kind::EventLoop);
        each!(@blocking: $($name)+, crate::server::Kind::Blocking);
        each!(@event_loop_prefork: $($name)+, crate::server::Kind::EventLoopPrefork);
        each!(@blocking_prefork: $($name)+, crate::server::Kind::BlockingPrefork);
    };
    ($($(#[$about:meta])* fn $name:ident($engine:ident: Engine) $body:block)+) => {
        $($(#[$about])* fn $name($engine: servers::engine::Engine) $body)+
        each!(@event_loop_in_process: $($name)+, servers::engine::Engine::EventLoop);
        each!(@blocking_in_process: $($name)+, servers::engine::Engine::Blocking);
    };
    (@$module:ident: $($name:ident)+, $argument:expr) => {
        mod $module {
            $(#[test] fn $name() { super::$name($argument); })+
        }
    };
}

/// Takes modules of `it`, not all of which is used here.
macro_rules! borrow {
    ($($name:ident from $path:literal,)+) => {
        $(#[allow(dead_code, reason = "other tests use the rest")] #[path = $path] mod $name;)+
    };
}

borrow! {
    client from "../it/client.rs",
    program from "../it/program.rs",
    reply from "../it/reply.rs",
    server from "../it/server.rs",
    shared from "../it/shared.rs",
    site from "../it/site.rs",
}

mod disk;
mod files;
mod many;
mod panics;
mod rude;
mod slow;
mod subject;
mod vitals;
