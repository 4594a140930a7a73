//! Compares two results files, cell by cell: what has changed, and whether the change exceeds the noise. It skips
//! nothing silently: what only one of the files has is listed.

use std::collections::BTreeSet;

use super::metric::{Metric, rounds};
use super::results::{Cell, Results, Spread};
use super::table::{Field, Table};

/// The judgement on a change that is an improvement: greater than the bound, and the rounds do not overlap.
const BETTER: &str = "better";
/// The judgement on a change that does not count: within the bound, or the rounds overlap.
const SAME: &str = "";
/// The judgement on a change for the worse: greater than the bound, and the rounds do not overlap.
const WORSE: &str = "WORSE";

/// The server that should have the same numbers in both files: if it has not, the machine probably changed.
const REFERENCE: &str = "nginx";

/// The report on the changes from an earlier to a later results file, and whether nothing became worse.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The report: remarks, a table of each compared number before and after with a judgement, new failures, a summary.
    pub text: String,
    /// Whether nothing has become worse, and no cell fails that did not before.
    pub passes: bool,
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
        let mut remarks = remarks(before, after)?;
        let pairs = after.cells.iter().filter_map(|new| Some((before.cell(new.key())?, new)));
        if pairs.clone().next().is_none() {
            return Err("the files have no cell in common".to_owned());
        }
        let (mut failures, mut failed) = (String::new(), 0);
        let (mut rows, mut judgements) = (Vec::new(), Vec::new());
        let (mut reference, mut changed) = (0, 0);
        for (old, new) in pairs {
            if let (true, Some(failure)) = (old.failures.is_empty(), new.failures.first()) {
                failures += &format!("FAILED: {new}: {failure}\n");
                failed += 1;
            }
            let first = after.workload(&new.workload).and_then(|(_, label)| label.metrics.first());
            let chosen: BTreeSet<&Metric> = match metrics {
                [] => [Metric::Throughput, Metric::Cpu].iter().chain(first).collect(),
                metrics => metrics.iter().collect(),
            };
            for metric in chosen.into_iter().copied() {
                if let (Some(before), Some(after)) = (old.spread(metric), new.spread(metric)) {
                    if new.subject == REFERENCE {
                        reference += 1;
                        changed += usize::from(exceeds(before, after, bound));
                    }
                    let judgement = judge(metric, before, after, bound);
                    rows.push(row(new, metric, before, after, judgement));
                    judgements.push(judgement);
                }
            }
        }
        if changed > 0 {
            let percent = (bound * 1000.0).round() / 10.0;
            let what = format!("the reference {REFERENCE} itself changed by more than {percent}%");
            remarks
                .insert(0, format!("{what} in {changed} of {reference} numbers: the machine may have, too"));
        }
        let notes: String = remarks.iter().map(|remark| format!("note: {remark}\n")).collect();
        let head = ["", "metric", "before", "after", "change", "judgement"].map(str::to_owned).into();
        let table = Table { head, rows }.markdown();
        let [better, same, worse] = [BETTER, SAME, WORSE]
            .map(|word| judgements.iter().filter(|judgement| **judgement == word).count());
        let summary = format!("{better} better, {same} the same, {worse} worse, {failed} failed\n");
        Ok(Comparison { text: notes + &table + &failures + &summary, passes: worse + failed == 0 })
    }
}

/// Judges a change of a metric: [`BETTER`], [`SAME`] or [`WORSE`]. `bound` is a share of the earlier median.
fn judge(metric: Metric, before: Spread, after: Spread, bound: f64) -> &'static str {
    let overlap = before.low <= after.high && after.low <= before.high;
    if overlap || !exceeds(before, after, bound) {
        SAME
    } else if (after.median > before.median) == metric.more_is_better() {
        BETTER
    } else {
        WORSE
    }
}

/// Whether the medians differ by more than `bound`, a share of the earlier median, in either direction.
fn exceeds(before: Spread, after: Spread, bound: f64) -> bool {
    (after.median - before.median).abs() > bound * before.median
}

/// The row of the table for one metric of a cell: both values, the change in percent, and the judgement.
fn row(cell: &Cell, metric: Metric, before: Spread, after: Spread, judgement: &str) -> Vec<Field> {
    let side = |Spread { low, median, high }| {
        let [low, median, high] = [low, median, high].map(|value| metric.format(value));
        format!("{median} ({low}–{high})")
    };
    let percent = format!("{:+.1}%", (after.median / before.median - 1.0) * 100.0);
    let percent = if before.median == 0.0 { String::new() } else { percent };
    let texts =
        [cell.to_string(), metric.to_string(), side(before), side(after), percent, judgement.to_owned()];
    texts.map(Field::from).into()
}

/// The remarks above the table: what limits the comparison, what is not the same in both files, and what only one of
/// them has. An error if an experiment ran with other numbers of workers or CPUs.
fn remarks(before: &Results, after: &Results) -> Result<Vec<String>, String> {
    let (mut limits, mut remarks) = (Vec::new(), Vec::new());
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
        if earlier.rounds != later.rounds {
            let now = rounds(later.rounds);
            limits.push(format!("{experiment}: AFTER has {now}, BEFORE {}", earlier.rounds));
        }
        for (name, load, cpus) in [
            ("BEFORE", earlier.load_before, before.machine.cpus),
            ("AFTER", later.load_before, after.machine.cpus),
        ] {
            if load > cpus as f64 / 2.0 {
                let began = format!("{name} began at a load of {load} on {cpus} CPUs");
                limits.push(format!("{experiment}: {began}: compare CPU time only"));
            }
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
    Ok([limits, remarks].concat())
}

/// A line, beginning with `remark`, for each workload that only `other` has, and for each cell that only `other` has of
/// a workload in both.
fn missing(here: &Results, other: &Results, remark: &str) -> BTreeSet<String> {
    let missing = other.cells.iter().filter(|cell| here.cell(cell.key()).is_none());
    let name = |cell: &Cell| match here.of_workload(&cell.workload).next() {
        Some(_) => format!("{remark}: {cell}"),
        None => format!("{remark}: workload {}", cell.workload),
    };
    missing.map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{cell, results};
    use super::*;

    #[test]
    fn a_change_counts_beyond_the_bound_and_the_spread() {
        let check = |before: &[f64], after: &[f64], less_is_better: &str, more_is_better: &str| {
            for (metric, judgement) in [(Metric::Cpu, less_is_better), (Metric::Throughput, more_is_better)] {
                // The first metric of this workload is another one.
                let cell = |values| Cell { workload: "idle".into(), ..cell(metric, values) };
                let file = |values| Results { cells: vec![cell(values)], ..results() };
                let comparison = Comparison::of(&file(before), &file(after), &[], 0.1).unwrap();
                assert!(comparison.text.contains(&format!("1 {judgement}")), "{judgement}: {comparison:?}");
                assert_eq!(comparison.passes, judgement != "worse");
            }
        };
        check(&[100.0, 101.0, 102.0], &[93.0, 94.0, 95.0], "the same", "the same");
        check(&[100.0, 101.0, 102.0], &[80.0, 81.0, 82.0], "better", "worse");
        check(&[100.0, 101.0, 102.0], &[120.0, 121.0, 122.0], "worse", "better");
        // One round is as slow as a round of the other file, so the difference may be chance.
        check(&[81.5, 101.0, 102.0], &[80.0, 81.0, 82.0], "the same", "the same");
        check(&[100.0, 101.0, 102.0], &[80.0, 81.0, 100.0], "the same", "the same");
    }

    #[test]
    fn writes_remarks_changes_failures_and_a_summary() {
        let (mut before, mut after) = (results(), results());
        before.cells.retain(|cell| ["crowd", "idle"].contains(&&*cell.workload) && cell.connections != 64);
        after.cells.retain(|cell| cell.workload == "crowd");
        after.cells[0].samples[0].values.insert(Metric::Cpu, 6.5);
        after.cells[1].failures.push("round 1: no response".into());
        after.machine.cpu = "a slow one".into();
        let run = after.runs.get_mut("servers").unwrap();
        (run.seconds, run.subjects[0].version) = (3.0, "httpd 2".into());
        (run.rounds, run.load_before) = (1, 16.0);
        before.runs.get_mut("servers").unwrap().load_before = 1.0;
        let comparison = Comparison::of(&before, &after, &[], 0.1).unwrap();
        let expected = "\
            note: the reference nginx itself changed by more than 10% in 1 of 1 numbers: the machine may have, too\n\
            note: servers: AFTER has 1 round, BEFORE 3\n\
            note: servers: AFTER began at a load of 16 on 2 CPUs: compare CPU time only\n\
            note: CPU: a <fast> one, then a slow one\n\
            note: seconds of servers: 2, then 3\n\
            note: version of httpd: httpd 1.2, then httpd 2\n\
            note: only in the later file: crowd / httpd / 64\n\
            note: only in the earlier file: workload idle\n\
            |                      | metric |           before |            after | change | judgement |\n\
            | -------------------- | -----: | ---------------: | ---------------: | -----: | --------: |\n\
            | crowd / nginx / 1000 |    cpu | 13.0 (13.0–13.0) | 6.50 (6.50–6.50) | -50.0% |    better |\n\
            FAILED: crowd / httpd / 1000: round 1: no response\n\
            1 better, 0 the same, 0 worse, 1 failed\n";
        assert_eq!((comparison.text.as_str(), comparison.passes), (expected, false));
        assert!(Comparison::of(&after, &after, &[], 0.1).unwrap().passes, "it failed before, too");
        let chosen = Comparison::of(&before, &after, &[Metric::P99], 0.1).unwrap().text;
        assert!(chosen.contains(" p99 |") && !chosen.contains(" cpu |"), "{chosen}");
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
}
