//! Compares two results files, cell by cell: what has changed, and whether the change exceeds the noise. It skips nothing
//! silently: what only one of the files has is listed.

use std::collections::BTreeSet;
use std::fmt;

use super::metric::Metric;
use super::results::{Cell, Results, Spread};

/// The differences between an earlier and a later results file.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Differences that limit the comparison, such as another CPU, and what only one of the files has.
    pub remarks: Vec<String>,
    /// One entry for each compared metric of each cell that both files have.
    pub changes: Vec<Change>,
    /// Cells that have failures only in the later file: `workload / subject / connections: failure`.
    pub failed: Vec<String>,
}

/// How one metric of one cell has changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// `workload / subject / connections`.
    pub cell: String,
    /// The metric.
    pub metric: Metric,
    /// The value in the earlier file.
    pub before: Spread,
    /// The value in the later file.
    pub after: Spread,
    /// Whether the change is significant, and in which direction.
    pub verdict: Verdict,
}

/// Whether a change is significant, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
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
        let pairs = after.cells.iter().filter_map(|new| Some((before.cell(new.key())?, new)));
        for (old, new) in pairs.clone() {
            let label = after.run_of(&new.workload).and_then(|run| run.workload(&new.workload));
            let first = label.and_then(|label| label.metrics.first());
            let mut chosen: Vec<Metric> = metrics.to_vec();
            if metrics.is_empty() {
                chosen.extend([Metric::Throughput, Metric::Cpu].iter().chain(first));
            }
            chosen.sort_unstable();
            chosen.dedup();
            comparison.add(old, new, &chosen, bound);
        }
        if pairs.count() == 0 { Err("the files have no cell in common".to_owned()) } else { Ok(comparison) }
    }

    /// Whether nothing has become worse, and no cell fails that did not before.
    pub fn passes(&self) -> bool {
        self.failed.is_empty() && self.changes.iter().all(|change| change.verdict != Verdict::Worse)
    }

    /// Compares a cell of the earlier file with that of the later one.
    fn add(&mut self, old: &Cell, new: &Cell, metrics: &[Metric], bound: f64) {
        if let (true, Some(failure)) = (old.failures.is_empty(), new.failures.first()) {
            self.failed.push(format!("{}: {failure}", name(new)));
        }
        for metric in metrics.iter().copied() {
            if let (Some(before), Some(after)) = (old.spread(metric), new.spread(metric)) {
                let verdict = verdict(metric, &before, &after, bound);
                self.changes.push(Change { cell: name(new), metric, before, after, verdict });
            }
        }
    }
}

/// Judges a change of a metric; `bound` is a share of the earlier median.
fn verdict(metric: Metric, before: &Spread, after: &Spread, bound: f64) -> Verdict {
    let change = after.median - before.median;
    if change.abs() <= bound * before.median || before.overlaps(after) {
        return Verdict::Same;
    }
    if (change > 0.0) == metric.more_is_better() { Verdict::Better } else { Verdict::Worse }
}

/// What is not the same in both files, and what only one of them has.
fn remarks(before: &Results, after: &Results) -> Result<Vec<String>, String> {
    let mut facts: Vec<(String, String, String)> = Vec::new();
    let (earlier, later) = (&before.machine, &after.machine);
    facts.push(("CPU".into(), earlier.cpu.clone(), later.cpu.clone()));
    facts.push(("kernel".into(), earlier.kernel.clone(), later.kernel.clone()));
    for (experiment, later) in &after.runs {
        let Some(earlier) = before.runs.get(experiment) else { continue };
        let sizes = [earlier, later].map(|run| (run.workers, run.server_cpus.len()));
        if sizes[0] != sizes[1] {
            let [a, b] = sizes.map(|(workers, cpus)| format!("{workers} workers on {cpus} CPUs"));
            return Err(format!("experiment {experiment} ran with {a}, then with {b}"));
        }
        facts.push((
            format!("seconds of {experiment}"),
            earlier.seconds.to_string(),
            later.seconds.to_string(),
        ));
        facts.extend(later.subjects.iter().filter_map(|label| {
            let old = earlier.subject(&label.id)?;
            Some((format!("version of {}", label.id), old.version.clone(), label.version.clone()))
        }));
    }
    let differences = facts.into_iter().filter(|(_, earlier, later)| earlier != later);
    let differences = differences.map(|(what, earlier, later)| format!("{what}: {earlier}, then {later}"));
    let missing = [
        missing(before, after, "only in the later file"),
        missing(after, before, "only in the earlier file"),
    ];
    Ok(differences.chain(missing.into_iter().flatten()).collect())
}

/// Names the workloads, and of common workloads the cells, that `other` has and `of` has not.
fn missing(of: &Results, other: &Results, what: &str) -> BTreeSet<String> {
    let missing = other.cells.iter().filter(|cell| of.cell(cell.key()).is_none());
    let name = |cell: &Cell| match of.of_workload(&cell.workload).next() {
        Some(_) => format!("{what}: {}", name(cell)),
        None => format!("{what}: workload {}", cell.workload),
    };
    missing.map(name).collect()
}

/// `workload / subject / connections`.
fn name(cell: &Cell) -> String {
    let (workload, subject, connections) = cell.key();
    format!("{workload} / {subject} / {connections}")
}

/// Writes remarks, changes and failures, a line each, then a summary.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for remark in &self.remarks {
            writeln!(f, "note: {remark}")?;
        }
        let width = self.changes.iter().map(|change| change.cell.len()).max().unwrap_or(0);
        for change in &self.changes {
            writeln!(f, "{:width$}  {change}", change.cell)?;
        }
        for failed in &self.failed {
            writeln!(f, "FAILED: {failed}")?;
        }
        let count = |verdict| self.changes.iter().filter(|change| change.verdict == verdict).count();
        let (better, same, worse) = (count(Verdict::Better), count(Verdict::Same), count(Verdict::Worse));
        write!(f, "{better} better, {same} the same, {worse} worse, {} failed", self.failed.len())
    }
}

/// Writes the metric, its values and the verdict, without the name of the cell.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { metric, before, after, verdict, .. } = self;
        let side = |Spread { low, median, high }: &Spread| {
            let [low, median, high] = [low, median, high].map(|value| metric.format(*value));
            format!("{median} ({low}–{high})")
        };
        let relative = (before.median != 0.0).then(|| (after.median / before.median - 1.0) * 100.0);
        let relative = relative.map_or_else(String::new, |percent| format!("{percent:+.1}%"));
        let word = match verdict {
            Verdict::Better => "  better",
            Verdict::Same => "",
            Verdict::Worse => "  WORSE",
        };
        write!(f, "{metric:21} {:>27} → {:>27}  {relative:>8}{word}", side(before), side(after))
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{cell, cpu, results};
    use super::*;

    fn compare(before: &Results, after: &Results) -> Comparison {
        Comparison::of(before, after, &[], 0.1).unwrap()
    }

    #[test]
    fn a_change_counts_beyond_the_bound_and_the_spread() {
        let check = |before: &[f64], after: &[f64], less_is_better: Verdict, more_is_better: Verdict| {
            for (metric, verdict) in [(Metric::Cpu, less_is_better), (Metric::Throughput, more_is_better)] {
                let [before, after] =
                    [before, after].map(|values| results(vec![cell(("crowd", "httpd", 1), metric, values)]));
                let comparison = compare(&before, &after);
                assert_eq!(comparison.changes.len(), 1);
                assert_eq!(comparison.changes[0].verdict, verdict, "{comparison}");
                assert_eq!(comparison.passes(), verdict != Verdict::Worse);
            }
        };
        let (better, same, worse) = (Verdict::Better, Verdict::Same, Verdict::Worse);
        check(&[100.0, 101.0, 102.0], &[100.0, 101.0, 102.0], same, same);
        check(&[100.0, 101.0, 102.0], &[93.0, 94.0, 95.0], same, same);
        check(&[100.0, 101.0, 102.0], &[80.0, 81.0, 82.0], better, worse);
        check(&[100.0, 101.0, 102.0], &[120.0, 121.0, 122.0], worse, better);
        // One round is as slow as a round of the other file, so the difference may be chance.
        check(&[81.5, 101.0, 102.0], &[80.0, 81.0, 82.0], same, same);
        check(&[100.0, 101.0, 102.0], &[80.0, 81.0, 100.0], same, same);
        check(&[100.0], &[80.0], better, worse);
    }

    #[test]
    fn compares_the_chosen_metrics_else_the_important_ones() {
        let mut one = cpu("httpd", &[5.0]);
        one.samples[0].values.extend([(Metric::P99, 1.0), (Metric::Throughput, 9.0)]);
        let one = results(vec![one, cell(("crowd", "nginx", 1), Metric::P99, &[1.0])]);
        let metrics = |chosen: &[Metric]| {
            let comparison = Comparison::of(&one, &one, chosen, 0.1).unwrap();
            comparison.changes.iter().map(|change| change.metric).collect::<Vec<_>>()
        };
        assert_eq!(metrics(&[]), [Metric::Throughput, Metric::Cpu]);
        assert_eq!(metrics(&[Metric::P99]), [Metric::P99, Metric::P99]);
        let line = compare(&one, &one).changes[1].to_string();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>().join(" "),
            "cpu 5.00 (5.00–5.00) → 5.00 (5.00–5.00) +0.0%"
        );
    }

    #[test]
    fn a_cell_that_fails_now_is_a_regression() {
        let good = results(vec![cpu("httpd", &[5.0])]);
        let mut bad = good.clone();
        bad.cells[0].failures.push("round 1: no response".into());
        let comparison = compare(&good, &bad);
        assert_eq!(comparison.failed, ["keep-alive / httpd / 64: round 1: no response"]);
        assert!(!comparison.passes() && compare(&bad, &good).passes() && compare(&bad, &bad).passes());
    }

    #[test]
    fn rejects_files_that_cannot_be_compared() {
        let check = |change: &dyn Fn(&mut Results), expected: &str| {
            let before = results(vec![cpu("httpd", &[5.0])]);
            let mut after = before.clone();
            change(&mut after);
            assert_eq!(Comparison::of(&before, &after, &[], 0.1).unwrap_err(), expected);
        };
        let sizes = "experiment servers ran with 1 workers on 1 CPUs, then with 2 workers on 1 CPUs";
        check(&|after| after.runs.get_mut("servers").unwrap().workers = 2, sizes);
        let sizes = "experiment servers ran with 1 workers on 1 CPUs, then with 1 workers on 2 CPUs";
        check(&|after| after.runs.get_mut("servers").unwrap().server_cpus.push(2), sizes);
        check(&|after| after.cells[0].connections = 17, "the files have no cell in common");
    }

    #[test]
    fn names_what_differs_and_what_is_missing() {
        let before = results(vec![cpu("httpd", &[5.0]), cell(("crowd", "httpd", 64), Metric::Cpu, &[5.0])]);
        let mut after = results(vec![cpu("httpd", &[5.0]), cpu("nginx", &[5.0])]);
        after.machine.cpu = "a slow one".into();
        after.runs.get_mut("servers").unwrap().subjects[0].version = "httpd 2".into();
        let comparison = compare(&before, &after);
        assert_eq!(
            comparison.remarks,
            [
                "CPU: a <fast> one, then a slow one",
                "version of httpd: httpd 1.2, then httpd 2",
                "only in the later file: keep-alive / nginx / 64",
                "only in the earlier file: workload crowd",
            ]
        );
        assert!(comparison.to_string().starts_with("note: CPU: a <fast> one"), "{comparison}");
    }
}
