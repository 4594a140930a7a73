//! Writes options as a configuration file.

use super::{
    document::{Schema, Table},
    layers::{self, Merged, Setting},
};
use clap::{Arg, parser::ValueSource};
use std::{
    ffi::{OsStr, OsString},
    fmt::{self, Formatter, Write},
};

/// A line of a configuration file.
#[derive(Clone)]
pub struct Line {
    pub name: String,
    /// Empty if the option is not set and has no default, or if it is an empty list.
    pub values: Vec<OsString>,
    is_list: bool,
    /// Whether `true` and `false` are booleans.
    is_switchable: bool,
    /// Where the value comes from; `None` if the option is not set and has no default.
    origin: Option<String>,
}

/// Returns a line for each option except for the `excluded` ones.
pub fn lines(merged: &Merged, excluded: &[&str]) -> Vec<Line> {
    let line = |argument: &Arg| {
        let name = argument.get_long().filter(|name| !excluded.contains(name))?;
        // The positional argument that means the same, if it is the one that is given.
        let is_given = |other: &&Arg| {
            let source = merged.matches.value_source(other.get_id().as_str());
            layers::name(other) == name && source == Some(ValueSource::CommandLine)
        };
        let argument = merged.command.get_arguments().find(is_given).unwrap_or(argument);
        let id = argument.get_id().as_str();
        let setting = merged.settings.iter().find(|setting| setting.name == name);
        let values: Vec<_> = merged.matches.get_raw(id).into_iter().flatten().map(OsStr::to_owned).collect();
        let default = (!values.is_empty()).then(|| "default".to_owned());
        Some(Line {
            name: name.to_owned(),
            values,
            is_list: layers::is_list(argument),
            is_switchable: layers::is_switchable(argument),
            origin: setting.map(|setting| setting.origin.to_string()).or(default),
        })
    };
    merged.command.get_arguments().filter_map(line).collect()
}

/// Returns the tables of `document`, with the options that they set.
pub fn tables(document: &Table, schema: &Schema) -> String {
    let mut text = String::new();
    write_tables(&mut text, "", document, schema);
    text
}

/// Appends the tables below `table`, whose own name ends in a dot if it has one.
fn write_tables(text: &mut String, prefix: &str, table: &Table, schema: &Schema) {
    for (name, schema) in &schema.tables {
        for table in table.tables(name) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n[[{prefix}{name}]]");
            for setting in &table.settings {
                let Setting { name, values, origin } = setting.clone();
                let argument = layers::find(&schema.command, &name);
                let is_list = argument.is_some_and(layers::is_list);
                let is_switchable = argument.is_some_and(layers::is_switchable);
                let _ = write!(
                    text,
                    "{}",
                    Line { name, values, is_list, is_switchable, origin: Some(origin.to_string()) }
                );
            }
            write_tables(text, &format!("{prefix}{name}."), table, schema);
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line { name, values, is_list, is_switchable, origin } = self;
        let Some(origin) = origin else { return writeln!(f, "# {name} is not set") };
        let text = |value: &OsString| match value.to_str() {
            Some(boolean @ ("true" | "false")) if *is_switchable && !is_list => boolean.to_owned(),
            _ => quoted(value),
        };
        let values: Vec<_> = values.iter().map(text).collect();
        // Also an empty list: a table then does not take that of the top of the file.
        let (open, close) = if *is_list { ("[", "]") } else { ("", "") };
        // The name of a file may contain a line feed, which would end the comment.
        let origin = origin.replace(char::is_control, "?");
        writeln!(f, "{name} = {open}{}{close} # {origin}", values.join(", "))
    }
}

/// Returns a number as it is, and other text as a basic string of TOML. Bytes that are not UTF-8 become U+FFFD.
fn quoted(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    if text.parse::<u32>().is_ok_and(|number| number.to_string() == text) {
        return text.into_owned();
    }
    let escape = |char: char| match char {
        '"' | '\\' => format!("\\{char}"),
        char if char.is_control() => format!("\\u{:04X}", u32::from(char)),
        char => char.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}
