//! `httpd`: serves the files of a directory over HTTP/1.1.
//!
//! | file | what it does |
//! |---|---|
//! | `access` | which requests reach the files |
//! | `bandwidth` | how fast responses are sent |
//! | `options` | the options of the command line that the other servers do not have |
//! | `config` | the options from the command line, the environment and a file |
//! | `server` | the application: its sites, and their handlers |
//! | `dispatch` | chooses the site and the directory of a request |
//! | `hosts` | which site serves a host |
//! | `metrics` | the metrics of the file caches |
//! | `rules` | redirects and rewrites |
//! | `precompress` | `httpd precompress`: writes compressed forms of files |
//! | `site` | a directory, and how its files are served |
//! | `text_file` | reads the files that options name |
//! | `tls` | the certificates of the sites |

mod access;
mod bandwidth;
mod config;
mod dispatch;
mod hosts;
mod metrics;
mod options;
mod precompress;
mod rules;
mod server;
mod site;
mod text_file;
mod tls;

use clap_complete::Shell;
use config::{Command, Configuration, Error, PROGRAM};
use http_daemon::Inherited;
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
    match config::command_of(&arguments) {
        Ok(Command::Serve) => {}
        Ok(Command::Precompress(precompress)) => return precompress.run(),
        Ok(Command::PrintManual) => return print(&manual()),
        Ok(Command::PrintCompletions(shell)) => return print(&completions(shell)),
        Err(error) => error.exit(),
    }
    let inherited = Inherited::receive().and_then(|inherited| {
        let configuration = inherited.as_ref().map(Inherited::configuration).transpose()?.flatten();
        Ok((inherited, configuration))
    });
    let (inherited, configuration) = match inherited {
        Ok(inherited) => inherited,
        Err(error) => {
            let _ =
                writeln!(io::stderr(), "{PROGRAM}: cannot receive sockets from the parent process: {error}");
            return ExitCode::FAILURE;
        }
    };
    let configuration = match Configuration::load(&arguments, configuration.as_deref()) {
        Ok(configuration) => configuration,
        Err(Error::CommandLine(error)) => error.exit(),
        Err(Error::Value(message)) => return wrong_usage(&message),
    };
    if configuration.file.print_config {
        return print(configuration.to_string().as_bytes());
    }
    let Configuration { file, server, engine, common, .. } = configuration;
    if file.check {
        let of_process = || common.check(&server).map_err(|error| http_engine::io_cause(&error));
        return match server.check().and_then(|()| of_process()) {
            Ok(()) => print(b"httpd: the configuration is valid\n"),
            Err(error) => wrong_usage(&error),
        };
    }
    common.run(PROGRAM, Arc::new(server), engine, inherited)
}

/// Returns the script that completes the command line in a shell.
fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut config::command(), PROGRAM, &mut script);
    script
}

/// Returns the manual page.
fn manual() -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to memory cannot fail.
    let _ = clap_mangen::Man::new(config::command()).render(&mut page);
    // There is no page of the subcommand, to which clap_mangen refers.
    let page = String::from_utf8_lossy(&page);
    page.replace(r"httpd\-precompress(1)", "httpd precompress DIRECTORY").into_bytes()
}

/// Prints `text` to standard output. Returns the exit code.
fn print(text: &[u8]) -> ExitCode {
    match io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints why the options are wrong to standard error. Returns the exit code.
fn wrong_usage(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{PROGRAM}: {message}");
    ExitCode::from(WRONG_USAGE)
}
