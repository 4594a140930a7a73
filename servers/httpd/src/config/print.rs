//! Writes options as a configuration file.

use super::{
    document::{Schema, Table},
    layers::{self, Merged, Value},
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
    /// `None` if the option is not set and has no default.
    pub value: Option<Value>,
    is_list: bool,
    /// Where the value comes from.
    origin: String,
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
        let texts: Vec<OsString> =
            merged.matches.get_raw(id).into_iter().flatten().map(OsStr::to_owned).collect();
        let value = if layers::is_switch(argument) {
            Value::Switch(merged.matches.get_flag(id))
        } else {
            Value::Texts(texts)
        };
        let setting = merged.settings.iter().find(|setting| setting.name == name);
        Some(Line {
            name: name.to_owned(),
            value: Some(value).filter(|value| !matches!(value, Value::Texts(texts) if texts.is_empty())),
            is_list: layers::is_list(argument),
            origin: setting.map_or_else(|| "default".to_owned(), |setting| setting.origin.to_string()),
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
                let (name, value) = (setting.name.clone(), Some(setting.value.clone()));
                let is_list = layers::find(&schema.command, &name).is_some_and(layers::is_list);
                let _ = write!(text, "{}", Line { name, value, is_list, origin: setting.origin.to_string() });
            }
            write_tables(text, &format!("{prefix}{name}."), table, schema);
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line { name, value, is_list, origin } = self;
        match value {
            None => return writeln!(f, "# {name} is not set"),
            Some(Value::Switch(is_on)) => write!(f, "{name} = {is_on}")?,
            Some(Value::Texts(texts)) => {
                let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
                let (open, close) = if *is_list { ("[", "]") } else { ("", "") };
                write!(f, "{name} = {open}{}{close}", texts.join(", "))?;
            }
        }
        writeln!(f, " # {origin}")
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
