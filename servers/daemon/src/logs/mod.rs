//! The logs of a process: an access log with a line per response, and an error log with a line per message.
//!
//! Logging never makes a connection wait: lines that cannot be written in time are dropped and counted, and the error
//! log reports the count. Text that clients choose is escaped. Several processes may write to the same file or pipe
//! without mixing their lines.

mod access_log;
mod error_log;
mod escape;
mod output;
mod pattern;
mod queue;
mod request_id;
mod timestamp;
mod writer;

pub use access_log::{AccessLog, Format};
pub(crate) use error_log::install_logger;
pub use output::Output;
pub use pattern::Pattern;
pub use queue::Log;
pub use request_id::{RequestId, RequestIds};

use crate::{launch::MakeHandler, privileges::Identity};
use http_engine::Stack;
use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Which logs a server writes, and where.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct LogSettings {
    /// Format of the access log [default: off, or combined with --log-file]
    #[arg(long = "log", value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,

    /// Lines of the access log in a format of your own, with variables of nginx, as in '$remote_addr [$time_iso8601]
    /// "$request" $status $body_bytes_sent $request_time'
    #[arg(long = "log-format", value_name = "TEXT", conflicts_with = "format")]
    pub pattern: Option<Pattern>,

    /// Send each response with a header X-Request-Id: that of the request if it is valid, or else a new one; implied if
    /// --log-format contains $request_id
    #[arg(long)]
    pub request_id: bool,

    /// File of the access log, reopened on SIGUSR1 and SIGHUP, or - for standard output; implies --log combined
    /// [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// File of the error log, reopened on SIGUSR1 and SIGHUP, or - for standard output [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub error_log: Option<PathBuf>,
}

impl LogSettings {
    /// Opens the files of the logs, calls `restrict`, then starts a thread for each log that writes its lines. So
    /// `restrict` may require a process with a single thread, and may forbid opening these files. Returns the logs and
    /// the result of `restrict`.
    ///
    /// `opened` are files of these logs that are open already. Such a file is used if this process cannot open its
    /// name.
    ///
    /// After this call, this process's messages and panics go to its error log. Fails if a file cannot be opened, if
    /// `restrict` fails, or if the kernel starts no thread.
    pub(crate) fn start<T>(
        &self,
        opened: LogFiles<OwnedFd>,
        restrict: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<(Logs, T)> {
        let open = |output: Output, opened: Option<OwnedFd>| {
            let file = output.open().or_else(|error| opened.map(File::from).ok_or(error))?;
            io::Result::Ok((output, file))
        };
        let [access, errors] = self.outputs();
        let errors = open(errors, opened.errors)?;
        let access = self.has_access_log().then(|| open(access, opened.access)).transpose()?;
        let restricted = restrict()?;
        let start = |(output, file)| writer::start(output, file);
        let errors = start(errors)?;
        error_log::set_log(errors.clone());
        let access = access.map(start).transpose()?.and_then(|log| match &self.pattern {
            Some(pattern) => Some(AccessLog::with_pattern(log, pattern.clone())),
            None => AccessLog::new(log, self.format()),
        });
        let has_request_ids = self.request_id || self.pattern.as_ref().is_some_and(Pattern::has_request_id);
        Ok((Logs { access, errors, has_request_ids }, restricted))
    }

    /// As root, opens the log files for this process, which is going to switch to the user `identity`. Leaves out files
    /// that this user could replace: only the user itself may open them.
    pub(crate) fn open_as_root(&self, identity: &Identity) -> io::Result<LogFiles<OwnedFd>> {
        let open = |output: &Output| output.open_as_root(identity).map(|file| file.map(OwnedFd::from));
        let [access, errors] = &self.outputs();
        let errors = open(errors)?;
        let access = if self.has_access_log() { open(access)? } else { None };
        Ok(LogFiles { access, errors })
    }

    /// Whether there is an access log.
    fn has_access_log(&self) -> bool {
        self.pattern.is_some() || self.format() != Format::Off
    }

    /// The format of the access log without a pattern: a file without a format implies the combined format.
    fn format(&self) -> Format {
        let implied = if self.log_file.is_some() { Format::Combined } else { Format::Off };
        self.format.unwrap_or(implied)
    }

    /// Returns the paths of the log files. Standard output and standard error have none, and a log that is off.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let [access, errors] = self.outputs();
        let outputs = [Some(access).filter(|_| self.has_access_log()), Some(errors)];
        outputs.iter().flatten().filter_map(Output::path).map(Path::to_path_buf).collect()
    }

    /// Where the access log and the error log are written.
    fn outputs(&self) -> [Output; 2] {
        let output = |file: &Option<PathBuf>, default| file.clone().map_or(default, Output::from_path);
        [output(&self.log_file, Output::Stdout), output(&self.error_log, Output::Stderr)]
    }
}

/// Open files of the logs, for a process that may be unable to open them. `D` is the type of the descriptors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFiles<D> {
    /// `None` if there is no access log, or if its file is not passed on.
    pub(crate) access: Option<D>,
    /// `None` if the file of the error log is not passed on.
    pub(crate) errors: Option<D>,
}

impl<D> Default for LogFiles<D> {
    /// No file.
    fn default() -> LogFiles<D> {
        LogFiles { access: None, errors: None }
    }
}

impl LogFiles<Arc<File>> {
    /// Borrows the descriptors.
    pub(crate) fn borrow(&self) -> LogFiles<BorrowedFd<'_>> {
        let [access, errors] = [&self.access, &self.errors].map(|file| file.as_ref().map(AsFd::as_fd));
        LogFiles { access, errors }
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
    /// Whether requests get an ID.
    has_request_ids: bool,
}

impl Logs {
    /// Returns a function that makes the same handlers as `make`, but with an ID for each request and a line in the
    /// access log for each response. Returns `make` unchanged if both are off.
    pub(crate) fn wrap(&self, make: MakeHandler) -> MakeHandler {
        let (access, has_request_ids) = (self.access.clone(), self.has_request_ids);
        if access.is_none() && !has_request_ids {
            return make;
        }
        Arc::new(move |worker| {
            let mut stack = Stack::new(make(worker));
            if has_request_ids {
                stack = stack.wrap(RequestIds::default());
            }
            // Outside, because it reads the ID in the response.
            if let Some(layer) = &access {
                stack = stack.wrap(layer.clone());
            }
            Arc::new(stack)
        })
    }

    /// The open files of the logs, to hand them over to another process.
    pub(crate) fn files(&self) -> LogFiles<Arc<File>> {
        LogFiles {
            access: self.access.as_ref().map(|access| access.log.file()),
            errors: Some(self.errors.file()),
        }
    }

    /// The number of lines that did not reach the logs of this process.
    pub(crate) fn lost(&self) -> u64 {
        self.all().map(Log::lost).sum()
    }

    /// Makes the writer threads reopen the log files by their names, for log rotation. Does not wait.
    pub(crate) fn reopen(&self) {
        self.all().for_each(Log::reopen);
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

    /// The access log, if it is on, and the error log.
    fn all(&self) -> impl Iterator<Item = &Log> {
        self.access.iter().map(|access| &access.log).chain([&self.errors])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_no_log_takes_are_lost() {
        let errors = Log::open(Output::File("/dev/full".into())).expect("a log");
        let logs = Logs { access: None, errors, has_request_ids: false };
        assert_eq!(logs.lost(), 0);
        assert!(logs.errors.append(|lines, _| lines.extend_from_slice(b"one\ntwo\n")));
        assert!(logs.errors.flush(Duration::from_secs(20)));
        assert_eq!(logs.lost(), 2);
    }
}
