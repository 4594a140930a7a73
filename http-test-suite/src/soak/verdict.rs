//! What a soak came to, for people and for programs.

use std::fmt;
use std::io;

use serde::Serialize;

use super::crowd::Score;
use super::vitals::Vitals;

/// How every kind of client fared, and what the server held. Its fields are those of the JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// By kind, over both visits.
    pub scores: Vec<Score>,
    /// When the first visit was over.
    pub before: Vitals,
    /// The most of each during the second.
    pub peak: Vitals,
    /// When all had left.
    pub after: Vitals,
    /// What was wrong with the server besides its answers.
    pub faults: Vec<String>,
}

impl Verdict {
    /// Whether nothing was wrong, and every kind had its say.
    pub fn passes(&self) -> bool {
        let well = |score: &Score| score.wrong == 0 && score.right > 0;
        self.faults.is_empty() && !self.scores.is_empty() && self.scores.iter().all(well)
    }

    /// Adds another visit of the same crowd.
    pub(super) fn add(&mut self, scores: Vec<Score>) {
        for (sum, score) in self.scores.iter_mut().zip(scores) {
            sum.add(score);
        }
    }

    /// Notes that the server could not be looked at, and what there is to see then.
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
