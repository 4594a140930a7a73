//! Tests of the commands `compare` and `publish`: their exit codes, and what they print.

#![allow(clippy::unwrap_used, reason = "the lint knows tests by their attribute, not their folder")]

use std::fs;
use std::path::Path;
use std::process::Command;

use load_test::report::results::VERSION;
use load_test::report::{Cell, Colour, Machine, Metric, Results, Run, Sample, SubjectLabel, WorkloadLabel};

/// Writes a results file with one cell, whose rounds have these numbers of requests per second.
fn write(path: &Path, throughput: &[f64]) {
    let sample = |(round, value): (usize, &f64)| {
        let values = [(Metric::Throughput, *value), (Metric::Memory, 3.0), (Metric::P99, 1e6 / value)].into();
        Sample { round, values, ..Sample::default() }
    };
    let (id, title, version) = ("httpd".to_owned(), "httpd".to_owned(), "httpd 1".to_owned());
    let run = Run {
        workloads: vec![WorkloadLabel { id: "hello".into(), ..WorkloadLabel::default() }],
        subjects: vec![SubjectLabel { id, title, version, colour: Colour::Blue, is_ours: true }],
        ..Run::default()
    };
    let samples = (1..).zip(throughput).map(sample).collect();
    let cell = Cell { workload: "hello".into(), subject: "httpd".into(), samples, ..Cell::default() };
    let (machine, runs) = (Machine::default(), [("servers".to_owned(), run)].into());
    Results { version: VERSION, machine, runs, cells: vec![cell] }.write(path).unwrap();
}

/// Runs the program in a directory, compares its exit code, and returns its output.
fn check(directory: &Path, arguments: &[&str], code: i32) -> String {
    let program = env!("CARGO_BIN_EXE_load-test");
    let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

#[test]
fn compare_reports_regressions_by_its_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    write(&file("before"), &[1000.0, 1010.0, 1020.0]);
    write(&file("worse"), &[800.0, 810.0, 820.0]);
    fs::write(file("rubbish"), "{").unwrap();
    let compare =
        |arguments: &[&str], code: i32| check(directory.path(), &[&["compare"], arguments].concat(), code);
    compare(&["before", "before"], 0);
    assert!(compare(&["before", "worse"], 1).contains("WORSE\n0 better, 0 the same, 1 worse, 0 failed\n"));
    compare(&["worse", "before"], 0);
    compare(&["before", "worse", "--bound", "30%"], 0);
    compare(&["before", "worse", "--metric", "memory"], 0);
    compare(&["before", "worse", "--metric", "memory", "--metric", "p99"], 1);
    compare(&["before", "worse", "--metric", "beauty"], 2);
    assert!(compare(&["before", "rubbish"], 2).contains("rubbish is not a file of load-test results"));
    assert!(compare(&["before", "nowhere"], 2).contains("nowhere cannot be read: No such file"));
    compare(&["before"], 2);
}

#[test]
fn publish_names_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("results.json"), &[1000.0]);
    let publish = |arguments: &[&str]| check(directory.path(), &[&["publish"], arguments].concat(), 2);
    assert!(publish(&[]).contains("http-test-suite/results/results.json cannot be read: No such file"));
    assert!(publish(&["results.json"]).contains("./README.md: cannot read: No such file"));
    assert!(
        publish(&["results.json", "--check", "--root", "/nowhere"])
            .contains("/nowhere/README.md: cannot read")
    );
}
