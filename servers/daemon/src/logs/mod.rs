//! The logs of a process: an access log with a line per response, and an error log with a line per message.
//!
//! Logging never makes a connection wait: lines that cannot be written in time are dropped and counted, and the error
//! log reports the count. Text that clients choose is escaped. Several processes may write to the same file or pipe
//! without mixing their lines.

mod access_log;
mod error_log;
mod escape;
mod output;
mod queue;
mod timestamp;
mod writer;

pub use access_log::{AccessLog, Format};
pub(crate) use error_log::install_logger;
pub use output::Output;
pub use queue::Log;

use http_engine::{MakeHandler, Stack};
use std::{io, path::PathBuf, sync::Arc, time::Duration};

/// Which logs a server writes, and where.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct LogSettings {
    /// Format of the access log
    #[arg(long = "log", value_name = "FORMAT", value_enum, default_value_t = Format::Off)]
    pub format: Format,

    /// File of the access log, reopened on SIGUSR1 and SIGHUP [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// File of the error log, reopened on SIGUSR1 and SIGHUP [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub error_log: Option<PathBuf>,
}

impl LogSettings {
    /// Opens the files of the logs, calls `restrict`, then starts a thread for each log that writes its lines. So
    /// `restrict` may require a process with a single thread, and may forbid opening these files. Returns the logs and
    /// the result of `restrict`.
    ///
    /// After this call, this process's messages and panics go to its error log. Fails if a file cannot be opened, if
    /// `restrict` fails, or if the kernel starts no thread.
    pub(crate) fn start<T>(&self, restrict: impl FnOnce() -> io::Result<T>) -> io::Result<(Logs, T)> {
        let open = |file: &Option<PathBuf>, default| {
            let output = file.clone().map_or(default, Output::File);
            output.open().map(|file| (output, file))
        };
        let errors = open(&self.error_log, Output::Stderr)?;
        let access =
            (self.format != Format::Off).then(|| open(&self.log_file, Output::Stdout)).transpose()?;
        let restricted = restrict()?;
        let start = |(output, file)| writer::start(output, file);
        let errors = start(errors)?;
        error_log::set_log(errors.clone());
        let access = access.map(start).transpose()?.and_then(|log| AccessLog::new(log, self.format));
        Ok((Logs { access, errors }, restricted))
    }
}

/// Starts a thread that writes `line`, which must end in a newline, to this output and then ends. Does not wait for the
/// output, which may be a full pipe: [`Log::flush`] waits. Fails if the output is closed, or if the kernel starts no
/// thread.
pub(crate) fn print(output: Output, line: &str) -> io::Result<Log> {
    let log = Log::open(output)?;
    log.append(|out, _| out.extend_from_slice(line.as_bytes()));
    Ok(log)
}

/// The logs of a process.
pub(crate) struct Logs {
    /// `None` if the access log is off.
    access: Option<AccessLog>,
    /// The error log.
    errors: Log,
}

impl Logs {
    /// Returns a function that makes the same handlers as `make`, but with a line in the access log for each response.
    /// Returns `make` unchanged if the access log is off.
    pub(crate) fn wrap(&self, make: MakeHandler) -> MakeHandler {
        match self.access.clone() {
            Some(layer) => Arc::new(move |worker| Arc::new(Stack::new(make(worker)).wrap(layer.clone()))),
            None => make,
        }
    }

    /// Makes the writer threads reopen the log files by their names, for log rotation. Does not wait.
    pub(crate) fn reopen(&self) {
        self.access.iter().map(|access| &access.log).chain([&self.errors]).for_each(Log::reopen);
    }

    /// Waits until the lines appended so far are written, for at most `timeout` per log. If the access log has lost
    /// lines since the last report, reports their number to the error log.
    pub(crate) fn flush(&self, timeout: Duration) {
        if let Some(AccessLog { log, .. }) = &self.access {
            log.flush(timeout);
            writer::report_lost(&log.buffer);
        }
        // The error log last, because failures of the access log are reported to it.
        self.errors.flush(timeout);
    }
}
