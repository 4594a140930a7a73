//! Reads a configuration file: TOML, whose keys are the long names of options.

use super::layers::{self, Origin, Place, Setting};
use crate::text_file;
use clap::{Arg, Command};
use std::{collections::BTreeMap, path::Path};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The largest configuration file that is read, in MiB.
const MAX_MIB: u64 = 4;

/// Which keys a table may have.
pub struct Schema {
    /// The options, which have been built.
    pub command: Command,
    /// The options that only the command line may have.
    pub excluded: &'static [&'static str],
    /// The arrays of tables.
    pub tables: Vec<(&'static str, Schema)>,
}

/// A table of the file.
#[derive(Debug)]
pub struct Table {
    pub place: Place,
    pub settings: Vec<Setting>,
    tables: BTreeMap<&'static str, Vec<Table>>,
}

impl Table {
    /// All tables of this table, with the names of their arrays.
    pub fn all_tables(&self) -> impl Iterator<Item = (&'static str, &Table)> {
        self.tables.iter().flat_map(|(name, tables)| tables.iter().map(|table| (*name, table)))
    }

    /// The tables of the array `name`.
    pub fn tables(&self, name: &str) -> &[Table] {
        self.tables.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Returns the text of the file at `path`.
///
/// # Errors
///
/// If the file is not a regular one, cannot be read, is not UTF-8, or has more than 4 MiB.
pub fn read(path: &Path) -> Result<String, String> {
    text_file::read(path, MAX_MIB).map_err(|error| {
        format!("cannot read the configuration file {}: {}", path.display(), http_engine::io_cause(&error))
    })
}

/// Parses the `text` of the file called `file`.
///
/// # Errors
///
/// If it is not TOML, has no key, or has a key or a value that `schema` does not permit. The message begins with file,
/// line and column.
pub fn parse(text: &str, file: &str, schema: &Schema) -> Result<Table, String> {
    let source = Source::new(text, file, schema);
    let document = DeTable::parse(text).map_err(|error| {
        let place = source.place(error.span().map_or(0, |span| span.start));
        format!("{place}: {}", error.message().replace('\n', ", "))
    })?;
    // A file that is being written is often empty, and without its rules the server would serve all.
    if document.get_ref().is_empty() {
        return Err(format!("{}: the file has no option", source.place(0)));
    }
    source.table(document.get_ref(), 0, schema)
}

/// The text of a file, and its name.
struct Source<'s> {
    text: &'s str,
    file: &'s str,
    /// The options of the top of the file.
    top: &'s Schema,
    /// The lines and columns of some bytes, in the order of their offsets, so that a place is found in constant time.
    marks: Vec<Mark>,
}

/// The line and the column of the byte at an offset. Both begin with 1.
#[derive(Clone, Copy)]
struct Mark {
    offset: usize,
    line: usize,
    column: usize,
}

/// The distance between two marks, in bytes.
const MARK_DISTANCE: usize = 256;

impl Mark {
    /// Returns the mark of what follows `char`.
    fn after(self, char: char) -> Mark {
        let Mark { offset, line, column } = self;
        let (line, column) = if char == '\n' { (line + 1, 1) } else { (line, column + 1) };
        Mark { offset: offset + char.len_utf8(), line, column }
    }
}

impl<'s> Source<'s> {
    fn new(text: &'s str, file: &'s str, top: &'s Schema) -> Source<'s> {
        let mut mark = Mark { offset: 0, line: 1, column: 1 };
        let mut marks = vec![mark];
        for char in text.chars() {
            mark = mark.after(char);
            if mark.offset >= marks.len() * MARK_DISTANCE {
                marks.push(mark);
            }
        }
        Source { text, file, top, marks }
    }

    /// Returns the place of the byte `offset`.
    fn place(&self, offset: usize) -> Place {
        // Mark number n is at n distances, or up to three bytes behind.
        let near = self.marks[..=(offset / MARK_DISTANCE).min(self.marks.len() - 1)].iter().rev();
        let near = near.copied().find(|mark| mark.offset <= offset).unwrap_or(self.marks[0]);
        let between = self.text.get(near.offset..offset).unwrap_or_default();
        let Mark { line, column, .. } = between.chars().fold(near, Mark::after);
        Place { file: self.file.to_owned(), line, column }
    }

    /// Converts a table that begins at the byte `offset`.
    fn table(&self, table: &DeTable<'_>, offset: usize, schema: &Schema) -> Result<Table, String> {
        let mut result = Table { place: self.place(offset), settings: Vec::new(), tables: BTreeMap::new() };
        // In the order of the file, not of the alphabet: the first error is then the first in the file.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let (name, place) = (key.get_ref().as_ref(), self.place(key.span().start));
            if let Some((name, schema)) = schema.tables.iter().find(|(table, _)| *table == name) {
                result.tables.insert(name, self.array(name, value, schema)?);
                continue;
            }
            let argument = layers::find(&schema.command, name).filter(|_| !schema.excluded.contains(&name));
            let Some(argument) = argument else {
                let outside = match layers::find(&self.top.command, name) {
                    _ if self.top.excluded.contains(&name) => " in a file",
                    Some(_) => " in this table, only at the top of the file",
                    None => "",
                };
                return Err(format!("{place}: no such option{outside}: {name}"));
            };
            result.settings.push(self.setting(argument, value)?);
        }
        Ok(result)
    }

    /// Converts the array of tables `name`.
    fn array(&self, name: &str, value: &Spanned<DeValue<'_>>, schema: &Schema) -> Result<Vec<Table>, String> {
        let wrong = || format!("{}: must be tables: [[{name}]]", self.place(value.span().start));
        let convert = |element: &Spanned<DeValue<'_>>| {
            let table = element.get_ref().as_table().ok_or_else(wrong)?;
            self.table(table, element.span().start, schema)
        };
        value.get_ref().as_array().ok_or_else(wrong)?.iter().map(convert).collect()
    }

    /// Converts the value of an option.
    fn setting(&self, argument: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Setting, String> {
        let place = self.place(value.span().start);
        let is_list = layers::is_list(argument);
        let converted = match value.get_ref() {
            DeValue::Boolean(is_on) if layers::is_switchable(argument) => {
                Some(vec![is_on.to_string().into()])
            }
            DeValue::Array(elements) if is_list => {
                let texts = elements.iter().map(|element| text(element.get_ref()).map(Into::into));
                texts.collect()
            }
            other => text(other).map(|text| vec![text.into()]),
        };
        let name = layers::name(argument);
        let Some(values) = converted else {
            let expected = match (is_list, layers::is_switchable(argument)) {
                (true, _) => "a list of strings",
                (_, true) => "true, false or a string",
                _ => "a string or a number",
            };
            return Err(format!("{place}: {name} must be {expected}"));
        };
        // In a file, an option is a key, and the tables have keys that are no options.
        let in_file = |error: String| format!("{place}: {}", error.replace(&format!("'{argument}'"), &name));
        layers::check(argument, &values).map_err(in_file)?;
        Ok(Setting { name, values, origin: Origin::File(place) })
    }
}

/// Returns a string or an integer as text.
fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.as_ref().to_owned()),
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_place_of_each_byte() {
        let line = "é€\u{10348}a".repeat(100);
        let text = format!("\n{line}\n\n{line}{line}\nend");
        let top = Schema { command: Command::new(""), excluded: &[], tables: Vec::new() };
        let source = Source::new(&text, "file", &top);
        for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let before = &text[..offset];
            let start = before.rfind('\n').map_or(0, |feed| feed + 1);
            let expected = (before.matches('\n').count() + 1, before[start..].chars().count() + 1);
            let place = source.place(offset);
            assert_eq!((place.line, place.column), expected, "{offset}");
        }
    }
}
