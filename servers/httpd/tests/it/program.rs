//! Starts `httpd` in a process of its own.

pub use http_testing::program::{Exit, Program};

use http_testing::site::Site;
use std::{path::Path, process::Command};

/// Runs `httpd` with these arguments until it exits.
pub fn run(arguments: &[&str]) -> Exit {
    Program::spawn(Command::new(env!("CARGO_BIN_EXE_httpd")).args(arguments)).expect("httpd").wait()
}

/// Starts an `httpd` that serves the shared site. Unless the arguments name an address and a port, it listens on a free
/// port of 127.0.0.1.
pub fn serve(arguments: &[&str]) -> Program {
    let site = Site::shared();
    serve_root(site.root(), arguments).with_site(site)
}

/// Starts an `httpd` that serves `root`, which must exist as long as the program runs. Unless the arguments name an
/// address and a port, it listens on a free port of 127.0.0.1.
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
