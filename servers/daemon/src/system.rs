//! Calls to the operating system that several modules need, with errors that an operator can read.
//!
//! The crate has no error type of its own: each failure is an I/O error whose message names the failed operation, its
//! object and the cause, as in `cannot open x: permission denied`.

use http_engine::io_cause;
use std::{fmt::Display, fs, io, path::Path, thread};

/// Adds the name of the failed operation to the error of a result.
pub trait Context<T> {
    /// Puts `operation` and a colon before the [`io_cause`]. The error keeps its kind. A success stays as it is.
    fn context(self, operation: impl Display) -> io::Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, operation: impl Display) -> io::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            io::Error::new(error.kind(), format!("{operation}: {}", io_cause(&error)))
        })
    }
}

/// Starts a thread called `name` that calls `run`. Returns at once; the thread cannot be joined. Fails if the kernel
/// starts no thread.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(drop).context(format_args!("cannot start the thread {name}"))
}

/// Returns the directory that contains the file at `path`, which may be relative.
pub fn parent_directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Fails if this process has more than one thread. Call this before the process drops its privileges or sets Landlock
/// rules, because both affect only the calling thread.
pub fn require_single_thread() -> io::Result<()> {
    match fs::read_dir("/proc/self/task")?.count() {
        1 => Ok(()),
        threads => {
            Err(io::Error::other(format!("cannot restrict a process with {threads} threads: expected one")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn names_the_operation_and_keeps_the_kind() {
        let error = Err::<(), _>(Errno::ACCESS).context("cannot open x").expect_err("an error");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), "cannot open x: permission denied");
    }
}
