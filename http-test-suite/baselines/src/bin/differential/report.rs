//! The tables of the results, in Markdown.

use crate::causes::Cause;
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt::{self, Write},
};

/// The longest part of an example that a table shows, in bytes.
const EXAMPLE_MAX: usize = 200;

/// What a difference means for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The other passes on what we read as other requests.
    Pair,
    /// We reject what a proxy has forwarded.
    Refused,
    /// We reject what the other accepts.
    Stricter,
    /// All others reject what we accept.
    Alone,
    /// The other rejects what we accept.
    Laxer,
    /// Both accept it, and the difference cannot move the end of a request.
    Harmless,
}

/// The differences, by kind and cause.
#[derive(Default)]
pub struct Differences {
    rows: BTreeMap<(Kind, Cause), Row>,
}

/// The differences of one cause.
#[derive(Default)]
struct Row {
    /// How many there are, and the shortest message, by the name of the other.
    counts: BTreeMap<String, (usize, Vec<u8>)>,
}

impl Differences {
    /// Counts a difference from `other` in a message.
    pub fn add(&mut self, kind: Kind, cause: Cause, other: &str, message: &[u8]) {
        let counts = &mut self.rows.entry((kind, cause)).or_default().counts;
        let (count, shortest) = counts.entry(other.to_owned()).or_insert_with(|| (0, message.to_vec()));
        *count += 1;
        if message.len() < shortest.len() {
            *shortest = message.to_vec();
        }
    }

    /// The number of differences of this kind from `other`.
    pub fn count(&self, kind: Kind, other: &str) -> usize {
        let rows = self.rows.iter().filter(|((of, _), _)| *of == kind);
        rows.filter_map(|(_, row)| row.counts.get(other)).map(|(count, _)| count).sum()
    }

    /// The causes for which there are differences of this kind.
    pub fn causes(&self, kind: Kind) -> impl Iterator<Item = Cause> {
        self.rows.keys().filter(move |(of, _)| *of == kind).map(|(_, cause)| *cause)
    }

    /// A table of the differences of this kind: a row for each cause, a column for each of `others`. Empty if there are
    /// none.
    pub fn table(&self, kind: Kind, others: &[String]) -> String {
        let rows = self.rows.iter().filter(|((of, _), _)| *of == kind);
        let mut rows: Vec<_> = rows.map(|((_, cause), found)| (cause, found.only(others))).collect();
        rows.retain(|(_, found)| found.total() > 0);
        rows.sort_by_key(|(_, found)| Reverse(found.total()));
        let mut text = String::new();
        if rows.is_empty() {
            return text;
        }
        let columns = || others.iter().map(String::as_str);
        row(
            &mut text,
            ["the message has", "section"].into_iter().chain(columns()).chain(["shortest message"]),
        );
        row(&mut text, ["---", "---"].into_iter().chain(columns().map(|_| "---:")).chain(["---"]));
        for ((cause, section), found) in rows {
            let count = |other| found.counts.get(other).map_or(String::new(), |(count, _)| count.to_string());
            let cells =
                [(*cause).to_owned(), (*section).to_owned()].into_iter().chain(others.iter().map(count));
            row(&mut text, cells.chain([example(found.shortest())]));
        }
        text
    }
}

impl Row {
    /// The same row with these columns only.
    fn only(&self, others: &[String]) -> Row {
        let counts = self.counts.iter().filter(|(other, _)| others.contains(other));
        Row { counts: counts.map(|(other, found)| (other.clone(), found.clone())).collect() }
    }

    fn total(&self) -> usize {
        self.counts.values().map(|(count, _)| count).sum()
    }

    fn shortest(&self) -> &[u8] {
        self.counts
            .values()
            .map(|(_, message)| message.as_slice())
            .min_by_key(|message| message.len())
            .unwrap_or(&[])
    }
}

/// Appends a row of a table.
pub fn row(text: &mut String, cells: impl IntoIterator<Item = impl fmt::Display>) {
    for cell in cells {
        let _ = write!(text, "| {cell} ");
    }
    text.push_str("|\n");
}

/// The beginning of a message without the probe, as it can stand in a table.
fn example(message: &[u8]) -> String {
    let text = message.escape_ascii().to_string();
    let text = text.rsplit_once("GET /probe/").map_or(text.as_str(), |(before, _)| before);
    let shown = text.get(..EXAMPLE_MAX).unwrap_or(text);
    let (probe, dots) = if shown.len() < text.len() { ("", " …") } else { (" PROBE", "") };
    format!("`{}{probe}`{dots}", shown.replace('|', "\\|").replace('`', "\\x60"))
}
