//! Writes options as a configuration file.

use super::layers::{self, Merged};
use clap::{Arg, parser::ValueSource};
use std::{
    ffi::OsStr,
    fmt::{self, Formatter, Write},
};

/// Writes a line for each option, with where its value comes from, except for the `excluded` options.
pub fn options(f: &mut Formatter<'_>, merged: &Merged, excluded: &[&str]) -> fmt::Result {
    for argument in merged.command.get_arguments() {
        let Some(name) = argument.get_long().filter(|name| !excluded.contains(name)) else { continue };
        // The positional argument that means the same, if it is the one that is given.
        let is_given = |other: &&Arg| {
            let source = merged.matches.value_source(other.get_id().as_str());
            layers::name(other) == name && source == Some(ValueSource::CommandLine)
        };
        let argument = merged.command.get_arguments().find(is_given).unwrap_or(argument);
        let id = argument.get_id().as_str();
        let values: Vec<_> = merged.matches.get_raw(id).into_iter().flatten().collect();
        if values.is_empty() {
            writeln!(f, "# {name} is not set")?;
            continue;
        }
        write!(f, "{name} = ")?;
        if layers::is_list(argument) {
            f.write_char('[')?;
            for (index, value) in values.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                string(f, value)?;
            }
            f.write_char(']')?;
        } else if layers::is_switch(argument) {
            write!(f, "{}", merged.matches.get_flag(id))?;
        } else {
            values.iter().try_for_each(|value| string(f, value))?;
        }
        match merged.settings.iter().find(|setting| setting.name == name) {
            Some(setting) => writeln!(f, " # {}", setting.origin)?,
            None => writeln!(f, " # default")?,
        }
    }
    Ok(())
}

/// Writes a number as it is, and other text as a basic string of TOML. Bytes that are not UTF-8 become U+FFFD.
fn string(f: &mut Formatter<'_>, text: &OsStr) -> fmt::Result {
    let text = text.to_string_lossy();
    let is_number = |text: &str| text.parse::<u64>().is_ok_and(|number| number.to_string() == text);
    if is_number(&text) {
        return f.write_str(&text);
    }
    f.write_char('"')?;
    for char in text.chars() {
        match char {
            '"' | '\\' => write!(f, "\\{char}")?,
            char if char.is_control() => write!(f, "\\u{:04X}", u32::from(char))?,
            char => f.write_char(char)?,
        }
    }
    f.write_char('"')
}
