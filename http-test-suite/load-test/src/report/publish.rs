//! Publishes results: writes figures into documents, between markers, and charts and the results themselves into files.
//! It computes everything before it writes anything.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::figures::{self, Figure};
use super::results::Results;
use super::table::escape;

/// The documents that have figures, beside the pages in `www`.
const DOCUMENTS: [&str; 5] = [
    "README.md",
    "servers/httpd/README.md",
    "servers/demo/README.md",
    "http-test-suite/README.md",
    "http-test-suite/load-test/README.md",
];
/// The directory of the site; its pages can have figures.
const SITE: &str = "www";
/// The directory of the charts. All files in it are charts that this module writes.
const CHARTS: &str = "www/charts";
/// The published results.
pub const RESULTS: &str = "http-test-suite/results/results.json";

/// The marker before a figure, up to its name.
const START: &str = "<!-- figures: ";
/// The marker after a figure.
const END: &str = "<!-- end of figures -->";

/// Why results were not published.
#[derive(Debug, PartialEq, Eq)]
pub struct NotPublished(String);

/// A file and its contents; without contents, a file that must not exist.
type Target = (PathBuf, Option<String>);

/// Brings documents, charts and the published results up to date with `results`, in the repository at `root`. Returns the
/// files that were changed or, with `is_check`, would be; then it writes nothing.
///
/// # Errors
///
/// If a file cannot be read or written, a marker is wrong, or the results lack numbers for a figure.
pub fn publish(root: &Path, results: &Results, is_check: bool) -> Result<Vec<PathBuf>, NotPublished> {
    let mut targets = documents(root, results)?;
    targets.extend(charts(root, results)?);
    let json = results.to_json().map_err(|error| NotPublished(format!("cannot write results: {error}")))?;
    targets.push((root.join(RESULTS), Some(json)));

    targets.retain(|(path, contents)| fs::read_to_string(path).ok() != *contents);
    if !is_check {
        for (path, contents) in &targets {
            let written = match contents {
                Some(contents) => {
                    path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, contents))
                }
                None => fs::remove_file(path),
            };
            written.map_err(|error| NotPublished(format!("cannot write {}: {error}", path.display())))?;
        }
    }
    Ok(targets.into_iter().map(|(path, _)| path).collect())
}

/// All documents with their figures.
fn documents(root: &Path, results: &Results) -> Result<Vec<Target>, NotPublished> {
    let mut paths: Vec<PathBuf> = DOCUMENTS.iter().map(|document| root.join(document)).collect();
    paths.extend(files_in(&root.join(SITE), "html"));
    let mut targets = Vec::new();
    for path in paths {
        let failed = |problem: String| NotPublished(format!("{}: {problem}", path.display()));
        let text = fs::read_to_string(&path).map_err(|error| failed(format!("cannot read: {error}")))?;
        let is_html = path.extension().is_some_and(|extension| extension == "html");
        let text = with_figures(&text, is_html, results).map_err(failed)?;
        targets.push((path, Some(text)));
    }
    Ok(targets)
}

/// All charts, and the files in their directory that are none.
fn charts(root: &Path, results: &Results) -> Result<Vec<Target>, NotPublished> {
    let directory = root.join(CHARTS);
    let mut targets = Vec::new();
    for (name, chart) in figures::all_charts(results) {
        let chart =
            chart.ok_or_else(|| NotPublished(format!("the results have no numbers for the chart {name}")))?;
        targets.push((directory.join(format!("{name}.svg")), Some(chart.svg())));
    }
    let is_stale = |path: &PathBuf| targets.iter().all(|(target, _)| target != path);
    let stale: Vec<PathBuf> = files_in(&directory, "svg").into_iter().filter(is_stale).collect();
    targets.extend(stale.into_iter().map(|path| (path, None)));
    Ok(targets)
}

/// The files of a directory with this extension, by name; none if there is no such directory.
fn files_in(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|of| of == extension));
    paths.sort();
    paths
}

/// Replaces what stands between the markers of a document.
fn with_figures(text: &str, is_html: bool, results: &Results) -> Result<String, String> {
    let mut new = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(START) {
        let (name, after) = after.split_once(" -->").ok_or("a marker is not closed by -->")?;
        let (old, after) =
            after.split_once(END).ok_or_else(|| format!("no {END} after the marker {name}"))?;
        if old.contains(START) {
            return Err(format!("no {END} between the marker {name} and the next"));
        }
        if !figures::NAMES.contains(&name) {
            return Err(format!("no figure is named {name}; there are {}", figures::NAMES.join(", ")));
        }
        let figure = figures::figure(results, name);
        let figure = figure.ok_or_else(|| format!("the results have no numbers for the figure {name}"))?;
        let figure = match figure {
            Figure::Table(table) if is_html => table.html(),
            Figure::Table(table) => format!("\n{}\n", table.markdown()),
            Figure::Line(line) if is_html => format!("{}\n", escape(&line)),
            Figure::Line(line) => format!("{line}\n"),
        };
        new += &format!("{before}{START}{name} -->\n{figure}{END}");
        rest = after;
    }
    Ok(new + rest)
}

impl fmt::Display for NotPublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotPublished {}
