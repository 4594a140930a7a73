//! Adds the failed operation to an I/O error, so that an operator reads `cannot open x: Permission denied`.
//!
//! The crate has no error type of its own: its failures are all failures of the operating system or of the operator's
//! settings, and end in a message.

use std::{fmt::Display, io};

/// Names the operation that a result belongs to.
pub trait Context<T> {
    /// Puts `operation` and a colon in front of the error's message. The error's kind stays.
    fn context(self, operation: impl Display) -> io::Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, operation: impl Display) -> io::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            io::Error::new(error.kind(), format!("{operation}: {error}"))
        })
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
        assert_eq!(error.to_string(), "cannot open x: Permission denied (os error 13)");
    }
}
