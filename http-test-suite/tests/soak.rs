//! The soak is held against a little server that is right, and against the same one wrong on purpose: the first must
//! stand, and the others be found out, each for what it does and for nothing else.
//!
//! The test has no harness, because it is that server, too: `load-test soak` starts it as it would start any other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lints know tests by their attribute, not their folder"
)]

use std::collections::BTreeSet;
use std::env;
use std::process::Command;
use std::thread;

use serde_json::Value;

#[path = "soak/little_server.rs"]
mod little_server;

/// What is wrong with the server, how the soak ends, and all that it complains of.
const CHECKS: &[(&str, i32, &[&str])] = &[
    ("nothing", 0, &[]),
    (
        "the last octet",
        1,
        &[
            "keep-alive",
            "pipelining",
            "one request",
            "download",
            "HEAD",
            "ranges",
            "conditional",
            "half-closing",
            "idle",
            "dripping",
            "sipping",
        ],
    ),
    ("refuses nothing", 1, &["garbage", "TLS hello", "oversize", "bad framing"]),
    ("keeps everything", 1, &["descriptors", "threads", "memory"]),
    ("stops badly", 1, &["asked by SIGTERM, the server stopped with exit status"]),
];

/// As many as idle at once.
const IDLE_CLIENTS: u64 = 40;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first() {
        Some(first) if first == "--port" => little_server::serve(&arguments),
        // As a harness would take a filter.
        Some(first) if !first.starts_with('-') && !"soak".contains(first) => {}
        _ => thread::scope(|scope| {
            for (flaw, code, expected) in CHECKS {
                scope.spawn(move || check(flaw, *code, expected));
            }
        }),
    }
}

fn check(flaw: &str, code: i32, expected: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_load-test"))
        .args(["soak", "--time", "1s", "--json", "-"])
        .arg(env::current_exe().unwrap())
        .args(["--", flaw])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{flaw}: {said}"));
    let (scores, faults) = (verdict["scores"].as_array().unwrap(), verdict["faults"].as_array().unwrap());
    let wrong = scores.iter().filter(|score| score["wrong"] != 0);
    let wrong = wrong.map(|score| score["name"].as_str().unwrap());
    let faults = faults.iter().map(|fault| fault.as_str().unwrap().split(':').next().unwrap());
    let complaints: BTreeSet<_> = wrong.chain(faults).collect();
    assert_eq!(complaints, expected.iter().copied().collect(), "{flaw}: {verdict:#}");
    assert_eq!(output.status.code(), Some(code), "{flaw}");
    // Both visits count, in which each client comes at least once.
    let idle = scores.iter().find(|score| score["name"] == "idle").unwrap();
    let conversations = idle["right"].as_u64().unwrap() + idle["wrong"].as_u64().unwrap();
    assert!(conversations >= 2 * IDLE_CLIENTS, "{flaw}: {idle}");
}
