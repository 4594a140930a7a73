//! The commands of `load-test`: their options and their output.

use std::io::{self, Write};

pub mod compare;
pub mod experiment;
pub mod lab;
pub mod publish;
pub mod quick;
mod report;
pub mod soak;
mod url;
pub mod versus;

/// Writes to standard output; a closed pipe is not an error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
