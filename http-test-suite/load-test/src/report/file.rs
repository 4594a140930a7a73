//! The results file: reads, merges and writes it. It computes no statistic.

use std::fs;
use std::path::Path;

use super::page;
use super::results::{Cell, Machine, Results, Sample, VERSION};

impl Results {
    /// Reads a results file, which [`save`](Results::save) has written.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not such a file.
    pub fn read(path: &Path) -> Result<Results, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"));
        text.and_then(|json| Results::parse(&json)).map_err(|error| format!("{} {error}", path.display()))
    }

    /// Parses the text of a results file.
    ///
    /// # Errors
    ///
    /// If the text is malformed or of another version, or a cell belongs to no run.
    pub fn parse(json: &str) -> Result<Results, String> {
        let malformed = |error| format!("is not a file of load-test results: {error}");
        let json: serde_json::Value = serde_json::from_str(json).map_err(malformed)?;
        if let Some(version) = json.get("version").filter(|version| **version != VERSION) {
            return Err(format!("has format version {version}; this program reads version {VERSION}"));
        }
        let results: Results = serde_json::from_value(json).map_err(malformed)?;
        match results.cells.iter().find(|cell| results.subject(cell).is_none()) {
            Some(cell) => Err(format!("has numbers of {cell}, which no run describes")),
            None => Ok(results),
        }
    }

    /// Writes the results of a run to `results.json` in a directory, merged with those that are there, and their report
    /// to `report.html`.
    ///
    /// # Errors
    ///
    /// If a file cannot be written, or `results.json` cannot be used (see [`merged_into`](Results::merged_into)).
    pub fn save(self, directory: &Path) -> Result<(), String> {
        let path = directory.join("results.json");
        let merged = self.merged_into(&path)?;
        write(&path, &merged.to_json().map_err(|error| error.to_string())?)?;
        write(&directory.join("report.html"), &page::page(&merged))
    }

    /// The results of a file with those of a newer run in place of the old: the run of the same experiment, and all
    /// cells of the measured workloads. Without a file, the new results alone.
    ///
    /// # Errors
    ///
    /// If the file exists but cannot be used, or holds results of another machine.
    pub fn merged_into(self, path: &Path) -> Result<Results, String> {
        if !path.exists() {
            return Ok(self);
        }
        let mut merged = Results::read(path)?;
        if merged.machine != self.machine {
            let (path, Machine { cpu, cpus, kernel, .. }) = (path.display(), merged.machine);
            return Err(format!(
                "{path} has results of another machine ({cpus} × {cpu}, {kernel}): move it away"
            ));
        }
        for (experiment, mut run) in self.runs {
            let mut old = merged.runs.remove(&experiment).unwrap_or_default();
            for label in &mut old.workloads {
                label.earlier_date.get_or_insert_with(|| old.date.clone());
            }
            run.workloads = merged_labels(old.workloads, run.workloads, |label| &label.id);
            run.subjects = merged_labels(old.subjects, run.subjects, |label| &label.id);
            merged.runs.insert(experiment, run);
        }
        merged.cells.retain(|old| self.cells.iter().all(|new| new.workload != old.workload));
        merged.cells.extend(self.cells);
        Ok(merged)
    }

    /// The results as JSON, with each sample on a line of its own. Values are rounded to six significant digits; one
    /// that is not finite is left out, as if it had not been measured.
    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        let head = serde_json::to_string_pretty(&Results { cells: Vec::new(), ..self.clone() })?;
        let cells: Vec<String> = self.cells.iter().map(cell_json).collect::<Result<_, _>>()?;
        Ok(format!("{}\n{}\n]}}\n", head.trim_end_matches("]\n}"), cells.join(",\n")))
    }
}

/// Writes a text file, and creates its directory if there is none. The error names the file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = directory.and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

/// A cell as JSON, with each sample on a line of its own.
fn cell_json(cell: &Cell) -> serde_json::Result<String> {
    let line = |sample: &Sample| serde_json::to_string(&rounded(sample));
    let samples: Vec<String> = cell.samples.iter().map(line).collect::<Result<_, _>>()?;
    let empty = serde_json::to_string(&Cell { samples: Vec::new(), ..cell.clone() })?;
    // No string contains this key, because quotation marks in strings are escaped.
    Ok(empty.replace("\"samples\":[", &format!("\"samples\":[\n{}", samples.join(",\n"))))
}

/// A copy of the sample with finite values only, rounded to six significant digits.
fn rounded(sample: &Sample) -> Sample {
    let values = sample.values.iter().filter(|(_, value)| value.is_finite());
    let round = |value: &f64| format!("{value:.5e}").parse().unwrap_or(*value);
    Sample { values: values.map(|(metric, value)| (*metric, round(value))).collect(), ..sample.clone() }
}

/// The old labels in their order, each replaced by the new one with the same id, then the other new labels.
fn merged_labels<T>(mut labels: Vec<T>, new: Vec<T>, id: fn(&T) -> &str) -> Vec<T> {
    for label in new {
        match labels.iter_mut().find(|old| id(old) == id(&label)) {
            Some(old) => *old = label,
            None => labels.push(label),
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::super::metric::Metric;
    use super::super::results::WorkloadLabel;
    use super::super::results::tests::{FILE, cell, results};
    use super::*;

    #[test]
    fn writes_what_it_has_read_with_rounded_finite_values() {
        let mut results = results();
        assert_eq!(results.to_json().unwrap(), FILE);
        results.cells = vec![cell(Metric::Cpu, &[123.4567, 2.5])];
        results.cells[0].samples[1].values.insert(Metric::P50, f64::NAN);
        results.cells[0].failures.push("\"samples\":[".into());
        let read = Results::parse(&results.to_json().unwrap()).unwrap();
        results.cells[0].samples[0].values.insert(Metric::Cpu, 123.457);
        results.cells[0].samples[1].values.remove(&Metric::P50);
        assert_eq!(read, results);
    }

    #[test]
    fn rejects_other_files() {
        let check = |json: &str, expected: &str| {
            let error = Results::parse(json).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("{", "is not a file of load-test results");
        check("{}", "is not a file of load-test results: missing field");
        check("{\"version\": 1, \"cells\": 5}", "has format version 1; this program reads version 2");
        for key in ["\"workload\":\"ab\"", "\"subject\":\"h2o\""] {
            check(&FILE.replace(key, &key.replace(":\"", ":\"un")), "which no run describes");
        }
    }

    #[test]
    fn a_new_run_replaces_its_own_workloads_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new").join("results.json");
        let old = results();
        old.clone().save(path.parent().unwrap()).unwrap();
        assert_eq!(Results::read(&path).unwrap(), old);

        let mut new = Results { cells: vec![cell(Metric::Cpu, &[4.0])], ..old.clone() };
        let mut run = new.runs.remove("servers").unwrap();
        run.date = "2026-02-02T00:00:00Z".into();
        run.workloads =
            ["new", "crowd"].map(|id| WorkloadLabel { id: id.into(), ..WorkloadLabel::default() }).into();
        run.subjects.truncate(1);
        run.subjects[0].version = "httpd 2".into();
        new.runs = [("servers".into(), run)].into();
        let merged = new.clone().merged_into(&path).unwrap();
        // All old cells of the workload go: a ratio to a new sample would compare different minutes.
        let is_kept = |cell: &&Cell| cell.workload != "crowd";
        assert!(merged.cells.iter().eq(old.cells.iter().filter(is_kept).chain(&new.cells)));
        assert_eq!(merged.runs["architectures"], old.runs["architectures"]);
        let run = &merged.runs["servers"];
        let labels = run.workloads.iter().map(|label| (&*label.id, label.earlier_date.as_deref()));
        let (earliest, earlier) = (Some("2026-01-01T00:00:00Z"), Some("2026-01-03T03:04:05Z"));
        let ids = [
            "keep-alive",
            "crowd",
            "idle",
            "tail-80",
            "mixed-http",
            "conformance",
            "ab",
            "unmeasured",
            "new",
        ];
        let dates = [earliest, None, earlier, earlier, earlier, earlier, earlier, earlier, None];
        assert!(labels.eq(ids.into_iter().zip(dates)), "{run:?}");
        let versions = run.subjects.iter().map(|label| &*label.version);
        assert_eq!(versions.collect::<Vec<_>>(), ["httpd 2", "nginx 1.2", "h2o 1.2"]);

        new.machine.cpus = 64;
        let error = new.merged_into(&path).unwrap_err();
        assert!(error.contains("another machine (2 × a <fast> one"), "{error}");
    }
}
