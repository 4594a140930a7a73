//! Runs `load-test versus` with a small correct server in the place of httpd, and with the same server with a flaw. No
//! other server has to be installed.
//!
//! The test has no harness, because the same program is also the server, started under the name of its flaw.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lints know tests by their attribute, not their folder"
)]

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

#[path = "versus/little_server.rs"]
mod little_server;

/// Works that need neither thousands of connections nor thousands of files.
const WORKS: &str = "keep-alive,close,large,absent,not-modified,head,pipelined,logged,start";

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if arguments.iter().any(|argument| argument == "-p") {
        little_server::serve(&arguments);
    }
    match arguments.get(1).map(String::as_str) {
        Some("--version") => println!("little server 7"),
        // A filter for another test, as a harness would get it.
        Some(filter) if !filter.starts_with('-') && !"versus".contains(filter) => {}
        _ => thread::scope(|scope| {
            for test in
                [measures_what_is_right, shows_what_is_wrong, leaves_out_who_is_not_here, refuses_nonsense]
            {
                scope.spawn(test);
            }
        }),
    }
}

/// The result of a run: exit code, output and files.
struct Run {
    code: Option<i32>,
    said: String,
    table: String,
    results: Value,
    svg: String,
}

/// Runs `versus` with a server that has this flaw, and with the limit.
fn run(flaw: &str, arguments: &[&str]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    for name in [flaw, "limit"] {
        symlink(env::current_exe().unwrap(), dir.path().join(name)).unwrap();
    }
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_load-test"))
        .args(["versus", "--time", "100ms", "--rounds", "2", "--httpd"])
        .arg(dir.path().join(flaw))
        .args([Path::new("--baselines"), dir.path(), Path::new("--out"), &dir.path().join("out")])
        .args(arguments)
        .output()
        .unwrap();
    let read = |name: &str| fs::read_to_string(dir.path().join("out").join(name)).unwrap_or_default();
    Run {
        code: status.code(),
        said: String::from_utf8([stdout, stderr].concat()).unwrap(),
        table: read("table.md"),
        results: serde_json::from_str(&read("results.json")).unwrap_or_default(),
        svg: read("versus.svg"),
    }
}

impl Run {
    /// For each cell: work, server, number of rounds with numbers, and number of wrong answers.
    fn cells(&self) -> Vec<(String, String, usize, u64)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let wrong = |round: &Value| {
            let wrong = round["wrong"].as_object();
            wrong.map_or(0, |wrong| wrong.values().map(|count| count.as_u64().unwrap()).sum::<u64>())
        };
        let cell = |cell: &Value| {
            let rounds = cell["rounds"].as_array().unwrap();
            assert!(
                rounds.iter().all(|round| round["task"] == "start" || round["requests"].as_u64() > Some(0))
            );
            (text(&cell["work"]), text(&cell["server"]), rounds.len(), rounds.iter().map(wrong).sum())
        };
        self.results["cells"].as_array().unwrap_or_else(|| panic!("{}", self.said)).iter().map(cell).collect()
    }
}

fn measures_what_is_right() {
    let run = run("nothing", &["--only", "httpd,limit", "--work", WORKS]);
    let mut expected = Vec::new();
    for work in WORKS.split(',') {
        let servers: &[&str] = match work {
            "keep-alive" | "close" | "pipelined" | "start" => &["httpd", "limit"],
            _ => &["httpd"],
        };
        expected.extend(servers.iter().map(|server| (work.to_owned(), (*server).to_owned(), 2, 0)));
    }
    let mut cells = run.cells();
    cells.sort();
    expected.sort();
    assert_eq!(cells, expected, "{}", run.said);
    assert_eq!((run.code, &run.results["left_out"]), (Some(0), &Value::Array(Vec::new())), "{}", run.said);
    assert!(run.said.starts_with(&run.table) && run.table.contains("| **httpd** | little server 7 |"));
    assert_eq!(run.table.matches("\n## ").count(), WORKS.split(',').count(), "{}", run.table);
    assert_eq!(run.svg.matches("class=\"name\"").count(), WORKS.split(',').count(), "{}", run.svg);
}

fn shows_what_is_wrong() {
    let sometimes = run("sometimes wrong", &["--only", "httpd", "--work", "pipelined"]);
    let cells = sometimes.cells();
    assert!(cells[0].2 == 2 && cells[0].3 > 0, "{cells:?}");
    assert!(sometimes.table.contains("** × wrong content |"), "{}", sometimes.table);
    let always = run("always wrong", &["--only", "httpd", "--work", "head,keep-alive"]);
    assert!(always.cells().iter().any(|(work, _, rounds, _)| work == "keep-alive" && *rounds == 0));
    assert!(always.table.contains("**FAILED** round 2: nothing was answered rightly: "), "{}", always.table);
    let dead = run("does not start", &["--only", "httpd,limit", "--work", "keep-alive"]);
    assert!(dead.table.contains("did not start: for a reason |"), "{}", dead.table);
    for run in [sometimes, always, dead] {
        assert_eq!(run.code, Some(1), "{}", run.said);
    }
}

fn leaves_out_who_is_not_here() {
    let run = run("without tags", &["--only", "httpd,tiny-http", "--work", "not-modified,absent"]);
    let left_out = run.results["left_out"].as_array().unwrap_or_else(|| panic!("{}", run.said));
    let left_out: Vec<&str> = left_out.iter().map(|line| line.as_str().unwrap()).collect();
    assert!(left_out[0].starts_with("tiny-http: tiny-http is not built in "), "{left_out:?}");
    assert_eq!(left_out[1..], ["httpd at not-modified: it gives files no tags"]);
    assert_eq!(run.cells(), [("absent".to_owned(), "httpd".to_owned(), 2, 0)]);
    assert_eq!(run.code, Some(0));
}

fn refuses_nonsense() {
    for arguments in [
        &["--only", "tiny-http"][..],
        &["--only", "no-such-server"],
        &["--work", "nothing"],
        &["--rounds", "0"],
        &["--time", "0s"],
        &["--workers", "0"],
    ] {
        let run = run("nothing", arguments);
        assert_eq!((run.code, run.table.as_str()), (Some(2), ""), "{arguments:?}: {}", run.said);
    }
}
