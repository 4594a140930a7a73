//! Tests of `httpd` from outside: bytes in and bytes out, over loopback sockets.
//!
//! | module | what it tests |
//! |---|---|
//! | [`conformance`] | every case of our http-test-suite |
//! | [`responses`] | what our server chooses where the cases allow several responses |
//! | [`headers`] | headers that the operator adds |
//! | [`pages`] | paths that name no plain file: `--spa`, `--clean-urls`, `--error-page`, `--listing`, `--hidden`, `--follow-symlinks` |
//! | [`compression`] | compressed forms of files, and `httpd precompress` |
//! | [`contents`] | files that change between requests, or that the kernel generates |
//! | [`roots`] | document roots that are made again, or switched to another release |
//! | [`faults`] | slow, many or misbehaving clients, files that change while they are sent, a disk that fails or hangs |
//! | [`command_line`] | arguments, help, the addresses to listen on, and why a start fails |
//! | [`access`] | clients that are denied, too fast, or need a password |
//! | [`bandwidth`] | limits on how fast responses are sent |
//! | [`proxies`] | clients behind proxies that httpd trusts |
//! | [`configuration`] | the configuration file, the environment, sites |
//! | [`operations`] | the running program: startup line, limits, timeouts, stopping |
//! | [`admin`] | the admin server: health and metrics |
//! | [`logs`] | the access log |
//! | [`reload`] | each option of a site changes while clients send requests |
//! | [`signals`] | SIGHUP, SIGUSR1, SIGPIPE, and standard output and error that take no bytes |
//! | [`workers`] | worker processes: replaced when they die, ended with their master |
//! | [`sockets`] | Unix sockets, and sockets that the program inherits |
//! | [`handoff`] | listening sockets that pass to a successor, or come from a service manager |
//! | [`tls`] | https: certificates, redirects from http, and what of them a reload changes |
//! | [`upgrade`] | `--upgrade`: which processes it signals |
//! | [`service`] | the program as a service: PID file, user, confinement, log files, notification |
//!
//! [`program`] starts what is tested. The client and the document root are in the crate `http_testing`, which shares no
//! code with the servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_testing::{client, site};

/// Turns each function into two tests: with event loops in worker processes, and with blocking threads in one process.
/// So each engine is tested, and each way to divide the work.
///
/// For behaviour of an engine that may depend on the processes, use [`http_testing::both_engines`]: it makes four
/// tests.
macro_rules! two_kinds {
    ($($(#[$meta:meta])* fn $name:ident($kind:ident: ServerKind) $body:block)+) => {
        $(fn $name($kind: http_testing::ServerKind) $body)+
        mod event_loops_in_processes {
            $($(#[$meta])* #[test] fn $name() { super::$name(http_testing::ServerKind::EventLoopPrefork); })+
        }
        mod blocking_threads {
            $($(#[$meta])* #[test] fn $name() { super::$name(http_testing::ServerKind::Blocking); })+
        }
    };
}

mod access;
mod admin;
mod bandwidth;
mod command_line;
mod compression;
mod configuration;
mod conformance;
mod contents;
mod faults;
mod handoff;
mod headers;
mod logs;
mod operations;
mod pages;
mod program;
mod proxies;
mod reload;
mod responses;
mod roots;
mod service;
mod signals;
mod sockets;
mod tls;
mod upgrade;
mod workers;
