//! What is served, as far as starting it goes. A trait, so that a program carries no application but its own.

use http_engine::MakeHandler;
use std::{fmt, io, path::Path};

/// What can be launched. Displayed, it stands in messages: "serves …".
pub trait Application: fmt::Display + fmt::Debug + Send + Sync {
    /// The directory whose files it serves, if there is one.
    fn root(&self) -> Option<&Path>;

    /// Opens what all workers of a process share, the files of `root` among it, and tells how each worker gets a
    /// handler of its own.
    ///
    /// # Errors
    ///
    /// When `root` cannot be served.
    fn open(&self, root: Option<&Path>) -> io::Result<MakeHandler>;
}
