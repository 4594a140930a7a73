//! The commands of `load-test`: their options and their output.

use std::error::Error;
use std::fmt::Display;
use std::fs;
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

/// Prints a result as text, and writes it as JSON to `file`, if any; if the file is `-`, prints only the JSON.
fn print_result(
    text: &impl Display,
    json: &impl Serialize,
    file: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    let json = serde_json::to_string_pretty(json)? + "\n";
    match file {
        Some("-") => return Ok(print(&json)?),
        Some(file) => fs::write(file, json).map_err(|error| format!("cannot write {file}: {error}"))?,
        None => {}
    }
    Ok(print(&text.to_string())?)
}
