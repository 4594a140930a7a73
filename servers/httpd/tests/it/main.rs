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
//! | [`logs`] | what stands in the access log, and that nobody waits for it |
//! | [`operations`] | the program: arguments, exit codes, signals |
//! | [`signals`] | what SIGHUP, SIGUSR1 and SIGPIPE do to a server at work |
//! | [`handover`] | listening sockets that go to a successor, or come from a service manager |
//! | [`workers`] | worker processes: replaced when they die, gone with their master |
//! | [`service`] | as a service: its pid file, whom it becomes, what it can open, what a manager hears |
//!
//! [`server`], [`demo`], [`program`] and [`site`] set up what is tested; [`client`] and [`reply`] play the other side. The
//! client shares no code with the core: the judge must not inherit the bugs of the accused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this whole crate is tests")]

use http_testing::{client, reply, site};

mod conditional;
mod conformance;
mod contents;
mod files;
mod handover;
mod logs;
mod operations;
mod program;
mod protocol;
mod public_suite;
mod ranges;
mod server;
mod service;
mod signals;
mod workers;
