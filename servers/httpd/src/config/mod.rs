//! The configuration: each option, from the command line, the environment, a file, or its default.
//!
//! | file | what it does |
//! |---|---|
//! | `layers` | merges the layers |
//! | `document` | reads the file |
//! | `print` | writes the result as a file |

mod document;
mod layers;
mod print;

use crate::options::{Arguments, OF_COMMAND_LINE};
use clap::FromArgMatches;
use document::Schema;
use http_daemon::options;
use layers::{Merged, Value};
use std::{ffi::OsString, fmt, path::Path};

/// The name of this program.
pub const PROGRAM: &str = "httpd";

/// What the operator has chosen.
pub struct Configuration {
    pub arguments: Arguments,
    merged: Merged,
}

/// Why there is no configuration.
pub enum Error {
    /// The command line is wrong, or asks for the help or the version.
    CommandLine(clap::Error),
    /// A value from the environment or the file is wrong. The message says which.
    Value(String),
}

impl Configuration {
    /// Merges the command line `arguments`, the environment and the file that one of them names.
    ///
    /// # Errors
    ///
    /// If one of them is wrong.
    pub fn load(arguments: &[OsString]) -> Result<Configuration, Error> {
        let mut command = options::command::<Arguments>(PROGRAM, "8080");
        command.build();
        let environment = layers::environment(&command)?;
        let upper = layers::merge(command.clone().ignore_errors(true), arguments, &[&environment])?;
        let named = upper.settings.iter().find(|setting| setting.name == "config");
        let file = match named.map(|setting| &setting.value) {
            Some(Value::Texts(path)) if !path.is_empty() => {
                let path = Path::new(&path[0]);
                let schema =
                    Schema { command: command.clone(), excluded: OF_COMMAND_LINE, tables: Vec::new() };
                document::parse(&document::read(path)?, &path.display().to_string(), &schema)?.settings
            }
            _ => Vec::new(),
        };
        let merged = layers::merge(command, arguments, &[&environment, &file])?;
        Ok(Configuration { arguments: Arguments::from_arg_matches(&merged.matches)?, merged })
    }
}

impl fmt::Display for Configuration {
    /// A configuration file with all options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::options(f, &self.merged, OF_COMMAND_LINE)
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
