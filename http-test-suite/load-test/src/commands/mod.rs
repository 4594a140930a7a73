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

/// Prints a result as text, or as JSON if the file for the JSON is `-`. Another file gets the JSON, too.
fn print_result(result: &(impl Display + Serialize), json: Option<&str>) -> Result<(), Box<dyn Error>> {
    let to_json = || serde_json::to_string_pretty(result).map(|text| text + "\n");
    match json {
        Some("-") => return Ok(print(&to_json()?)?),
        Some(file) => {
            fs::write(file, to_json()?).map_err(|error| format!("cannot write {file}: {error}"))?;
        }
        None => {}
    }
    Ok(print(&result.to_string())?)
}
