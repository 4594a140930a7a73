//! Tests of the commands `compare` and `publish`: their exit codes, and what they print.

#![allow(clippy::unwrap_used, reason = "the lint knows tests by their attribute, not their folder")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A results file.
const RESULTS: &str = include_str!("report/results.json");

/// Runs the program in a directory, compares its exit code, and looks for a text in its output.
fn check(directory: &Path, arguments: &[&str], code: i32, text: &str) {
    let program = env!("CARGO_BIN_EXE_load-test");
    let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    let all = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!((output.status.code(), all.contains(text)), (Some(code), true), "{arguments:?}: {all}");
}

#[test]
fn compare_reports_regressions_by_its_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let slow = RESULTS.replace("\"cpu\":6.5", "\"cpu\":7.5");
    for (file, text) in [("before", RESULTS), ("worse", &slow), ("rubbish", "{")] {
        fs::write(directory.path().join(file), text).unwrap();
    }
    let check = |arguments: &[&str], code: i32, text: &str| {
        check(directory.path(), &[&["compare"], arguments].concat(), code, text);
    };
    check(&["before", "before"], 0, " 0 worse, 0 failed\n");
    check(&["before", "worse"], 1, " 1 worse, 0 failed\n");
    check(&["worse", "before"], 0, "\n1 better, ");
    check(&["before", "worse", "--bound", "30%"], 0, " 0 worse");
    check(&["before", "worse", "--metric", "p99"], 0, " 0 worse");
    check(&["before", "worse", "--metric", "p99", "--metric", "cpu"], 1, " 1 worse");
    check(&["before", "worse", "--metric", "beauty"], 2, "beauty");
    check(&["before", "rubbish"], 2, "rubbish is not a file of load-test results");
    check(&["before", "nowhere"], 2, "nowhere cannot be read: No such file");
    check(&["before"], 2, "AFTER");
}

#[test]
fn publish_names_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("results.json"), RESULTS).unwrap();
    let check = |arguments: &[&str], text: &str| check(directory.path(), arguments, 2, text);
    check(&["publish"], "http-test-suite/results/results.json cannot be read: No such file");
    check(&["publish", "--check", "--root", "/none"], "/none/http-test-suite/results/results.json cannot be");
    check(&["publish", "results.json"], " was measured in 2 rounds; publish needs 3");
}
