//! The logs: a line for each request that is over, and a line for each thing that went wrong.
//!
//! Neither ever makes a connection wait. What cannot be written in time is dropped and counted, and the count is
//! reported. What peers have chosen is escaped. Several processes may write to one file or pipe, and no line of
//! one is torn by another.

mod access_log;
mod error_log;
mod escape;
mod format;
mod output;
mod timestamp;
mod writer;

pub use access_log::AccessLog;
pub use error_log::{install_logger, report_panics, report_to};
pub use format::Format;
pub(crate) use format::{Draft, Outcome};
pub use output::Output;
pub use writer::{Log, Opened};

use std::{io, path::PathBuf, time::Duration};

/// The most bytes a line has, its end included: what pipe(7) promises not to mix with the lines of others. All that
/// a peer chooses is cut to fit.
const LONGEST_LINE: usize = 4096;

/// What an operator can choose.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How requests are logged, if they are.
    pub access: Format,
    /// Where to; `None` for standard output.
    pub file: Option<PathBuf>,
    /// Where messages go; `None` for standard error.
    pub errors: Option<PathBuf>,
}

impl Settings {
    /// Opens what is to be written, while there are the rights to do so.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened for writing; which one, the error says.
    pub fn open(&self) -> io::Result<OpenedLogs> {
        let open = |file: &Option<PathBuf>, otherwise: Output| {
            let output = file.clone().map_or(otherwise, Output::File);
            let name = output.to_string();
            Opened::new(output).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
        };
        let errors = open(&self.errors, Output::Stderr)?;
        let access = match self.access {
            Format::Off => None,
            _ => Some(open(&self.file, Output::Stdout)?),
        };
        Ok(OpenedLogs { access, errors, format: self.access })
    }
}

/// Logs that are open and not written yet.
#[derive(Debug)]
pub struct OpenedLogs {
    access: Option<Opened>,
    errors: Opened,
    format: Format,
}

impl OpenedLogs {
    /// Starts writing, with the rights that are left. From now on the messages of this process go to its error log,
    /// and so do panics.
    ///
    /// # Errors
    ///
    /// When the system lacks threads.
    pub fn start(self) -> io::Result<Logs> {
        let errors = self.errors.start()?;
        report_to(errors.clone());
        report_panics();
        let access = self.access.map(Opened::start).transpose()?;
        Ok(Logs { access, errors, format: self.format })
    }
}

/// The logs of a process.
#[derive(Clone, Debug)]
pub struct Logs {
    access: Option<Log>,
    errors: Log,
    format: Format,
}

impl Logs {
    /// The access log and its format, unless it is off.
    pub fn access(&self) -> Option<(Log, Format)> {
        self.access.clone().map(|log| (log, self.format))
    }

    /// Opens the files anew by their names, after they have been renamed.
    pub fn reopen(&self) {
        self.access.iter().chain([&self.errors]).for_each(Log::reopen);
    }

    /// Waits until all is written that has been said by now, for at most `within` each. Whether it is. Lines that were
    /// lost are reported, even if their output never took another one.
    pub fn flush(&self, within: Duration) -> bool {
        let access = self.access.as_ref().is_none_or(|log| {
            let done = log.flush(within);
            log.report_lost();
            done
        });
        // The error log comes last, whatever became of the other one: that is what it may have to tell.
        self.errors.flush(within) && access
    }
}
