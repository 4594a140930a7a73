//! Runs both experiments and the soak on a small correct server in the place of this project's servers, and on the same
//! server with one flaw. No other server has to be installed.
//!
//! The test has no harness, because the same program is also the server, which `load-test` starts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lints know tests by their attribute, not their folder"
)]

mod experiments;
mod server;
mod soak;

use std::os::unix::fs::symlink;
use std::{env, fs, thread};

use tempfile::TempDir;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if arguments.iter().any(|argument| argument == "-p" || argument == "--port") {
        server::serve(&arguments);
    }
    let filter = match arguments.get(1) {
        Some(argument) if argument == "--version" => return println!("small server 7"),
        Some(argument) if !argument.starts_with('-') => argument,
        _ => "",
    };
    for (name, tests) in [("experiments", experiments::TESTS), ("soak", soak::TESTS)] {
        if name.contains(filter) {
            thread::scope(|scope| tests.iter().for_each(|test| drop(scope.spawn(test))));
        }
    }
}

/// Makes a directory of programs, all of them this server with a flaw; the name of the directory is the flaw.
fn programs(flaw: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(flaw)).unwrap();
    for name in ["httpd", "async-server", "sync-server", "bare-loop"] {
        symlink(env::current_exe().unwrap(), dir.path().join(flaw).join(name)).unwrap();
    }
    dir
}
