//! The configuration: each option, from the command line, the environment, a file, or its default.
//!
//! | file | what it does |
//! |---|---|
//! | `layers` | merges the layers |
//! | `document` | reads the file |
//! | `sites` | the tables of the file |
//! | `print` | writes the result as a file |
//! | `reload` | reads the file again while the server runs |

mod document;
mod layers;
mod print;
mod reload;
mod sites;

pub use reload::Reloader;

use crate::{
    dispatch::Misdirected,
    options::{Arguments, EXAMPLES, FileOptions, OF_COMMAND_LINE, SIGNALS, Subcommands},
    precompress::Precompress,
    server::Server,
};
use clap::{FromArgMatches, Subcommand};
use clap_complete::Shell;
use document::Table;
use http_daemon::options::{self, Common};
use http_engine::Engine;
use layers::Misfit;
use print::Line;
use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The name of this program.
pub const PROGRAM: &str = "httpd";

/// What the operator has chosen.
pub struct Configuration {
    pub file: FileOptions,
    pub engine: Engine,
    pub common: Common,
    pub server: Server,
    text: Text,
}

/// The options and tables, to be written as a file.
#[derive(Clone)]
pub struct Text {
    options: Vec<Line>,
    tables: String,
}

/// Why there is no configuration.
pub enum Error {
    /// The command line is wrong, or asks for the help or the version.
    CommandLine(clap::Error),
    /// A value from the environment or the file is wrong. The message says which.
    Value(String),
}

impl Configuration {
    /// Merges the command line `arguments`, the environment and the file that one of them names. In a worker process,
    /// `inherited` is the text of the file, which this process need not be able to read.
    ///
    /// # Errors
    ///
    /// If one of them is wrong.
    pub fn load(arguments: &[OsString], inherited: Option<&str>) -> Result<Configuration, Error> {
        let mut command = options_command();
        command.build();
        layers::check_switches(&command, arguments)?;
        let environment = layers::environment(&command, OF_COMMAND_LINE)?;
        let upper = layers::merge(command.clone().ignore_errors(true), arguments, &[&environment])?.settings;
        let path = upper.iter().find(|setting| setting.name == "config");
        let path = path.and_then(|setting| setting.values.first().map(PathBuf::from));
        let document = path.as_deref().map(|path| read(path, inherited, command.clone())).transpose()?;
        let (document, tables) = document.unzip();
        let file = document.as_ref().map_or(&[][..], |document| &document.settings);
        let sites = document.iter().flat_map(|document| document.tables("site"));
        let of_sites = sites.flat_map(|site| &site.settings);
        let mut all = upper.iter().chain(file).chain(of_sites);
        if all.any(|setting| setting.name == "tls-cert") {
            command = with_tls_port(options_command());
        }
        let merged = layers::merge(command, arguments, &[&environment, file])?;
        let options = print::lines(&merged, OF_COMMAND_LINE);
        let (top, tls, engine, common, file) = Arguments::from_arg_matches(&merged.matches)?.into_site();
        let misdirected =
            Misdirected { options: Arc::clone(&top.site.options), access: top.site.access.clone() };
        let hosts = match &document {
            Some(document) => sites::virtual_hosts(document, &merged, top)?,
            None => vec![sites::single_site(top, &merged)],
        };
        // Before the sites are loaded, so that the allocator can give the memory of all options back.
        drop(merged);
        let text = Text { options, tables: tables.unwrap_or_default() };
        let reloader = Reloader::new(path, arguments, text.clone());
        let server =
            Server::new(hosts, tls, misdirected, reloader).map_err(|(index, error)| match &document {
                Some(document) => {
                    format!("{}: {error}", document.tables("site").get(index).unwrap_or(document).place)
                }
                None => error,
            })?;
        Ok(Configuration { file, engine, common, server, text })
    }
}

/// What the command line asks for, without regard to the environment and a file.
pub enum Command {
    /// To serve, or to check or print the [`Configuration`].
    Serve,
    Precompress(Precompress),
    PrintManual,
    PrintCompletions(Shell),
}

/// Returns the definition of the command line, with its subcommands.
pub fn command() -> clap::Command {
    let command = options_command().args_conflicts_with_subcommands(true).disable_help_subcommand(true);
    Subcommands::augment_subcommands(command)
}

/// Returns the definition of the options, without subcommands: clap then reports a second directory as an unexpected
/// argument, not as an unknown subcommand.
fn options_command() -> clap::Command {
    let command = options::command::<Arguments>(PROGRAM, "8080");
    let values = command.get_after_help().map(|values| format!("{values}\n\n")).unwrap_or_default();
    command.after_long_help(format!("{values}{SIGNALS}\n\n{EXAMPLES}"))
}

/// Returns the command, which has not been built, with the default port of a server with TLS.
fn with_tls_port(command: clap::Command) -> clap::Command {
    command.mut_arg("port", |port| port.default_value("8443"))
}

/// Returns what the command line `arguments` ask for.
///
/// # Errors
///
/// If they ask for the help or the version, or for something else than to serve and are wrong.
pub fn command_of(arguments: &[OsString]) -> Result<Command, clap::Error> {
    let command = command();
    let name = arguments.get(1).and_then(|name| name.to_str());
    if name.is_some_and(|name| command.find_subcommand(name).is_some()) {
        let Subcommands::Precompress(precompress) =
            Subcommands::from_arg_matches(&command.try_get_matches_from(arguments)?)?;
        return Ok(Command::Precompress(precompress));
    }
    // Also if other arguments are wrong, which `load` reports.
    let matches = command.clone().ignore_errors(true).try_get_matches_from(arguments)?;
    // Without its default if another argument is wrong.
    let prints_manual = matches.get_one::<bool>("man").is_some_and(|is_on| *is_on);
    let shell = matches.get_one::<Shell>("completions");
    if prints_manual || shell.is_some() {
        command.try_get_matches_from(arguments)?;
    }
    Ok(match shell {
        Some(shell) => Command::PrintCompletions(*shell),
        None if prints_manual => Command::PrintManual,
        None => Command::Serve,
    })
}

/// Reads and parses the file at `path`, or parses what was read from it before. Returns its options, and the tables in
/// it as text. `command` has the options of the command line.
fn read(path: &Path, inherited: Option<&str>, command: clap::Command) -> Result<(Table, String), String> {
    let text = inherited.map_or_else(|| document::read(path), |text| Ok(text.to_owned()))?;
    let schema = sites::schema(command);
    let document = document::parse(&text, &path.display().to_string(), &schema)?;
    let tables = print::tables(&document, &schema);
    Ok((document, tables))
}

impl fmt::Display for Configuration {
    /// A configuration file with all options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.iter().try_for_each(|line| line.fmt(f))?;
        f.write_str(&self.tables)
    }
}

impl From<Misfit> for Error {
    fn from(misfit: Misfit) -> Error {
        match &misfit.cause {
            Some(setting) => Error::Value(format!("{}: {misfit}", setting.origin)),
            None => Error::CommandLine(misfit.error),
        }
    }
}

impl From<clap::Error> for Error {
    fn from(error: clap::Error) -> Error {
        Error::CommandLine(error)
    }
}

impl From<String> for Error {
    fn from(message: String) -> Error {
        Error::Value(message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::CommandLine(error) => f.write_str(&layers::message(error)),
            Error::Value(message) => f.write_str(message),
        }
    }
}
