//! The commands of `load-test`: their options and their output.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

pub mod compare;
pub mod experiment;
pub mod publish;
pub mod quick;
pub mod soak;
mod summary;
mod url;

/// Writes to standard output; a closed pipe is not an error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a result to standard output: `json` as JSON if `as_json`, else `text`.
fn print_result(text: &impl Display, json: &impl Serialize, as_json: bool) -> Result<(), Box<dyn Error>> {
    let json = if as_json { Some(serde_json::to_string_pretty(json)? + "\n") } else { None };
    Ok(print(&json.unwrap_or_else(|| text.to_string()))?)
}
