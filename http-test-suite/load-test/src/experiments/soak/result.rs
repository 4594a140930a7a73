//! The result of a soak, as text and as JSON.

use std::fmt;

use serde::Serialize;

use super::clients::ClientResults;
use super::resources::Resources;

/// The result of a soak: what the clients observed, and what the server held. The fields are those of the JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SoakResult {
    /// The results of each kind of client, warm-up included.
    pub clients: Vec<ClientResults>,
    /// What the server held after the warm-up.
    pub before: Resources,
    /// The most that the server held after the warm-up.
    pub peak: Resources,
    /// What the server held after the last client had left.
    pub after: Resources,
    /// Faults of the server other than wrong responses: resources not freed, a process ended, no stop at SIGTERM.
    pub faults: Vec<String>,
}

impl SoakResult {
    /// Whether the server had no fault, and clients of every kind connected.
    pub fn passes(&self) -> bool {
        let passes = |kind: &ClientResults| kind.failed == 0 && kind.passed > 0;
        self.faults.is_empty() && !self.clients.is_empty() && self.clients.iter().all(passes)
    }
}

impl fmt::Display for SoakResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<15} {:>12} {:>8} {:>8}", "clients", "connections", "passed", "failed")?;
        for ClientResults { name, passed, failed, messages } in &self.clients {
            writeln!(f, "{name:<15} {:>12} {passed:>8} {failed:>8}", passed + failed)?;
            messages.iter().try_for_each(|message| writeln!(f, "    {message}"))?;
        }
        writeln!(f, "\n{:<15} {:>12} {:>8} {:>8}", "server", "before", "peak", "after")?;
        let mut row = |name: &str, value: fn(&Resources) -> String| {
            let [before, peak, after] = [&self.before, &self.peak, &self.after].map(value);
            writeln!(f, "{name:<15} {before:>12} {peak:>8} {after:>8}")
        };
        row("processes", |held| held.processes.len().to_string())?;
        row("descriptors", |held| held.descriptors.to_string())?;
        row("threads", |held| held.threads.to_string())?;
        row("memory (MiB)", |held| format!("{:.1}", held.memory_bytes as f64 / f64::from(1 << 20)))?;
        writeln!(f)?;
        self.faults.iter().try_for_each(|fault| writeln!(f, "FAULT: {fault}"))?;
        f.write_str(if self.passes() { "passed\n" } else { "failed\n" })
    }
}
