//! The results file: reads, writes and merges it. It computes no statistic.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::results::{Cell, Machine, Results, Sample, VERSION};

/// Why a results file could not be used: a sentence that begins after the name of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable(String);

impl Results {
    /// Reads a file that [`write`](Results::write) has written.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not such a file.
    pub fn read(path: &Path) -> Result<Results, Unusable> {
        Results::parse(
            &fs::read_to_string(path).map_err(|error| Unusable(format!("cannot be read: {error}")))?,
        )
    }

    /// Parses the text of a results file.
    ///
    /// # Errors
    ///
    /// If the text is malformed or of another version, or a cell belongs to no run.
    pub fn parse(json: &str) -> Result<Results, Unusable> {
        /// The only field to read before the version is known.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let malformed = |error| Unusable(format!("is not a file of load-test results: {error}"));
        let Versioned { version } = serde_json::from_str(json).map_err(malformed)?;
        if version != u64::from(VERSION) {
            let why = format!("has format version {version}; this program reads version {VERSION}");
            return Err(Unusable(why));
        }
        let results: Results = serde_json::from_str(json).map_err(malformed)?;
        let is_described = |cell: &&Cell| {
            results.run_of(&cell.workload).is_some_and(|run| run.subject(&cell.subject).is_some())
        };
        match results.cells.iter().find(|cell| !is_described(cell)) {
            Some(Cell { workload, subject, .. }) => {
                Err(Unusable(format!("has numbers of {subject} under {workload}, which no run describes")))
            }
            None => Ok(results),
        }
    }

    /// Writes the results as a JSON file.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Unusable> {
        Ok(fs::write(path, self.to_json().map_err(io::Error::from)?)?)
    }

    /// The results of a file with those of a newer run in place of the old: the run of the same experiment, and all
    /// cells of the measured workloads. Without a file, the new results alone.
    ///
    /// # Errors
    ///
    /// If the file exists but cannot be used, or holds results of another machine.
    pub fn merged_into(self, path: &Path) -> Result<Results, Unusable> {
        if !path.exists() {
            return Ok(self);
        }
        let mut merged = Results::read(path)?;
        if merged.machine != self.machine {
            let Machine { cpu, cpus, kernel, .. } = merged.machine;
            let why = format!("has results of another machine ({cpus} × {cpu}, {kernel}): move it away");
            return Err(Unusable(why));
        }
        for (experiment, mut run) in self.runs {
            if let Some(mut old) = merged.runs.remove(&experiment) {
                for label in &mut old.workloads {
                    label.earlier_date.get_or_insert_with(|| old.date.clone());
                }
                run.workloads = merged_labels(&old.workloads, &run.workloads, |label| &label.id);
                run.subjects = merged_labels(&old.subjects, &run.subjects, |label| &label.id);
            }
            merged.runs.insert(experiment, run);
        }
        let is_kept = |old: &Cell| self.cells.iter().all(|new| new.workload != old.workload);
        merged.cells.retain(is_kept);
        merged.cells.extend(self.cells);
        Ok(merged)
    }

    /// The results as JSON, with each sample on a line of its own. Values are rounded to six significant digits; one that
    /// is not finite is left out, as if it had not been measured.
    ///
    /// # Errors
    ///
    /// If `serde_json` fails, which it does not for these types.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let head = serde_json::to_string_pretty(&Results { cells: Vec::new(), ..self.clone() })?;
        let mut json = head.trim_end_matches("]\n}").to_owned();
        for (index, cell) in self.cells.iter().enumerate() {
            let empty = serde_json::to_string(&Cell { samples: Vec::new(), ..cell.clone() })?;
            let line = |sample: &Sample| serde_json::to_string(&rounded(sample));
            let samples: Vec<String> = cell.samples.iter().map(line).collect::<Result<_, _>>()?;
            let comma = if index == 0 { "\n" } else { ",\n" };
            json.push_str(comma);
            // No string contains this key, because quotation marks in strings are escaped.
            json.push_str(
                &empty.replace("\"samples\":[", &format!("\"samples\":[\n{}", samples.join(",\n"))),
            );
        }
        Ok(json + "\n]}\n")
    }
}

/// The sample with finite values only, rounded to six significant digits.
fn rounded(sample: &Sample) -> Sample {
    let values = sample.values.iter().filter(|(_, value)| value.is_finite());
    let round = |value: &f64| format!("{value:.5e}").parse().unwrap_or(*value);
    Sample { values: values.map(|(metric, value)| (*metric, round(value))).collect(), ..sample.clone() }
}

/// The old labels in their order, each replaced by the new one of the same name, then the other new labels.
fn merged_labels<T: Clone>(old: &[T], new: &[T], id: fn(&T) -> &str) -> Vec<T> {
    let find = |labels: &[T], wanted: &T| labels.iter().find(|label| id(label) == id(wanted)).cloned();
    let known = old.iter().map(|label| find(new, label).unwrap_or_else(|| label.clone()));
    known.chain(new.iter().filter(|label| find(old, label).is_none()).cloned()).collect()
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

/// Makes the reason from an error of writing.
impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Unusable {
        Unusable(format!("cannot be written: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric::Metric;
    use super::super::results::tests::{cell, cpu, results, workload};
    use super::*;

    #[test]
    fn writes_a_sample_per_line_and_reads_it_back() {
        let failed = Cell { failures: vec!["\"samples\":[".into()], ..cpu("nginx", &[]) };
        let mut results = results(vec![cpu("httpd", &[123.4567, 2.5]), failed]);
        results.cells[0].samples[1].values.insert(Metric::P50, f64::NAN);
        let json = results.to_json().unwrap();
        assert!(json.contains("\n{\"round\":2,\"values\":{\"cpu\":2.5}}]},\n"), "{json}");
        results.cells[0].samples[0].values.insert(Metric::Cpu, 123.457);
        results.cells[0].samples[1].values.remove(&Metric::P50);
        assert_eq!(Results::parse(&json).unwrap(), results);
        let empty = Results { cells: Vec::new(), ..results };
        assert_eq!(Results::parse(&empty.to_json().unwrap()).unwrap(), empty);
    }

    #[test]
    fn rejects_other_files() {
        let check = |json: &str, expected: &str| {
            let error = Results::parse(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("{}", "is not a file of load-test results");
        check("{\"version\": 1, \"cells\": 5}", "has format version 1; this program reads version 2");
        check("{\"version\": 2, \"cells\": 5}", "is not a file of load-test results");
        for key in [("gone", "nginx", 1), ("crowd", "gone", 1)] {
            let results = results(vec![cell(key, Metric::Cpu, &[1.0])]);
            check(&results.to_json().unwrap(), "which no run describes");
        }
        let error = Results::read(Path::new("/nonexistent/results.json")).unwrap_err().to_string();
        assert!(error.starts_with("cannot be read: No such file"), "{error}");
    }

    #[test]
    fn a_new_run_replaces_its_own_workloads_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.json");
        let crowd = |subject, cost| cell(("crowd", subject, 64), Metric::Cpu, &[cost]);
        let old = results(vec![cpu("httpd", &[1.0]), crowd("httpd", 2.0), crowd("nginx", 3.0)]);
        assert_eq!(old.clone().merged_into(&path).unwrap(), old, "there is no file");
        old.write(&path).unwrap();

        let mut new = results(vec![crowd("httpd", 4.0)]);
        let run = new.runs.get_mut("servers").unwrap();
        run.date = "2026-02-02T00:00:00Z".into();
        run.workloads = vec![workload("new", &[]), workload("crowd", &[Metric::P50])];
        run.subjects.truncate(1);
        run.subjects[0].version = "httpd 2".into();
        let merged = new.clone().merged_into(&path).unwrap();
        // The old cell of nginx goes: its ratio to a new sample would compare different minutes.
        assert_eq!(merged.cells, [old.cells[0].clone(), new.cells[0].clone()]);
        let run = &merged.runs["servers"];
        assert_eq!(run.date, "2026-02-02T00:00:00Z");
        let labels = run
            .workloads
            .iter()
            .map(|label| (&*label.id, label.earlier_date.as_deref(), label.metrics.len()));
        let expected =
            [("keep-alive", Some("2026-01-02T03:04:05Z"), 2), ("crowd", None, 1), ("new", None, 0)];
        assert_eq!(labels.collect::<Vec<_>>(), expected);
        let versions = run.subjects.iter().map(|label| &*label.version);
        assert_eq!(versions.collect::<Vec<_>>(), ["httpd 2", "nginx 1.2"]);

        let other = Results { machine: Machine { cpus: 64, ..new.machine.clone() }, ..new };
        let error = other.merged_into(&path).unwrap_err().to_string();
        assert!(error.contains("another machine (2 × a <fast> one"), "{error}");
    }
}
