//! Compares two runs of the lab, cell by cell: what has changed, and whether the change exceeds the noise.

use std::fmt;

use super::metric::Metric;
use super::results::{Cell, Results, Spread};

/// What has changed between two runs.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// One entry for each metric of each cell that both runs have.
    pub changes: Vec<Change>,
    /// Cells that failed in the later run, and had not before.
    pub broken: Vec<Broken>,
    /// Differences between the runs that limit the comparison, such as another CPU.
    pub remarks: Vec<String>,
}

/// How one number of one cell has changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// `workload / architecture / connections`.
    pub place: String,
    /// Which number.
    pub metric: Metric,
    /// In the earlier run.
    pub before: Spread,
    /// In the later one.
    pub after: Spread,
    /// Whether the change is significant, and in which direction.
    pub verdict: Verdict,
}

/// A cell that failed in the later run.
#[derive(Clone, Debug)]
pub struct Broken {
    /// `workload / architecture / connections`.
    pub place: String,
    /// What went wrong.
    pub why: String,
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

/// Why two runs cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incomparable {
    /// They were measured with different numbers of workers.
    Workers(usize, usize),
    /// They were measured on different numbers of CPUs.
    Cpus(usize, usize),
    /// They have no cell in common.
    NothingInCommon,
}

impl Comparison {
    /// Compares two runs by some metrics. A change counts if it is greater than `bound`, a share of the earlier median,
    /// and if no round of one run lies between those of the other.
    ///
    /// # Errors
    ///
    /// If the runs cannot be compared.
    pub fn of(
        before: &Results,
        after: &Results,
        metrics: &[Metric],
        bound: f64,
    ) -> Result<Comparison, Incomparable> {
        let (earlier, later) = (&before.settings, &after.settings);
        if earlier.workers != later.workers {
            return Err(Incomparable::Workers(earlier.workers, later.workers));
        }
        if earlier.server_cpus.len() != later.server_cpus.len() {
            return Err(Incomparable::Cpus(earlier.server_cpus.len(), later.server_cpus.len()));
        }
        let mut comparison = Comparison { remarks: remarks(before, after), ..Comparison::default() };
        let mut common = 0;
        for new in &after.cells {
            let (workload, architecture, connections) = new.place();
            let Some(old) = before.cell(workload, architecture, connections) else { continue };
            common += 1;
            comparison.compare(old, new, metrics, bound);
        }
        if common == 0 { Err(Incomparable::NothingInCommon) } else { Ok(comparison) }
    }

    /// Whether nothing has become worse.
    pub fn passes(&self) -> bool {
        self.broken.is_empty() && self.changes.iter().all(|change| change.verdict != Verdict::Worse)
    }

    fn compare(&mut self, old: &Cell, new: &Cell, metrics: &[Metric], bound: f64) {
        let (workload, architecture, connections) = new.place();
        let place = format!("{workload} / {architecture} / {connections}");
        if let (None, Some(why)) = (&old.failure, &new.failure) {
            self.broken.push(Broken { place: place.clone(), why: why.clone() });
        }
        for metric in metrics.iter().copied() {
            if let (Some(before), Some(after)) = (old.spread(metric), new.spread(metric)) {
                let verdict = verdict(metric, &before, &after, bound);
                self.changes.push(Change { place: place.clone(), metric, before, after, verdict });
            }
        }
    }
}

impl Change {
    /// The change as a share of the earlier median; `None` if that was zero.
    pub fn relative(&self) -> Option<f64> {
        (self.before.middle != 0.0).then(|| self.after.middle / self.before.middle - 1.0)
    }
}

fn verdict(metric: Metric, before: &Spread, after: &Spread, bound: f64) -> Verdict {
    let change = after.middle - before.middle;
    if change.abs() <= bound * before.middle || before.overlaps(after) {
        return Verdict::Same;
    }
    if (change > 0.0) == metric.more_is_better() { Verdict::Better } else { Verdict::Worse }
}

/// The differences between two runs that a reader must know of.
fn remarks(before: &Results, after: &Results) -> Vec<String> {
    let (earlier, later) = (&before.machine, &after.machine);
    let pairs = [
        ("CPU", earlier.cpu.clone(), later.cpu.clone()),
        ("kernel", earlier.kernel.clone(), later.kernel.clone()),
        ("seconds", before.settings.seconds.to_string(), after.settings.seconds.to_string()),
        ("programs", before.programs.join(", "), after.programs.join(", ")),
    ];
    let different = pairs.into_iter().filter(|(_, earlier, later)| earlier != later);
    different.map(|(what, earlier, later)| format!("{what}: {earlier}, then {later}")).collect()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for remark in &self.remarks {
            writeln!(f, "not the same in both: {remark}")?;
        }
        let width = self.changes.iter().map(|change| change.place.len()).max().unwrap_or(0);
        for change in &self.changes {
            writeln!(f, "{:width$}  {change}", change.place)?;
        }
        for Broken { place, why } in &self.broken {
            writeln!(f, "{place:width$}  FAILED: {why}")?;
        }
        let count = |verdict| self.changes.iter().filter(|change| change.verdict == verdict).count();
        let (better, same, worse) = (count(Verdict::Better), count(Verdict::Same), count(Verdict::Worse));
        write!(f, "{better} better, {same} the same, {worse} worse, {} failed", self.broken.len())
    }
}

/// The line without the name of the cell.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |spread: &Spread| {
            format!("{} ±{:.0}%", self.metric.format(spread.middle), spread.relative() * 100.0)
        };
        let relative = self.relative().map_or_else(String::new, |change| format!("{:+.1}%", change * 100.0));
        let word = match self.verdict {
            Verdict::Better => "  better",
            Verdict::Same => "",
            Verdict::Worse => "  WORSE",
        };
        write!(
            f,
            "{:11} {:>16} → {:>16}  {relative:>8}{word}",
            self.metric,
            side(&self.before),
            side(&self.after)
        )
    }
}

impl fmt::Display for Incomparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incomparable::Workers(a, b) => write!(f, "one was measured with {a} workers, the other with {b}"),
            Incomparable::Cpus(a, b) => write!(f, "one was measured on {a} CPUs, the other on {b}"),
            Incomparable::NothingInCommon => f.write_str("they have no cell in common"),
        }
    }
}

impl std::error::Error for Incomparable {}
