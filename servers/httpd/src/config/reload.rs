//! Reads the configuration file, and the files that options name, again while the server runs.

use super::{Configuration, Error, Text, layers};
use crate::options::SiteTable;
use clap::CommandFactory;
use http_daemon::Application;
use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The options of what a successor takes over from its predecessor: the sockets, the user and the PID file.
const OF_PROCESS: [&str; 8] =
    ["port", "bind", "socket-mode", "redirect-http", "admin", "user", "group", "pid-file"];

/// What a server needs to read its configuration again.
pub struct Reloader {
    /// `None` without a configuration file.
    file: Option<PathBuf>,
    /// The command line.
    arguments: Vec<OsString>,
    /// The configuration of the server.
    text: Text,
}

impl Reloader {
    pub(super) fn new(file: Option<PathBuf>, arguments: &[OsString], text: Text) -> Reloader {
        Reloader { file, arguments: arguments.to_owned(), text }
    }

    /// The path of the configuration file.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the files. Returns the server with the sites in them. All other options keep their values: the log names
    /// those that differ in the configuration file.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or is wrong. The message names the place.
    pub fn reload(&self) -> io::Result<Arc<dyn Application>> {
        let mut new = Configuration::load(&self.arguments, None).map_err(to_io)?;
        let of_sites = SiteTable::command();
        for (line, old) in new.text.options.iter_mut().zip(&self.text.options) {
            // The options of TLS may change: the certificates are loaded again with them.
            if layers::find(&of_sites, &line.name).is_some() || line.name.starts_with("tls-") {
                continue;
            }
            if line.values != old.values {
                let name = &line.name;
                let remedy = if OF_PROCESS.contains(&&**name) { "" } else { ", or start a successor" };
                log::warn!("{name} cannot change while the server runs: restart it{remedy}");
            }
            line.clone_from(old);
        }
        new.server.set_text(new.text);
        Ok(Arc::new(new.server))
    }

    /// The configuration of the server as a file, for its worker processes.
    pub fn configuration(&self) -> String {
        self.text.to_string()
    }

    /// In a worker process: returns the server with this configuration.
    ///
    /// # Errors
    ///
    /// If the configuration is wrong.
    pub fn with_configuration(&self, configuration: &str) -> io::Result<Arc<dyn Application>> {
        let new = Configuration::load(&self.arguments, Some(configuration)).map_err(to_io)?;
        Ok(Arc::new(new.server))
    }

    /// Sets the configuration of the server.
    pub fn set_text(&mut self, text: Text) {
        self.text = text;
    }
}

/// Returns the error with the same message.
#[allow(clippy::needless_pass_by_value, reason = "the argument of `map_err`")]
fn to_io(error: Error) -> io::Error {
    io::Error::other(error.to_string())
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("file", &self.file).finish_non_exhaustive()
    }
}
