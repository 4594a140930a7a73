//! `httpd`: serves the files of a directory over HTTP/1.1.
//!
//! | file | what it does |
//! |---|---|
//! | `access` | which requests reach the files |
//! | `options` | the options of the command line that the other servers do not have |
//! | `config` | the options from the command line, the environment and a file |
//! | `site` | what the options mean: the handler of each worker |

mod access;
mod config;
mod options;
mod site;

use config::{Configuration, Error, PROGRAM};
use http_daemon::Application;
use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

/// The exit code for options that are wrong.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    let configuration = match Configuration::load(&arguments) {
        Ok(configuration) => configuration,
        Err(Error::CommandLine(error)) => error.exit(),
        Err(Error::Value(message)) => return wrong_usage(&message),
    };
    if configuration.arguments.file.print_config {
        return print(&configuration.to_string());
    }
    let is_check = configuration.arguments.file.check;
    let (site, engine, common) = configuration.arguments.into_site();
    if is_check {
        return match site.open(&[site.root.clone()]) {
            Ok(_) => print("httpd: the configuration is valid\n"),
            Err(error) => wrong_usage(&format!("cannot serve {site}: {}", http_engine::io_cause(&error))),
        };
    }
    common.run(PROGRAM, Arc::new(site), engine, None)
}

/// Prints `text` to standard output. Returns the exit code.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints why the options are wrong to standard error. Returns the exit code.
fn wrong_usage(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{PROGRAM}: {message}");
    ExitCode::from(WRONG_USAGE)
}
