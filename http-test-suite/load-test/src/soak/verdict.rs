//! The result of a soak, as text and as JSON.

use std::fmt;
use std::io;

use serde::Serialize;

use super::crowd::Score;
use super::vitals::Vitals;

/// The results of every kind of client, and what the server held. The fields are those of the JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// The scores by kind, over both visits.
    pub scores: Vec<Score>,
    /// What the server held after the first visit.
    pub before: Vitals,
    /// The most that the server held during the second visit.
    pub peak: Vitals,
    /// What the server held after the last client had left.
    pub after: Vitals,
    /// Faults of the server other than wrong answers.
    pub faults: Vec<String>,
}

impl Verdict {
    /// Whether there were no faults, and every kind had at least one conversation.
    pub fn passes(&self) -> bool {
        let well = |score: &Score| score.wrong == 0 && score.right > 0;
        self.faults.is_empty() && !self.scores.is_empty() && self.scores.iter().all(well)
    }

    /// Adds the scores of another visit.
    pub(super) fn add(&mut self, scores: Vec<Score>) {
        for (sum, score) in self.scores.iter_mut().zip(scores) {
            sum.add(score);
        }
    }

    /// Records that the server's processes could not be read, and returns empty vitals.
    pub(super) fn gone(&mut self, error: &io::Error) -> Vitals {
        let fault = format!("a process of the server's has ended: {error}");
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
        Vitals::default()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<15} {:>13} {:>8} {:>6}", "clients", "conversations", "right", "wrong")?;
        for Score { name, right, wrong, faults } in &self.scores {
            writeln!(f, "{name:<15} {:>13} {right:>8} {wrong:>6}", right + wrong)?;
            faults.iter().try_for_each(|fault| writeln!(f, "    {fault}"))?;
        }
        writeln!(f, "\n{:<15} {:>13} {:>8} {:>6}", "the server", "before", "at most", "after")?;
        let mut row = |name: &str, of: fn(&Vitals) -> String| {
            let [before, peak, after] = [&self.before, &self.peak, &self.after].map(of);
            writeln!(f, "{name:<15} {before:>13} {peak:>8} {after:>6}")
        };
        row("processes", |vitals| vitals.processes.len().to_string())?;
        row("descriptors", |vitals| vitals.descriptors.to_string())?;
        row("threads", |vitals| vitals.threads.to_string())?;
        row("memory (MiB)", |vitals| format!("{:.1}", vitals.memory_bytes as f64 / f64::from(1 << 20)))?;
        writeln!(f)?;
        self.faults.iter().try_for_each(|fault| writeln!(f, "WRONG: {fault}"))?;
        writeln!(f, "{}", if self.passes() { "The server stands." } else { "The server does not stand." })
    }
}
