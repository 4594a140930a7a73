//! Publishes results: writes figures into documents, between markers, and charts and the results themselves into files.
//! It computes everything before it writes anything.

use std::fs;
use std::path::{Path, PathBuf};

use super::figures::{self, NAMES};
use super::file;
use super::results::Results;

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

/// A file and its contents; without contents, a file that must not exist.
type Target = (PathBuf, Option<String>);

/// Brings documents, charts and the published results up to date with `results`, in the repository at `root`. Returns the
/// files that were changed or, with `is_check`, would be; then it writes nothing.
///
/// # Errors
///
/// If a file cannot be read or written, a marker is wrong, or the results lack numbers for a figure.
pub fn publish(root: &Path, results: &Results, is_check: bool) -> Result<Vec<PathBuf>, String> {
    let json = results.to_json().map_err(|error| format!("cannot write results: {error}"))?;
    // Figures come from the rounded values, so that the published file gives the same figures again.
    let results = Results::parse(&json).map_err(|error| format!("{RESULTS} {error}"))?;
    let mut targets = documents(root, &results)?;
    targets.extend(charts(root, &results)?);
    targets.push((root.join(RESULTS), Some(json)));

    targets.retain(|(path, contents)| fs::read_to_string(path).ok() != *contents);
    if !is_check {
        for (path, contents) in &targets {
            match contents {
                Some(contents) => file::write(path, contents)?,
                None => fs::remove_file(path)
                    .map_err(|error| format!("{} cannot be removed: {error}", path.display()))?,
            }
        }
    }
    Ok(targets.into_iter().map(|(path, _)| path).collect())
}

/// All documents with their figures.
fn documents(root: &Path, results: &Results) -> Result<Vec<Target>, String> {
    let mut paths: Vec<PathBuf> = DOCUMENTS.iter().map(|document| root.join(document)).collect();
    paths.extend(files_in(&root.join(SITE), "html"));
    let mut targets = Vec::new();
    for path in paths {
        let failed = |problem: String| format!("{}: {problem}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| failed(format!("cannot read: {error}")))?;
        let is_html = path.extension().is_some_and(|extension| extension == "html");
        let text = with_figures(&text, is_html, results).map_err(failed)?;
        targets.push((path, Some(text)));
    }
    Ok(targets)
}

/// All charts, and the files in their directory that are none.
fn charts(root: &Path, results: &Results) -> Result<Vec<Target>, String> {
    let directory = root.join(CHARTS);
    let mut targets = Vec::new();
    for (name, chart) in figures::all_charts(results) {
        let chart = chart.ok_or_else(|| format!("the results have no numbers for the chart {name}"))?;
        targets.push((directory.join(format!("{name}.svg")), Some(chart)));
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
        if !NAMES.contains(&name) {
            return Err(format!("no figure is named {name}; there are {}", NAMES.join(", ")));
        }
        let figure = figures::figure(results, name, is_html);
        let figure = figure.ok_or_else(|| format!("the results have no numbers for the figure {name}"))?;
        new += &format!("{before}{START}{name} -->\n{figure}{END}");
        rest = after;
    }
    Ok(new + rest)
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn replaces_only_what_stands_between_markers() {
        let check = |text: &str, is_html: bool, expected: Result<&str, &str>| {
            let new = with_figures(text, is_html, &results());
            assert_eq!(new.as_deref().map_err(String::as_str), expected, "{text}");
        };
        // Documents that have all figures, each followed by other text.
        for (document, is_html) in [
            (include_str!("../../tests/report/figures.md"), false),
            (include_str!("../../tests/report/figures.html"), true),
        ] {
            check(document, is_html, Ok(document));
            check(&document.replace(['0', '5'], "?\n"), is_html, Ok(document));
        }
        let missing = "no <!-- end of figures --> between the marker ab and the next";
        check("<!-- figures: ab --><!-- figures: ab --><!-- end of figures -->", false, Err(missing));
        check("<!-- figures: ab -->", false, Err("no <!-- end of figures --> after the marker ab"));
        check("<!-- figures: ab", false, Err("a marker is not closed by -->"));
        let unknown = format!("no figure is named speed; there are {}", NAMES.join(", "));
        check("<!-- figures: speed --><!-- end of figures -->", false, Err(&unknown));
    }

    #[test]
    fn reports_figures_without_numbers() {
        let nothing = Results { cells: Vec::new(), ..results() };
        let error = with_figures("<!-- figures: ab --><!-- end of figures -->", false, &nothing).unwrap_err();
        assert_eq!(error, "the results have no numbers for the figure ab");
    }

    #[test]
    fn writes_what_has_changed_and_nothing_in_a_check() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let error = publish(root, &results(), true).unwrap_err();
        assert!(error.contains("/README.md: cannot read: No such file"), "{error}");
        for document in DOCUMENTS {
            file::write(&root.join(document), "no figures\n").unwrap();
        }
        let marker = "<!-- figures: machine --><!-- end of figures -->";
        for path in ["README.md", "www/page.html", "www/charts/stale.svg"] {
            file::write(&root.join(path), marker).unwrap();
        }
        let publish = |is_check| {
            let changed = publish(root, &results(), is_check).unwrap();
            let name = |path: PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            changed.into_iter().map(name).collect::<Vec<_>>()
        };
        let expected = publish(true);
        assert_eq!(expected[..3], ["README.md", "www/page.html", "www/charts/cpu.svg"]);
        assert_eq!(expected[expected.len() - 2..], ["www/charts/stale.svg", RESULTS]);
        assert!(!root.join(RESULTS).exists() && root.join("www/charts/stale.svg").exists());
        assert_eq!(publish(false), expected);
        assert_eq!(Results::read(&root.join(RESULTS)).unwrap(), results());
        assert!(!root.join("www/charts/stale.svg").exists() && root.join("www/charts/cpu.svg").exists());
        let page = fs::read_to_string(root.join("www/page.html")).unwrap();
        assert!(page.contains("2 × a &lt;fast&gt; one, "), "{page}");
        assert_eq!(publish(true), [""; 0]);
    }
}
