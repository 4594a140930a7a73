//! The files that a confined process needs, and how far the kernel confines it to them.

use std::{fmt, path::PathBuf};

/// The files that a confined process still needs.
///
/// A rule names a file or directory that exists. Log files are created again after rotation, and removing a file is a
/// right to its directory, so these need a rule for their directories.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Directories whose files are served: they stay readable.
    pub roots: Vec<PathBuf>,
    /// Log files, which are reopened for rotation: files in their directories can be created and written.
    pub logs: Vec<PathBuf>,
    /// Files that are removed at the end, such as the PID file: files in their directories can be removed.
    pub removed: Vec<PathBuf>,
}

/// How far the kernel confines this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// All rules apply.
    Full,
    /// The rules that this kernel knows apply: at least those for reading, creating and removing files.
    Partial,
    /// The rules of the parent process, which has the same needs, apply.
    Inherited,
    /// None: the kernel or this build has no Landlock.
    Unavailable,
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Confinement::Full | Confinement::Inherited => "confined to its files",
            Confinement::Partial => "confined to its files as far as this kernel can",
            Confinement::Unavailable => "not confined: Landlock is not available",
        })
    }
}
