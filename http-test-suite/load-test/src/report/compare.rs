//! Compares two results files, cell by cell: what has changed, and whether the change exceeds the noise. It skips nothing
//! silently: what only one of the files has is listed.

use std::collections::BTreeSet;
use std::fmt;

use super::metric::Metric;
use super::results::{Cell, Results, Spread};
use super::table::{Field, Table};

/// The differences between an earlier and a later results file.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Differences that limit the comparison, such as another CPU, and what only one of the files has.
    remarks: Vec<String>,
    /// One entry for each compared metric of each cell that both files have.
    changes: Vec<Change>,
    /// Cells that have failures only in the later file: `workload / subject / connections: failure`.
    failed: Vec<String>,
}

/// How one metric of one cell has changed.
#[derive(Clone, Debug)]
struct Change {
    /// `workload / subject / connections`.
    cell: String,
    /// The metric.
    metric: Metric,
    /// The value in the earlier file.
    before: Spread,
    /// The value in the later file.
    after: Spread,
    /// Whether the change is significant, and in which direction.
    verdict: Verdict,
}

/// Whether a change is significant, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Better by more than the bound and the spread.
    Better,
    /// Within the bound, or within the spread.
    Same,
    /// Worse by more than the bound and the spread.
    Worse,
}

impl Comparison {
    /// Compares two files by these metrics; without any, by throughput, CPU time and the first metric of each workload.
    /// A change counts if it is greater than `bound`, a share of the earlier median, and if the ranges of the rounds do
    /// not overlap.
    ///
    /// # Errors
    ///
    /// If an experiment ran with other numbers of workers or CPUs, or if the files have no cell in common.
    pub fn of(
        before: &Results,
        after: &Results,
        metrics: &[Metric],
        bound: f64,
    ) -> Result<Comparison, String> {
        let mut comparison = Comparison { remarks: remarks(before, after)?, ..Comparison::default() };
        let pairs: Vec<(&Cell, &Cell)> =
            after.cells.iter().filter_map(|new| Some((before.cell(new.key())?, new))).collect();
        if pairs.is_empty() {
            return Err("the files have no cell in common".to_owned());
        }
        for (old, new) in pairs {
            if let (true, Some(failure)) = (old.failures.is_empty(), new.failures.first()) {
                comparison.failed.push(format!("{new}: {failure}"));
            }
            let first = after.workload(&new.workload).and_then(|(_, label)| label.metrics.first());
            let important = [Metric::Throughput, Metric::Cpu];
            let chosen: BTreeSet<&Metric> = match metrics {
                [] => important.iter().chain(first).collect(),
                metrics => metrics.iter().collect(),
            };
            for metric in chosen.into_iter().copied() {
                if let (Some(before), Some(after)) = (old.spread(metric), new.spread(metric)) {
                    let verdict = verdict(metric, &before, &after, bound);
                    comparison.changes.push(Change { cell: new.to_string(), metric, before, after, verdict });
                }
            }
        }
        Ok(comparison)
    }

    /// Whether nothing has become worse, and no cell fails that did not before.
    pub fn passes(&self) -> bool {
        self.failed.is_empty() && self.changes.iter().all(|change| change.verdict != Verdict::Worse)
    }
}

/// Judges a change of a metric; `bound` is a share of the earlier median.
fn verdict(metric: Metric, before: &Spread, after: &Spread, bound: f64) -> Verdict {
    let change = after.median - before.median;
    let overlap = before.low <= after.high && after.low <= before.high;
    if overlap || change.abs() <= bound * before.median {
        Verdict::Same
    } else if (change > 0.0) == metric.more_is_better() {
        Verdict::Better
    } else {
        Verdict::Worse
    }
}

/// What is not the same in both files, and what only one of them has. An error if an experiment ran with another size.
fn remarks(before: &Results, after: &Results) -> Result<Vec<String>, String> {
    let mut remarks = Vec::new();
    let mut compare = |what: &str, earlier: &str, later: &str| {
        if earlier != later {
            remarks.push(format!("{what}: {earlier}, then {later}"));
        }
    };
    compare("CPU", &before.machine.cpu, &after.machine.cpu);
    compare("kernel", &before.machine.kernel, &after.machine.kernel);
    for (experiment, later) in &after.runs {
        let Some(earlier) = before.runs.get(experiment) else { continue };
        let [a, b] =
            [earlier, later].map(|run| format!("{} workers on {} CPUs", run.workers, run.server_cpus.len()));
        if a != b {
            return Err(format!("experiment {experiment} ran with {a}, then with {b}"));
        }
        let [a, b] = [earlier, later].map(|run| run.seconds.to_string());
        compare(&format!("seconds of {experiment}"), &a, &b);
        for label in &later.subjects {
            let old = earlier.subject(&label.id).unwrap_or(label);
            compare(&format!("version of {}", label.id), &old.version, &label.version);
        }
    }
    remarks.extend(missing(before, after, "only in the later file"));
    remarks.extend(missing(after, before, "only in the earlier file"));
    Ok(remarks)
}

/// Names the workloads, and of common workloads the cells, that `other` has and `of` has not.
fn missing(of: &Results, other: &Results, what: &str) -> BTreeSet<String> {
    let missing = other.cells.iter().filter(|cell| of.cell(cell.key()).is_none());
    let name = |cell: &Cell| match of.of_workload(&cell.workload).next() {
        Some(_) => format!("{what}: {cell}"),
        None => format!("{what}: workload {}", cell.workload),
    };
    missing.map(name).collect()
}

/// Writes remarks, a table of the changes, failures, and a summary.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for remark in &self.remarks {
            writeln!(f, "note: {remark}")?;
        }
        let head = ["", "metric", "before", "after", "change", "verdict"].map(str::to_owned).into();
        f.write_str(&Table { head, rows: self.changes.iter().map(Change::row).collect() }.markdown())?;
        for failed in &self.failed {
            writeln!(f, "FAILED: {failed}")?;
        }
        let count = |verdict| self.changes.iter().filter(|change| change.verdict == verdict).count();
        let (better, same, worse) = (count(Verdict::Better), count(Verdict::Same), count(Verdict::Worse));
        write!(f, "{better} better, {same} the same, {worse} worse, {} failed", self.failed.len())
    }
}

impl Change {
    /// The row of the table.
    fn row(&self) -> Vec<Field> {
        let Change { cell, metric, before, after, verdict } = self;
        let side = |Spread { low, median, high }: &Spread| {
            let [low, median, high] = [low, median, high].map(|value| metric.format(*value));
            format!("{median} ({low}–{high})")
        };
        let change = match before.median {
            0.0 => String::new(),
            median => format!("{:+.1}%", (after.median / median - 1.0) * 100.0),
        };
        let verdict = match verdict {
            Verdict::Better => "better",
            Verdict::Same => "",
            Verdict::Worse => "WORSE",
        };
        let texts = [cell.clone(), metric.to_string(), side(before), side(after), change, verdict.to_owned()];
        texts.map(Field::from).into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{cell, results};
    use super::*;

    /// Compares two files that have only this cell.
    fn compare(before: Cell, after: Cell) -> Comparison {
        let [before, after] = [before, after].map(|cell| Results { cells: vec![cell], ..results() });
        Comparison::of(&before, &after, &[], 0.1).unwrap()
    }

    #[test]
    fn a_change_counts_beyond_the_bound_and_the_spread() {
        let check = |before: &[f64], after: &[f64], less_is_better: Verdict, more_is_better: Verdict| {
            for (metric, verdict) in [(Metric::Cpu, less_is_better), (Metric::Throughput, more_is_better)] {
                let comparison = compare(cell(metric, before), cell(metric, after));
                let verdicts: Vec<_> = comparison.changes.iter().map(|change| change.verdict).collect();
                assert_eq!((verdicts, comparison.passes()), (vec![verdict], verdict != Verdict::Worse));
            }
        };
        let (better, same, worse) = (Verdict::Better, Verdict::Same, Verdict::Worse);
        check(&[100.0, 101.0, 102.0], &[93.0, 94.0, 95.0], same, same);
        check(&[100.0, 101.0, 102.0], &[80.0, 81.0, 82.0], better, worse);
        check(&[100.0, 101.0, 102.0], &[120.0, 121.0, 122.0], worse, better);
        // One round is as slow as a round of the other file, so the difference may be chance.
        check(&[81.5, 101.0, 102.0], &[80.0, 81.0, 82.0], same, same);
        check(&[100.0, 101.0, 102.0], &[80.0, 81.0, 100.0], same, same);
    }

    #[test]
    fn compares_the_chosen_metrics_else_the_important_ones() {
        let check = |metrics: &[Metric], expected: &[&str]| {
            let mut results = results();
            results.cells.retain(|cell| cell.subject == "nginx" && cell.workload != "conformance");
            let comparison = Comparison::of(&results, &results, metrics, 0.1).unwrap().to_string();
            let row = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(comparison.lines().skip(2).map(row).collect::<Vec<_>>(), expected);
        };
        let rate = "| keep-alive / nginx / 64 | throughput | 45,000 (40,000–50,000) | 45,000 (40,000–50,000) | +0.0% | |";
        let cpu = "| keep-alive / nginx / 64 | cpu | 12.0 (8.00–20.0) | 12.0 (8.00–20.0) | +0.0% | |";
        let crowd = "| crowd / nginx / 1000 | cpu | 13.0 (13.0–13.0) | 13.0 (13.0–13.0) | +0.0% | |";
        let ab =
            "| ab / nginx / 100 | throughput | 16,000 (16,000–16,000) | 16,000 (16,000–16,000) | +0.0% | |";
        check(&[], &[rate, cpu, crowd, ab, "0 better, 4 the same, 0 worse, 0 failed"]);
        let ab = "| ab / nginx / 100 | failed-requests | 0 (0–0) | 0 (0–0) | | |";
        check(&[Metric::FailedRequests], &[ab, "0 better, 1 the same, 0 worse, 0 failed"]);
    }

    #[test]
    fn a_cell_that_fails_now_is_a_regression() {
        let good = cell(Metric::Cpu, &[5.0]);
        let bad = Cell { failures: vec!["round 1: no response".into()], ..good.clone() };
        let comparison = compare(good.clone(), bad.clone());
        assert_eq!(comparison.failed, ["crowd / nginx / 64: round 1: no response"]);
        assert!(
            !comparison.passes() && compare(bad.clone(), good).passes() && compare(bad.clone(), bad).passes()
        );
    }

    #[test]
    fn rejects_files_that_cannot_be_compared() {
        let check = |change: &dyn Fn(&mut Results), expected: &str| {
            let mut after = results();
            change(&mut after);
            assert_eq!(Comparison::of(&results(), &after, &[], 0.1).unwrap_err(), expected);
        };
        let sizes = "experiment servers ran with 1 workers on 1 CPUs, then with 2 workers on 1 CPUs";
        check(&|after| after.runs.get_mut("servers").unwrap().workers = 2, sizes);
        let sizes = "experiment servers ran with 1 workers on 1 CPUs, then with 1 workers on 2 CPUs";
        check(&|after| after.runs.get_mut("servers").unwrap().server_cpus.push(2), sizes);
        check(&|after| after.cells.clear(), "the files have no cell in common");
    }

    #[test]
    fn names_what_differs_and_what_is_missing() {
        let (mut before, mut after) = (results(), results());
        before.cells.retain(|cell| cell.workload != "crowd" || cell.connections != 64);
        after.cells.retain(|cell| cell.workload != "idle");
        after.machine.cpu = "a slow one".into();
        let run = after.runs.get_mut("servers").unwrap();
        run.seconds = 3.0;
        run.subjects[0].version = "httpd 2".into();
        let expected = [
            "CPU: a <fast> one, then a slow one",
            "seconds of servers: 2, then 3",
            "version of httpd: httpd 1.2, then httpd 2",
            "only in the later file: crowd / httpd / 64",
            "only in the earlier file: workload idle",
        ];
        assert_eq!(Comparison::of(&before, &after, &[], 0.1).unwrap().remarks, expected);
    }
}
