//! The servers, tested from outside: bytes in and bytes out, over loopback sockets.
//!
//! | module | what it holds the servers to |
//! |---|---|
//! | [`files`] | which answer a method and a path get, and what stands in it |
//! | [`conditional`] | preconditions: 304, 412, and their precedence |
//! | [`ranges`] | parts of files, one or several, also beyond 4 GiB |
//! | [`contents`] | large, changing and unreadable files |
//! | [`protocol`] | keep-alive, pipelining, half-close, faults, answers given early |
//! | [`public_suite`] | what the public http-test-suite checks |
//! | [`conformance`] | the whole of http-test-suite |
//! | [`replies`] | every way in which an application may answer |
//! | [`timeouts`] | every wait ends |
//! | [`capacity`] | what happens when all places are taken |
//! | [`logs`] | what stands in the access log, and that nobody waits for it |
//! | [`operations`] | the program: arguments, exit codes, signals |
//! | [`signals`] | what SIGHUP, SIGUSR1 and SIGPIPE do to a server at work |
//! | [`handover`] | listening sockets that go to a successor, or come from a service manager |
//! | [`app`] | the demo application: routes, errors, what stands on every answer |
//! | [`app_echo`] | what is posted comes back as JSON, or is told where it is wrong |
//! | [`app_weather`] | the weather: what is told, how seldom upstream is asked, what its faults become |
//! | [`workers`] | worker processes: replaced when they die, gone with their master |
//! | [`service`] | as a service: its pid file, whom it becomes, what it can open, what a manager hears |
//! | [`floors`] | which room may import which |
//!
//! [`server`], [`demo`], [`program`] and [`site`] set up what is tested; [`client`] and [`reply`] play the other side. The
//! client shares no code with the core: the judge must not inherit the bugs of the accused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

/// Makes each function a test for each kind of server, in a module with that kind's name.
///
/// What a function takes says what it is run on: `&TestServer` a server of files in each of its four shapes, `Kind`
/// the same four without a server, `Engine` the two engines in this process.
macro_rules! both_engines {
    ($($(#[$about:meta])* fn $name:ident($server:ident: &TestServer) $body:block)+) => {
        $($(#[$about])* fn $name($server: &crate::server::TestServer) $body)+
        both_engines!(@event_loop: $($name)+, &crate::server::TestServer::shared(crate::server::Kind::EventLoop));
        both_engines!(@blocking: $($name)+, &crate::server::TestServer::shared(crate::server::Kind::Blocking));
        both_engines!(
            @event_loop_prefork: $($name)+,
            &crate::server::TestServer::shared(crate::server::Kind::EventLoopPrefork)
        );
        both_engines!(
            @blocking_prefork: $($name)+,
            &crate::server::TestServer::shared(crate::server::Kind::BlockingPrefork)
        );
    };
    ($($(#[$about:meta])* fn $name:ident($kind:ident: Kind) $body:block)+) => {
        $($(#[$about])* fn $name($kind: crate::server::Kind) $body)+
        both_engines!(@event_loop: $($name)+, crate::server::Kind::EventLoop);
        both_engines!(@blocking: $($name)+, crate::server::Kind::Blocking);
        both_engines!(@event_loop_prefork: $($name)+, crate::server::Kind::EventLoopPrefork);
        both_engines!(@blocking_prefork: $($name)+, crate::server::Kind::BlockingPrefork);
    };
    ($($(#[$about:meta])* fn $name:ident($engine:ident: Engine) $body:block)+) => {
        $($(#[$about])* fn $name($engine: servers::engine::Engine) $body)+
        both_engines!(@event_loop: $($name)+, servers::engine::Engine::EventLoop);
        both_engines!(@blocking: $($name)+, servers::engine::Engine::Blocking);
    };
    (@$module:ident: $($name:ident)+, $argument:expr) => {
        mod $module {
            $(#[test] fn $name() { super::$name($argument); })+
        }
    };
}

mod app;
mod app_echo;
mod app_weather;
mod capacity;
mod client;
mod conditional;
mod conformance;
mod contents;
mod demo;
mod files;
mod floors;
mod handover;
mod logs;
mod operations;
mod program;
mod protocol;
mod public_suite;
mod ranges;
mod replies;
mod reply;
mod server;
mod service;
mod shared;
mod signals;
mod site;
mod timeouts;
mod workers;
