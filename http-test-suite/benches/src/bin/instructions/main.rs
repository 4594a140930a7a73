//! Prints how many instructions each operation of the hot path takes, as lines `NAME COUNT`.
//! `.ci/count-instructions` compares the counts with its bounds.
//!
//! Unlike times, the counts do not depend on other work on the machine.
//!
//! Without an argument, the program starts itself once for each operation, with the operation's name as the argument,
//! and counts the instructions of that child process.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure must end the measurement")]

mod steps;

use benches::{
    heads::HEADS,
    memory_server::{MemoryServer, PREFIX},
};
use http_core::{
    Clock, HeadIndex, Headers, Limits, Status,
    encode::{self, ResponseHead},
    framing::BodyLength,
    head::ParseStatus,
};
use http_files::Options;
use std::{
    env,
    hint::black_box,
    time::{Instant, SystemTime},
};

fn main() {
    match env::args().nth(1).as_deref() {
        Some("-V" | "--version") => println!("instructions {}", env!("CARGO_PKG_VERSION")),
        Some("-h" | "--help") => {
            println!("Usage: instructions [OPERATION]\n\nOperations: {}", names().join(", "));
        }
        Some(name) => run(name),
        None => names().iter().for_each(|name| println!("{name} {}", steps::count(name))),
    }
}

/// Returns the names of all operations: `parse-` and a head, `encode`, `drive-` and a case of the memory server.
fn names() -> Vec<String> {
    let mut names: Vec<String> = HEADS.iter().map(|(name, _)| format!("parse-{name}")).collect();
    names.push("encode".to_owned());
    names.extend(
        MemoryServer::new(Options::default()).cases().iter().map(|case| format!("{PREFIX}-{}", case.name)),
    );
    names
}

/// Runs the operation `name` in this process, whose parent counts the instructions.
fn run(name: &str) {
    match name.split_once('-') {
        Some(("parse", name)) => parse(name),
        Some((PREFIX, name)) => drive(name),
        _ if name == "encode" => encode(),
        _ => panic!("there is no operation {name}"),
    }
}

/// Runs the operation that parses the request head called `name` in [`HEADS`].
fn parse(name: &str) {
    let (_, head) = HEADS.into_iter().find(|(known, _)| *known == name).expect("a head of this name");
    let limits = Limits::default();
    let mut index = HeadIndex::default();
    let mut parse = || {
        index.reset();
        index.parse(black_box(head.as_bytes()), &limits)
    };
    assert_eq!(parse(), Ok(ParseStatus::Complete(head.len())));
    steps::run_counted(parse);
}

/// Runs the operation that encodes a response head.
fn encode() {
    let clock = Clock::new("site", Instant::now(), SystemTime::UNIX_EPOCH);
    let mut headers = Headers::default();
    headers.append("Content-Type", "text/html; charset=utf-8").expect("a header");
    headers.append("ETag", "\"400-69b577463141592f\"").expect("a header");
    let mut text = Vec::new();
    let mut encode = || {
        text.clear();
        let head = ResponseHead {
            status: Status::OK,
            server_and_date: clock.headers(),
            shared_headers: black_box(headers.as_bytes()),
            headers: b"",
            body: black_box(Some(BodyLength::Exact(1024))),
            keep_alive: true,
            upgrade: false,
        };
        encode::response_head(&mut text, &head);
        text.len()
    };
    assert_eq!(encode(), 186, "bytes of a head");
    steps::run_counted(encode);
}

/// Runs the operation that serves the request of the case `name`, until the connection waits for the next request.
fn drive(name: &str) {
    let mut server = MemoryServer::new(Options::default());
    let case = server.case(name);
    steps::run_counted(|| server.exchange(black_box(&case.request)));
}
