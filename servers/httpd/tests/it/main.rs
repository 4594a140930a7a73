//! Tests of the file server from outside: bytes in and bytes out, over loopback sockets.
//!
//! | module | what it tests |
//! |---|---|
//! | [`files`] | responses by method and path |
//! | [`conditional`] | preconditions: 304, 412, and their precedence |
//! | [`validators`] | ETag and Last-Modified when a file is replaced, copied or dated in the future |
//! | [`ranges`] | Range requests: one range, several, beyond 4 GiB |
//! | [`contents`] | the bytes of large, changing and unreadable files |
//! | [`roots`] | document roots that are made again, switched to another release, or given by a relative path |
//! | [`protocol`] | keep-alive, pipelining, half-close, malformed requests, early responses |
//! | [`public_suite`] | the checks of the public http-test-suite |
//! | [`conformance`] | our http-test-suite |
//! | [`logs`] | the access log |
//! | [`command_line`] | arguments, help, and the addresses to listen on |
//! | [`log_files`] | which user opens the log files, and when |
//! | [`operations`] | the program: startup line, exit codes, limits, stopping |
//! | [`signals`] | SIGHUP, SIGUSR1 and SIGPIPE |
//! | [`handoff`] | listening sockets that pass to a successor, or come from a service manager |
//! | [`upgrade`] | `--upgrade`: which processes it signals |
//! | [`workers`] | worker processes: replaced when they die, ended with their master |
//! | [`service`] | the program as a service: pid file, privileges, confinement, notification |
//! | [`faults`] | slow, many or misbehaving clients, files that change while they are sent, a failing disk |
//! | [`workspace`] | rules for the source tree that no crate boundary can express |
//!
//! [`server`], [`program`] and [`site`] set up what is tested. [`client`] and [`reply`] are the other side; they
//! share no code with the servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_testing::{client, reply, server_under_test, site};

mod command_line;
mod conditional;
mod conformance;
mod contents;
mod faults;
mod files;
mod handoff;
mod log_files;
mod logs;
mod operations;
mod program;
mod protocol;
mod public_suite;
mod ranges;
mod roots;
mod server;
mod service;
mod signals;
mod upgrade;
mod validators;
mod workers;
mod workspace;
