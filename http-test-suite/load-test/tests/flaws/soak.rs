//! Runs the soak. The correct server must pass; for each flaw the soak must report its effects, and nothing else.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// All tests of the soak: each flaw of the server, and everything that the soak then reports: kinds of clients,
/// resources, the operator, the stop.
pub const TESTS: &[fn()] = &[
    || check("none", &[]),
    || check("always wrong", &[WELL_BEHAVED]),
    || check("closes without a response", &[WELL_BEHAVED, ANSWERED, &["operator"]]),
    || check("accepts malformed requests", &[&["garbage", "TLS hello", "too large", "bad framing"]]),
    || check("leaks", &[&["descriptors", "threads", "memory"]]),
    || check("does not reload", &[&["operator"]]),
    || check("exit code 3", &[&["after SIGTERM"]]),
];

/// The kinds of clients that expect a document.
const WELL_BEHAVED: &[&str] = &[
    "keep-alive",
    "pipelining",
    "one request",
    "download",
    "HEAD",
    "ranges",
    "conditional",
    "half-close",
    "idle",
    "slow sender",
    "slow reader",
];

/// The kinds of clients that expect any response.
const ANSWERED: &[&str] = &["bad handshake", "reset download", "reset request"];

/// The number of simultaneous idle clients.
const IDLE_CLIENTS: u64 = 40;

/// Soaks the server with a flaw, and compares what the soak reports.
fn check(flaw: &str, expected: &[&[&str]]) {
    let dir = crate::programs(flaw);
    let output = Command::new(env!("CARGO_BIN_EXE_load-test"))
        .args(["soak", "--reload", "--time", "1s", "--free-within", "2s", "--json"])
        .arg(dir.path().join(flaw).join("httpd"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{flaw}: {error}"));
    let clients = result["clients"].as_array().unwrap();
    let failed = clients.iter().filter(|kind| kind["failed"] != 0).map(|kind| kind["name"].as_str().unwrap());
    let faults = result["faults"].as_array().unwrap().iter();
    let faults = faults.map(|fault| fault.as_str().unwrap().split(':').next().unwrap());
    let reported: BTreeSet<_> = failed.chain(faults).collect();
    assert_eq!(reported, expected.iter().copied().flatten().copied().collect(), "{flaw}: {result:#}");
    assert_eq!(output.status.code(), Some(i32::from(!reported.is_empty())), "{flaw}");
    let threads = |time: &str| result[time]["threads"].as_u64().unwrap();
    assert!(threads("peak") > threads("before"), "{flaw}: {result:#}");
    // Each client connects at least once in the warm-up, and once after it.
    let idle = clients.iter().find(|kind| kind["name"] == "idle").unwrap();
    let connections = idle["passed"].as_u64().unwrap() + idle["failed"].as_u64().unwrap();
    assert!(connections >= 2 * IDLE_CLIENTS, "{flaw}: {idle}");
}
