//! Starts `httpd` in a process of its own.

pub use http_testing::program::{Exit, Program};

use http_testing::site::Site;
use std::{path::Path, process::Command};

/// Runs `httpd` until it exits.
pub fn run(arguments: &[&str]) -> Exit {
    Program::spawn(Command::new(env!("CARGO_BIN_EXE_httpd")).args(arguments)).expect("httpd").wait()
}

/// Serves the shared site. Unless the arguments say otherwise, it listens on a free port of 127.0.0.1.
pub fn serve(arguments: &[&str]) -> Program {
    let site = Site::shared();
    serve_root(site.root(), arguments).with_site(site)
}

/// The same with another document root, which must exist as long as the program.
pub fn serve_root(root: &Path, arguments: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_httpd"));
    command.args(["-w", "2", "-r"]).arg(root).args(arguments);
    for (option, value) in [("-b", "127.0.0.1"), ("-p", "0")] {
        if !arguments.contains(&option) {
            command.args([option, value]);
        }
    }
    Program::start(&mut command)
}
