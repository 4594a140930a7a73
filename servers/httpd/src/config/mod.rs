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
    options::{self as arguments, Arguments, EXAMPLES, FileOptions, OF_COMMAND_LINE},
    server::Server,
};
use clap::{Command, FromArgMatches};
use document::{Schema, Table};
use http_daemon::options::{self, Common};
use http_engine::Engine;
use print::Line;
use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
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
        let mut command = command();
        command.build();
        let environment = layers::environment(&command, OF_COMMAND_LINE)?;
        let upper = layers::merge(command.clone().ignore_errors(true), arguments, &[&environment])?;
        let path = upper.settings.iter().find(|setting| setting.name == "config");
        let path = path.and_then(|setting| setting.values.first().map(PathBuf::from));
        let schema = sites::schema(command.clone());
        let document = path.as_deref().map(|path| read(path, inherited, &schema)).transpose()?;
        let file = document.as_ref().map_or(&[][..], |document| &document.settings);
        let sites = document.iter().flat_map(|document| document.tables("site"));
        let of_sites = sites.flat_map(|site| &site.settings);
        let mut all = upper.settings.iter().chain(file).chain(of_sites);
        if all.any(|setting| setting.name == "tls-cert") {
            command = with_tls_port(self::command());
        }
        let merged = layers::merge(command, arguments, &[&environment, file])?;
        let options = print::lines(&merged, OF_COMMAND_LINE);
        let (top, tls, engine, common, file) = Arguments::from_arg_matches(&merged.matches)?.into_site();
        let (hosts, tables) = match &document {
            Some(document) => {
                (sites::virtual_hosts(document, &merged, top)?, print::tables(document, &schema))
            }
            None => (vec![sites::only(top, &merged)], String::new()),
        };
        let text = Text { options, tables };
        let reloader = Reloader::new(path, arguments, text.clone());
        let server = Server::new(hosts, tls, reloader).map_err(|(index, error)| match &document {
            Some(document) => {
                format!("{}: {error}", document.tables("site").get(index).unwrap_or(document).place)
            }
            None => error,
        })?;
        Ok(Configuration { file, engine, common, server, text })
    }
}

/// Returns the definition of the command line.
pub fn command() -> Command {
    let command = options::command::<Arguments>(PROGRAM, "8080");
    let long = match command.get_after_help() {
        Some(values) => format!("{values}\n\n{EXAMPLES}"),
        None => EXAMPLES.to_owned(),
    };
    command.after_long_help(long)
}

/// Returns the command, which has not been built, with the default port of a server with TLS.
fn with_tls_port(command: Command) -> Command {
    command.mut_arg("port", |port| port.default_value("8443"))
}

/// Returns the subcommand, if the first of the command line `arguments` names one. Other layers do not apply to it.
///
/// # Errors
///
/// If the command line is wrong.
pub fn subcommand(arguments: &[OsString]) -> Result<Option<arguments::Command>, clap::Error> {
    let command = command();
    let name = arguments.get(1).and_then(|name| name.to_str());
    if name.is_none_or(|name| command.find_subcommand(name).is_none()) {
        return Ok(None);
    }
    Ok(Arguments::from_arg_matches(&command.try_get_matches_from(arguments)?)?.command)
}

/// Reads and parses the file at `path`, or parses what was read from it before.
fn read(path: &Path, inherited: Option<&str>, schema: &Schema) -> Result<Table, String> {
    let text = inherited.map_or_else(|| document::read(path), |text| Ok(text.to_owned()))?;
    document::parse(&text, &path.display().to_string(), schema)
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
