//! The text of a directory listing, piece by piece. Names are hostile: each is escaped for where it appears.

use super::{Format, ListEntry, Listing, Sort, View};
use http_core::path::RelativePath;
use std::{fmt::Write, sync::Arc};

/// The length in bytes from which a piece is complete. A thread takes about a millisecond for one.
const PIECE: usize = 64 * 1024;

/// Forbids a page everything but its own style and script, also if a name should get through as markup.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-91ORbpKSOd7/2kTZsbb+KPOOdF8f3iMDmtmsSxgogoI='; \
     script-src 'sha256-I2vmnb+piGBUaskhuXEhPbfTEGQRhxl9LWmbGBkpeWs='; form-action 'self'; base-uri 'none'";

/// The style of a page. A change needs another hash in [`CONTENT_SECURITY_POLICY`].
const STYLE: &str = include_str!("style.css");

/// Shows a field that filters the entries by name, and that the key `/` focuses. A change needs another hash in
/// [`CONTENT_SECURITY_POLICY`].
const SCRIPT: &str = include_str!("filter.js");

/// Formats a listing, a piece at a time.
pub(super) struct Formatter {
    listing: Arc<Listing>,
    view: View,
    /// How many entries were formatted.
    formatted: usize,
    has_ended: bool,
}

impl Formatter {
    /// Sorts the entries.
    pub(super) fn new(listing: Arc<Listing>, view: View) -> Formatter {
        listing.order(view);
        Formatter { listing, view, formatted: 0, has_ended: false }
    }
}

impl Iterator for Formatter {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.has_ended {
            return None;
        }
        let mut piece = String::with_capacity(PIECE + 1024);
        if self.formatted == 0 {
            begin(&mut piece, &self.listing, self.view);
        }
        let order = self.listing.order(self.view);
        loop {
            let Some(index) = order.get(self.formatted) else {
                end(&mut piece, self.view);
                self.has_ended = true;
                break;
            };
            let entry = &self.listing.entries[*index as usize];
            let name = self.listing.name(entry);
            match self.view.format {
                Format::Html => html_entry(&mut piece, name, entry),
                Format::Json => json_entry(&mut piece, name, entry, self.formatted == 0),
                Format::Text => text_entry(&mut piece, name, entry),
            }
            self.formatted += 1;
            if piece.len() >= PIECE {
                break;
            }
        }
        (!piece.is_empty()).then(|| piece.into_bytes())
    }
}

/// Appends what precedes the entries.
fn begin(piece: &mut String, listing: &Listing, view: View) {
    match view.format {
        Format::Html => html_begin(piece, listing, view),
        Format::Json => piece.push('['),
        Format::Text => {}
    }
}

/// Appends what follows the entries.
fn end(piece: &mut String, view: View) {
    match view.format {
        Format::Html => {
            let _ = writeln!(piece, "</table>\n</main>\n<script>{SCRIPT}</script>");
        }
        Format::Json => piece.push_str("\n]\n"),
        Format::Text => {}
    }
}

/// Appends a name as a line; a slash follows the name of a directory.
fn text_entry(piece: &mut String, name: &[u8], entry: &ListEntry) {
    let name = String::from_utf8_lossy(name);
    piece.extend(name.chars().map(|char| if char.is_control() { '?' } else { char }));
    piece.push_str(if entry.len.is_some() { "\n" } else { "/\n" });
}

/// Appends an object of the array, with `name`, `type`, `size` (of files) and `mtime` (if it is known).
fn json_entry(piece: &mut String, name: &[u8], entry: &ListEntry, is_first: bool) {
    piece.push_str(if is_first { "\n{\"name\":\"" } else { ",\n{\"name\":\"" });
    for char in String::from_utf8_lossy(name).chars() {
        match char {
            '"' | '\\' => piece.extend(['\\', char]),
            // Also those that end a line in JavaScript.
            '\0'..='\x1f' | '\x7f' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(piece, "\\u{:04x}", u32::from(char));
            }
            _ => piece.push(char),
        }
    }
    piece.push_str("\",\"type\":\"");
    let _ = match entry.len {
        Some(len) => write!(piece, "file\",\"size\":{len}"),
        None => write!(piece, "directory\""),
    };
    if let Some(modified) = entry.modified {
        let _ = write!(piece, ",\"mtime\":\"{}\"", timestamp(modified, 'T', "Z"));
    }
    piece.push('}');
}

fn html_begin(page: &mut String, listing: &Listing, view: View) {
    let segments: Vec<_> =
        listing.path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).collect();
    page.push_str(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Index of /",
    );
    escape(page, &listing.path);
    let _ = write!(page, "</title>\n<style>{STYLE}</style>\n<main>\n<nav aria-label=\"Path\">\n<h1>");
    for (index, segment) in [&b"/"[..]].iter().chain(&segments).enumerate() {
        let above = segments.len() - index;
        let href = if above == 0 { "./".to_owned() } else { "../".repeat(above) };
        let current = if above == 0 { " aria-current=\"page\"" } else { "" };
        let _ = write!(page, "<a href=\"{href}\"{current}>");
        escape(page, segment);
        page.push_str(if index == 0 { "</a> " } else { "</a>/ " });
    }
    page.push_str(
        "</h1>\n</nav>\n<div id=\"bar\"><input id=\"filter\" type=\"search\" placeholder=\"Filter ( / )\" aria-label=\"Filter by name\" \
         hidden>\n<p id=\"count\" role=\"status\">",
    );
    write_count(page, &listing.entries);
    page.push_str("</p></div>\n<table>\n<thead>\n<tr>");
    for (sort, name, label) in
        [(Sort::Name, "name", "Name"), (Sort::Size, "size", "Size"), (Sort::Time, "time", "Modified (UTC)")]
    {
        let is_current = sort == view.sort;
        let state = match (is_current, view.is_descending) {
            (false, _) => "",
            (true, false) => " aria-sort=\"ascending\"",
            (true, true) => " aria-sort=\"descending\"",
        };
        let order = if is_current && !view.is_descending { "desc" } else { "asc" };
        // A form and no link: programs that follow all links would fetch each order of each directory.
        let _ = write!(
            page,
            "<th{state}><form><input type=\"hidden\" name=\"order\" value=\"{order}\">\
             <button name=\"sort\" value=\"{name}\">{label}</button></form>"
        );
    }
    page.push_str("\n</thead>\n");
    if !segments.is_empty() {
        page.push_str("<tbody>\n<tr><td><a href=\"../\">../</a><td><td>\n");
    }
    page.push_str("<tbody id=\"entries\">\n");
}

/// Appends a row of the table.
fn html_entry(page: &mut String, name: &[u8], entry: &ListEntry) {
    let slash = if entry.len.is_some() { "" } else { "/" };
    // The reference begins with `./`: a name may contain a colon.
    let path = [b"/", name].concat();
    let encoded = RelativePath::new(&path).map(|path| path.encode()).unwrap_or_default();
    let _ = write!(page, "<tr><td><a href=\".{encoded}{slash}\">");
    escape(page, name);
    let _ = write!(page, "{slash}</a><td>");
    if let Some(len) = entry.len {
        write_size(page, len);
    }
    page.push_str("<td>");
    if let Some(modified) = entry.modified {
        page.push_str(&timestamp(modified, ' ', ""));
    }
    page.push('\n');
}

/// Appends bytes as text to an HTML page. Shows what is not UTF-8, and control characters, as U+FFFD.
fn escape(page: &mut String, bytes: &[u8]) {
    for char in String::from_utf8_lossy(bytes).chars() {
        match char {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            // Those that turn the direction of the text can disguise a name.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => page.push('\u{fffd}'),
            _ if char.is_control() => page.push('\u{fffd}'),
            _ => page.push(char),
        }
    }
}

/// Appends how many directories and files there are: `1 directory, 12 files`.
fn write_count(page: &mut String, entries: &[ListEntry]) {
    let files = entries.iter().filter(|entry| entry.len.is_some()).count();
    let directories = entries.len() - files;
    let directory = if directories == 1 { "directory" } else { "directories" };
    let file = if files == 1 { "file" } else { "files" };
    let _ = write!(page, "{directories} {directory}, {files} {file}");
}

/// Appends a number of bytes with a unit: `512 B`, `1.5 KiB`.
fn write_size(page: &mut String, len: u64) {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(exponent) = len.checked_ilog2().map(|bits| bits / 10).filter(|exponent| *exponent > 0) else {
        let _ = write!(page, "{len} B");
        return;
    };
    let tenths = (u128::from(len) * 10) >> (10 * exponent);
    let _ = write!(page, "{}.{} {}", tenths / 10, tenths % 10, UNITS[exponent as usize - 1]);
}

/// Returns a time in UTC, such as `1994-11-06T08:49:37Z` with the separator `T` and the end `Z`.
fn timestamp(seconds: i64, separator: char, end: &str) -> String {
    // The years 0 to 9999.
    let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Counts from 0000-03-01, so that a leap day is the last day of a year.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write as _, process::Command};

    /// A browser applies no style or script whose hash differs.
    #[test]
    fn the_policy_names_the_hashes_of_style_and_script() {
        for (kind, content) in [("style", STYLE), ("script", SCRIPT)] {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            file.write_all(content.as_bytes()).expect("a file");
            let output = Command::new("sha256sum").arg(file.path()).output().expect("sha256sum").stdout;
            let bits = output[..64].iter().flat_map(|digit| {
                let digit = char::from(*digit).to_digit(16).expect("a digit");
                (0..4).rev().map(move |bit| digit >> bit & 1)
            });
            let bits: Vec<_> = bits.collect();
            let base64 = bits.chunks(6).map(|bits| {
                let index = bits.iter().chain([0; 6].iter()).take(6).fold(0, |index, bit| index << 1 | bit);
                char::from(
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[index as usize],
                )
            });
            let source = format!("{kind}-src 'sha256-{}='", base64.collect::<String>());
            assert!(CONTENT_SECURITY_POLICY.contains(&source), "{source}");
        }
    }

    #[test]
    fn times_are_dates_of_the_gregorian_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (784_111_777, "1994-11-06T08:49:37Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(seconds, 'T', "Z"), expected);
        }
    }

    #[test]
    fn sizes_have_units() {
        for (len, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_572_864, "1.5 MiB"), (u64::MAX, "15.9 EiB")]
        {
            let mut text = String::new();
            write_size(&mut text, len);
            assert_eq!(text, expected);
        }
    }
}
