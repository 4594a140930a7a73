//! Publishes results: writes figures into documents, between markers, and charts and the results themselves into files.
//! It computes everything before it writes anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::figures::{self, NAMES};
use super::file;
use super::metric::rounds;
use super::results::{Results, WorkloadLabel};

/// The documents that can have figures, beside the pages in `www`, by their path in the repository.
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
/// The file of the published results, by its path in the repository.
pub const RESULTS: &str = "http-test-suite/results/results.json";

/// The least number of rounds of a cell that can be published, except of conformance, which does not vary.
const ROUNDS: usize = 3;

/// The marker before a figure, up to its name.
const START: &str = "<!-- figures: ";
/// The marker after each figure.
const END: &str = "<!-- end of figures -->";

/// Brings documents, charts and the published results up to date with `results`, in the repository at `root`. Returns
/// the files that were changed or, with `is_check`, would be; then it writes nothing.
///
/// # Errors
///
/// If a cell has too few rounds, a file cannot be read or written, a marker is wrong, or the results lack numbers for a
/// figure.
pub fn publish(root: &Path, results: &Results, is_check: bool) -> Result<Vec<PathBuf>, String> {
    for cell in &results.cells {
        let varies =
            |(_, label): (_, &WorkloadLabel)| label.metrics.iter().all(|metric| metric.total().is_none());
        let measured = cell.samples.len() + cell.failures.len();
        if measured < ROUNDS && results.workload(&cell.workload).is_some_and(varies) {
            return Err(format!("{cell} was measured in {}; publish needs {ROUNDS}", rounds(measured)));
        }
    }
    let mut targets = targets(root, results)?;
    targets.retain(|path, contents| fs::read_to_string(path).ok() != *contents);
    for (path, contents) in targets.iter().filter(|_| !is_check) {
        match contents {
            Some(contents) => file::write(path, contents)?,
            None => {
                fs::remove_file(path)
                    .map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
            }
        }
    }
    Ok(targets.into_keys().collect())
}

/// All published files, by path, with the contents that they must have; `None` for an old chart that must be removed.
fn targets(root: &Path, results: &Results) -> Result<BTreeMap<PathBuf, Option<String>>, String> {
    let json = results.to_json().map_err(|error| error.to_string())?;
    // Figures come from the rounded values, so that the published file gives the same figures again.
    let results = Results::parse(&json).map_err(|error| format!("{RESULTS} {error}"))?;
    let charts = root.join(CHARTS);
    let mut targets: BTreeMap<_, _> = files_in(&charts, "svg").map(|path| (path, None)).collect();
    for (name, chart) in figures::all_charts(&results) {
        let chart = chart.ok_or_else(|| format!("the results have no numbers for the chart {name}"))?;
        targets.insert(charts.join(format!("{name}.svg")), Some(chart));
    }
    let documents = DOCUMENTS.iter().map(|document| root.join(document));
    for path in documents.chain(files_in(&root.join(SITE), "html")) {
        let failed = |problem: String| format!("{}: {problem}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| failed(format!("cannot read: {error}")))?;
        let is_html = path.extension().is_some_and(|extension| extension == "html");
        let text = with_figures(&text, is_html, &results).map_err(failed)?;
        targets.insert(path, Some(text));
    }
    targets.insert(root.join(RESULTS), Some(json));
    Ok(targets)
}

/// The files of a directory with this extension; none if there is no such directory.
fn files_in(directory: &Path, extension: &'static str) -> impl Iterator<Item = PathBuf> {
    let paths = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(move |path| path.extension().is_some_and(|of| of == extension))
}

/// Returns the text of a document with the current figures between its markers. `is_html` says how to write them.
fn with_figures(text: &str, is_html: bool, results: &Results) -> Result<String, String> {
    let mut new = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(START) {
        let (name, after) = after.split_once(" -->").ok_or("a marker is not closed by -->")?;
        let figure = after.split_once(END).filter(|(old, _)| !old.contains(START));
        let (_, after) = figure.ok_or_else(|| format!("no {END} follows the marker {name}"))?;
        let figure = figures::figure(results, name, is_html).ok_or_else(|| match NAMES.contains(&name) {
            true => format!("the results have no numbers for the figure {name}"),
            false => format!("no figure is named {name}; there are {}", NAMES.join(", ")),
        })?;
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
        let missing = "no <!-- end of figures --> follows the marker ab";
        check("<!-- figures: ab --><!-- figures: ab --><!-- end of figures -->", false, Err(missing));
        check("<!-- figures: ab -->", false, Err(missing));
        check("<!-- figures: ab", false, Err("a marker is not closed by -->"));
        let unknown = format!("no figure is named speed; there are {}", NAMES.join(", "));
        check("<!-- figures: speed --><!-- end of figures -->", false, Err(&unknown));
        let nothing = Results { cells: Vec::new(), ..results() };
        let error = with_figures("<!-- figures: ab --><!-- end of figures -->", false, &nothing).unwrap_err();
        assert_eq!(error, "the results have no numbers for the figure ab");
    }

    #[test]
    fn writes_what_has_changed_and_nothing_in_a_check() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let mut results = results();
        let error = publish(root, &results, true).unwrap_err();
        assert_eq!(error, "keep-alive / h2o / 64 was measured in 2 rounds; publish needs 3");
        for cell in results.cells.iter_mut().filter(|cell| cell.workload != "conformance") {
            while cell.samples.len() + cell.failures.len() < ROUNDS {
                cell.samples.push(cell.samples[0].clone());
            }
        }
        let nothing = Results { cells: Vec::new(), ..results.clone() };
        let error = publish(root, &nothing, true).unwrap_err();
        assert_eq!(error, "the results have no numbers for the chart cpu");
        let error = publish(root, &results, true).unwrap_err();
        assert!(error.contains("/README.md: cannot read: No such file"), "{error}");
        for path in DOCUMENTS.iter().chain(&["www/page.html", "www/charts/stale.svg"]) {
            let marker = "<!-- figures: machine --><!-- end of figures -->";
            file::write(&root.join(path), marker).unwrap();
        }
        let publish = |is_check| publish(root, &results, is_check).unwrap();
        let expected = publish(true);
        let [stale, page, results_file] =
            ["www/charts/stale.svg", "www/page.html", RESULTS].map(|path| root.join(path));
        assert!([&stale, &page, &results_file].iter().all(|path| expected.contains(path)), "{expected:?}");
        assert!(!results_file.exists() && stale.exists());
        assert_eq!(publish(false), expected);
        assert_eq!(Results::read(&results_file).unwrap(), results);
        assert!(!stale.exists() && root.join("www/charts/cpu.svg").exists());
        assert!(fs::read_to_string(page).unwrap().contains("2 × a &lt;fast&gt; one, "));
        assert_eq!(publish(true), [""; 0].map(PathBuf::from));
    }
}
