//! Confines the process with Landlock to the files that it serves, logs and executes.
//!
//! The rules hold for files that are opened from then on. Descriptors that are already open, the listening sockets among
//! them, stay usable. Workers and successors inherit the rules and cannot remove them.

#[cfg_attr(not(feature = "confine"), expect(dead_code, reason = "only Landlock uses them"))]
mod needs;
#[cfg(feature = "confine")]
mod ruleset;

pub use needs::{Confinement, Needs};
#[cfg(feature = "confine")]
pub use ruleset::confine;

/// Confines nothing, because this build has no Landlock.
#[cfg(not(feature = "confine"))]
#[expect(clippy::unnecessary_wraps, reason = "with Landlock it can fail")]
pub fn confine(_: &Needs) -> std::io::Result<Confinement> {
    Ok(Confinement::Unavailable)
}
