//! `httpd` in a process of its own.

pub use http_testing::program::{Exit, Program};

use http_testing::site::Site;
use std::{path::Path, process::Command};

/// Runs `httpd` with these arguments to its end.
pub fn run(arguments: &[&str]) -> Exit {
    Program::spawn(Command::new(env!("CARGO_BIN_EXE_httpd")).args(arguments)).expect("httpd").exit()
}

/// Serves the shared site, on a free port of the loopback address unless the arguments say otherwise.
pub fn serve(arguments: &[&str]) -> Program {
    let site = Site::shared();
    serve_root(site.root(), arguments).serving(site)
}

/// The same for another root, which the caller must keep.
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
