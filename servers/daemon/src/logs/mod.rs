//! The logs of a process: an access log with a line per response, and an error log with a line per message.
//!
//! Logging never makes a connection wait: lines that cannot be written in time are dropped and counted, and the error
//! log reports the count. Text that clients choose is escaped. Several processes may write to the same file or pipe
//! without mixing their lines.

mod access_log;
mod error_log;
mod escape;
mod format;
mod output;
mod queue;
mod timestamp;
mod writer;

pub use access_log::AccessLog;
pub(crate) use error_log::install_logger;
pub use format::Format;
pub use output::Output;
pub use queue::Log;

use std::{io, path::PathBuf, time::Duration};
use writer::OpenedLog;

/// Which logs a server writes, and where.
#[derive(Clone, Debug, Default)]
pub struct LogSettings {
    /// The format of the access log; [`Format::Off`] for no access log.
    pub format: Format,
    /// The file of the access log; `None` for standard output.
    pub access_log: Option<PathBuf>,
    /// The file of the error log; `None` for standard error.
    pub error_log: Option<PathBuf>,
}

impl LogSettings {
    /// Opens the outputs with the privileges that the process still has. The error names the file.
    pub(crate) fn open(&self) -> io::Result<OpenedLogs> {
        let open = |file: &Option<PathBuf>, default: Output| {
            OpenedLog::new(file.clone().map_or(default, Output::File))
        };
        let errors = open(&self.error_log, Output::Stderr)?;
        let access = match self.format {
            Format::Off => None,
            format => Some((open(&self.access_log, Output::Stdout)?, format)),
        };
        Ok(OpenedLogs { access, errors })
    }
}

/// Logs whose outputs are open and whose writer threads have not started.
#[derive(Debug)]
pub(crate) struct OpenedLogs {
    access: Option<(OpenedLog, Format)>,
    errors: OpenedLog,
}

impl OpenedLogs {
    /// Starts the writer threads. From now on the messages and panics of this process go to its error log.
    pub(crate) fn start(self) -> io::Result<Logs> {
        let errors = self.errors.start()?;
        error_log::set_log(errors.clone());
        let access = match self.access {
            Some((log, format)) => Some((log.start()?, format)),
            None => None,
        };
        Ok(Logs { access, errors })
    }
}

/// The logs of a process.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    access: Option<(Log, Format)>,
    errors: Log,
}

impl Logs {
    /// The middleware that writes the access log, unless it is off.
    pub(crate) fn access_log(&self) -> Option<AccessLog> {
        self.access.clone().and_then(|(log, format)| AccessLog::new(log, format))
    }

    /// Reopens the files by their names, for log rotation.
    pub(crate) fn reopen(&self) {
        let access = self.access.iter().map(|(log, _)| log);
        access.chain([&self.errors]).for_each(Log::reopen);
    }

    /// Waits until all lines so far are written, for at most `timeout` per log, and reports lost lines of the access
    /// log.
    pub(crate) fn flush(&self, timeout: Duration) {
        if let Some((access, _)) = &self.access {
            access.flush(timeout);
            writer::report_lost(access.queue());
        }
        // Last, because it may have to report the access log's failures.
        self.errors.flush(timeout);
    }
}
