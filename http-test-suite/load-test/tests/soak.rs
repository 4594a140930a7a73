//! Runs the soak against a small correct server, and against the same server with one flaw at a time. The correct
//! server must pass; for each flaw the soak must report its effects, and nothing else.
//!
//! The test has no harness, because the same program is also the server, which `load-test soak` starts.

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

/// The flaw of the server, the exit code of the soak, and all faults that it reports.
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

/// The number of simultaneous idle clients.
const IDLE_CLIENTS: u64 = 40;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first() {
        Some(first) if first == "--port" => little_server::serve(&arguments),
        // A filter for another test, as a harness would get it.
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
    // Each client has at least one conversation in each of the two visits.
    let idle = scores.iter().find(|score| score["name"] == "idle").unwrap();
    let conversations = idle["right"].as_u64().unwrap() + idle["wrong"].as_u64().unwrap();
    assert!(conversations >= 2 * IDLE_CLIENTS, "{flaw}: {idle}");
}
